//! Random scripts: a few runs, steps, hooks, tokens and waits, and a clock that also steps back.
//!
//! With few names, most events hit a thing that exists, has ended or is held.

use hookline::domain::event::{EventBody, EventRequest};
use hookline::domain::id::HookToken;
use proptest::prelude::*;

use crate::kit::rows;

/// Runs of a script are 1 to this many.
pub const RUNS: u64 = 3;

/// One move of a script.
#[derive(Debug, Clone)]
pub enum Move {
    /// The clock moves by this many milliseconds.
    Clock(i64),
    /// A request to append an event.
    Append(Act),
}

/// An event as a script names it.
#[derive(Debug, Clone)]
pub struct Act {
    /// The run.
    pub run: u64,
    /// The caller's spec version.
    pub spec_version: u32,
    /// Whether the request carries a payload.
    pub has_payload: bool,
    /// The kind of the request.
    pub ask: Ask,
}

/// The duration of every wait.
pub const WAIT_MS: i64 = 1000;

/// The kind of a request. Steps, hooks, tokens and waits are numbers.
#[derive(Debug, Clone)]
pub enum Ask {
    CreateRun,
    StartRun {
        with_creation: bool,
    },
    CompleteRun,
    FailRun,
    CancelRun,
    CreateStep(u8),
    StartStep(u8),
    /// Creates the step, too.
    StartNewStep(u8),
    CompleteStep(u8),
    FailStep(u8),
    /// With the milliseconds until the next attempt.
    RetryStep(u8, Option<i64>),
    CreateHook(u8, u8),
    /// With the token that the caller names.
    ReceiveHook(u8, Option<u8>),
    DisposeHook(u8),
    CreateWait(u8),
    CompleteWait(u8),
    /// Sets one of a few attributes; workflow code names the change by this number.
    SetAttribute(Option<u8>, u8),
}

/// Scripts of up to this many moves. Each begins with a created and started run, so that a short script
/// does not consist of events of unknown runs.
pub fn scripts(moves_max: usize) -> impl Strategy<Value = Vec<Move>> {
    // Run 1 is of one line of the SDK, run 2 of the other.
    let usual = |run, ask| {
        let spec_version = if run == 1 { 3 } else { 8 };
        Move::Append(Act { run, spec_version, has_payload: true, ask })
    };
    prop::collection::vec(moves(), 1..moves_max).prop_map(move |rest| {
        let mut script = vec![
            usual(1, Ask::CreateRun),
            usual(1, Ask::StartRun { with_creation: false }),
            usual(2, Ask::CreateRun),
        ];
        script.extend(rest);
        script
    })
}

fn moves() -> impl Strategy<Value = Move> {
    let spec_version = prop_oneof![
        20 => Just(3), 10 => 6..=8_u32, 4 => Just(2), 1 => Just(1), 1 => Just(4), 1 => Just(9)
    ];
    let act = (1..=RUNS, spec_version, prop::bool::weighted(0.9), asks()).prop_map(
        |(run, spec_version, has_payload, ask)| {
            Move::Append(Act { run, spec_version, has_payload, ask })
        },
    );
    let clock = prop_oneof![
        10 => -3000..10_000_i64,
        // Beyond the limits for a client-made run id ahead of the clock and behind it.
        1 => Just(-6 * 60 * 1000_i64),
        1 => Just(25 * 60 * 60 * 1000_i64),
    ];
    prop_oneof![1 => clock.prop_map(Move::Clock), 8 => act]
}

fn asks() -> impl Strategy<Value = Ask> {
    let number = || 0..3_u8;
    let retry_after = prop::option::of(-1000..8000_i64);
    prop_oneof![
        2 => Just(Ask::CreateRun),
        3 => any::<bool>().prop_map(|with_creation| Ask::StartRun { with_creation }),
        1 => Just(Ask::CompleteRun),
        1 => Just(Ask::FailRun),
        1 => Just(Ask::CancelRun),
        4 => number().prop_map(Ask::CreateStep),
        4 => number().prop_map(Ask::StartStep),
        4 => number().prop_map(Ask::StartNewStep),
        3 => number().prop_map(Ask::CompleteStep),
        2 => number().prop_map(Ask::FailStep),
        3 => (number(), retry_after).prop_map(|(step, after)| Ask::RetryStep(step, after)),
        6 => (number(), number()).prop_map(|(hook, token)| Ask::CreateHook(hook, token)),
        6 => (number(), prop::option::of(number()))
            .prop_map(|(hook, token)| Ask::ReceiveHook(hook, token)),
        3 => number().prop_map(Ask::DisposeHook),
        3 => number().prop_map(Ask::CreateWait),
        3 => number().prop_map(Ask::CompleteWait),
        4 => (prop::option::of(number()), number())
            .prop_map(|(named, key)| Ask::SetAttribute(named, key)),
    ]
}

fn name(kind: &str, number: u8) -> String {
    format!("{kind}_{number}")
}

/// The third key is reserved.
fn name_of_key(number: u8) -> String {
    if number == 2 { "$reserved".into() } else { name("key", number) }
}

/// The text of a script's token.
pub fn token(number: u8) -> String {
    name("token", number)
}

impl Act {
    /// The request for this act at a time. Its payload distinguishes requests.
    pub fn request(&self, now_ms: i64, index: usize) -> EventRequest {
        let body = self.body(now_ms);
        let payload =
            self.has_payload.then(|| rows::payload(&format!("payload {index}"))).flatten();
        let data = Some(format!("{{\"index\":{index}}}"));
        let spec_version = self.spec_version;
        EventRequest { payload, data, spec_version, ..rows::request(self.run, body) }
    }

    fn body(&self, now_ms: i64) -> EventBody {
        let step = |number: &u8| name("step", *number);
        let hook = |number: &u8| name("hook", *number);
        let wait = |number: &u8| name("wait", *number);
        match &self.ask {
            Ask::CreateRun => EventBody::RunCreated(rows::creation()),
            Ask::StartRun { with_creation } => {
                EventBody::RunStarted(with_creation.then(rows::creation))
            }
            Ask::CompleteRun => EventBody::RunCompleted,
            Ask::FailRun => EventBody::RunFailed(rows::error("why")),
            Ask::CancelRun => EventBody::RunCancelled,
            Ask::CreateStep(number) => rows::step_created(&step(number)),
            Ask::StartStep(number) => rows::step_started(&step(number)),
            Ask::StartNewStep(number) => rows::step_created_and_started(&step(number), 1),
            Ask::CompleteStep(number) => rows::step_completed(&step(number)),
            Ask::FailStep(number) => rows::step_failed(&step(number)),
            Ask::RetryStep(number, after_ms) => {
                rows::step_retrying(&step(number), after_ms.map(|after_ms| now_ms + after_ms))
            }
            Ask::CreateHook(number, token_number) => {
                rows::hook_created(&hook(number), &token(*token_number))
            }
            Ask::ReceiveHook(number, token_number) => EventBody::HookReceived {
                hook: rows::id(&hook(number)),
                token: token_number.map(|number| HookToken::new(token(number))),
            },
            Ask::DisposeHook(number) => rows::hook_disposed(&hook(number)),
            Ask::CreateWait(number) => rows::wait_created(&wait(number), now_ms + WAIT_MS),
            Ask::CompleteWait(number) => rows::wait_completed(&wait(number)),
            Ask::SetAttribute(named, key) => {
                let name = named.map(|number| name("attr", number));
                rows::attr_set(name.as_deref(), &[(&name_of_key(*key), Some("value"))])
            }
        }
    }
}
