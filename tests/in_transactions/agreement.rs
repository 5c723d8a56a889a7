//! Random scripts, in three worlds: one resumes and starts through the functions for users, the others
//! through the store, which has a resume done by the function `receive` if it is alone, or else by the
//! rules. Every outcome and all rows must be equal, but for random names.

use std::sync::Arc;

use hookline::clock::ManualClock;
use hookline::domain::event::{EventBody, EventRequest, RunCreation};
use hookline::domain::hook::HookOptions;
use hookline::domain::id::{HookToken, RunId};
use hookline::domain::message::Delivery;
use hookline::domain::payload::Payload;
use hookline::domain::queue::offer::NO_RELEASE;
use hookline::domain::resume_key::{ResumeDigests, ResumeKey};
use hookline::error::{ErrorKind, WorldError};
use hookline::store::{HookView, Outcome, Store};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use crate::caller::{Caller, State};
use crate::kit::postgres_server::fresh_schema;
use crate::kit::rows::*;
use crate::kit::{self, World, open_postgres, settled};

const CASES: u32 = 60;
const MOVES_MAX: usize = 60;
const RUNS: u64 = 3;
/// The window of every idempotency key.
const WINDOW_MS: i64 = 20_000;
/// A release that a person may call gone.
const RELEASE: &str = "a";

