//! The pulse of this process's deliveries: counts them, and keeps every fault that prevents them. The
//! dispatcher continues after each fault, so nobody else would notice it. Whether anything delivers at
//! all is decided in `ts/world/pulse.ts`, from the pulses of all processes.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use serde_json::{Value, json};

use super::reach::Reach;
use crate::clock::Clock;
use crate::domain::queue::offer::Offer;
use crate::error::{ErrorKind, WorldError};
use crate::host;
use crate::lock::lock;

/// The most characters of a fault's message that are kept.
const MESSAGE_CHARS_MAX: usize = 500;

/// A repeated duty of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Claims due messages.
    Claim,
    /// Hands a message over to its handler.
    Deliver,
    /// Writes the outcome of a delivery.
    Settle,
    /// Extends the leases of the deliveries in flight.
    Extend,
    /// Frees the leases of dead processes.
    FreeLeases,
    /// Searches for forgotten runs.
    Search,
    /// Asks whether the app accepts deliveries over HTTP.
    ReachApp,
    /// Runs all of these on a thread.
    Dispatch,
}

impl Duty {
    /// Its name for programs, from a closed list: `WorkerFault` of `world.d.ts`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Deliver => "deliver",
            Self::Settle => "settle",
            Self::Extend => "extend",
            Self::FreeLeases => "freeLeases",
            Self::Search => "search",
            Self::ReachApp => "reachApp",
            Self::Dispatch => "dispatch",
        }
    }

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// One kind of fault: the duty that failed, and the kind of error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The duty that failed.
    pub duty: Duty,
    /// The kind of error.
    pub kind: ErrorKind,
    /// The last error message. It never holds a token, a payload or a key.
    pub message: String,
    /// The time of its first occurrence, in milliseconds since the Unix epoch.
    pub first_at_ms: i64,
    /// The time of its last occurrence.
    pub last_at_ms: i64,
    /// The number of occurrences.
    pub times: u64,
    /// Whether the same duty has succeeded since.
    pub is_past: bool,
}

impl Fault {
    /// A `NativeWorkerFault` of `ts/engine/worker-faults.ts`.
    pub fn report(&self) -> Value {
        json!({
            "duty": self.duty.name(),
            "code": self.kind.code(),
            "message": self.message,
            "firstAtMs": self.first_at_ms,
            "lastAtMs": self.last_at_ms,
            "times": self.times,
            "isPast": self.is_past,
        })
    }
}

/// A reading of a [`Pulse`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PulseReading {
    /// Deliveries at work in this process.
    pub in_flight: usize,
    /// Leases that were lost while their delivery was at work. Such a message may have been delivered
    /// twice.
    pub leases_lost: u64,
    /// The faults, one of each kind, in the order of their first occurrence.
    pub faults: Vec<Fault>,
}

/// Receives a fault when its kind occurs for the first time; returns `false` if it could not report it.
/// Must not block.
pub type FaultListener = dyn Fn(&Fault) -> bool + Send + Sync;

/// Counts deliveries and faults as they happen.
#[derive(Default)]
pub struct Pulse {
    in_flight: AtomicUsize,
    leases_lost: AtomicU64,
    /// One fault for each duty and kind, so there are few.
    faults: Mutex<Vec<Fault>>,
    /// Duties whose last fault is not past, as bits, so that a success costs no lock.
    failing: AtomicU32,
    listeners: Mutex<Vec<Weak<FaultListener>>>,
    /// The way of the deliveries.
    pub(super) reach: Reach,
}

impl Pulse {
    /// Sets the number of deliveries at work.
    pub fn in_flight(&self, deliveries: usize) {
        self.in_flight.store(deliveries, Ordering::Relaxed);
    }

