//! A database of very many runs: what a replay waits for beside lists, and what writing to it costs.
//!
//! - `many_runs fill FILE RUNS` makes the file. Seven of ten runs wait for a hook, two have completed,
//!   and of the rest some have failed, were cancelled or have not been started.
//! - `many_runs read FILE` measures a replay's `run_started`, alone and beside lists.
//! - `many_runs write FILE OPERATIONS` adds runs and takes them through their lives; it measures the
//!   processor time of each kind of operation.
//!
//! It syncs nothing: what it measures is the engine.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use hookline::clock::{Clock, SystemClock};
use hookline::domain::attributes::AttributeChanges;
use hookline::domain::event::{EventBody, EventRequest, Report, RunCreation};
use hookline::domain::hook::HookOptions;
use hookline::domain::id::{CorrelationId, HookToken, RunId};
use hookline::domain::message::Delivery;
use hookline::domain::page::{PageRequest, SortOrder};
use hookline::domain::payload::{Payload, StructuredError};
use hookline::domain::queue::offer::Offer;
use hookline::domain::run::RunStatus;
use hookline::domain::spec::SPEC_VERSION_DEFAULT;
use hookline::domain::transition::replay::{PastEvent, PastFact};
use hookline::error::WorldError;
use hookline::store::sqlite::{Host, LOG_BYTES_MAX, Location, SqliteOptions, SqliteStore};
use hookline::store::upkeep::Upkeep;
use hookline::store::{ClaimRequest, Completion, Outcome, RunQuery, Store};
use ulid::Ulid;

type Outcomes<T> = Receiver<Result<T, WorldError>>;
type Failure = Box<dyn Error>;

const WORKFLOWS: u64 = 20;
/// So many runs could be made in a millisecond.
const RUNS_IN_A_MS: u64 = 1_000_000;
const FIRST_MS: i64 = 1_700_000_000_000;
/// Runs that are made before their outcomes are awaited.
const AT_ONCE: usize = 2000;
/// How long each measurement of reads takes.
const MEASURED: Duration = Duration::from_secs(5);

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["fill", file, runs] => fill(file, runs.parse()?),
        ["read", file] => read(file),
        ["write", file, operations] => write(file, operations.parse()?),
        _ => Err("usage: many_runs fill FILE RUNS | read FILE | write FILE OPERATIONS".into()),
    }
}

fn open(file: &str) -> Result<Arc<SqliteStore>, WorldError> {
    let store = SqliteStore::open(SqliteOptions {
        location: Location::File(PathBuf::from(file)),
        full_durability: false,
        workflow_prefix: "__wkf_workflow_".into(),
        takes_queue_names: false,
        release: None,
        environment: None,
        clock: Arc::new(SystemClock),
        host: Host::this(),
        faults: None,
        log_bytes_max: LOG_BYTES_MAX,
    })?;
    Ok(Arc::new(store))
}

fn started<T: Send + 'static>(start: impl FnOnce(Completion<T>)) -> Outcomes<T> {
    let (done, outcome) = Completion::channel();
    start(done);
    outcome
}

fn settled<T: Send + 'static>(start: impl FnOnce(Completion<T>)) -> Result<T, Failure> {
    Ok(started(start).recv()??)
}

/// The number of a run that is made now says when that is.
fn run_id(number: u64) -> RunId {
    let made_at_ms = (number / RUNS_IN_A_MS).max(FIRST_MS as u64);
    RunId::from_ulid(Ulid::from_parts(made_at_ms, u128::from(number)))
}

