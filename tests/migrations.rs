//! The schema of a Postgres database: who makes it, who may use it, and what is left alone.
#![cfg(target_os = "linux")]

// The rows in memory name `crate::domain`, as in the library.
use hookline::domain;

#[path = "in_transactions/caller.rs"]
#[allow(dead_code)] // the clock of the functions is not needed
mod caller;
mod kit;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hookline::clock::ManualClock;
use hookline::error::{ErrorKind, WorldError};
use hookline::store::postgres::{
    MigrateRequest, Migrated, PostgresLocation, PostgresOptions, PostgresStore,
};
use hookline::store::{Outcome, Store};

use caller::Caller;
use kit::postgres_server::fresh_schema;
use kit::rows::*;
use kit::{World, open_postgres, settled, step_message};

/// A database of its own, in which a role may use nothing that it was not given.
struct Place {
    url: String,
    role: String,
    owner: Caller,
}

impl Place {
    fn new() -> Self {
        static PLACES: AtomicUsize = AtomicUsize::new(1);
        let name = format!("place_{}", PLACES.fetch_add(1, Ordering::Relaxed));
        let server = fresh_schema();
        let maker = Caller::new(&server, "postgres");
        let role = format!("app of {name}");
        for statement in [
            format!("CREATE DATABASE {name}"),
            format!("REVOKE ALL ON DATABASE {name} FROM PUBLIC"),
            format!("CREATE ROLE \"{role}\" LOGIN"),
            format!("GRANT CONNECT ON DATABASE {name} TO \"{role}\""),
        ] {
            maker.run(&statement).expect("the owner of the server may");
        }
        let server = server.split_once("&schema=").expect("a schema").0;
        let url = server.replace("/postgres?", &format!("/{name}?"));
        let owner = Caller::new(&url, "postgres");
        Self { url, role, owner }
    }

    /// The URL of the role without rights.
    fn url_of_role(&self) -> String {
        self.url.replace("postgres@", &format!("{}@", self.role.replace(' ', "%20")))
    }

    fn migrate(&self, request: &MigrateRequest) -> Result<Migrated, WorldError> {
        let location = PostgresLocation::parse(&self.url).expect("the URL is good");
        PostgresStore::migrate(&location, request)
    }

    fn grant(&self) -> MigrateRequest {
        MigrateRequest { only_shows: false, grant_to: Some(self.role.clone()) }
    }
}

fn options(url: &str, migrates: bool) -> PostgresOptions {
    PostgresOptions {
        location: PostgresLocation::parse(url).expect("the URL is good"),
        migrates,
        full_durability: true,
        workflow_prefix: kit::WORKFLOW_PREFIX.into(),
        takes_queue_names: false,
        release: Some("release".into()),
        environment: None,
        clock: Some(Arc::new(ManualClock::at(NOW_MS))),
    }
}

/// Opens a database as an app that must not change the schema.
fn open_without_migrating(url: &str) -> Result<PostgresStore, WorldError> {
    PostgresStore::open(options(url, false))
}

#[track_caller]
fn refused(opened: Result<PostgresStore, WorldError>, kind: ErrorKind, advice: &str) {
    let error = opened.map(drop).expect_err("it does not open");
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.message.contains(advice), "{error}");
}

#[test]
fn an_app_that_may_make_nothing_works_on_what_was_made_and_granted_for_it() {
    let place = Place::new();
    let url = place.url_of_role();
    let clock = Arc::new(ManualClock::at(NOW_MS));
    refused(open_without_migrating(&url), ErrorKind::CannotOpen, "npx hookline migrate");
    refused(open_postgres(&url, &clock), ErrorKind::ReadOnly, "npx hookline migrate");
    place.migrate(&MigrateRequest::default()).expect("the owner may");
    refused(open_without_migrating(&url), ErrorKind::ReadOnly, "--grant");
    let done = place.migrate(&place.grant()).expect("the owner may grant");
    assert_eq!((done.before, done.after), (1, 1));
    // Everything that an app does.
    let world = World::of(Arc::new(open_without_migrating(&url).expect("it opens")), clock);
    world.start_runs(2);
    world.does(1, hook_created("h", "token"));
    world.does(1, hook_received("h", Some("token")));
    world.does(1, wait_created("w", NOW_MS));
    world.does(1, step_created("s"));
    world.write("stream", &["chunk"]);
    world.close_stream("stream");
    world.enqueue(step_message("a"));
    for delivery in world.claim(10) {
        world.extend(&[&delivery], kit::LEASE_MS);
        world.admit(&delivery);
        world.settle(&delivery, Outcome::Ack);
    }
    settled(|done| world.store.free_dead_leases(done)).expect("it looks for the dead");
    settled(|done| world.store.wake_forgotten(None, 10, done)).expect("it searches");
    assert!(world.store.show_worker("{}"), "it is a worker");
    world.does(1, endings()[0].clone());
    world.store.close();
}

