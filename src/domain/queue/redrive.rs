//! How a person puts a dead or held message back into the queue.

use crate::domain::id::MessageId;

/// The effect on the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redrive {
    /// Deleted, because this later message has the same idempotency key and does its work.
    Succeeded(MessageId),
    /// Due at this time, with no attempts counted.
    Back {
        /// The time at which it was enqueued. This time is in the past for every process, whatever
        /// queue time the process knows.
        available_at_ms: i64,
    },
}

/// Puts a message back. `successor` is another message with the same idempotency key that is not dead.
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
