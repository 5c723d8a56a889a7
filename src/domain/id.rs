//! Identifiers: parsing, printing and ordering. [`crate::entropy`] generates them.

use std::fmt;

use ulid::Ulid;

use super::spec::SpecVersion;

/// Longest hook token in UTF-16 code units, in which JavaScript measures a string. An index holds each
/// token, and so does every event of its hook. No sensible token is nearly this long.
pub const TOKEN_LENGTH_MAX: usize = 65_536;

/// Greatest age of a run id that a client made: its message may have waited a day.
pub const RUN_ID_AGE_MS_MAX: i64 = 24 * 60 * 60 * 1000;
/// Greatest distance of such a run id into the future.
pub const RUN_ID_AHEAD_MS_MAX: i64 = 5 * 60 * 1000;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Wraps the text as it came.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text, owned.
            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// Names a run: `wrun_` and a ULID.
    RunId
);
text_id!(
    /// Ties an event to its step, hook or wait, and names that entity within its run.
    CorrelationId
);

/// The secret text that names a hook. It has no `Display`, and its `Debug` hides the text, so that
/// no log line and no error message can carry it by accident.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HookToken {
    /// The text that the database holds.
    text: String,
    /// The text that the database may hold instead, if the hook was made with another setting of the
    /// key ring.
    other: Option<String>,
    /// Whether `text` is the sealed form.
    sealed: bool,
}

impl HookToken {
    /// Wraps the text as it came.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), other: None, sealed: false }
    }

    /// The same token in its sealed form. It also finds a hook that was stored with the plain text.
    pub fn sealed_as(self, text: String) -> Self {
        Self { text, other: Some(self.text), sealed: true }
    }

    /// The same token in its sealed form. It finds no hook that was stored with another text.
    pub fn only_sealed_as(self, text: String) -> Self {
        Self { text, other: None, sealed: true }
    }

    /// The same token in its plain form. It also finds a hook that was stored with the sealed text.
    pub fn or_sealed_as(self, text: String) -> Self {
        Self { other: Some(text), ..self }
    }

    /// The text that the database holds: the secret itself or its sealed form.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The texts that the database may hold for it, the likelier first.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.expose()).chain(self.other.as_deref())
    }

    /// Whether this token names a hook that was stored with `stored`.
    pub fn names(&self, stored: &Self) -> bool {
        self.texts().any(|text| text == stored.text)
    }

    /// Whether a hook may carry this token: it is at most [`TOKEN_LENGTH_MAX`] long. An empty token is
    /// allowed, because the SDK's local World allows it.
    pub fn is_acceptable(&self) -> bool {
        let plain = match &self.other {
            Some(plain) if self.sealed => plain,
            _ => &self.text,
        };
        plain.len() <= TOKEN_LENGTH_MAX || plain.encode_utf16().count() <= TOKEN_LENGTH_MAX
    }
}

impl fmt::Debug for HookToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HookToken(..)")
    }
}

impl RunId {
    /// The id of this ULID.
    pub fn from_ulid(ulid: Ulid) -> Self {
        Self(format!("wrun_{ulid}"))
    }

    /// Why a client-made id may not start a run at `now_ms`, or `None` if it may. The window is the
    /// SDK's: one day back (a message may wait that long) and five minutes ahead (clock skew).
    pub fn unacceptable_because(&self, now_ms: i64) -> Option<String> {
        let Some(ulid) = self.0.strip_prefix("wrun_").and_then(parse_ulid) else {
            return Some(format!("run id \"{self}\" is not \"wrun_\" followed by a ULID"));
        };
        let age_ms = now_ms - ulid.timestamp_ms() as i64;
        if age_ms > RUN_ID_AGE_MS_MAX {
            return Some(format!(
                "run id \"{self}\" was made {} s ago, but a start takes only ids of the last {} s",
                age_ms / 1000,
                RUN_ID_AGE_MS_MAX / 1000
            ));
        }
        (-age_ms > RUN_ID_AHEAD_MS_MAX).then(|| {
            format!(
                "run id \"{self}\" is {} s ahead of this host's clock (at most {} s): check both clocks",
                -age_ms / 1000,
                RUN_ID_AHEAD_MS_MAX / 1000
            )
        })
    }
}

/// A canonical ULID: 26 digits, upper case, no overflow.
fn parse_ulid(text: &str) -> Option<Ulid> {
    if text.len() != 26 {
        return None;
    }
    Ulid::from_string(text).ok()
}

/// The position of an event in its run's log: 1, 2, 3, ... without gaps.
pub type Position = i64;

/// The public id of the event at `position`, which was appended at `at_ms`.
///
/// Up to spec version 5 the SDK reads a time out of the id, so the id is a ULID: first the time, then
/// the position in the high bits of the random part. Such ids sort as positions do, because times do
/// not decrease within a log (the transition ensures this). From spec version 6 on, the id is the
/// position in 26 digits.
pub fn event_id(spec_version: u32, position: Position, at_ms: i64) -> String {
    if SpecVersion(spec_version).ids_are_positions() {
        return format!("evnt_{position:026}");
    }
    format!("evnt_{}", time_ordered_ulid(at_ms, position))
}

