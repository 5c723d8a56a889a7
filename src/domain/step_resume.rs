//! Resumes that the code of a step makes: each happens once, however often the step is delivered.
//!
//! A kill may cut a step off after its resume and before its end. Then the step runs again from its
//! beginning and repeats the resume. By then the resumed run may have gone on: its hook is gone, or
//! another run has its token. So the event of such a resume names the place that made it, and a
//! repetition is answered with that event, whichever run has it.

use super::event::ResumeMark;
use super::id::Position;

/// Begins the names of these resumes.
const OF_STEP: &str = "step:";

/// A resume, as a step makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepResume {
    /// A digest of the step, of how often it has failed, and of the token. An attempt after a failure
    /// resumes anew, as the runtime says of every effect of a step.
    pub place: String,
    /// A digest of the payload before encryption.
    pub payload: String,
    /// How many equal resumes the same attempt has made before.
    pub nth: u32,
}

impl StepResume {
    /// The name of the resume in its event.
    pub fn mark(&self) -> ResumeMark {
        let Self { place, payload, nth } = self;
        // Each part ends with a colon, so that no name begins another one.
        ResumeMark { id: format!("{OF_STEP}{place}:{payload}:{nth}:"), payload_digest: None }
    }

    /// Reads [`StepResume::mark`]; `None` for the name of another resume.
    pub fn of(mark: &ResumeMark) -> Option<Self> {
        let mut parts = mark.id.strip_prefix(OF_STEP)?.split(':');
        let (place, payload, nth) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { place: place.to_owned(), payload: payload.to_owned(), nth: nth.parse().ok()? })
    }

    /// The name of this resume without the digest of its payload, which is dropped with the values of the
    /// resumed run. The position of its event keeps the names apart.
    pub fn without_payload(&self, position: Position) -> ResumeMark {
        ResumeMark { id: format!("{OF_STEP}{}::{position}:", self.place), payload_digest: None }
    }

    /// The names of all resumes from the same place whose payloads were dropped.
    pub fn names_without_payload(&self) -> Names {
        Names::beginning_with(format!("{OF_STEP}{}::", self.place))
    }

    /// The names of all resumes from a place.
    pub fn names_from(place: &str) -> Names {
        Names::beginning_with(format!("{OF_STEP}{place}:"))
    }

    /// The name of this resume alone.
    pub fn name(&self) -> Names {
        Names::beginning_with(self.mark().id)
    }
}

/// The names that begin with a text which ends with a colon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The first of them.
    pub from: String,
    /// Comes after all of them.
    pub before: String,
}

impl Names {
    fn beginning_with(from: String) -> Self {
        // The character after the colon.
        let before = format!("{};", from.strip_suffix(':').unwrap_or(&from));
        Self { from, before }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resume(place: &str, nth: u32) -> StepResume {
        StepResume { place: place.to_owned(), payload: "payload".to_owned(), nth }
    }

    #[test]
    fn a_name_is_read_back_and_a_callers_own_name_is_none() {
        let resume = resume("place", 12);
        assert_eq!(StepResume::of(&resume.mark()), Some(resume));
        for id in ["01K0", "", "step:", "step:a:b:", "step:a:b:c:"] {
            let mark = ResumeMark { id: id.to_owned(), payload_digest: None };
            assert_eq!(StepResume::of(&mark), None);
        }
    }

    #[test]
    fn a_name_without_its_payload_holds_no_digest_of_it() {
        let resume = resume("place", 1);
        let names = resume.names_without_payload();
        let id = resume.without_payload(7).id;
        assert!(names.from <= id && id < names.before && !id.contains(&resume.payload));
        assert!(!(names.from..names.before).contains(&resume.mark().id));
    }

    #[test]
    fn the_names_from_a_place_are_those_of_no_other_place() {
        let is_in = |names: &Names, resume: &StepResume| {
            let id = resume.mark().id;
            names.from <= id && id < names.before
        };
        let of_place = StepResume::names_from("ab");
        assert!(is_in(&of_place, &resume("ab", 3)));
        assert!(["a", "abc", "aa", "b"].iter().all(|place| !is_in(&of_place, &resume(place, 3))));
        assert!(is_in(&of_place, &StepResume::of(&resume("ab", 1).without_payload(7)).unwrap()));
        let alone = resume("ab", 1).name();
        assert!(is_in(&alone, &resume("ab", 1)));
        assert!([0, 2, 10, 11].into_iter().all(|nth| !is_in(&alone, &resume("ab", nth))));
    }
}
