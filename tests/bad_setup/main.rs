//! What keeps a Postgres database from being used: each case is one error that says what to do, and
//! nothing is half written.
#![cfg(target_os = "linux")]

// The rows in memory name `crate::domain`, as in the library.
use hookline::domain;

#[path = "../kit/mod.rs"]
mod kit;
mod server;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::{Arc, LazyLock};

use hookline::clock::ManualClock;
use hookline::domain::event::{EventBody, EventRequest};
use hookline::domain::hook::HookOptions;
use hookline::domain::payload::Payload;
use hookline::error::{ErrorKind, WorldError};
use hookline::store::Store;
use hookline::store::postgres::PostgresStore;

use kit::postgres_server::{Server, give_to_server, is_root};
use kit::rows::*;
use kit::{World, open_postgres};
use server::{fixture, url_of_socket};

const PASSWORD: &str = "open-sesame";
const TOKEN: &str = "token-of-nobody";

/// One server for the tests that leave it running.
static SERVER: LazyLock<Server> = LazyLock::new(server_with_roles);

/// A server with the database `app` and the role of an app, whose password is [`PASSWORD`].
fn server_with_roles() -> Server {
    let server = server::start();
    server.sql(
        "postgres",
        &format!(
            "CREATE ROLE app LOGIN PASSWORD '{PASSWORD}';\n\
             CREATE ROLE plain_user LOGIN;\n\
             CREATE ROLE tls_user LOGIN;\n\
             CREATE DATABASE app OWNER app"
        ),
    );
    server
}

fn open(url: &str) -> Result<PostgresStore, WorldError> {
    open_postgres(url, &Arc::new(ManualClock::at(NOW_MS)))
}

/// The error of a database that does not open. It holds no password.
#[track_caller]
fn refusal(url: &str, kind: ErrorKind, advice: &str) {
    let error = open(url).map(drop).expect_err("it does not open");
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.message.contains(advice), "{error}");
    assert!(!error.message.contains(PASSWORD), "{error}");
}

/// A database on which the role `app` of this server works, and its rows.
fn world_of(url: &str) -> World {
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let store: Arc<dyn Store> = Arc::new(open_postgres(url, &clock).expect("it opens"));
    World::of(store, clock)
}

fn own_schema(name: &str) -> String {
    format!("schema={name}")
}

#[test]
fn a_password_that_is_wrong_or_missing_is_said_and_never_shown() {
    let server = &*SERVER;
    let url = |user: &str| server::url(server, user, "localhost", &own_schema("passwords"));
    refusal(&url("app:wrong"), ErrorKind::CannotOpen, "refused the password");
    refusal(&url("nobody:open-sesame"), ErrorKind::CannotOpen, "refused the password");
    refusal(&url("app"), ErrorKind::CannotOpen, "asks for a password");
    // SCRAM over TLS.
    drop(open(&url(&format!("app:{PASSWORD}"))).expect("the password is right"));
    let elsewhere = url(&format!("app:{PASSWORD}")).replace("/app?", "/nowhere?");
    refusal(&elsewhere, ErrorKind::CannotOpen, "no such database");
}

#[test]
fn tls_is_as_the_sslmode_says() {
    let server = &*SERVER;
    let url = |user: &str, host: &str, more: &str| {
        server::url(server, user, host, &format!("{}&{more}", own_schema("tls")))
    };
    let app = format!("app:{PASSWORD}");
    let (authority, other) = (fixture("postgres-authority"), fixture("self-signed"));
    refusal(&url(&app, "localhost", "sslmode=disable"), ErrorKind::CannotOpen, "wants TLS");
    for mode in ["prefer", "require"] {
        let url = url(&app, "127.0.0.1", &format!("sslmode={mode}"));
        drop(open(&url).expect("any certificate is accepted"));
    }
    // The certificate is for the name localhost.
    let with = |host: &str, mode: &str, authority: &str| {
        url(&app, host, &format!("sslmode={mode}&sslrootcert={authority}"))
    };
    for (host, mode) in [("127.0.0.1", "verify-ca"), ("localhost", "verify-full")] {
        drop(open(&with(host, mode, &authority)).expect("the certificate is good"));
        refusal(&with(host, mode, &other), ErrorKind::CannotOpen, "is not trusted");
        let by_system = url(&app, host, &format!("sslmode={mode}&sslrootcert=system"));
        let error = open(&by_system).map(drop).expect_err("the system does not know the authority");
        assert!([ErrorKind::CannotOpen, ErrorKind::BadConfig].contains(&error.kind), "{error}");
    }
    refusal(&with("127.0.0.1", "verify-full", &authority), ErrorKind::CannotOpen, "another name");
    refusal(&with("localhost", "require", &other), ErrorKind::CannotOpen, "is not trusted");
    refusal(&with("localhost", "verify-full", "/nowhere"), ErrorKind::BadConfig, "/nowhere");
}

