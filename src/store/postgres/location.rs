//! The URL of a database: what it names, and where its password comes from.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{ErrorKind, WorldError};

/// The schema that holds the tables, unless the URL says another one.
const SCHEMA_DEFAULT: &str = "hookline";
/// Postgres cuts longer names short.
const NAME_BYTES_MAX: usize = 63;
const PORT_DEFAULT: u16 = 5432;

/// How far the server is trusted, as in libpq.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS if the server has it, with any certificate.
    Prefer,
    /// TLS with any certificate.
    Require,
    /// The certificate must be of a known authority.
    VerifyCa,
    /// It must also be for the name of the host.
    VerifyFull,
}

/// Where a worker has its session: a connection of its own to the server, without a pooler that gives
/// each transaction another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionAt {
    /// Where the database is.
    Database,
    /// Elsewhere: the same database, past the pooler.
    Url(Box<PostgresLocation>),
    /// There is none.
    Nowhere,
}

/// A database of a Postgres server, and how it is reached. Its `Debug` hides the password.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresLocation {
    /// Each a name, an address or the folder of a socket, with its port. The first that answers counts.
    pub(super) hosts: Vec<(String, u16)>,
    pub(super) user: String,
    pub(super) password: Option<String>,
    pub(super) database: String,
    /// The schema that holds the tables.
    pub(super) schema: String,
    pub(super) ssl_mode: SslMode,
    /// A file of authorities in PEM; `None` for those of the system.
    pub(super) root_certificates: Option<PathBuf>,
    /// The certificate of this client and its key, both in PEM.
    pub(super) client_certificate: Option<(PathBuf, PathBuf)>,
    pub(super) session: SessionAt,
}

