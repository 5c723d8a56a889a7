//! Configuration: checks the settings of `createWorld()` and the `WORKFLOW_HOOKLINE_*` variables.

use std::env;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use crate::crypto::KeyRing;
use crate::domain::queue::offer::NO_RELEASE;
use crate::domain::spec::SPEC_VERSION_MAX;
use crate::error::{ErrorKind, WorldError};
use crate::store::location::Location;
use crate::store::postgres::PostgresLocation;
use crate::store::sealed::TokensAtRest;
use crate::store::sqlite;
use crate::store::sqlite::place::Place;

/// Deliveries in flight by default.
const CONCURRENCY_DEFAULT: usize = 100;
/// Most deliveries in flight.
const CONCURRENCY_MAX: usize = 10_000;
/// Without a word of the SDK's line, a process takes the runs of every line.
const SPEC_VERSIONS_DEFAULT: RangeInclusive<u32> = 0..=SPEC_VERSION_MAX;
/// The default database, relative to the working directory.
const PATH_DEFAULT: &str = ".workflow-data/hookline.db";

/// The settings from JavaScript: unchecked text. The TypeScript side has already chosen between option
/// and environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RawConfig {
    /// A path, a `file:` URL, `:memory:` or a `postgres:` URL.
    pub url: Option<SecretText>,
    /// A `postgres:` URL, or `off`.
    pub listen_url: Option<SecretText>,
    /// `full` or `normal`.
    pub durability: Option<String>,
    /// A number.
    pub concurrency: Option<String>,
    /// `all`, `producer`, `worker` or `reader`.
    pub role: Option<String>,
    /// `auto`, `direct` or `http`.
    pub delivery: Option<String>,
    /// The URL of the app, for HTTP delivery.
    pub base_url: Option<String>,
    /// `WORKFLOW_QUEUE_NAMESPACE`.
    pub queue_namespace: Option<String>,
    /// Whether the queue names of the database count, whatever the namespace is: for the command line.
    pub takes_queue_names: bool,
    /// The environment of every hook, for example `production`.
    pub environment: Option<String>,
    /// The release of this process.
    pub deployment_id: Option<String>,
    /// The lowest and the highest spec version of the runs that the SDK of this process continues.
    pub spec_versions: Option<(u32, u32)>,
    /// `local` or `any`.
    pub file_system: Option<String>,
    /// `on` or `off`.
    pub migrate: Option<String>,
    /// Lets a test skip time and make commits fail, only for `:memory:`. The number is the offset of
    /// its clock from the host's, in milliseconds.
    pub for_tests: Option<i64>,
    /// The key ring: entries `id:base64`, newest first.
    pub encryption_keys: Option<SecretText>,
    /// `plain` or `sealed`.
    pub tokens: Option<String>,
    /// `false` or `true`: whether spans hold tokens. JavaScript makes the spans; the setting is only
    /// checked here.
    pub trace_tokens: Option<String>,
    /// `hold` or `fail`: whether messages whose code is missing are held. JavaScript recognises such
    /// messages; the setting is only checked here.
    pub code_mismatch: Option<String>,
}

/// A setting that no log may contain.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SecretText(pub String);

impl<T: Into<String>> From<T> for SecretText {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

/// Checked settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The place of the database.
    pub location: Location,
    /// Whether commits that carry events are synced to the disk.
    pub full_durability: bool,
    /// Most deliveries in flight.
    pub concurrency: usize,
    /// The role of this process.
    pub role: Role,
    /// The way in which messages are handed over.
    pub delivery: DeliveryMode,
    /// The URL of the app, for HTTP delivery; `None` if it is not set.
    pub base_url: Option<String>,
    /// The prefix of the queue names of flow messages.
    pub workflow_prefix: String,
    /// Whether a database with other queue names is taken with these.
    pub takes_queue_names: bool,
    /// The environment of new hooks: `NODE_ENV`, with `None` for `production`.
    pub environment: Option<String>,
    /// The release of this process; `None` if none is set.
    pub release: Option<String>,
    /// The spec versions of the runs that the SDK of this process continues.
    pub spec_versions: RangeInclusive<u32>,
    /// Whether the file may be on a file system that other hosts can reach.
    pub on_any_file_system: bool,
    /// Whether opening a Postgres database makes or changes its schema where that is needed.
    pub migrates: bool,
    /// Lets a test skip time and make commits fail. The number is the offset of its clock from the
    /// host's, in milliseconds.
    pub for_tests: Option<i64>,
    /// The keys that encrypt values; `None` leaves them plain.
    pub encryption_keys: Option<Arc<KeyRing>>,
    /// How tokens are stored.
    pub tokens: TokensAtRest,
}