/// Payloads as JSON, and as the SDK serialises them.
const PAYLOADS: [(&str, &str); 4] = [
    ("1", "devl[1]"),
    (r#""\"é\\\n""#, r#"devl["\"é\\\n"]"#),
    ("[]", "devl[[]]"),
    (r#"{"a":[true,null],"b":{}}"#, r#"devl[{"a":1,"b":2},[3,4],{},true,null]"#),
];

/// One move of a script. The clock goes on before each.
#[derive(Debug, Clone)]
enum Move {
    /// An event of a run.
    Append(u64, Ask),
    /// A message of a run, due after some milliseconds.
    Enqueue(u64, Sent, i64),
    /// The worker takes everything that is due.
    Claim,
    /// A delivery ends.
    Settle(usize, End),
    /// Forgotten runs are woken.
    Search,
    /// A person says that the release is gone.
    Gone,
    /// The clock goes on by as much.
    Wait(i64),
    /// A resume by token, with a payload and perhaps a key.
    Resume(u8, usize, Option<u8>),
    /// A start, perhaps for a release, of a line.
    Start(bool, u32),
}

#[derive(Debug, Clone)]
enum Ask {
    Create {
        of_release: bool,
    },
    Begin,
    End(usize),
    /// With the milliseconds for which the token is retained at least.
    CreateHook(u8, Option<i64>),
    DisposeHook(u8),
}

#[derive(Debug, Clone)]
enum Sent {
    WakeUp,
    Replay,
    Start,
}

#[derive(Debug, Clone)]
enum End {
    Ack,
    Again(i64),
    Fail(i64),
    Refuse,
    Dead,
}

fn moves() -> impl Strategy<Value = Move> {
    let run = || 1..=RUNS;
    let hook = || 0..3_u8;
    let ask = prop_oneof![
        3 => any::<bool>().prop_map(|of_release| Ask::Create { of_release }),
        3 => Just(Ask::Begin),
        1 => (0..3_usize).prop_map(Ask::End),
        8 => (hook(), prop::option::of(1..40_000_i64))
            .prop_map(|(hook, retained_ms)| Ask::CreateHook(hook, retained_ms)),
        2 => hook().prop_map(Ask::DisposeHook),
    ];
    let sent =
        prop_oneof![2 => Just(Sent::WakeUp), 1 => Just(Sent::Replay), 1 => Just(Sent::Start)];
    let delay = || prop_oneof![Just(0), 1..20_000_i64];
    let end = prop_oneof![
        3 => Just(End::Ack),
        2 => delay().prop_map(End::Again),
        2 => delay().prop_map(End::Fail),
        2 => Just(End::Refuse),
        1 => Just(End::Dead),
    ];
    prop_oneof![
        8 => (run(), ask).prop_map(|(run, ask)| Move::Append(run, ask)),
        2 => (run(), sent, delay()).prop_map(|(run, sent, delay)| Move::Enqueue(run, sent, delay)),
        4 => Just(Move::Claim),
        5 => (0..4_usize, end).prop_map(|(at, end)| Move::Settle(at, end)),
        1 => Just(Move::Search),
        1 => prop::bool::weighted(0.3).prop_map(|gone| if gone { Move::Gone } else { Move::Claim }),
        2 => (1..30_000_i64).prop_map(Move::Wait),
        12 => (hook(), 0..PAYLOADS.len(), prop::option::of(0..2_u8))
            .prop_map(|(token, payload, key)| Move::Resume(token, payload, key)),
        2 => (any::<bool>(), prop_oneof![Just(3_u32), Just(7)])
            .prop_map(|(of_release, line)| Move::Start(of_release, line)),
    ]
}

/// Runs 1 and 3 are of one line of the SDK, run 2 of the other.
fn line(run: u64) -> u32 {
    if run == 2 { 7 } else { 3 }
}

fn token(number: u8) -> String {
    format!("\"tok\\en\" ü {number}")
}

/// What a move answers: a run, or why not.
type Answer = Result<String, State>;

/// Who resumes in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// `resume_hook`, which a user calls.
    Functions,
    /// The store, in one statement.
    Store,
    /// The store, by its rules.
    Rules,
}

/// A world of the script.
struct Side {
    world: World,
    /// Everybody who looks at the rows; in one world also who resumes.
    caller: Caller,
    by: By,
    deliveries: Vec<Delivery>,
}

impl Side {
    fn new(by: By) -> Self {
        let (url, clock) = (fresh_schema(), Arc::new(ManualClock::at(NOW_MS)));
        let store = Arc::new(open_postgres(&url, &clock).expect("the schema is made"));
        let world = World::with_upkeep(store, clock, None);
        let caller = Caller::new(&url, "postgres");
        caller.has_clock();
        caller
            .run(&format!("INSERT INTO hookline.releases VALUES ('{RELEASE}', 0)"))
            .expect("a release is known");
        // Whoever claims has begun to work.
        world.claimed(1);
        Self { world, caller, by, deliveries: Vec::new() }
    }

    fn at(&self, since_ms: i64) {
        self.world.at(since_ms);
        self.caller.at(NOW_MS + since_ms);
    }

    /// Makes a move. A start gets this id where it can be chosen.
    fn make(&mut self, index: usize, next: &Move, chosen: Option<&str>) -> Answer {
        match next {
            Move::Append(run, ask) => {
                let outcome = self.world.tries(event(*run, ask));
                outcome.map(|_| String::new()).map_err(|error| error.kind.code().into())
            }
            Move::Enqueue(run, sent, delay_ms) => {
                let message = match sent {
                    Sent::WakeUp => kit::wake_up(*run),
                    Sent::Replay => kit::replay(*run, &format!("replay {index}")),
                    Sent::Start => kit::start_message(*run),
                };
                let outcome = settled(|done| self.world.store.enqueue(message, *delay_ms, done));
                outcome.map(|_| String::new()).map_err(|error| error.kind.code().into())
            }
            Move::Claim => {
                let mut claimed = self.world.claim(100);
                claimed.sort_by(|a, b| (&a.queue_name, &a.body).cmp(&(&b.queue_name, &b.body)));
                let names: Vec<_> =
                    claimed.iter().map(|it| (it.attempt, it.body.clone())).collect();
                self.deliveries.extend(claimed);
                Ok(format!("{names:?}"))
            }
            Move::Settle(at, end) => self.settle(*at, end),
            Move::Search => {
                let woken = settled(|done| self.world.store.wake_forgotten(None, 100, done));
                Ok(woken.expect("the search goes on").runs.to_string())
            }
            Move::Gone => {
                let gone = settled(|done| self.world.upkeep().release_gone(RELEASE.into(), done));
                gone.map(|()| String::new()).map_err(|error| error.kind.code().into())
            }
            Move::Wait(_) => Ok(String::new()),
            Move::Resume(number, payload, key) => self.resume(*number, *payload, *key),
            Move::Start(of_release, line) => self.start(*of_release, *line, chosen),
        }
    }

    fn settle(&mut self, at: usize, end: &End) -> Answer {
        if self.deliveries.is_empty() {
            return Ok(String::new());
        }
        let delivery = self.deliveries.remove(at % self.deliveries.len());
        let error = "why".to_owned();
        let outcome = match end {
            End::Ack => Outcome::Ack,
            End::Again(delay_ms) => Outcome::Reschedule { delay_ms: *delay_ms },
            End::Fail(delay_ms) => Outcome::Release { delay_ms: *delay_ms, error, reached: true },
            End::Refuse => Outcome::Refuse { error },
            End::Dead => Outcome::Dead { error },
        };
        Ok(self.world.settle(&delivery, outcome).to_string())
    }

    fn resume(&self, number: u8, payload: usize, key: Option<u8>) -> Answer {
        let (json, serialised) = PAYLOADS[payload];
        let (token, key) = (token(number), key.map(|key| format!("k\u{1}\"{key}")));
        match self.by {
            By::Functions => self.caller.text(
                "SELECT hookline.resume_hook($1, $2::text::jsonb, $3, $4::text::interval)",
                &[&token, &json, &key, &format!("{WINDOW_MS} ms")],
            ),
            by => resume_by_store(&*self.world.store, &token, serialised, key.as_deref(), by),
        }
    }

    fn start(&self, of_release: bool, line: u32, chosen: Option<&str>) -> Answer {
        let release = of_release.then_some(RELEASE);
        if self.by == By::Functions {
            return self.caller.text(
                "SELECT hookline.start('workflow//a', '[1,{}]', $1, $2)",
                &[&release, &(line as i32)],
            );
        }
        let deployment_id = release.unwrap_or(NO_RELEASE).to_owned();
        let more = if line == 7 { r#","hookResumeInputVersion":1"# } else { "" };
        let context = format!(r#"{{"traceCarrier":{{}},"features":{{"encryption":false}}{more}}}"#);
        let data = format!(
            r#"{{"deploymentId":"{deployment_id}","workflowName":"workflow//a","executionContext":{context}}}"#
        );
        let created = EventBody::RunCreated(RunCreation {
            deployment_id,
            execution_context: Some(context),
            wakes: true,
            ..creation()
        });
        let asked = EventRequest {
            // The other world has refused it, or has drawn an id.
            run_id: Some(RunId::new(chosen.unwrap_or_default())),
            spec_version: line,
            data: Some(data),
            payload: bytes("devl[[1,2],1,{}]"),
            ..request(1, created)
        };
        let asked = EventRequest { run_id: asked.run_id.filter(|_| chosen.is_some()), ..asked };
        let reply = self.world.tries(asked).map_err(|error| state_of(&error))?;
        Ok(reply.run.expect("the run is there").run.run_id.into_string())
    }

    /// All rows, one text each, but for what is random.
    fn rows(&self) -> Vec<String> {
        const TABLES: [(&str, &str); 8] = [
            ("runs", "to_jsonb(t)"),
            ("replays", "to_jsonb(t) - 'replayed_by'"),
            ("events", "to_jsonb(t) - 'write_id'"),
            ("hooks", "to_jsonb(t) - 'hook_number'"),
            ("resume_keys", "to_jsonb(t)"),
            (
                "messages",
                "to_jsonb(t) - ARRAY['message_id', 'lease_owner', 'lease_token', \
                 'freed_lease_token', 'refused_by'] \
                 || jsonb_build_object('number_ms', message_id >> 20, 'is_leased', lease_token IS NOT NULL, \
                   'was_leased', freed_lease_token IS NOT NULL, 'is_refused', refused_by IS NOT NULL)",
            ),
            ("queue_time", "to_jsonb(t)"),
            ("releases", "to_jsonb(t)"),
        ];
        let of_table = |(table, row): &(&str, &str)| {
            let sql = format!(
                "SELECT coalesce(string_agg(row, E'\\n' ORDER BY row), '') FROM \
                 (SELECT '{table} ' || ({row})::text AS row FROM hookline.{table} AS t) AS rows"
            );
            self.caller.text(&sql, &[]).expect("the rows are read")
        };
        let texts: Vec<String> = TABLES.iter().map(of_table).collect();
        texts.iter().flat_map(|text| text.lines()).map(str::to_owned).collect()
    }
}

fn bytes(text: &str) -> Option<Payload> {
    Some(Payload::Bytes(text.as_bytes().to_vec()))
}

fn event(run: u64, ask: &Ask) -> EventRequest {
    let body = match ask {
        Ask::Create { of_release } => EventBody::RunCreated(RunCreation {
            deployment_id: if *of_release { RELEASE } else { NO_RELEASE }.into(),
            execution_context: (run != 3)
                .then(|| r#"{"traceCarrier":{ "a": "\u0041" },"b":[1]}"#.into()),
            ..creation()
        }),
        Ask::Begin => EventBody::RunStarted(None),
        Ask::End(at) => endings()[*at].clone(),
        Ask::CreateHook(hook, retained_ms) => EventBody::HookCreated {
            hook: id(&format!("hook {run} {hook}")),
            token: HookToken::new(token(*hook)),
            options: HookOptions {
                retained_until_ms: retained_ms.map(|retained_ms| NOW_MS + retained_ms),
                ..HookOptions::default()
            },
        },
        Ask::DisposeHook(hook) => hook_disposed(&format!("hook {run} {hook}")),
    };
    EventRequest { spec_version: line(run), ..request(run, body) }
}

/// What `resumeHook` of the package does.
fn resume_by_store(
    store: &dyn Store,
    token: &str,
    payload: &str,
    key: Option<&str>,
    by: By,
) -> Answer {
    let hex = |text: &str| {
        Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let key = key.map(|key| {
        let digests = ResumeDigests {
            key: hex(&serde_json::json!([token, key]).to_string()),
            payload: hex(payload),
        };
        // A key with two forms is for the rules.
        let unsealed = (by == By::Rules).then(|| digests.clone());
        ResumeKey { token: HookToken::new(token), digests, unsealed, window_ms: WINDOW_MS }
    });
    let earlier = || -> Result<Option<String>, State> {
        let Some(key) = &key else { return Ok(None) };
        let found = settled(|done| store.earlier_resume(key).settle(done));
        let found = found.map_err(|error| state_of(&error))?;
        Ok(found.map(|HookView { hook, .. }| hook.run_id.into_string()))
    };
    if let Some(run_id) = earlier()? {
        return Ok(run_id);
    }
    let found = settled(|done| store.hook_by_token(&HookToken::new(token)).settle(done));
    let HookView { hook, .. } = found.map_err(|error| state_of(&error))?;
    let resume = EventRequest {
        run_id: Some(hook.run_id.clone()),
        body: EventBody::HookReceived { hook: hook.hook_id, token: Some(HookToken::new(token)) },
        spec_version: if hook.spec_version >= 6 { 7 } else { 3 },
        data: Some(serde_json::json!({ "token": token }).to_string()),
        payload: bytes(payload),
        ..request(1, EventBody::RunCompleted)
    };
    let done = match (key, by) {
        (Some(key), _) => settled(|done| store.resume_once(resume, key, done)).map(drop),
        (None, By::Rules) => settled(|done| store.append_events(vec![resume], done))
            .and_then(|appended| appended.into_iter().next().expect("one event").map(drop)),
        (None, _) => settled(|done| store.append_event(resume, done)).map(drop),
    };
    done.map_err(|error| state_of(&error))?;
    Ok(hook.run_id.into_string())
}

/// The SQLSTATE that says what an error says.
fn state_of(error: &WorldError) -> State {
    match error.kind {
        ErrorKind::HookNotFound => "HL404",
        ErrorKind::IdempotencyConflict => "HL409",
        ErrorKind::ReleaseGone => "HL410",
        other => other.code(),
    }
    .into()
}

fn agrees(script: &[Move]) -> Result<(), TestCaseError> {
    let mut functions = Side::new(By::Functions);
    let mut others = [Side::new(By::Store), Side::new(By::Rules)];
    let mut since_ms = 0;
    for (index, next) in script.iter().enumerate() {
        since_ms += if let Move::Wait(ms) = next { *ms } else { 1 };
        functions.at(since_ms);
        let answer = functions.make(index, next, None);
        for other in &mut others {
            other.at(since_ms);
            let answered = other.make(index, next, answer.as_deref().ok());
            prop_assert_eq!(&answer, &answered, "{}: {:?} {:?}", index, next, other.by);
        }
    }
    for other in &others {
        prop_assert_eq!(functions.rows(), other.rows(), "{:?}", other.by);
        other.world.store.close();
    }
    functions.world.store.close();
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_functions_do_what_the_rules_say(
        script in prop::collection::vec(moves(), 1..MOVES_MAX)
    ) {
        let mut begun: Vec<Move> = Vec::new();
        for run in 1..=RUNS {
            begun.push(Move::Append(run, Ask::Create { of_release: run == 3 }));
            begun.push(Move::Append(run, Ask::Begin));
            begun.push(Move::Append(run, Ask::CreateHook(run as u8 - 1, None)));
        }
        begun.extend(script);
        agrees(&begun)?;
    }
}
