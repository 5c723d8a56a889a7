//! Why the app takes no deliveries: the answer of its address, or the lack of one.

use hyper::header::{CONTENT_TYPE, LOCATION};
use hyper::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};

/// The most characters of a redirect's target that are shown.
const TARGET_CHARS_MAX: usize = 100;

/// The kind of a silence. A lower kind says more: the server that answered is likelier to be the app
/// than the one that did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SilenceKind {
    /// A server answered, but not the app.
    Answer,
    /// The app closes each connection after its answer.
    NotKept,
    /// Its certificate is not trusted.
    Untrusted,
    /// The connection was made, and no answer came in time.
    Late,
    /// No connection was made, or it broke.
    Unreached,
    /// The host name has no address.
    NoAddress,
    /// No address is configured, and this process does not listen.
    NoServer,
    /// This process failed before it asked.
    Own,
}

impl SilenceKind {
    /// Its name for programs, from a closed list: `Silence` of `ts/world/pulse.ts`.
    fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::NotKept => "notKept",
            Self::Untrusted => "untrusted",
            Self::Late => "late",
            Self::Unreached => "unreached",
            Self::NoAddress => "noAddress",
            Self::NoServer => "noServer",
            Self::Own => "own",
        }
    }
}

/// Why the app did not take a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// The kind.
    pub kind: SilenceKind,
    /// What was found, for people. It holds no body, no query and no password.
    pub found: String,
}

impl Silence {
    /// A silence of this kind.
    pub fn new(kind: SilenceKind, found: impl Into<String>) -> Self {
        Self { kind, found: found.into() }
    }

    /// The answer of a server that has not proved to be the app.
    pub fn answer(at: &str, status: StatusCode, headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let is_page = text(CONTENT_TYPE).is_some_and(|kind| kind.starts_with("text/html"));
        let how = match (status.is_redirection(), text(LOCATION)) {
            (true, Some(target)) => format!(", a redirect to {}", shown(target)),
            _ if is_page => ", a web page".to_owned(),
            _ => String::new(),
        };
        let status = status.as_u16();
        let found = format!(
            "{at} answers HTTP {status}{how}, without the proof that it is this app with this database"
        );
        Self::new(SilenceKind::Answer, found)
    }

    /// Of two silences the one that says more, or else this one.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if other.kind < self.kind { other } else { self }
    }

    /// A `Silence` of `ts/world/pulse.ts`.
    pub fn report(&self) -> Value {
        json!({ "kind": self.kind.name(), "found": self.found })
    }
}

/// A URL without what may be secret.
fn shown(target: &str) -> String {
    let Ok(uri) = target.parse::<Uri>() else { return "an address that is no URL".into() };
    let host = uri.host().unwrap_or_default();
    format!("{host}{}", uri.path()).chars().take(TARGET_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(status: u16, headers: &[(&'static str, &str)]) -> String {
        let headers = headers.iter().map(|(name, value)| {
            (hyper::header::HeaderName::from_static(name), value.parse().unwrap())
        });
        let status = StatusCode::from_u16(status).unwrap();
        let all = Silence::answer("http://h:1", status, &headers.collect()).found;
        let how = all.strip_prefix("http://h:1 answers HTTP ").unwrap();
        how.split(", without").next().unwrap().to_owned()
    }

    #[test]
    fn an_answer_says_what_stands_in_front_of_the_app_and_no_secret() {
        assert_eq!(found(307, &[("location", "/login?token=s")]), "307, a redirect to /login");
        let elsewhere = [("location", "https://me:s@id.example/in?next=s")];
        assert_eq!(found(302, &elsewhere), "302, a redirect to id.example/in");
        assert_eq!(found(200, &[("content-type", "text/html; charset=utf-8")]), "200, a web page");
        assert_eq!(found(404, &[("content-type", "application/json")]), "404");
    }

    #[test]
    fn a_server_that_answers_says_more_than_one_that_does_not() {
        let of = |kind| Silence::new(kind, format!("{kind:?}"));
        let (answer, late) = (of(SilenceKind::Answer), of(SilenceKind::Late));
        assert_eq!(late.clone().or(answer.clone()), answer);
        assert_eq!(answer.clone().or(late), answer);
        let first = Silence::new(SilenceKind::Answer, "first");
        assert_eq!(first.clone().or(answer), first);
    }
}
