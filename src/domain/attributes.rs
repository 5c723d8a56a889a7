//! Attributes of a run: short texts by key, which the SDK keeps beside the run's values.

use std::collections::{BTreeMap, BTreeSet};

use super::refusal::Refusal;

/// The attributes of a run.
pub type Attributes = BTreeMap<String, String>;

/// Longest key in UTF-16 code units, in which JavaScript measures a string.
pub const KEY_LENGTH_MAX: usize = 256;
/// Longest value in bytes of UTF-8.
pub const VALUE_BYTES_MAX: usize = 256;
/// Most attributes of a run.
pub const ATTRIBUTES_MAX: usize = 64;
/// Begins the keys that only the SDK and frameworks may set.
const RESERVED_PREFIX: char = '$';

/// The attribute that says how long the values of an ended run are kept.
pub const RETENTION: &str = "$retention";
/// The value of [`RETENTION`] for "not at all". Every other value means "as long as the World likes":
/// a value that is not understood must not delete anything.
const RETENTION_ZERO: &str = "0";

/// Whether the values of a run are dropped when it ends.
pub fn are_values_dropped_at_end(attributes: &Attributes) -> bool {
    attributes.get(RETENTION).is_some_and(|value| value == RETENTION_ZERO)
}

/// A requested value, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeValue {
    /// The text, or its sealed form.
    pub text: String,
    /// The bytes of the text before it was sealed.
    pub bytes: usize,
}

impl AttributeValue {
    /// A text that is not sealed.
    pub fn plain(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { bytes: text.len(), text }
    }
}

/// Sets an attribute, or removes it if there is no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeChange {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Option<AttributeValue>,
}

/// Changes that are made together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttributeChanges {
    /// The changes.
    pub changes: Vec<AttributeChange>,
    /// Whether the caller is a framework, which may set reserved keys.
    pub allow_reserved: bool,
}

impl AttributeChanges {
    /// The attributes after these changes.
    ///
    /// # Errors
    /// `AttributesUnacceptable`, with the reason.
    pub fn merged_into(&self, attributes: &Attributes) -> Result<Attributes, Refusal> {
        let mut merged = attributes.clone();
        let mut seen = BTreeSet::new();
        for AttributeChange { key, value } in &self.changes {
            if let Some(reason) = self.unacceptable_because(key, value.as_ref()) {
                return Err(Refusal::AttributesUnacceptable(reason));
            }
            if !seen.insert(key) {
                let reason = format!("the attribute \"{key}\" is changed twice by one event");
                return Err(Refusal::AttributesUnacceptable(reason));
            }
            match value {
                Some(value) => merged.insert(key.clone(), value.text.clone()),
                None => merged.remove(key),
            };
        }
        match merged.len() > ATTRIBUTES_MAX {
            false => Ok(merged),
            true => Err(Refusal::AttributesUnacceptable(format!(
                "a run may have at most {ATTRIBUTES_MAX} attributes, and this run would have {}",
                merged.len()
            ))),
        }
    }

    fn unacceptable_because(&self, key: &str, value: Option<&AttributeValue>) -> Option<String> {
        let key_length = key.encode_utf16().count();
        if key.is_empty() {
            return Some("the key of an attribute must not be empty".into());
        }
        if key_length > KEY_LENGTH_MAX {
            return Some(format!(
                "the key of an attribute has {key_length} characters (at most {KEY_LENGTH_MAX})"
            ));
        }
        if key.starts_with(RESERVED_PREFIX) && !self.allow_reserved {
            return Some(format!(
                "the attribute \"{key}\" begins with \"{RESERVED_PREFIX}\", which is reserved for frameworks"
            ));
        }
        let bytes = value.map_or(0, |value| value.bytes);
        (bytes > VALUE_BYTES_MAX).then(|| {
            format!(
                "the value of the attribute \"{key}\" has {bytes} bytes (at most {VALUE_BYTES_MAX})"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(key: &str, value: &str) -> AttributeChange {
        AttributeChange { key: key.into(), value: Some(AttributeValue::plain(value)) }
    }

    fn remove(key: &str) -> AttributeChange {
        AttributeChange { key: key.into(), value: None }
    }

    fn of(changes: &[AttributeChange]) -> AttributeChanges {
        AttributeChanges { changes: changes.to_vec(), allow_reserved: false }
    }

    fn attributes(pairs: &[(&str, &str)]) -> Attributes {
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    }

    #[test]
    fn changes_set_replace_and_remove() {
        let before = attributes(&[("a", "1"), ("b", "2")]);
        let merged = of(&[set("a", "3"), remove("b"), set("c", ""), remove("none")]);
        assert_eq!(merged.merged_into(&before), Ok(attributes(&[("a", "3"), ("c", "")])));
    }

    #[test]
    fn a_key_has_up_to_256_characters_and_is_not_empty() {
        let longest = "😀".repeat(KEY_LENGTH_MAX / 2);
        assert!(of(&[set(&longest, "")]).merged_into(&Attributes::new()).is_ok());
        for key in ["", &format!("{longest}x")] {
            let refused = of(&[remove(key)]).merged_into(&Attributes::new());
            assert!(matches!(refused, Err(Refusal::AttributesUnacceptable(_))), "{key}");
        }
    }

    #[test]
    fn a_value_has_up_to_256_bytes_before_it_is_sealed() {
        let longest = "é".repeat(VALUE_BYTES_MAX / 2);
        assert!(of(&[set("a", &longest)]).merged_into(&Attributes::new()).is_ok());
        let refused = of(&[set("a", &format!("{longest}x"))]).merged_into(&Attributes::new());
        let Err(Refusal::AttributesUnacceptable(reason)) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("257") && !reason.contains('é'), "{reason}");
        let sealed = AttributeValue { text: "x".repeat(500), bytes: 1 };
        let sealed = AttributeChange { key: "a".into(), value: Some(sealed) };
        assert!(of(&[sealed]).merged_into(&Attributes::new()).is_ok());
    }

    #[test]
    fn only_a_framework_changes_reserved_keys() {
        for change in [set("$a", "1"), remove("$a")] {
            let changes = of(&[change]);
            assert!(changes.merged_into(&Attributes::new()).is_err());
            let allowed = AttributeChanges { allow_reserved: true, ..changes };
            assert!(allowed.merged_into(&Attributes::new()).is_ok());
        }
    }

    #[test]
    fn no_key_is_changed_twice_at_once() {
        let twice = of(&[set("a", "1"), remove("a")]);
        assert!(twice.merged_into(&Attributes::new()).is_err());
    }

    #[test]
    fn a_run_has_up_to_64_attributes_after_the_changes() {
        let full: Attributes =
            (0..ATTRIBUTES_MAX).map(|number| (format!("key {number}"), String::new())).collect();
        assert!(of(&[set("key 0", "new")]).merged_into(&full).is_ok());
        assert!(of(&[set("another", "")]).merged_into(&full).is_err());
        assert!(of(&[set("another", ""), remove("key 0")]).merged_into(&full).is_ok());
    }

    #[test]
    fn values_are_dropped_only_for_a_retention_that_is_exactly_zero() {
        assert!(are_values_dropped_at_end(&attributes(&[(RETENTION, "0")])));
        for kept in ["", " 0", "00", "0.0", "-0", "0s", "1", "default"] {
            assert!(!are_values_dropped_at_end(&attributes(&[(RETENTION, kept)])), "{kept}");
        }
        assert!(!are_values_dropped_at_end(&Attributes::new()));
    }
}