impl fmt::Debug for PostgresLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl PostgresLocation {
    /// Reads a URL: `postgres://user:password@host:port/database?sslmode=..&schema=..`. A password that
    /// it does not hold comes from `PGPASSWORD` or from the password file.
    ///
    /// # Errors
    /// `BadConfig`. It never quotes the URL, which may hold a password.
    pub fn parse(url: &str) -> Result<Self, WorldError> {
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let rest = rest.ok_or_else(|| bad("does not begin with postgres://"))?;
        let (before_query, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = before_query.split_once('/').unwrap_or((before_query, ""));
        let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match credentials.split_once(':') {
            Some((user, password)) => (decoded(user)?, Some(decoded(password)?)),
            None => (decoded(credentials)?, None),
        };
        let user = Some(user).filter(|user| !user.is_empty()).or_else(|| env::var("PGUSER").ok());
        let user = user.ok_or_else(|| bad("names no user"))?;
        let database = decoded(path)?;
        let mut location = Self {
            hosts: hosts_of(hosts)?,
            database: if database.is_empty() { user.clone() } else { database },
            user,
            password,
            schema: SCHEMA_DEFAULT.into(),
            ssl_mode: SslMode::Prefer,
            root_certificates: None,
            client_certificate: None,
            session: SessionAt::Database,
        };
        location.apply(query)?;
        if location.password.is_none() {
            location.password = match env::var("PGPASSWORD") {
                Ok(password) => Some(password),
                Err(_) => location.password_of_file()?,
            };
        }
        Ok(location)
    }

    /// The same database with another place for sessions: a URL, or `off` for none.
    ///
    /// # Errors
    /// As [`PostgresLocation::parse`].
    pub fn with_session_at(self, text: &str) -> Result<Self, WorldError> {
        let session = match text {
            "off" => SessionAt::Nowhere,
            url => SessionAt::Url(Box::new(Self::parse(url)?)),
        };
        Ok(Self { session, ..self })
    }

    /// The place of the session if that is another one, with the schema of this database.
    pub(super) fn apart(&self) -> Option<Self> {
        match &self.session {
            SessionAt::Url(location) => {
                Some(Self { schema: self.schema.clone(), ..(**location).clone() })
            }
            SessionAt::Database | SessionAt::Nowhere => None,
        }
    }

    fn apply(&mut self, query: &str) -> Result<(), WorldError> {
        let (mut ssl_mode, mut certificate, mut key) = (None, None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value)?;
            match name {
                "sslmode" => ssl_mode = Some(ssl_mode_of(&value)?),
                "sslrootcert" if value == "system" => self.root_certificates = None,
                "sslrootcert" => self.root_certificates = Some(value.into()),
                "sslcert" => certificate = Some(PathBuf::from(value)),
                "sslkey" => key = Some(PathBuf::from(value)),
                "schema" => self.schema = schema_of(value)?,
                "host" => self.hosts = hosts_of(&value)?,
                _ => {
                    return Err(bad(&format!(
                        "has the parameter \"{name}\", but only sslmode, sslrootcert, sslcert, \
                         sslkey, schema and host are known"
                    )));
                }
            }
        }
        self.client_certificate = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(bad("needs both sslcert and sslkey, or neither")),
        };
        let here = self.hosts.iter().all(|(host, _)| is_here(host));
        let unless_said = if here { SslMode::Prefer } else { SslMode::VerifyFull };
        self.ssl_mode = ssl_mode.unwrap_or(unless_said);
        Ok(())
    }

    /// The URL without the password, for people.
    pub fn shown(&self) -> String {
        let hosts: Vec<String> =
            self.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        format!(
            "postgres://{}@{}/{}?schema={}",
            self.user,
            hosts.join(","),
            self.database,
            self.schema
        )
    }

    /// The password that the file `PGPASSFILE`, or `~/.pgpass`, has for the first host.
    fn password_of_file(&self) -> Result<Option<String>, WorldError> {
        let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".pgpass"));
        let path = env::var_os("PGPASSFILE").map(PathBuf::from).or_else(home);
        let text = path.as_ref().and_then(|path| fs::read_to_string(path).ok());
        let (Some(path), Some(text), Some((host, port))) = (path, text, self.hosts.first()) else {
            return Ok(None);
        };
        let host = if host.starts_with('/') { "localhost" } else { host };
        let found = password_in(&text, [host, &port.to_string(), &self.database, &self.user]);
        match found.is_some() && is_open_to_others(&path) {
            true => Err(WorldError::new(
                ErrorKind::BadConfig,
                format!("others may read the password file; chmod 600 {}", path.display()),
            )),
            false => Ok(found),
        }
    }
}

#[cfg(unix)]
fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0)
}

/// The folder of the user protects the file.
#[cfg(not(unix))]
fn is_open_to_others(_: &Path) -> bool {
    false
}

fn bad(why: &str) -> WorldError {
    WorldError::new(
        ErrorKind::BadConfig,
        format!(
            "the Postgres URL of WORKFLOW_HOOKLINE_URL {why}; it must be like \
             postgres://user:password@host:5432/database?sslmode=verify-full&schema=hookline"
        ),
    )
}

fn ssl_mode_of(text: &str) -> Result<SslMode, WorldError> {
    Ok(match text {
        "disable" => SslMode::Disable,
        "allow" | "prefer" => SslMode::Prefer,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        "verify-full" => SslMode::VerifyFull,
        _ => {
            return Err(bad(
                "has an unknown sslmode; known are disable, prefer, require, verify-ca, verify-full",
            ));
        }
    })
}

/// Any other name would need quotes in every statement that people write.
fn schema_of(name: String) -> Result<String, WorldError> {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let starts_well = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
    if starts_well
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(is_plain)
        && !name.starts_with("pg_")
    {
        return Ok(name);
    }
    Err(bad("has a schema that is not at most 63 lower-case letters, digits and _, a letter first"))
}

fn is_here(host: &str) -> bool {
    host.starts_with('/') || ["localhost", "127.0.0.1", "::1"].contains(&host)
}

