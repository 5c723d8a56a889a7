//! How long the log may get, and what is said when it is that long.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use super::FRAME_BYTES;
use super::checkpoints::CHECKPOINT_FRAMES;
use crate::error::{ErrorKind, WorldError};
use crate::lock::lock;

/// The length of the log and its limit.
pub(in super::super) struct Bound {
    /// Frames in the log after the last commit.
    frames: Arc<AtomicI64>,
    /// The most frames to which the log may grow.
    frames_max: i64,
    /// The same limit while the disk has less space.
    frames_max_now: AtomicI64,
    /// Why the last checkpoint failed; `None` if it did not fail.
    failure: Mutex<Option<String>>,
}

impl Bound {
    /// A log may grow to so many bytes; `frames` are counted elsewhere.
    pub(super) fn new(frames: Arc<AtomicI64>, bytes_max: i64) -> Self {
        let frames_max = bytes_max / FRAME_BYTES;
        Self {
            frames,
            frames_max,
            frames_max_now: AtomicI64::new(frames_max),
            failure: Mutex::default(),
        }
    }

    /// Refuses if so many frames wait to be copied that nothing may be added.
    ///
    /// # Errors
    /// `Throttled`.
    pub(in super::super) fn refuse_if_reached(&self) -> Result<(), WorldError> {
        if !self.is_reached() {
            return Ok(());
        }
        let frames = self.frames();
        let mib = frames * FRAME_BYTES / (1024 * 1024);
        let why = match &*lock(&self.failure) {
            Some(failure) => format!("it cannot be copied into the database file: {failure}"),
            None => "a long read keeps it or the disk is slow: end the process that reads (npx hookline \
                     doctor names it)"
                .to_owned(),
        };
        let message = format!("the write-ahead log has grown to {mib} MiB, because {why}");
        Err(WorldError::throttled(message))
    }

    pub(super) fn is_reached(&self) -> bool {
        self.frames() >= self.frames_max_now.load(Ordering::Relaxed)
    }

    pub(super) fn frames(&self) -> i64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Notes that somebody keeps the log from restarting. Half of the disk's free space is left to
    /// others.
    pub(super) fn held(&self, free_bytes: Option<i64>) {
        let growth = free_bytes.map(|bytes| bytes / 2 / FRAME_BYTES);
        let now =
            growth.map_or(self.frames_max, |growth| (self.frames() + growth).min(self.frames_max));
        // The free space shrinks while the log grows, so the limit is not halved again each time.
        self.frames_max_now.fetch_min(now.max(CHECKPOINT_FRAMES), Ordering::Relaxed);
    }

    /// Notes that a checkpoint failed, for another reason than that somebody is in the way.
    pub(super) fn failed(&self, fault: &WorldError) {
        if fault.kind != ErrorKind::Busy {
            *lock(&self.failure) = Some(fault.message.clone());
        }
    }

    /// Notes that a checkpoint went well.
    pub(super) fn copied(&self) {
        *lock(&self.failure) = None;
    }

    pub(super) fn begun_anew(&self) {
        self.copied();
        self.frames.store(0, Ordering::Relaxed);
        self.frames_max_now.store(self.frames_max, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_full_says_what_keeps_it_from_being_copied() {
        let bound = Bound::new(Arc::new(AtomicI64::new(10)), 10 * FRAME_BYTES);
        let says = |word: &str| {
            let refused = bound.refuse_if_reached().expect_err("it is full");
            assert_eq!(refused.kind, ErrorKind::Throttled);
            assert!(refused.message.contains(word), "{refused}");
        };
        says("a long read keeps it");
        bound.failed(&WorldError::new(ErrorKind::StorageFull, "the disk is full"));
        bound.failed(&WorldError::new(ErrorKind::Busy, "somebody reads"));
        says("the disk is full");
        bound.copied();
        says("a long read keeps it");
        bound.begun_anew();
        assert!(bound.refuse_if_reached().is_ok());
    }
}