#[test]
fn a_client_can_prove_itself_with_a_certificate() {
    let server = &*SERVER;
    server.sql("app", "CREATE SCHEMA of_tls_user AUTHORIZATION tls_user");
    let (certificate, key) = (fixture("postgres-client"), fixture("key"));
    let with = |more: &str| {
        let parameters = format!("{}&sslmode=require{more}", own_schema("of_tls_user"));
        server::url(server, "tls_user", "localhost", &parameters)
    };
    let proven = with(&format!("&sslcert={certificate}&sslkey={key}"));
    drop(open(&proven).expect("the certificate is known"));
    refusal(&with(""), ErrorKind::CannotOpen, "sslcert");
    let swapped = with(&format!("&sslcert={key}&sslkey={certificate}"));
    refusal(&swapped, ErrorKind::BadConfig, "cannot be read as PEM");
    refusal(&with(&format!("&sslcert={certificate}")), ErrorKind::BadConfig, "both");
}

#[test]
fn a_server_without_tls_is_refused_where_tls_is_asked_for() {
    let server = server_with_roles();
    server.stop();
    server.start_again("-c ssl=off");
    let url =
        |mode: &str| server::url(&server, "plain_user", "localhost", &format!("sslmode={mode}"));
    refusal(&url("require"), ErrorKind::CannotOpen, "has no TLS");
    refusal(&url("prefer"), ErrorKind::ReadOnly, "hookline migrate");
}

/// Opens what the environment says, in a process of its own.
fn opens_with(variables: &[(&str, &str)], url: &str) -> String {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["opens_as_the_environment_says", "--exact", "--ignored", "--nocapture"])
        .env_remove("PGPASSWORD")
        .env_remove("PGPASSFILE")
        .env("TEST_URL", url)
        .envs(variables.iter().copied())
        .output()
        .expect("it runs");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
#[ignore = "run by the test below, in a process of its own"]
fn opens_as_the_environment_says() {
    let url = std::env::var("TEST_URL").expect("it says where");
    match open(&url) {
        Ok(_) => println!("opened"),
        Err(error) => println!("refused: {error}"),
    }
}