/// The role of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads, writes, and delivers once it is started.
    Worker,
    /// Reads and writes.
    Producer,
    /// Reads.
    Reader,
}

/// The way in which messages are handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryMode {
    /// To the handler in this process if there is one, else over HTTP.
    Auto,
    /// Only to handlers in this process.
    Direct,
    /// Only over HTTP to the app's own routes.
    Http,
}

impl Config {
    /// Checks settings.
    ///
    /// # Errors
    /// `BadConfig`, with the variable, its value and the allowed values.
    pub fn parse(raw: &RawConfig) -> Result<Self, WorldError> {
        let full_durability =
            choose("DURABILITY", raw.durability.as_deref(), &[("full", true), ("normal", false)])?;
        let role = choose(
            "ROLE",
            raw.role.as_deref(),
            &[
                ("all", Role::Worker),
                ("worker", Role::Worker),
                ("producer", Role::Producer),
                ("reader", Role::Reader),
            ],
        )?;
        let delivery = choose(
            "DELIVERY",
            raw.delivery.as_deref(),
            &[
                ("auto", DeliveryMode::Auto),
                ("direct", DeliveryMode::Direct),
                ("http", DeliveryMode::Http),
            ],
        )?;
        let location = location(raw.url.as_ref().map(|SecretText(url)| url.as_str()))?;
        let location = match (location, &raw.listen_url) {
            (Location::Postgres(location), Some(SecretText(text))) => {
                Location::Postgres(listens_at(location, text)?)
            }
            (location, _) => location,
        };
        if raw.for_tests.is_some()
            && !matches!(location, Location::Sqlite(sqlite::Location::Memory(_)))
        {
            let message = "a World of hookline/testing lives in memory: give it a :memory: URL";
            return Err(WorldError::new(ErrorKind::BadConfig, message));
        }
        choose("TRACE_TOKENS", raw.trace_tokens.as_deref(), &[("false", false), ("true", true)])?;
        choose("CODE_MISMATCH", raw.code_mismatch.as_deref(), &[("hold", true), ("fail", false)])?;
        let encryption_keys = match &raw.encryption_keys {
            Some(SecretText(text)) => Some(Arc::new(KeyRing::parse(text)?)),
            None => None,
        };
        Ok(Self {
            tokens: tokens(raw.tokens.as_deref(), encryption_keys.is_some())?,
            encryption_keys,
            location,
            for_tests: raw.for_tests,
            full_durability,
            concurrency: concurrency(raw.concurrency.as_deref())?,
            role,
            delivery,
            on_any_file_system: choose(
                "FILE_SYSTEM",
                raw.file_system.as_deref(),
                &[("local", false), ("any", true)],
            )?,
            migrates: choose("MIGRATE", raw.migrate.as_deref(), &[("on", true), ("off", false)])?,
            base_url: base_url(raw.base_url.as_deref())?,
            workflow_prefix: workflow_prefix(raw.queue_namespace.as_deref())?,
            takes_queue_names: raw.takes_queue_names,
            environment: raw.environment.clone().filter(|name| name != "production"),
            release: release(raw.deployment_id.as_deref())?,
            spec_versions: raw.spec_versions.map_or(SPEC_VERSIONS_DEFAULT, |(from, to)| from..=to),
        })
    }
}

impl Config {
    /// The present or future place of the database's file; `None` if it has none.
    pub fn place(&self) -> Option<Place> {
        match &self.location {
            Location::Sqlite(location) => Place::of(location),
            Location::Postgres(_) => None,
        }
    }

