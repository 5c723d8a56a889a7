//! The house rules that neither the compiler nor clippy checks: which part may name which, how long
//! files may be, and which words no name may contain. Clippy checks the rest (`clippy.toml`, `[lints]`
//! in Cargo.toml).
//!
//! The source is read as lines of text. Text after `//` in a line does not count. A word in a string
//! counts, so that this needs no parser.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file, its tests excluded.
const FILE_LINES_MAX: usize = 600;

/// Names that only some places may use. The last three would silence a lint.
const ONLY_IN: [(&[&str], &[&str]); 9] = [
    (&["src/binding"], &["napi", "napi_derive", "napi_sys"]),
    (&["src/store/sqlite"], &["rusqlite"]),
    (&["src/store/postgres"], &["tokio_postgres", "postgres_types"]),
    (&["src/entropy.rs"], &["getrandom", "rand", "fastrand"]),
    (&["src/crypto"], &["aes_siv", "chacha20poly1305", "sha2", "hkdf", "aes_gcm"]),
    // Other code awaits an event instead of a time.
    (&["src/queue", "src/store/postgres"], &["tokio::time"]),
    (&["src/binding/promise.rs"], &["unsafe", "unsafe_code"]),
    (&["src/clock.rs"], &["disallowed_types", "disallowed_methods"]),
    (&[], &["too_many_lines"]),
];

/// Names that a place may not use, though it may use the module above.
const NOT_IN: [(&str, &[&str]); 2] = [
    ("src/queue", &["store::sqlite", "store::postgres"]),
    ("src/board", &["store::sqlite", "store::postgres"]),
];

/// The names that each part of the house may use. The first place that contains a file counts.
const MAY_NAME: [(&str, &[&str]); 17] = [
    ("src/domain", &["domain"]),
    ("src/clock.rs", &["domain"]),
    ("src/entropy.rs", &["domain", "lock"]),
    ("src/lock.rs", &[]),
    ("src/host.rs", &[]),
    ("src/sharing.rs", &["lock"]),
    ("src/error.rs", &["domain"]),
    ("src/crypto", &["crypto", "domain", "error", "entropy"]),
    ("src/store", &["store", "crypto", "domain", "error", "clock", "entropy", "lock", "host"]),
    ("src/board", &["board", "store", "domain", "error", "lock"]),
    (
        "src/queue",
        &["queue", "store", "crypto", "domain", "error", "clock", "entropy", "lock", "host"],
    ),
    ("src/test_controls.rs", &["store", "clock"]),
    ("src/config.rs", &["store", "crypto", "domain", "error", "clock", "entropy", "lock", "queue"]),
    ("src/database.rs", &["config", "store", "error", "clock"]),
    ("src/moving.rs", &["config", "store", "error", "clock", "lock"]),
    (
        "src/world",
        &[
            "board",
            "database",
            "config",
            "queue",
            "store",
            "crypto",
            "domain",
            "error",
            "clock",
            "entropy",
            "lock",
            "sharing",
            "test_controls",
        ],
    ),
    (
        "src/binding",
        &[
            "board", "binding", "world", "config", "moving", "queue", "store", "crypto", "domain",
            "error", "lock",
        ],
    ),
];

/// Words without meaning, or about history instead of the subject. No name contains one.
const FORBIDDEN_WORDS: [&str; 10] =
    ["manager", "helper", "helpers", "util", "utils", "common", "misc", "data", "info", "v2"];
/// Beginnings that no name of a function or file has. As verbs they have no meaning; as prefixes they
/// are history.
const FORBIDDEN_BEGINNINGS: [&str; 5] = ["process_", "handle_", "new_", "impl_", "phase1"];
/// Names of the SDK, which stay as they are: `getStreamInfo`, `eventData`.
const NAMES_OF_THE_SDK: [&str; 3] = ["get_stream_info", "stream_info", "EventData"];

/// One source file.
struct Source {
    /// From the crate's folder, separated by `/`.
    path: String,
    text: String,
}

impl Source {
    fn is_in(&self, place: &str) -> bool {
        let root = format!("{place}.rs");
        self.path == place || self.path == root || self.path.starts_with(&format!("{place}/"))
    }

    /// Its lines without comments.
    fn lines(&self) -> impl Iterator<Item = &str> {
        lines(&self.text)
    }

    /// Its lines without comments and without its unit tests, which are the last item of a file.
    fn lines_without_tests(&self) -> impl Iterator<Item = &str> {
        lines(self.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default())
    }

    /// Whether a line contains this name, as a whole word or path.
    fn names(&self, name: &str) -> bool {
        let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        self.lines().any(|line| {
            line.match_indices(name).any(|(at, _)| {
                let (before, after) = (&line[..at], &line[at + name.len()..]);
                !is_part(before.chars().next_back()) && !is_part(after.chars().next())
            })
        })
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split("//").next().unwrap_or_default())
}

/// The words of a line.
fn words(line: &str) -> Vec<&str> {
    let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter(|word| !word.is_empty()).collect()
}