/// The position in an id that [`event_id`] made, or `None` if this engine cannot have made the id.
pub fn position_of_event_id(spec_version: u32, id: &str) -> Option<Position> {
    let digits = id.strip_prefix("evnt_")?;
    if SpecVersion(spec_version).ids_are_positions() {
        return (digits.len() == 26).then(|| digits.parse().ok()).flatten();
    }
    sequence_of_ulid(parse_ulid(digits)?)
}

/// The number of bits by which a sequence number is shifted within a ULID's 80 random bits.
const SEQUENCE_SHIFT: u32 = 16;

fn time_ordered_ulid(at_ms: i64, sequence: i64) -> Ulid {
    Ulid::from_parts(at_ms.max(0) as u64, (sequence as u128) << SEQUENCE_SHIFT)
}

fn sequence_of_ulid(ulid: Ulid) -> Option<i64> {
    i64::try_from(ulid.random() >> SEQUENCE_SHIFT).ok()
}

/// Names a message. Inside the engine it is one integer that grows with time, so that a new message is
/// appended at the end of its table. Outside it is `msg_` and a ULID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(i64);

impl MessageId {
    /// Bits below the milliseconds. They bound the number of messages that one process can name in one
    /// millisecond.
    pub const SEQUENCE_BITS: u32 = 20;

    /// The id with this number.
    pub fn from_number(number: i64) -> Self {
        Self(number)
    }

    /// The number, as stored.
    pub fn number(self) -> i64 {
        self.0
    }

    /// The bits below the milliseconds.
    pub fn sequence(self) -> i64 {
        self.0 & ((1 << Self::SEQUENCE_BITS) - 1)
    }

    /// Reads what `Display` prints; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let id = Self(sequence_of_ulid(parse_ulid(text.strip_prefix("msg_")?)?)?);
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ulid = time_ordered_ulid(self.0 >> Self::SEQUENCE_BITS, self.0);
        write!(f, "msg_{ulid}")
    }
}

/// The fencing token of one claim: every ack, extend and release must carry it. It proves the lease, so
/// it is a secret like a [`HookToken`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LeaseToken(String);

impl LeaseToken {
    /// Wraps the text as it came.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaseToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_ids_sort_as_positions_and_give_them_back() {
        for spec_version in [2, 3, 5, 6, 9] {
            let ids: Vec<String> = [(1, 1000), (2, 1000), (300, 1000), (301, 1001), (70_000, 1001)]
                .map(|(position, at_ms)| event_id(spec_version, position, at_ms))
                .to_vec();
            assert!(ids.is_sorted(), "{ids:?}");
            let positions: Vec<_> =
                ids.iter().map(|id| position_of_event_id(spec_version, id)).collect();
            assert_eq!(positions, [1, 2, 300, 301, 70_000].map(Some));
        }
    }

    #[test]
    fn an_event_id_up_to_spec_five_carries_its_time() {
        let id = event_id(5, 7, 1_795_000_000_123);
        let ulid = Ulid::from_string(id.strip_prefix("evnt_").unwrap()).unwrap();
        assert_eq!(ulid.timestamp_ms(), 1_795_000_000_123);
    }

    #[test]
    fn a_foreign_event_id_has_no_position() {
        for id in ["", "evnt_", "evnt_1", "wrun_01ARZ3NDEKTSV4RRFFQ69G5FAV", "evnt_ü"] {
            assert_eq!(position_of_event_id(3, id), None, "{id}");
            assert_eq!(position_of_event_id(6, id), None, "{id}");
        }
    }

    #[test]
    fn a_message_id_reads_back_what_it_prints() {
        let id = MessageId::from_number((1_795_000_000_123 << MessageId::SEQUENCE_BITS) | 42);
        assert_eq!(MessageId::parse(&id.to_string()), Some(id));
        assert_eq!(MessageId::parse("msg_01ARZ3NDEKTSV4RRFFQ69G5FAV"), None);
        assert_eq!(MessageId::parse("msg_"), None);
    }

    #[test]
    fn a_run_id_is_accepted_within_its_window_only() {
        let now_ms = 1_795_000_000_000_i64;
        let at = |ms: i64| RunId::from_ulid(Ulid::from_parts(ms as u64, 9));
        assert_eq!(at(now_ms).unacceptable_because(now_ms), None);
        assert_eq!(at(now_ms - RUN_ID_AGE_MS_MAX).unacceptable_because(now_ms), None);
        assert_eq!(at(now_ms + RUN_ID_AHEAD_MS_MAX).unacceptable_because(now_ms), None);
        assert!(at(now_ms - RUN_ID_AGE_MS_MAX - 1).unacceptable_because(now_ms).is_some());
        assert!(at(now_ms + RUN_ID_AHEAD_MS_MAX + 1).unacceptable_because(now_ms).is_some());
        assert!(RunId::new("wrun_x").unacceptable_because(now_ms).is_some());
        assert!(RunId::new("run").unacceptable_because(now_ms).is_some());
    }

    #[test]
    fn a_token_is_measured_in_utf16_units_and_never_printed() {
        assert!(HookToken::new("é".repeat(TOKEN_LENGTH_MAX)).is_acceptable());
        assert!(!HookToken::new("é".repeat(TOKEN_LENGTH_MAX + 1)).is_acceptable());
        assert!(HookToken::new("").is_acceptable());
        assert_eq!(format!("{:?}", HookToken::new("secret")), "HookToken(..)");
        assert_eq!(format!("{:?}", LeaseToken::new("secret")), "LeaseToken(..)");
    }
}
