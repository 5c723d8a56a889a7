//! Is anything delivering? What the deliveries of this process come to, and every fault that stands
//! in their way: the dispatcher goes on after each, so nobody else would hear of it.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use serde_json::{Value, json};

use crate::clock::Clock;
use crate::error::{ErrorKind, WorldError};
use crate::lock::lock;

/// How much of a fault's message is kept.
const MESSAGE_CHARS_MAX: usize = 500;

/// What a worker does again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Leases due messages.
    Claim,
    /// Hands a message over to its handler.
    Deliver,
    /// Writes how a delivery ended.
    Settle,
    /// Keeps the leases of what is in flight.
    Extend,
    /// Frees the leases of processes that have died.
    FreeLeases,
    /// Searches for runs that were forgotten.
    Search,
    /// Asks whether the app takes deliveries over HTTP.
    ReachApp,
    /// Does all of that in turn, on a thread.
    Dispatch,
}

impl Duty {
    /// Its name for programs; closed list, `WorkerFault` of `world.d.ts`.
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

/// One kind of fault: what failed, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What failed.
    pub duty: Duty,
    /// How.
    pub kind: ErrorKind,
    /// What was said of it the last time; never holds a token, a payload or a key.
    pub message: String,
    /// When it happened first, in milliseconds since the Unix epoch.
    pub first_at_ms: i64,
    /// When it happened last.
    pub last_at_ms: i64,
    /// How often it happened.
    pub times: u64,
    /// Whether the same duty has gone well since.
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
    /// Leases that ended while their delivery was at work, so that it may have been done twice.
    pub leases_lost: u64,
    /// Faults, one of each kind, in the order in which they happened first.
    pub faults: Vec<Fault>,
}

/// Is told of a fault when its kind happens for the first time; `false` when it could not be told.
/// Must not block.
pub type FaultListener = dyn Fn(&Fault) -> bool + Send + Sync;

/// Counted as it happens.
#[derive(Default)]
pub struct Pulse {
    in_flight: AtomicUsize,
    leases_lost: AtomicU64,
    /// One of each duty and kind, so there are never many.
    faults: Mutex<Vec<Fault>>,
    /// Duties whose last fault is not past, by their bits: what goes well costs no lock.
    failing: AtomicU32,
    /// Counts what happened to the faults.
    changes: AtomicU64,
    listeners: Mutex<Vec<Weak<FaultListener>>>,
}

impl Pulse {
    /// So many deliveries are at work now.
    pub fn in_flight(&self, deliveries: usize) {
        self.in_flight.store(deliveries, Ordering::Relaxed);
    }

    /// A lease was lost.
    pub fn lease_lost(&self) {
        self.leases_lost.fetch_add(1, Ordering::Relaxed);
    }

    /// A duty has failed. That its World is being closed is no fault.
    pub fn failed(&self, duty: Duty, error: &WorldError, now_ms: i64) {
        if error.kind == ErrorKind::Closed {
            return;
        }
        if let Some(first) = self.keep(duty, error, now_ms) {
            self.tell(&first);
        }
    }

    /// Keeps a fault; returns it when it is the first of its kind.
    fn keep(&self, duty: Duty, error: &WorldError, now_ms: i64) -> Option<Fault> {
        let message = error.message.chars().take(MESSAGE_CHARS_MAX).collect();
        let mut faults = lock(&self.faults);
        self.failing.fetch_or(duty.bit(), Ordering::Relaxed);
        self.changes.fetch_add(1, Ordering::Relaxed);
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
        // Several Worlds of a process hear of the same fault; one of them says it.
        listeners.iter().any(|listener| listener(fault));
    }

    /// A duty has gone well: its faults are past.
    pub fn went_well(&self, duty: Duty) {
        if self.failing.load(Ordering::Relaxed) & duty.bit() == 0 {
            return;
        }
        let mut faults = lock(&self.faults);
        self.failing.fetch_and(!duty.bit(), Ordering::Relaxed);
        self.changes.fetch_add(1, Ordering::Relaxed);
        faults.iter_mut().filter(|fault| fault.duty == duty).for_each(|fault| fault.is_past = true);
    }

    /// Keeps how a duty went, and hands on what came of it.
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

    /// Adds a listener, which is told for as long as the caller holds it.
    pub fn on_fault(&self, listener: Weak<FaultListener>) {
        let mut listeners = lock(&self.listeners);
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(listener);
    }

    /// Grows whenever something happens to the faults.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// The faults that are not past, as JSON for other processes; see [`Store::show_worker`].
    ///
    /// [`Store::show_worker`]: crate::store::Store::show_worker
    pub fn report(&self) -> String {
        let faults = lock(&self.faults);
        let faults = faults.iter().filter(|fault| !fault.is_past).map(Fault::report);
        json!({ "pid": std::process::id(), "faults": faults.collect::<Vec<_>>() }).to_string()
    }

    /// As it stands.
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