    /// Refuses a file that other hosts may reach, unless the setting allows it.
    ///
    /// # Errors
    /// `CannotOpen`, with the remedy.
    pub fn refuse_place(&self) -> Result<(), WorldError> {
        match self.place() {
            Some(place) if !self.on_any_file_system => place.refuse_unless_local(),
            _ => Ok(()),
        }
    }

    /// Refuses to share an engine that was opened with other database settings.
    ///
    /// # Errors
    /// `BadConfig`, naming the setting that differs.
    pub fn refuse_if_other(&self, other: &Self) -> Result<(), WorldError> {
        let differing = [
            ("WORKFLOW_HOOKLINE_DURABILITY", self.full_durability != other.full_durability),
            ("WORKFLOW_QUEUE_NAMESPACE", self.workflow_prefix != other.workflow_prefix),
            ("WORKFLOW_HOOKLINE_DELIVERY", self.delivery != other.delivery),
            ("WORKFLOW_HOOKLINE_DEPLOYMENT_ID", self.release != other.release),
            ("WORKFLOW_HOOKLINE_TOKENS", self.tokens != other.tokens),
            ("WORKFLOW_HOOKLINE_ENCRYPTION_KEYS", self.encryption_keys != other.encryption_keys),
        ];
        match differing.iter().find(|(_, differs)| *differs) {
            None => Ok(()),
            Some((variable, _)) => Err(WorldError::new(
                ErrorKind::BadConfig,
                format!(
                    "another World of this process has the same database open with another \
                     {variable}: use one setting, or close that World first"
                ),
            )),
        }
    }
}

fn bad(variable: &str, value: &str, allowed: &str) -> WorldError {
    WorldError::new(
        ErrorKind::BadConfig,
        format!("WORKFLOW_HOOKLINE_{variable} is \"{value}\", but must be {allowed}"),
    )
}

/// One of a few words. The first is the default.
fn choose<T: Copy>(
    variable: &str,
    value: Option<&str>,
    words: &[(&str, T)],
) -> Result<T, WorldError> {
    let value = value.unwrap_or(words[0].0);
    words.iter().find(|(word, _)| *word == value).map(|(_, meaning)| *meaning).ok_or_else(|| {
        let allowed: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        bad(variable, value, &allowed.join(", "))
    })
}

fn tokens(value: Option<&str>, has_keys: bool) -> Result<TokensAtRest, WorldError> {
    let words = [("plain", TokensAtRest::Plain), ("sealed", TokensAtRest::Sealed)];
    let tokens = choose("TOKENS", value, &words)?;
    match (tokens, has_keys) {
        (TokensAtRest::Sealed, false) => Err(WorldError::new(
            ErrorKind::BadConfig,
            "WORKFLOW_HOOKLINE_TOKENS is \"sealed\", which needs keys: set \
             WORKFLOW_HOOKLINE_ENCRYPTION_KEYS (npx hookline keygen makes one)",
        )),
        _ => Ok(tokens),
    }
}

/// The longest id of a release.
const RELEASE_LENGTH_MAX: usize = 100;

/// Other texts would be hard to type and to show; `latest` and the id of runs without a release have a
/// meaning of their own.
fn release(value: Option<&str>) -> Result<Option<String>, WorldError> {
    let Some(id) = value else { return Ok(None) };
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.@+:".contains(&b);
    let is_good = id.len() <= RELEASE_LENGTH_MAX && id.bytes().all(is_plain);
    if is_good && !["", "latest", NO_RELEASE].contains(&id) {
        return Ok(Some(id.to_owned()));
    }
    let allowed = format!(
        "at most {RELEASE_LENGTH_MAX} letters, digits and - _ . @ + :, and neither latest nor \
         {NO_RELEASE}: an id of this build, such as its commit"
    );
    Err(bad("DEPLOYMENT_ID", id, &allowed))
}

fn concurrency(value: Option<&str>) -> Result<usize, WorldError> {
    let Some(value) = value else { return Ok(CONCURRENCY_DEFAULT) };
    value
        .parse()
        .ok()
        .filter(|number| (1..=CONCURRENCY_MAX).contains(number))
        .ok_or_else(|| bad("CONCURRENCY", value, &format!("a number from 1 to {CONCURRENCY_MAX}")))
}

