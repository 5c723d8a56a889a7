//! A second opinion: the contract of the SDK's runtime as a short status machine.
//!
//! It shares no code with `domain/transition`. It has no positions, times or entities. It only knows
//! which status allows which event, which events are then logged, which run is woken, and the kind of
//! each refusal.

use std::collections::{HashMap, HashSet};

use hookline::error::ErrorKind::{self, *};

use crate::kit::rows::NOW_MS;
use crate::script::{Act, Ask, WAIT_MS};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const FIVE_MINUTES_MS: i64 = 5 * 60 * 1000;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Status {
    Pending,
    Running,
    Completed,
    Failed,
    Cancelled,
}

#[derive(Debug, Default)]
struct Run {
    status: Option<Status>,
    spec_version: u32,
    /// The status, and the earliest time of the next attempt.
    steps: HashMap<u8, (Status, Option<i64>)>,
    /// The token, and whether the hook lives.
    hooks: HashMap<u8, (u8, bool)>,
    /// The time at which it elapses, and whether it is completed.
    waits: HashMap<u8, (i64, bool)>,
    /// The names under which attributes were set.
    changes: HashSet<u8>,
}

/// The expected effects of an allowed event.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// The event types that are logged.
    pub logged: Vec<&'static str>,
    /// Whether the run is woken.
    pub wakes: bool,
}

