//! How the writer waits for its next operation.
//!
//! The gain: a resume among 128 in flight takes 0.79 of the time (0.69 to 1.07) that it takes with a
//! writer that sleeps at once. Measured by `npm run bench:compare` against a build of `Linger::receive`
//! that only receives; 5 rounds, 2 cores.

use std::sync::mpsc::{Receiver, RecvError};

/// The number of looks for the next operation before the writer sleeps. Each look yields the processor.
/// Together they last about as long as a caller needs to send its next operation after the last reply.
const LINGER_LOOKS: u32 = 600;
/// The number of batches without lingering after the writer has lingered in vain. Rare operations are
/// not worth the looks.
const LINGER_AGAIN_AFTER: u32 = 16;

/// Waits for the next operation without sleeping while that pays: waking a sleeping thread takes about
/// as long as the transaction itself.
#[derive(Default)]
pub(super) struct Linger {
    /// The number of batches that remain without lingering.
    pause: u32,
}

impl Linger {
    /// The next operation; an error if none can come any more.
    pub(super) fn receive<T>(&mut self, receiver: &Receiver<T>) -> Result<T, RecvError> {
        if self.pause > 0 {
            self.pause -= 1;
            return receiver.recv();
        }
        for _ in 0..LINGER_LOOKS {
            if let Ok(next) = receiver.try_recv() {
                return Ok(next);
            }
            std::thread::yield_now();
        }
        self.pause = LINGER_AGAIN_AFTER;
        receiver.recv()
    }
}