#[test]
fn a_password_comes_from_the_environment_or_from_a_file_that_others_cannot_read() {
    let server = &*SERVER;
    let url = server::url(server, "app", "localhost", &own_schema("environment"));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("passwords");
    fs::write(&file, format!("localhost:*:app:app:{PASSWORD}\n")).expect("it is written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let path = file.to_str().expect("a plain path");
    let said = |variables: &[(&str, &str)]| opens_with(variables, &url);
    assert!(said(&[("PGPASSWORD", PASSWORD)]).contains("opened"));
    assert!(said(&[("PGPASSFILE", path)]).contains("opened"));
    let wrong = said(&[("PGPASSWORD", "not-this"), ("PGPASSFILE", path)]);
    assert!(wrong.contains("refused the password"), "the variable comes first: {wrong}");
    assert!(!wrong.contains("not-this"), "{wrong}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("it is ours");
    let open_to_all = said(&[("PGPASSFILE", path)]);
    assert!(open_to_all.contains("chmod 600"), "{open_to_all}");
    assert!(!open_to_all.contains(PASSWORD), "{open_to_all}");
}

#[test]
fn what_only_reads_is_said_before_anything_is_written() {
    let server = server_with_roles();
    let url = url_of_socket(&server);
    server.sql("postgres", "ALTER ROLE app SET default_transaction_read_only = on");
    refusal(&url, ErrorKind::ReadOnly, "default_transaction_read_only");
    assert_eq!(
        server.number("app", "SELECT count(*) FROM pg_namespace WHERE nspname = 'hookline'"),
        0
    );
    server.sql("postgres", "ALTER ROLE app RESET default_transaction_read_only");
    world_of(&url).start_runs(1);
    server.stop();
    server.start_in_recovery(true);
    refusal(&url, ErrorKind::ReadOnly, "name the primary");
    drop(kit::open_postgres_to_read(&url).expect("a standby can be read"));
    server.stop();
    server.start_in_recovery(false);
    // Until it listens.
    while open(&url).is_err_and(|error| error.kind == ErrorKind::CannotOpen) {}
    refusal(&url, ErrorKind::Busy, "in recovery");
    server.stop();
    server.recovers_no_more();
    server.start_again("");
    assert_eq!(world_of(&url).log(1).len(), 2);
}

#[test]
fn a_server_that_takes_no_more_connections_is_busy() {
    let server = server_with_roles();
    let url = url_of_socket(&server);
    drop(open(&url).expect("it opens"));
    server.sql("postgres", "ALTER ROLE app CONNECTION LIMIT 0");
    refusal(&url, ErrorKind::Busy, "takes no more connections");
}

#[test]
fn a_statement_that_takes_too_long_for_its_role_writes_nothing() {
    let server = server_with_roles();
    let url = url_of_socket(&server);
    drop(open(&url).expect("it opens"));
    server.sql("postgres", "ALTER ROLE app SET statement_timeout = '2s'");
    server.sql(
        "app",
        "CREATE FUNCTION sleeps() RETURNS trigger LANGUAGE plpgsql \
         AS 'BEGIN PERFORM pg_sleep(60); RETURN new; END';\n\
         CREATE TRIGGER slow BEFORE INSERT ON hookline.hooks \
         FOR EACH ROW EXECUTE FUNCTION sleeps()",
    );
    let world = world_of(&url);
    world.start_runs(1);
    let slow = world.tries(request(1, hook_created("h", TOKEN)));
    let error = slow.expect_err("the server ends it");
    assert_eq!(error.kind, ErrorKind::Busy, "{error}");
    assert!(error.message.contains("statement_timeout"), "{error}");
    assert_eq!(world.log(1).len(), 2);
    server.sql("app", "DROP TRIGGER slow ON hookline.hooks");
    world.does(1, hook_created("h", TOKEN));
}

#[test]
fn a_full_disk_is_said_and_what_was_written_before_stays() {
    if !is_root() {
        println!("skipped: only root can make a small disk");
        return;
    }
    let server = server_with_roles();
    let disk = server.place().join("disk");
    fs::create_dir(&disk).expect("a folder");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"])
        .arg(&disk)
        .status()
        .expect("mount starts");
    if !mounted.success() {
        println!("skipped: nothing can be mounted here");
        return;
    }
    let unmounts = Unmounts(&server, disk.clone());
    give_to_server(&disk);
    server.sql(
        "postgres",
        &format!(
            "CREATE TABLESPACE small LOCATION '{}';\nGRANT CREATE ON TABLESPACE small TO app;\n\
             ALTER DATABASE app SET TABLESPACE small",
            disk.display()
        ),
    );
    let more = "CREATE TABLE more AS SELECT repeat('x', 1000) FROM generate_series(1, 2000)";
    server.sql("app", more);
    let world = world_of(&url_of_socket(&server));
    world.start_runs(1);
    // Random bytes, which the server cannot make smaller.
    let mut state = 1_u64;
    let mut bytes = || -> Vec<u8> {
        let next = |state: &mut u64| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (*state >> 33) as u8
        };
        (0..500_000).map(|_| next(&mut state)).collect()
    };
    let mut written = 2;
    let error = loop {
        let payload = Some(Payload::Bytes(bytes()));
        let event = EventRequest { payload, ..request(1, step_created(&format!("s{written}"))) };
        match world.tries(event) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 200, "the disk is small");
    };
    assert_eq!(error.kind, ErrorKind::StorageFull, "{error}");
    assert!(error.message.contains("disk of the Postgres server is full"), "{error}");
    assert_eq!(world.log(1).len(), written);
    server.sql("app", "DROP TABLE more;\nCHECKPOINT");
    world.does(1, hook_created("h", TOKEN));
    drop((world, unmounts));
}

/// Stops the server and takes its small disk away.
struct Unmounts<'a>(&'a Server, std::path::PathBuf);

impl Drop for Unmounts<'_> {
    fn drop(&mut self) {
        self.0.stop();
        let _ = Command::new("umount").arg("-l").arg(&self.1).status();
    }
}

#[test]
fn the_log_of_the_server_holds_no_token_and_no_password() {
    let server = server_with_roles();
    let url = server::url(&server, &format!("app:{PASSWORD}"), "localhost", "sslmode=require");
    let world = world_of(&url);
    world.start_runs(2);
    world.does(1, hook_created("h", TOKEN));
    world.does(2, hook_created("h", TOKEN));
    server.sql("app", "ALTER TABLE hookline.hooks ADD CHECK (NOT is_webhook) NOT VALID");
    let token = hookline::domain::id::HookToken::new(format!("{TOKEN} 2"));
    let options = HookOptions { is_webhook: true, ..HookOptions::default() };
    let refused = EventBody::HookCreated { hook: id("i"), token, options };
    let error = world.tries(request(1, refused)).expect_err("the server refuses the row");
    assert!(!error.message.contains(TOKEN), "{error}");
    let log = fs::read_to_string(server.place().join("log")).expect("the log is read");
    assert!(log.contains("violates check constraint"), "{log}");
    assert!(!log.contains(PASSWORD), "{log}");
}