fn logs(event_types: &[&'static str]) -> Result<Expected, ErrorKind> {
    Ok(Expected { logged: event_types.to_vec(), wakes: false })
}

fn logs_and_wakes(event_type: &'static str, wakes: bool) -> Result<Expected, ErrorKind> {
    Ok(Expected { logged: vec![event_type], wakes })
}

/// Every run as the contract sees it.
#[derive(Debug, Default)]
pub struct Oracle(HashMap<u64, Run>);

impl Oracle {
    /// Predicts the effects or the refusal of an event, and remembers them.
    pub fn predict(&mut self, act: &Act, now_ms: i64) -> Result<Expected, ErrorKind> {
        let holder = |token: u8| {
            let holds = |run: &Run| run.hooks.values().any(|hook| *hook == (token, true));
            self.0.values().any(holds)
        };
        let token_is_held = matches!(act.ask, Ask::CreateHook(_, token) if holder(token));
        let run = self.0.entry(act.run).or_default();
        match run.status {
            None => run.expect_without_run(act, now_ms),
            // The id is checked before the run.
            Some(_) if matches!(act.ask, Ask::CreateRun) => {
                Err(if id_is_acceptable(now_ms) { EntityConflict } else { Invalid })
            }
            Some(_) if run.spec_version <= 1 => run.expect_of_legacy(&act.ask),
            Some(status) => run.expect(&act.ask, status, now_ms, token_is_held),
        }
    }
}

/// The versions of both lines of the SDK.
fn is_supported(spec_version: u32) -> bool {
    matches!(spec_version, 0..=3 | 6..=8)
}

/// All ids of a script were made at the same time.
fn id_is_acceptable(now_ms: i64) -> bool {
    (-FIVE_MINUTES_MS..=DAY_MS).contains(&(now_ms - NOW_MS))
}

impl Run {
    fn expect_without_run(&mut self, act: &Act, now_ms: i64) -> Result<Expected, ErrorKind> {
        match act.ask {
            Ask::CreateRun if !id_is_acceptable(now_ms) => Err(Invalid),
            Ask::CreateRun if !is_supported(act.spec_version) => Err(RunNotSupported),
            Ask::CreateRun => {
                (self.status, self.spec_version) = (Some(Status::Pending), act.spec_version);
                logs(&["run_created"])
            }
            Ask::StartRun { with_creation: true } if act.has_payload => match act.spec_version {
                version if !is_supported(version) => Err(RunNotSupported),
                0..=1 => Err(Invalid),
                _ => {
                    (self.status, self.spec_version) = (Some(Status::Running), act.spec_version);
                    logs(&["run_created", "run_started"])
                }
            },
            _ => Err(RunNotFound),
        }
    }

    fn expect_of_legacy(&mut self, ask: &Ask) -> Result<Expected, ErrorKind> {
        match ask {
            Ask::CancelRun => match self.status {
                Some(Status::Completed | Status::Failed) => Err(EntityConflict),
                _ => {
                    self.status = Some(Status::Cancelled);
                    logs(&[])
                }
            },
            Ask::CompleteWait(_) => logs(&["wait_completed"]),
            Ask::ReceiveHook(..) => {
                logs_and_wakes("hook_received", self.status != Some(Status::Cancelled))
            }
            _ => Err(Invalid),
        }
    }

    fn expect(
        &mut self,
        ask: &Ask,
        status: Status,
        now_ms: i64,
        token_is_held: bool,
    ) -> Result<Expected, ErrorKind> {
        let ended = !matches!(status, Status::Pending | Status::Running);
        match ask {
            Ask::CreateRun => unreachable!("answered by the caller"),
            Ask::StartRun { .. } => match status {
                Status::Pending => {
                    self.status = Some(Status::Running);
                    logs(&["run_started"])
                }
                Status::Running => logs(&[]),
                _ => Err(RunExpired),
            },
            Ask::CompleteRun => self.end(ended, Status::Completed, "run_completed"),
            Ask::FailRun => self.end(ended, Status::Failed, "run_failed"),
            Ask::CancelRun if status == Status::Cancelled => logs(&["run_cancelled"]),
            Ask::CancelRun => self.end(ended, Status::Cancelled, "run_cancelled"),
            Ask::CreateStep(_) | Ask::CreateHook(..) | Ask::CreateWait(_) if ended => {
                Err(EntityConflict)
            }
            Ask::CreateStep(step) => match self.steps.contains_key(step) {
                true => Err(EntityConflict),
                false => {
                    self.steps.insert(*step, (Status::Pending, None));
                    logs(&["step_created"])
                }
            },
            Ask::StartNewStep(_) if ended => Err(EntityConflict),
            Ask::StartNewStep(step) => match self.steps.contains_key(step) {
                true => Err(EntityConflict),
                false => {
                    self.steps.insert(*step, (Status::Running, None));
                    logs(&["step_created", "step_started"])
                }
            },
            Ask::StartStep(step)
            | Ask::CompleteStep(step)
            | Ask::FailStep(step)
            | Ask::RetryStep(step, _) => self.expect_of_step(ask, *step, ended, now_ms),
            Ask::CreateHook(hook, token) => match self.hooks.contains_key(hook) {
                true => Err(EntityConflict),
                false if token_is_held => logs(&["hook_conflict"]),
                false => {
                    self.hooks.insert(*hook, (*token, true));
                    logs(&["hook_created"])
                }
            },
            Ask::ReceiveHook(hook, named) => match self.hooks.get(hook) {
                Some((token, true)) if named.is_none_or(|named| named == *token) => {
                    logs_and_wakes("hook_received", true)
                }
                _ => Err(HookNotFound),
            },
            Ask::DisposeHook(hook) => match self.hooks.get_mut(hook) {
                Some((_, lives)) if *lives => {
                    *lives = false;
                    logs(&["hook_disposed"])
                }
                Some(_) => Err(EntityConflict),
                None => Err(HookNotFound),
            },
            Ask::CreateWait(wait) => match self.waits.get(wait) {
                None => {
                    self.waits.insert(*wait, (now_ms + WAIT_MS, false));
                    logs(&["wait_created"])
                }
                Some(_) => Err(EntityConflict),
            },
            Ask::SetAttribute(..) if ended => Err(EntityConflict),
            Ask::SetAttribute(_, 2) => Err(Invalid),
            Ask::SetAttribute(Some(named), _) if !self.changes.insert(*named) => {
                Err(EntityConflict)
            }
            Ask::SetAttribute(..) => logs(&["attr_set"]),
            Ask::CompleteWait(_) if ended => Err(EntityConflict),
            Ask::CompleteWait(wait) => match self.waits.get_mut(wait) {
                None => Err(NotFound),
                Some((_, true)) => Err(EntityConflict),
                Some((over_at_ms, completed)) => {
                    *completed = true;
                    logs_and_wakes("wait_completed", now_ms < *over_at_ms)
                }
            },
        }
    }

    fn end(
        &mut self,
        ended: bool,
        status: Status,
        event_type: &'static str,
    ) -> Result<Expected, ErrorKind> {
        if ended {
            return Err(EntityConflict);
        }
        self.status = Some(status);
        self.hooks.clear();
        self.waits.clear();
        logs(&[event_type])
    }

    fn expect_of_step(
        &mut self,
        ask: &Ask,
        step: u8,
        ended: bool,
        now_ms: i64,
    ) -> Result<Expected, ErrorKind> {
        let end_wakes = !ended && self.spec_version <= 3;
        let (status, retry_after_ms) = self.steps.get_mut(&step).ok_or(NotFound)?;
        if matches!(status, Status::Completed | Status::Failed) {
            return Err(EntityConflict);
        }
        match ask {
            Ask::StartStep(_) if ended => Err(RunExpired),
            Ask::StartStep(_) if retry_after_ms.is_some_and(|at_ms| at_ms > now_ms) => {
                Err(TooEarly)
            }
            Ask::StartStep(_) => {
                (*status, *retry_after_ms) = (Status::Running, None);
                logs(&["step_started"])
            }
            Ask::FailStep(_) if ended && *status != Status::Running => Err(RunExpired),
            Ask::FailStep(_) => {
                *status = Status::Failed;
                logs_and_wakes("step_failed", end_wakes)
            }
            Ask::CompleteStep(_) => {
                *status = Status::Completed;
                logs_and_wakes("step_completed", end_wakes)
            }
            Ask::RetryStep(_, after_ms) => {
                *status = Status::Pending;
                *retry_after_ms = after_ms.map(|after_ms| now_ms + after_ms);
                logs(&["step_retrying"])
            }
            _ => unreachable!("an ask about a step"),
        }
    }
}