/// What a URL may be.
const URLS: &str = "a path, a file: URL, :memory: or a postgres:// URL";

fn location(url: Option<&str>) -> Result<Location, WorldError> {
    let url = url.unwrap_or(PATH_DEFAULT);
    if let Some(name) = url.strip_prefix(":memory:") {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        return match plain {
            true => Ok(Location::Sqlite(sqlite::Location::Memory(name.to_owned()))),
            false => Err(bad("URL", url, "\":memory:\" followed by letters, digits, - and _")),
        };
    }
    if let Some(rest) = url.strip_prefix("file:") {
        return file(url, &file_url_path(rest).ok_or_else(|| bad_path(url))?);
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return PostgresLocation::parse(url).map(Location::Postgres);
    }
    // The rest of a URL may hold a password.
    if let Some((scheme, _)) = url.split_once("://") {
        return Err(bad("URL", &format!("{scheme}://..."), URLS));
    }
    if let Some(scheme) = ["postgres:", "postgresql:"].into_iter().find(|it| url.starts_with(it)) {
        return Err(bad("URL", &format!("{scheme}..."), URLS));
    }
    file(url, url)
}

fn listens_at(location: PostgresLocation, text: &str) -> Result<PostgresLocation, WorldError> {
    location.with_session_at(text).map_err(|error| {
        let message =
            error.message.replace("WORKFLOW_HOOKLINE_URL", "WORKFLOW_HOOKLINE_LISTEN_URL");
        WorldError { message, ..error }
    })
}

/// The path of a file URL after its scheme; `None` if the URL names another host.
fn file_url_path(rest: &str) -> Option<String> {
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(with_host) => {
            let path = with_host.strip_prefix("localhost").unwrap_or(with_host);
            path.starts_with('/').then_some(path)?
        }
    };
    percent_decode(path)
}

fn bad_path(url: &str) -> WorldError {
    bad("URL", url, URLS)
}

fn file(url: &str, path: &str) -> Result<Location, WorldError> {
    if path.is_empty() || path.contains('\0') {
        return Err(bad_path(url));
    }
    let path = PathBuf::from(path);
    if path.is_absolute() {
        return Ok(Location::Sqlite(sqlite::Location::File(path)));
    }
    let here = env::current_dir().map_err(|error| {
        let message = format!(
            "the working directory cannot be read: name the database by an absolute path in \
             WORKFLOW_HOOKLINE_URL [{error}]"
        );
        WorldError::new(ErrorKind::BadConfig, message)
    })?;
    Ok(Location::Sqlite(sqlite::Location::File(here.join(path))))
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            bytes.push(first);
        }
    }
    String::from_utf8(bytes).ok()
}

fn base_url(value: Option<&str>) -> Result<Option<String>, WorldError> {
    let Some(value) = value else { return Ok(None) };
    if is_http(value) {
        return Ok(Some(value.trim_end_matches('/').to_owned()));
    }
    // A URL may hold a password.
    Err(bad("BASE_URL", "no URL of that kind", "an http:// or https:// URL of this app"))
}

fn is_http(url: &str) -> bool {
    let uri: Option<hyper::Uri> = url.parse().ok();
    uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
    })
}