fn creation(number: u64, wakes: bool) -> EventBody {
    EventBody::RunCreated(RunCreation {
        deployment_id: "dpl_1".into(),
        release_id: None,
        workflow_name: format!("workflow//./workflows/w{}//w", number % WORKFLOWS),
        execution_context: Some(r#"{"workflowCoreVersion":"4.8.9"}"#.into()),
        wakes,
        encryption_key_id: None,
        attributes: AttributeChanges::default(),
        encryption_public_key: None,
    })
}

fn hook(number: u64) -> CorrelationId {
    CorrelationId::new(format!("hook_01HF{number:022}"))
}

fn hook_created(number: u64) -> EventBody {
    let token = HookToken::new(format!("token-{number:012}"));
    EventBody::HookCreated { hook: hook(number), token, options: HookOptions::default() }
}

fn request(number: u64, body: EventBody) -> EventRequest {
    EventRequest {
        run_id: Some(run_id(number)),
        body,
        spec_version: SPEC_VERSION_DEFAULT,
        data: None,
        payload: Some(Payload::Bytes(vec![b'x'; 100])),
        fence: None,
        code_mismatch: None,
        report: Report::default(),
        resume: None,
    }
}

fn log_of(number: u64) -> Vec<PastEvent> {
    let error = StructuredError { message: "why".into(), stack: None, code: None };
    let mut bodies = vec![creation(number, false)];
    let rest: &[EventBody] = match number % 100 {
        0..=69 => &[EventBody::RunStarted(None), hook_created(number)],
        70..=89 => &[EventBody::RunStarted(None), EventBody::RunCompleted],
        90..=94 => &[EventBody::RunStarted(None), EventBody::RunFailed(error)],
        95..=97 => &[EventBody::RunCancelled],
        _ => &[],
    };
    bodies.extend(rest.iter().cloned());
    let past = |body| PastEvent {
        created_at_ms: FIRST_MS + number as i64,
        fact: PastFact::Asked(Box::new(request(number, body))),
    };
    bodies.into_iter().map(past).collect()
}

fn fill(file: &str, runs: u64) -> Result<(), Failure> {
    let store = open(file)?;
    let numbers: Vec<u64> = (0..runs).collect();
    for some in numbers.chunks(AT_ONCE) {
        let importing =
            |number: &u64| started(|done| store.import_run(run_id(*number), log_of(*number), done));
        let imports: Vec<Outcomes<()>> = some.iter().map(importing).collect();
        for import in imports {
            import.recv()??;
        }
    }
    store.close();
    // Every import wakes its run. As if each had been replayed:
    let connection = rusqlite::Connection::open(file)?;
    connection.execute_batch("DELETE FROM messages; PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(())
}

/// What runs beside the replays.
type Beside = fn(&SqliteStore) -> Result<(), Failure>;

fn read(file: &str) -> Result<(), Failure> {
    let store = open(file)?;
    println!(
        "{:32} {:>9} {:>9} {:>9} {:>12}",
        "run_started", "median", "p95", "p99", "beside, each"
    );
    let besides: [(&str, Beside); 4] = [
        ("beside two stats()", |store| settled(|done| store.queue_depth(vec![], done)).map(drop)),
        ("beside two filtered runs.list", |store| {
            let query = RunQuery {
                workflow_name: Some("workflow//./workflows/w17//w".into()),
                statuses: Some(vec![RunStatus::Cancelled]),
                page: PageRequest { order: SortOrder::Descending, ..PageRequest::first(100) },
                resolve_data: false,
            };
            settled(|done| store.runs(query, done)).map(drop)
        }),
        ("beside two lists of nothing", |store| {
            let query = RunQuery {
                workflow_name: Some("workflow//./workflows/w1//w".into()),
                statuses: Some(vec![RunStatus::Cancelled]),
                page: PageRequest { order: SortOrder::Descending, ..PageRequest::first(100) },
                resolve_data: false,
            };
            settled(|done| store.runs(query, done)).map(drop)
        }),
        ("beside two examine()", |store| settled(|done| store.examine(done)).map(drop)),
    ];
    measure(&store, "alone", None)?;
    for (name, beside) in besides {
        measure(&store, name, Some(beside))?;
        measure(&store, "alone", None)?;
    }
    Ok(())
}

fn measure(store: &Arc<SqliteStore>, name: &str, beside: Option<Beside>) -> Result<(), Failure> {
    let (is_over, count, took_us) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let mut samples = std::thread::scope(|scope| {
        for _ in 0..if beside.is_some() { 2 } else { 0 } {
            scope.spawn(|| {
                while let Some(beside) = beside.filter(|_| !is_over.load(Ordering::Relaxed)) {
                    let began = Instant::now();
                    if let Err(error) = beside(store) {
                        eprintln!("{name}: {error}");
                    }
                    took_us.fetch_add(began.elapsed().as_micros() as u64, Ordering::Relaxed);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // The lists have begun.
        std::thread::sleep(Duration::from_millis(200));
        let (mut samples, mut number) = (Vec::new(), 7);
        let end = Instant::now() + MEASURED;
        while Instant::now() < end {
            number = (number * 7919 + 13) % 1_000_000;
            let run = number / 100 * 100 + number % 70;
            let began = Instant::now();
            let event = request(run, EventBody::RunStarted(None));
            if let Err(error) = settled(|done| store.append_event(event, done)) {
                eprintln!("run {run}: {error}");
            }
            samples.push(began.elapsed());
            // As a replay does, which runs code after it.
            std::thread::sleep(Duration::from_micros(500));
        }
        is_over.store(true, Ordering::Relaxed);
        samples
    });
    samples.sort();
    let at = |share: f64| samples[(samples.len() as f64 * share) as usize].as_micros();
    let each_ms = took_us.load(Ordering::Relaxed) as f64
        / 1000.0
        / count.load(Ordering::Relaxed).max(1) as f64;
    println!("{name:32} {:>6} us {:>6} us {:>6} us {each_ms:>9.2} ms", at(0.5), at(0.95), at(0.99));
    Ok(())
}

fn write(file: &str, operations: u64) -> Result<(), Failure> {
    let store = open(file)?;
    // Behind the runs of earlier calls.
    let first = SystemClock.now_ms() as u64 * RUNS_IN_A_MS;
    let step = |number: u64| CorrelationId::new(format!("step_01HF{number:022}"));
    let step_created = |number| EventBody::StepCreated {
        step: step(number),
        step_name: "step//./workflows/w//charge".into(),
    };
    let resume = |number| EventBody::HookReceived { hook: hook(number), token: None };
    let all = |name: &str, body: &dyn Fn(u64) -> EventBody| -> Result<(), Failure> {
        let (began, used_us) = (Instant::now(), processor_us()?);
        let numbers: Vec<u64> = (first..first + operations).collect();
        for some in numbers.chunks(AT_ONCE) {
            let append = |number: &u64| {
                started(|done| store.append_event(request(*number, body(*number)), done))
            };
            for outcome in some.iter().map(append).collect::<Vec<_>>() {
                outcome.recv()??;
            }
        }
        report(name, operations, began, used_us)
    };
    all("run_created", &|number| creation(number, true))?;
    deliver(&store, operations)?;
    all("run_started, the first", &|_| EventBody::RunStarted(None))?;
    all("hook_created", &hook_created)?;
    all("step_created", &step_created)?;
    all("step_started", &|number| EventBody::StepStarted {
        step: step(number),
        owner: None,
        creates: None,
    })?;
    all("step_completed", &|number| EventBody::StepCompleted { step: step(number) })?;
    deliver(&store, operations)?;
    all("hook_received", &resume)?;
    deliver(&store, operations)?;
    all("run_completed", &|_| EventBody::RunCompleted)
}

/// Claims and acknowledges every due message.
fn deliver(store: &SqliteStore, operations: u64) -> Result<(), Failure> {
    let (began, used_us) = (Instant::now(), processor_us()?);
    loop {
        let request = ClaimRequest {
            limit: 10,
            offer: Offer {
                prefixes: vec!["__wkf_workflow_".into(), "__wkf_step_".into()],
                spec_versions: 0..=5,
                release: None,
            },
            lease_owner: store.lease_owner().to_owned(),
            lease_ms: 30_000,
        };
        let claimed = settled(|done| store.claim(request, done))?;
        if claimed.deliveries.is_empty() {
            return report("claim and ack", operations, began, used_us);
        }
        let ack = |delivery: Delivery| {
            let (id, token) = (delivery.message_id, delivery.lease_token);
            started(|done| store.settle_delivery(id, token, Outcome::Ack, done))
        };
        for ack in claimed.deliveries.into_iter().map(ack).collect::<Vec<_>>() {
            ack.recv()??;
        }
    }
}

fn report(name: &str, operations: u64, began: Instant, used_us: u64) -> Result<(), Failure> {
    let each = |us: u64| us as f64 / operations as f64;
    let (used, took) = (each(processor_us()? - used_us), each(began.elapsed().as_micros() as u64));
    println!("{name:24} {used:>8.2} us of a processor, {took:>8.2} us");
    Ok(())
}

/// The processor time of this process.
fn processor_us() -> Result<u64, Failure> {
    let mut sum_ns = 0;
    for thread in std::fs::read_dir("/proc/self/task")? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        sum_ns += text.split(' ').next().unwrap_or("0").parse::<u64>()?;
    }
    Ok(sum_ns / 1000)
}
