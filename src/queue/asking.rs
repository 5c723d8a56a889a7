//! Calls the store from the dispatcher's thread, and continues after a panic.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::dispatcher::Delivering;
use super::pulse::Duty;
use crate::error::{ErrorKind, WorldError};
use crate::store::Completion;

/// Starts an operation at once, and awaits its outcome.
pub(super) fn ask<T: Send + 'static>(
    start: impl FnOnce(Completion<T>),
) -> impl Future<Output = Result<T, WorldError>> {
    let (sender, receiver) = oneshot::channel();
    // If the caller is gone, nobody wants the outcome.
    start(Completion::new(move |outcome| drop(sender.send(outcome))));
    async { receiver.await.unwrap_or_else(|_| Err(WorldError::closed())) }
}

/// Runs a job now and then after each period. A panic of the job is a fault of its duty, and the loop
/// continues.
pub(super) async fn every(
    period: Duration,
    delivering: &Delivering,
    duty: Duty,
    job: impl AsyncFn(),
) {
    loop {
        let again_at = Instant::now() + period;
        if let Err(defect) = caught(job()).await {
            delivering.failed(duty, &defect);
        }
        sleep_until(again_at).await;
    }
}

/// The outcome of a future. A panic of the future becomes an error.
pub(super) async fn caught<T>(future: impl Future<Output = T>) -> Result<T, WorldError> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(_) => Poll::Ready(Err(defect())),
        }
    })
    .await
}

/// The error of a caught panic. The panic has been printed; its text may hold a caller's values.
fn defect() -> WorldError {
    let message = "a defect of hookline stopped a part of a worker; the worker goes on. Please report \
                   the panic that the process has printed";
    WorldError::new(ErrorKind::Internal, message)
}
