//! What becomes of a message that was given up, when a person puts it back.

use crate::domain::id::MessageId;

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redrive {
    /// It goes: another message with its idempotency key has been enqueued since, and does its work.
    Succeeded(MessageId),
    /// It is due at this time, and its attempts are counted anew.
    Back {
        /// When it was enqueued: that is past for every process, whatever time the queue has reached
        /// there.
        available_at_ms: i64,
    },
}

/// Puts a dead message back. `successor` is the message with the same idempotency key that was not
/// given up.
pub fn redrive(created_at_ms: i64, successor: Option<MessageId>) -> Redrive {
    successor.map_or(Redrive::Back { available_at_ms: created_at_ms }, Redrive::Succeeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_message_gives_way_to_its_successor() {
        let successor = MessageId::from_number(2);
        assert_eq!(redrive(5, Some(successor)), Redrive::Succeeded(successor));
        assert_eq!(redrive(5, None), Redrive::Back { available_at_ms: 5 });
    }
}
