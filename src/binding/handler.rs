//! Hands messages to the JavaScript function that delivers in this process, and receives the outcomes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use napi::Status;
use napi::bindgen_prelude::{FnArgs, Function, Uint8Array};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use serde::Deserialize;

use crate::domain::message::Delivery;
use crate::error::WorldError;
use crate::lock::lock;
use crate::queue::delivery::{Handled, Handler};
use crate::queue::pulse::{Fault, FaultListener};
use crate::store::Completion;

/// The arguments of the JavaScript function: the delivery as JSON, and the message's body.
type Arguments = FnArgs<(String, Uint8Array)>;

/// Weak, because a worker alone does not keep its process alive.
type Deliver = ThreadsafeFunction<Arguments, (), Arguments, Status, false, true>;

/// The deliveries that JavaScript is working on, by number.
pub struct JsHandler {
    deliver: Deliver,
    in_flight: Mutex<HashMap<u32, Completion<Handled>>>,
    /// Signalled when a delivery ends.
    ended: Condvar,
    last_number: AtomicU32,
}

/// Reports faults to JavaScript, each as one line of JSON. Weak, like [`Deliver`].
pub fn fault_listener(warn: Function<'_, String, ()>) -> napi::Result<Arc<FaultListener>> {
    let warn = warn.build_threadsafe_function().weak::<true>().callee_handled::<false>().build()?;
    Ok(Arc::new(move |fault: &Fault| {
        let told = warn.call(fault.report().to_string(), ThreadsafeFunctionCallMode::NonBlocking);
        told == Status::Ok
    }))
}

/// JavaScript's report of the end of a delivery.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ended {
    timeout_seconds: Option<f64>,
    error: Option<String>,
    /// Whether this process caused the error, not the message.
    #[serde(default)]
    unable: bool,
    /// Whether the next attempt would fail for the same reason.
    #[serde(default)]
    refused: bool,
    /// Whether this process has not loaded the code that the message is for.
    #[serde(default)]
    not_loaded: bool,
    #[serde(default)]
    code_mismatch: bool,
}

impl JsHandler {
    pub fn new(deliver: Function<'_, Arguments, ()>) -> napi::Result<Arc<Self>> {
        let deliver =
            deliver.build_threadsafe_function().weak::<true>().callee_handled::<false>().build()?;
        Ok(Arc::new(Self {
            deliver,
            in_flight: Mutex::default(),
            ended: Condvar::new(),
            last_number: AtomicU32::new(0),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Completion<Handled>>> {
        lock(&self.in_flight)
    }

    /// Settles a delivery with JavaScript's outcome. An unknown number belongs to a delivery that has
    /// ended.
    pub fn settle(&self, number: u32, outcome: &str) {
        let Some(done) = self.lock().remove(&number) else { return };
        self.ended.notify_all();
        let handled = match serde_json::from_str(outcome) {
            Ok(Ended { error: Some(error), unable: true, .. }) => Handled::Unable { error },
            Ok(Ended { error: Some(error), refused: true, .. }) => Handled::Refused { error },
            Ok(Ended { error: Some(error), code_mismatch: true, .. }) => {
                Handled::CodeMismatch { error }
            }
            Ok(Ended { error: Some(error), .. }) => Handled::Failed { error },
            Ok(Ended { not_loaded: true, .. }) => Handled::NotLoaded,
            Ok(Ended { timeout_seconds: Some(seconds), .. }) => Handled::Again { seconds },
            Ok(_) => Handled::Done,
            Err(error) => Handled::Failed { error: format!("unreadable outcome: {error}") },
        };
        done.settle(Ok(handled));
    }

    /// Waits until JavaScript has finished every delivery, or the grace period is over.
    pub fn drain(&self, grace: Duration) {
        let busy = |in_flight: &mut HashMap<_, _>| !in_flight.is_empty();
        drop(self.ended.wait_timeout_while(self.lock(), grace, busy));
    }

    /// The environment ends, so other processes may take its deliveries.
    pub fn abandon(&self) {
        let abandoned = std::mem::take(&mut *self.lock());
        for done in abandoned.into_values() {
            done.settle(Err(WorldError::closed()));
        }
    }
}

impl Handler for JsHandler {
    fn hand_over(&self, delivery: Delivery, done: Completion<Handled>) {
        let number = self.last_number.fetch_add(1, Ordering::Relaxed);
        let json = serde_json::json!({
            "deliveryId": number,
            "queueName": delivery.queue_name,
            "messageId": delivery.message_id.to_string(),
            "attempt": delivery.attempt,
            "leaseToken": delivery.lease_token.expose(),
        });
        self.lock().insert(number, done);
        let arguments = (json.to_string(), Uint8Array::from(delivery.body)).into();
        let status = self.deliver.call(arguments, ThreadsafeFunctionCallMode::NonBlocking);
        if status != Status::Ok
            && let Some(done) = self.lock().remove(&number)
        {
            let error = "the JavaScript environment of the handler has ended".to_owned();
            done.settle(Ok(Handled::NotReached { error }));
        }
    }
}