fn workflow_prefix(namespace: Option<&str>) -> Result<String, WorldError> {
    let Some(namespace) = namespace else { return Ok("__wkf_workflow_".into()) };
    let mut bytes = namespace.bytes();
    let starts_well = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
    if starts_well && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        return Ok(format!("__{namespace}_wkf_workflow_"));
    }
    Err(WorldError::new(
        ErrorKind::BadConfig,
        format!(
            "WORKFLOW_QUEUE_NAMESPACE is \"{namespace}\", but must be lower-case letters and digits, \
             a letter first"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut RawConfig)) -> Result<Config, WorldError> {
        let mut raw = RawConfig::default();
        change(&mut raw);
        Config::parse(&raw)
    }

    fn in_file(path: impl Into<PathBuf>) -> Location {
        Location::Sqlite(sqlite::Location::File(path.into()))
    }

    fn in_memory(name: &str) -> Location {
        Location::Sqlite(sqlite::Location::Memory(name.into()))
    }

    #[test]
    fn nothing_said_means_one_file_below_the_working_directory() {
        let config = with(|_| {}).unwrap();
        let path = env::current_dir().unwrap().join(".workflow-data/hookline.db");
        assert_eq!(config.location, in_file(path));
        assert!(config.full_durability && config.role == Role::Worker);
        assert_eq!(config.workflow_prefix, "__wkf_workflow_");
    }

    #[test]
    fn a_url_is_a_path_a_file_url_or_memory() {
        let at = |url: &str| with(|raw| raw.url = Some(url.into())).map(|config| config.location);
        assert_eq!(at("/a/b.db"), Ok(in_file("/a/b.db")));
        assert_eq!(at("file:///a/b%20c.db"), Ok(in_file("/a/b c.db")));
        assert_eq!(at("file:/a/b.db"), Ok(in_file("/a/b.db")));
        assert_eq!(at(":memory:"), Ok(in_memory("")));
        assert_eq!(at(":memory:one"), Ok(in_memory("one")));
        for wrong in ["", ":memory:a/b", "file:%zz", "file://another-host/a.db", "a\0b"] {
            assert_eq!(at(wrong).unwrap_err().kind, ErrorKind::BadConfig, "{wrong:?}");
        }
    }

    #[test]
    fn a_url_of_postgres_names_a_schema_of_a_server() {
        for scheme in ["postgres", "postgresql"] {
            let url = format!("{scheme}://me:secret@db.internal/app?schema=flows");
            let location =
                with(|raw| raw.url = Some(url.into())).map(|config| config.location).unwrap();
            assert!(matches!(location, Location::Postgres(_)), "{location:?}");
        }
    }

    #[test]
    fn only_memory_can_be_for_tests() {
        let at = |url: &str| {
            with(|raw| (raw.url, raw.for_tests) = (Some(url.into()), Some(7))).map(|c| c.for_tests)
        };
        assert_eq!(at(":memory:a"), Ok(Some(7)));
        assert_eq!(at("/a/b.db").unwrap_err().kind, ErrorKind::BadConfig);
    }

    #[test]
    fn a_foreign_url_is_refused_without_printing_its_password() {
        for url in
            ["mysql://me:secret@host/db", "postgres:/me:secret@host/db", "postgresql:me:secret@a"]
        {
            let error = with(|raw| raw.url = Some(url.into())).unwrap_err();
            assert_eq!(error.kind, ErrorKind::BadConfig);
            assert!(!error.message.contains("secret"), "{}", error.message);
        }
    }

    #[test]
    fn a_malformed_setting_names_its_variable_and_what_it_may_be() {
        let error = with(|raw| raw.durability = Some("ful".into())).unwrap_err();
        assert!(error.message.contains("WORKFLOW_HOOKLINE_DURABILITY"), "{}", error.message);
        assert!(error.message.contains("full, normal"), "{}", error.message);
        for wrong in ["0", "-1", "many", "10001"] {
            assert!(with(|raw| raw.concurrency = Some(wrong.into())).is_err(), "{wrong}");
        }
        assert!(with(|raw| raw.base_url = Some("ftp://x".into())).is_err());
        assert!(with(|raw| raw.base_url = Some("https://x".into())).is_ok());
        assert!(with(|raw| raw.queue_namespace = Some("A".into())).is_err());
    }

    #[test]
    fn a_release_is_a_plain_word_that_means_nothing_else() {
        let release =
            |id: &str| with(|raw| raw.deployment_id = Some(id.into())).map(|config| config.release);
        assert_eq!(release("web@1.2.3+abc"), Ok(Some("web@1.2.3+abc".into())));
        assert_eq!(with(|_| {}).unwrap().release, None);
        let too_long = "a".repeat(RELEASE_LENGTH_MAX + 1);
        for wrong in ["", "latest", NO_RELEASE, "a b", "a/b", "ü", &too_long] {
            let error = release(wrong).unwrap_err();
            assert!(error.message.contains("WORKFLOW_HOOKLINE_DEPLOYMENT_ID"), "{}", error.message);
        }
    }
}
