//! The times that a host names: until when a run sleeps, and when a step may be tried again.
//!
//! The SDK computes them from its host's clock, and compares what it reads with that clock. The database
//! stores them by its own. So on a host whose clock is wrong they are moved by the difference, on their
//! way in and out. The times of events are not moved: every replay of a run must see the same ones.

use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Map, Value};

use crate::domain::event::{Event, EventBody, EventRequest, EventType};
use crate::domain::page::Page;
use crate::store::{EventReply, StepView};

/// Clocks that differ by less count as the same. Otherwise the difference would be another one with each
/// measurement.
const SAME_MS: i64 = 1000;

/// The fields of an event's data that are such times.
const FIELDS: [&str; 2] = ["resumeAt", "retryAfter"];

/// By how much the database's clock is ahead of this host's.
#[derive(Debug, Default)]
pub(super) struct HostsTime {
    ahead_ms: AtomicI64,
}

impl HostsTime {
    /// It was this time for the database and for this host, at the same moment.
    pub(super) fn measured(&self, database_ms: i64, host_ms: i64) {
        let ahead_ms = database_ms - host_ms;
        if (ahead_ms - self.ahead_ms()).abs() > SAME_MS {
            let counts = if ahead_ms.abs() > SAME_MS { ahead_ms } else { 0 };
            self.ahead_ms.store(counts, Ordering::Relaxed);
        }
    }

    fn ahead_ms(&self) -> i64 {
        self.ahead_ms.load(Ordering::Relaxed)
    }

    /// Makes the host's times in a request those of the database.
    pub(super) fn to_database(&self, mut request: EventRequest) -> EventRequest {
        let ahead_ms = self.ahead_ms();
        if ahead_ms == 0 {
            return request;
        }
        match &mut request.body {
            EventBody::WaitCreated { resume_at_ms, .. } => *resume_at_ms += ahead_ms,
            EventBody::StepRetrying { retry_after_ms: Some(at_ms), .. } => *at_ms += ahead_ms,
            EventBody::WaitCompleted { .. } => {}
            _ => return request,
        }
        move_fields(&mut request.data, ahead_ms);
        request
    }

    /// Makes the database's times in an event those of the host.
    pub(super) fn event(&self, mut event: Event) -> Event {
        let ahead_ms = self.ahead_ms();
        let has_times = matches!(
            event.event_type,
            EventType::WaitCreated | EventType::WaitCompleted | EventType::StepRetrying
        );
        if ahead_ms != 0 && has_times {
            move_fields(&mut event.data, -ahead_ms);
        }
        event
    }

    pub(super) fn events(&self, mut page: Page<Event>) -> Page<Event> {
        page.items = page.items.into_iter().map(|event| self.event(event)).collect();
        page
    }

    pub(super) fn step(&self, mut view: StepView) -> StepView {
        if let Some(at_ms) = &mut view.step.retry_after_ms {
            *at_ms -= self.ahead_ms();
        }
        view
    }

    pub(super) fn steps(&self, mut page: Page<StepView>) -> Page<StepView> {
        page.items = page.items.into_iter().map(|view| self.step(view)).collect();
        page
    }

    pub(super) fn reply(&self, mut reply: EventReply) -> EventReply {
        reply.event = reply.event.map(|event| self.event(event));
        reply.step = reply.step.map(|view| self.step(view));
        reply.events = reply.events.map(|page| self.events(page));
        if let Some(wait) = &mut reply.wait {
            wait.resume_at_ms -= self.ahead_ms();
        }
        reply
    }
}

/// Moves the times in the data of an event.
fn move_fields(data: &mut Option<String>, by_ms: i64) {
    let parsed = data.as_deref().map(serde_json::from_str::<Map<String, Value>>);
    let Some(Ok(mut fields)) = parsed else { return };
    for name in FIELDS {
        if let Some(at_ms) = fields.get(name).and_then(Value::as_f64) {
            fields.insert(name.to_owned(), Value::from(at_ms as i64 + by_ms));
        }
    }
    *data = Some(Value::Object(fields).to_string());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::Report;
    use crate::domain::id::{CorrelationId, RunId};

    const FIVE_MINUTES_MS: i64 = 300_000;
    const NOW_MS: i64 = 1_795_000_000_000;

    fn sleep_until(resume_at_ms: i64) -> EventBody {
        EventBody::WaitCreated { wait: CorrelationId::new("wait_1"), resume_at_ms }
    }

    fn moved(by_ms: i64) -> EventRequest {
        let hosts_time = HostsTime::default();
        hosts_time.measured(NOW_MS + by_ms, NOW_MS);
        hosts_time.to_database(EventRequest {
            run_id: Some(RunId::new("wrun_1")),
            body: sleep_until(NOW_MS),
            data: Some(format!(r#"{{"resumeAt":{NOW_MS}}}"#)),
            spec_version: 3,
            payload: None,
            fence: None,
            code_mismatch: None,
            report: Report::default(),
            resume: None,
        })
    }

    #[test]
    fn a_time_of_a_host_whose_clock_is_wrong_is_stored_by_the_databases_clock() {
        for by_ms in [FIVE_MINUTES_MS, -FIVE_MINUTES_MS] {
            let request = moved(by_ms);
            assert_eq!(request.body, sleep_until(NOW_MS + by_ms));
            assert_eq!(request.data, Some(format!(r#"{{"resumeAt":{}}}"#, NOW_MS + by_ms)));
        }
    }

    #[test]
    fn clocks_that_hardly_differ_move_nothing() {
        assert_eq!(moved(SAME_MS).body, sleep_until(NOW_MS));
    }

    #[test]
    fn a_difference_that_hardly_changes_stays_the_same_so_that_a_time_is_read_alike_twice() {
        let hosts_time = HostsTime::default();
        for measured_ms in [FIVE_MINUTES_MS, FIVE_MINUTES_MS + 7, FIVE_MINUTES_MS - SAME_MS] {
            hosts_time.measured(measured_ms, 0);
            assert_eq!(hosts_time.ahead_ms(), FIVE_MINUTES_MS);
        }
        hosts_time.measured(3, 0);
        assert_eq!(hosts_time.ahead_ms(), 0, "the clock was set");
    }
}