/// Every Rust file of the crate's own source.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join("src"), &mut files);
    assert!(files.len() > 20, "the source is found");
    let read = |file: &PathBuf| {
        let path = file.strip_prefix(root).expect("it is in the crate").display().to_string();
        let text = fs::read_to_string(file).expect("a source file is text");
        Source { path: path.replace('\\', "/"), text }
    };
    files.iter().map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a source folder is read") {
        let path = entry.expect("a source folder is read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Fails with every violation of a rule at once.
#[track_caller]
fn none(violations: impl Fn(&Source) -> Vec<String>) {
    let all: Vec<String> = sources()
        .iter()
        .flat_map(|source| {
            violations(source).into_iter().map(|what| format!("{}: {what}", source.path))
        })
        .collect();
    assert!(all.is_empty(), "\n{}", all.join("\n"));
}

#[test]
fn each_place_names_only_what_is_for_it() {
    none(|source| {
        // The root of the crate sets the lints.
        let is_root = source.path == "src/lib.rs";
        let elsewhere = ONLY_IN
            .iter()
            .filter(|(places, _)| !is_root && !places.iter().any(|place| source.is_in(place)));
        let elsewhere = elsewhere.flat_map(|(_, names)| *names);
        let here = NOT_IN.iter().filter(|(place, _)| source.is_in(place));
        let names = elsewhere.chain(here.flat_map(|(_, names)| *names));
        names.filter(|name| source.names(name)).map(|name| format!("names {name}")).collect()
    });
}

#[test]
fn each_layer_names_only_the_layers_below_it() {
    none(|source| {
        let Some((_, may_name)) = MAY_NAME.iter().find(|(place, _)| source.is_in(place)) else {
            let is_root = source.path == "src/lib.rs";
            return if is_root { vec![] } else { vec!["is in no layer of this test".into()] };
        };
        let named = source.lines().flat_map(|line| line.split("crate::").skip(1)).map(|rest| {
            // A group, `crate::{..}`, has no first word, because each layer is named in its own line.
            rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
        });
        let others = named.filter(|name| !may_name.contains(name));
        others.map(|name| format!("names crate::{name}")).collect()
    });
}

#[test]
fn no_file_leaves_its_layer_by_way_of_super() {
    none(|source| {
        let depth = source.path.matches('/').count();
        let is_folder = source.path.ends_with("/mod.rs");
        // This many `super::` lead to the crate's root; inside the unit tests, one more.
        let to_root = "super::".repeat(depth - usize::from(is_folder));
        let climbs = !to_root.is_empty()
            && source.lines_without_tests().any(|line| line.contains(&to_root))
            || source.lines().any(|line| line.contains(&format!("{to_root}super::")));
        if climbs {
            vec!["names another layer by super:: instead of crate::".into()]
        } else {
            vec![]
        }
    });
}

#[test]
fn no_panic_of_an_exported_function_crosses_into_javascript() {
    none(|source| {
        let mut unsafe_names = Vec::new();
        for exported in source.text.split("#[napi").skip(1) {
            let Some((attribute, item)) = exported.split_once("]\n") else { continue };
            if let Some(signature) = item.trim_start().strip_prefix("pub fn ")
                && !attribute.contains("catch_unwind")
            {
                unsafe_names.push(format!("{} lacks catch_unwind", words(signature)[0]));
            }
        }
        unsafe_names
    });
}

#[test]
fn no_file_is_longer_than_600_lines() {
    none(|source| {
        let lines = source.lines_without_tests().count();
        if lines > FILE_LINES_MAX {
            vec![format!("has {lines} lines without its tests")]
        } else {
            vec![]
        }
    });
}

#[test]
fn every_module_says_what_it_is() {
    none(
        |source| {
            if source.text.starts_with("//!") {
                vec![]
            } else {
                vec!["begins without `//!`".into()]
            }
        },
    );
}

/// The words of a name in either case style, in lower case.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for c in name.chars() {
        if c == '_' || c.is_ascii_uppercase() {
            parts.push(String::new());
        }
        if c != '_' {
            parts.last_mut().expect("there is one").push(c.to_ascii_lowercase());
        }
    }
    parts
}

fn is_forbidden(name: &str) -> bool {
    let begins_badly = FORBIDDEN_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning));
    let says_nothing = parts(name).iter().any(|part| FORBIDDEN_WORDS.contains(&part.as_str()));
    (begins_badly || says_nothing) && !NAMES_OF_THE_SDK.contains(&name)
}

#[test]
fn no_file_type_or_function_has_a_name_that_says_nothing() {
    for name in ["run_data", "RunManager", "handle_event", "new_run", "process_run", "util"] {
        assert!(is_forbidden(name), "{name}");
    }
    for name in ["new", "NewMessage", "handler", "database", "renew_lease", "processes", "metadata"]
    {
        assert!(!is_forbidden(name), "{name}");
    }
    none(|source| {
        let mut names = words(source.path.trim_end_matches(".rs"));
        for line in source.lines_without_tests() {
            for pair in words(line).windows(2) {
                if matches!(pair[0], "fn" | "struct" | "enum" | "trait" | "type" | "mod") {
                    names.push(pair[1]);
                }
            }
        }
        let forbidden = names.into_iter().filter(|name| is_forbidden(name));
        forbidden.map(|name| format!("the name {name}")).collect()
    });
}