#[test]
fn a_reader_needs_only_to_read() {
    let place = Place::new();
    let world = World::of(
        Arc::new(PostgresStore::open(options(&place.url, true)).expect("it opens")),
        Arc::new(ManualClock::at(NOW_MS)),
    );
    world.start_runs(1);
    let Place { role, owner, .. } = &place;
    owner
        .run(&format!(
            "GRANT USAGE ON SCHEMA hookline TO \"{role}\"; \
             GRANT SELECT ON ALL TABLES IN SCHEMA hookline TO \"{role}\""
        ))
        .expect("it is granted");
    let reader = PostgresStore::open_to_read(options(&place.url_of_role(), true));
    let reader = reader.expect("it may read");
    let run = settled(|done| reader.run_by_id(&run_id(1)).settle(done)).expect("it is read");
    assert_eq!(run.run_id, run_id(1));
    refused(open_without_migrating(&place.url_of_role()), ErrorKind::ReadOnly, "--grant");
}

#[test]
fn the_statements_that_are_shown_are_those_that_are_run() {
    let place = Place::new();
    let shown = MigrateRequest { only_shows: true, ..place.grant() };
    let shown = place.migrate(&shown).expect("it is shown");
    let schemas = "SELECT count(*)::text FROM pg_namespace WHERE nspname = 'hookline'";
    assert_eq!(place.owner.text(schemas, &[]).as_deref(), Ok("0"), "nothing was made");
    place.owner.run(&format!("BEGIN; {} COMMIT", shown.script)).expect("a person runs them");
    assert_eq!(place.migrate(&MigrateRequest::default()).expect("it looks").script, "");
    open_without_migrating(&place.url_of_role()).expect("it opens").close();
}

#[test]
fn what_a_later_migration_makes_is_granted_too() {
    let place = Place::new();
    place.migrate(&place.grant()).expect("the owner may");
    place.owner.run("CREATE TABLE hookline.later (id integer)").expect("a later migration");
    let app = Caller::new(&place.url, &place.role);
    app.run("INSERT INTO hookline.later VALUES (1)").expect("it was granted");
    assert_eq!(app.run("CREATE TABLE hookline.own ()"), Err("42501".into()));
}

#[test]
fn an_empty_schema_that_the_role_owns_is_enough() {
    let place = Place::new();
    let Place { role, owner, .. } = &place;
    owner.run(&format!("CREATE SCHEMA hookline AUTHORIZATION \"{role}\"")).expect("a schema");
    let clock = Arc::new(ManualClock::at(NOW_MS));
    open_postgres(&place.url_of_role(), &clock).expect("it makes the tables").close();
}

#[test]
fn a_schema_that_holds_something_else_is_never_touched() {
    let clock = Arc::new(ManualClock::at(NOW_MS));
    for theirs in [
        "CREATE TABLE hookline.orders (id integer)",
        "CREATE TABLE hookline.migrations (version bigint, checksum text)",
        "CREATE TYPE hookline.status AS ENUM ('paid')",
        "CREATE FUNCTION hookline.total() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    ] {
        let place = Place::new();
        place.owner.run("CREATE SCHEMA hookline").expect("a schema of theirs");
        place.owner.run(theirs).expect("something of theirs");
        let objects = "SELECT count(*)::text FROM pg_depend \
             WHERE refobjid = (SELECT oid FROM pg_namespace WHERE nspname = 'hookline')";
        let before = place.owner.text(objects, &[]);
        refused(open_postgres(&place.url, &clock), ErrorKind::ForeignFile, "left as it is");
        refused(open_without_migrating(&place.url), ErrorKind::ForeignFile, "?schema=");
        let error = place.migrate(&MigrateRequest::default()).expect_err("it is refused");
        assert_eq!(error.kind, ErrorKind::ForeignFile, "{theirs}");
        assert_eq!(place.owner.text(objects, &[]), before, "{theirs}");
    }
}

#[test]
fn an_older_process_goes_on_unless_a_newer_one_says_that_it_cannot() {
    let place = Place::new();
    open_without_migrating(&place.url).map(drop).expect_err("there is no schema");
    place.migrate(&MigrateRequest::default()).expect("the owner may");
    place.owner.run("INSERT INTO hookline.migrations VALUES (2, 'x', 0, false)").expect("newer");
    open_without_migrating(&place.url).expect("it can work with that").close();
    PostgresStore::open(options(&place.url, true)).expect("it has nothing to do").close();
    place.owner.run("INSERT INTO hookline.migrations VALUES (3, 'x', 0, true)").expect("newest");
    refused(open_without_migrating(&place.url), ErrorKind::NewerDatabase, "update this process");
    refused(
        PostgresStore::open(options(&place.url, true)),
        ErrorKind::NewerDatabase,
        "update this process",
    );
}

#[test]
fn processes_and_people_that_make_the_schema_together_all_succeed() {
    let place = Place::new();
    let (url, grant) = (&place.url, &place.grant());
    let location = &PostgresLocation::parse(url).expect("the URL is good");
    std::thread::scope(|scope| {
        let makers = (0..6).map(|number| {
            scope.spawn(move || match number % 2 {
                0 => PostgresStore::open(options(url, true)).map(|store| store.close()),
                _ => PostgresStore::migrate(location, grant).map(drop),
            })
        });
        for maker in makers.collect::<Vec<_>>() {
            maker.join().expect("it ends").expect("it succeeds");
        }
    });
    assert_eq!(place.migrate(&MigrateRequest::default()).expect("it is there").before, 1);
}