/// Reads `host:port,host:port`; an IPv6 address is in brackets.
fn hosts_of(text: &str) -> Result<Vec<(String, u16)>, WorldError> {
    if text.is_empty() {
        return Ok(vec![("localhost".into(), PORT_DEFAULT)]);
    }
    let host_of = |text: &str| {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(|| bad("has no closing ]"))?;
                (host, rest.strip_prefix(':'))
            }
            None => match text.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().map_err(|_| bad("has a port that is no number"))?,
            None => PORT_DEFAULT,
        };
        Ok((decoded(host)?, port))
    };
    text.split(',').map(host_of).collect()
}

fn decoded(text: &str) -> Result<String, WorldError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or_else(|| bad("has a % without two hexadecimal digits"))?);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).map_err(|_| bad("is not UTF-8"))
}

/// Finds the line `host:port:database:user:password` for these four. `*` is any, `\` quotes.
fn password_in(text: &str, sought: [&str; 4]) -> Option<String> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields_of(line);
        let [password] = fields.get(4..)? else { return None };
        let fits = fields.iter().zip(sought).all(|(field, sought)| field == "*" || field == sought);
        fits.then(|| password.clone())
    })
}

fn fields_of(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ':' => fields.push(String::new()),
            '\\' => fields.last_mut().into_iter().for_each(|field| field.extend(characters.next())),
            _ => fields.last_mut().into_iter().for_each(|field| field.push(character)),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_hosts_user_database_and_schema() {
        let url = "postgres://me:p%40ss@[::1]:1,db.example:2/orders?schema=flows&sslmode=require";
        let location = PostgresLocation::parse(url).unwrap();
        assert_eq!(location.hosts, [("::1".to_owned(), 1), ("db.example".to_owned(), 2)]);
        assert_eq!((&*location.user, location.password.as_deref()), ("me", Some("p@ss")));
        assert_eq!((&*location.database, &*location.schema), ("orders", "flows"));
        assert_eq!(location.ssl_mode, SslMode::Require);
    }

    #[test]
    fn what_is_not_said_is_safe_elsewhere_and_easy_here() {
        let here = PostgresLocation::parse("postgresql://me:p@localhost/a").unwrap();
        assert_eq!(here.ssl_mode, SslMode::Prefer);
        assert_eq!((here.hosts[0].1, &*here.schema), (5432, "hookline"));
        let socket = PostgresLocation::parse("postgres://me:p@/a?host=/run/postgresql").unwrap();
        assert_eq!((&*socket.hosts[0].0, socket.ssl_mode), ("/run/postgresql", SslMode::Prefer));
        let elsewhere = PostgresLocation::parse("postgres://me:p@db.example/a").unwrap();
        assert_eq!(elsewhere.ssl_mode, SslMode::VerifyFull);
    }

    #[test]
    fn no_error_and_no_debug_text_holds_the_password() {
        let ports = ["postgres://me:secret@h:x/a", "postgres://me:secret@h/a?x=1"];
        let modes = ["postgres://me:secret@h/a?sslmode=no", "postgres://me:secret@h/a?schema=A"];
        for url in ports.into_iter().chain(modes) {
            let error = PostgresLocation::parse(url).unwrap_err();
            assert_eq!(error.kind, ErrorKind::BadConfig);
            assert!(!error.message.contains("secret"), "{}", error.message);
        }
        let location = PostgresLocation::parse("postgres://me:secret@h/a").unwrap();
        assert!(!format!("{location:?}").contains("secret"));
    }

    #[test]
    fn the_password_file_has_wildcards_and_quotes() {
        let text = "# comment\nother:5432:*:me:wrong\nh:5432:*:me:a\\:b\n*:*:*:*:any";
        assert_eq!(password_in(text, ["h", "5432", "a", "me"]).as_deref(), Some("a:b"));
        assert_eq!(password_in(text, ["h", "5433", "a", "me"]).as_deref(), Some("any"));
        assert_eq!(password_in("h:1:a:me", ["h", "1", "a", "me"]), None);
    }
}