    /// Counts a lost lease.
    pub fn lease_lost(&self) {
        self.leases_lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a duty has failed. Closing the World is no fault.
    pub fn failed(&self, duty: Duty, error: &WorldError, now_ms: i64) {
        if error.kind == ErrorKind::Closed {
            return;
        }
        if let Some(first) = self.keep(duty, error, now_ms) {
            self.tell(&first);
        }
    }

    /// Keeps a fault, and returns it if it is the first of its kind.
    fn keep(&self, duty: Duty, error: &WorldError, now_ms: i64) -> Option<Fault> {
        let message = error.message.chars().take(MESSAGE_CHARS_MAX).collect();
        let mut faults = lock(&self.faults);
        self.failing.fetch_or(duty.bit(), Ordering::Relaxed);
        let known = faults.iter_mut().find(|fault| (fault.duty, fault.kind) == (duty, error.kind));
        if let Some(fault) = known {
            (fault.message, fault.last_at_ms, fault.is_past) = (message, now_ms, false);
            fault.times += 1;
            return None;
        }
        let (first_at_ms, last_at_ms) = (now_ms, now_ms);
        let kind = error.kind;
        let first =
            Fault { duty, kind, message, first_at_ms, last_at_ms, times: 1, is_past: false };
        faults.push(first.clone());
        Some(first)
    }

    fn tell(&self, fault: &Fault) {
        let listeners: Vec<Arc<FaultListener>> =
            lock(&self.listeners).iter().filter_map(Weak::upgrade).collect();
        // Several Worlds of a process get the same fault. One of them reports it.
        listeners.iter().any(|listener| listener(fault));
    }

    /// Notes that a duty has succeeded: its faults are past.
    pub fn went_well(&self, duty: Duty) {
        if self.failing.load(Ordering::Relaxed) & duty.bit() == 0 {
            return;
        }
        let mut faults = lock(&self.faults);
        self.failing.fetch_and(!duty.bit(), Ordering::Relaxed);
        faults.iter_mut().filter(|fault| fault.duty == duty).for_each(|fault| fault.is_past = true);
    }

    /// Notes the outcome of a duty, and passes it on.
    pub fn noted<T>(
        &self,
        duty: Duty,
        outcome: Result<T, WorldError>,
        clock: &dyn Clock,
    ) -> Result<T, WorldError> {
        match &outcome {
            Ok(_) => self.went_well(duty),
            Err(error) => self.failed(duty, error, clock.now_ms()),
        }
        outcome
    }

    /// Adds a listener, which is called while the caller holds it.
    pub fn on_fault(&self, listener: Weak<FaultListener>) {
        let mut listeners = lock(&self.listeners);
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(listener);
    }

    /// The report of this process for others, a `LivingWorker` of `ts/world/workers.ts`: the faults that
    /// are not past, the way of the deliveries, the queues that it lacks a handler for, and what it
    /// offers to run. See
    /// [`Store::show_worker`].
    ///
    /// [`Store::show_worker`]: crate::store::Store::show_worker
    pub(super) fn report(&self, lacks: &[String], offer: &Offer) -> Value {
        let faults = lock(&self.faults);
        let faults = faults.iter().filter(|fault| !fault.is_past).map(Fault::report);
        let faults: Vec<_> = faults.collect();
        let (app, refusal) = self.reach.report();
        let pid = std::process::id();
        let Offer { spec_versions, release, .. } = offer;
        json!({
            "host": host::name(),
            "pid": pid,
            "faults": faults,
            "app": app,
            "refusal": refusal,
            "lacks": lacks,
            "specVersions": [spec_versions.start(), spec_versions.end()],
            "release": release,
        })
    }

    /// The current state.
    pub fn reading(&self) -> PulseReading {
        PulseReading {
            in_flight: self.in_flight.load(Ordering::Relaxed),
            leases_lost: self.leases_lost.load(Ordering::Relaxed),
            faults: lock(&self.faults).clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy() -> WorldError {
        WorldError::new(ErrorKind::Busy, "locked")
    }

    fn full() -> WorldError {
        WorldError::new(ErrorKind::StorageFull, "full")
    }

    #[test]
    fn a_fault_is_kept_once_for_each_kind_with_its_times_until_its_duty_goes_well() {
        let pulse = Pulse::default();
        pulse.failed(Duty::Claim, &busy(), 1);
        pulse.failed(Duty::Claim, &full(), 2);
        pulse.failed(Duty::Claim, &busy(), 3);
        pulse.failed(Duty::Settle, &busy(), 4);
        pulse.went_well(Duty::Claim);
        let seen = |fault: &Fault| {
            (
                fault.duty,
                fault.kind,
                fault.first_at_ms,
                fault.last_at_ms,
                fault.times,
                fault.is_past,
            )
        };
        let faults: Vec<_> = pulse.reading().faults.iter().map(seen).collect();
        let expected = [
            (Duty::Claim, ErrorKind::Busy, 1, 3, 2, true),
            (Duty::Claim, ErrorKind::StorageFull, 2, 2, 1, true),
            (Duty::Settle, ErrorKind::Busy, 4, 4, 1, false),
        ];
        assert_eq!(faults, expected);
        pulse.failed(Duty::Claim, &busy(), 5);
        assert!(!pulse.reading().faults[0].is_past, "it is back");
        assert!(pulse.reading().faults[1].is_past);
    }

    #[test]
    fn a_world_that_closes_is_no_fault() {
        let pulse = Pulse::default();
        pulse.failed(Duty::Settle, &WorldError::closed(), 1);
        assert_eq!(pulse.reading(), PulseReading::default());
    }

    #[test]
    fn one_listener_is_told_once_of_each_kind() {
        let pulse = Pulse::default();
        let told = Arc::<Mutex<Vec<(&str, Duty)>>>::default();
        let listener = |name: &'static str, hears: bool| -> Arc<FaultListener> {
            let told = Arc::clone(&told);
            Arc::new(move |fault: &Fault| {
                lock(&told).push((name, fault.duty));
                hears
            })
        };
        let gone = listener("gone", true);
        pulse.on_fault(Arc::downgrade(&gone));
        drop(gone);
        let (deaf, first, second) =
            (listener("deaf", false), listener("first", true), listener("second", true));
        [&deaf, &first, &second].iter().for_each(|it| pulse.on_fault(Arc::downgrade(it)));
        pulse.failed(Duty::Claim, &busy(), 1);
        pulse.failed(Duty::Claim, &busy(), 2);
        pulse.went_well(Duty::Claim);
        pulse.failed(Duty::Claim, &busy(), 3);
        pulse.failed(Duty::Extend, &busy(), 4);
        let claim = [("deaf", Duty::Claim), ("first", Duty::Claim)];
        let extend = [("deaf", Duty::Extend), ("first", Duty::Extend)];
        assert_eq!(*lock(&told), [claim, extend].concat());
    }
}
