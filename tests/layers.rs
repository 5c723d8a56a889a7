//! The house rules that a compiler does not check: who may name whom, how long things may be, and
//! which words no name may hold. Reads the source; comments and texts do not count.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file, its tests excluded.
const FILE_LINES_MAX: usize = 600;
/// Lines of a function.
const FUNCTION_LINES_MAX: usize = 70;

/// Words that say nothing, or history instead of subject; no name holds one.
const FORBIDDEN_WORDS: [&str; 10] =
    ["manager", "helper", "helpers", "util", "utils", "common", "misc", "data", "info", "v2"];
/// What no name of a function or file begins with: as verbs these say nothing, as prefixes they are
/// history.
const FORBIDDEN_BEGINNINGS: [&str; 5] = ["process_", "handle_", "new_", "impl_", "phase1"];
/// Names of the SDK, which stay as they are: `getStreamInfo`, `eventData`.
const NAMES_OF_THE_SDK: [&str; 3] = ["get_stream_info", "stream_info", "EventData"];

/// One source file, as the rules see it.
struct Source {
    /// From the crate's folder, with `/`.
    path: String,
    /// The code: comments, texts and characters are blank, lines are as they were.
    code: String,
}

impl Source {
    fn is_in(&self, place: &str) -> bool {
        self.path == place || self.path.starts_with(&format!("{place}/"))
    }

    /// The code without its unit tests.
    fn without_tests(&self) -> &str {
        // Unit tests are the last item of a file.
        self.code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
    }

    /// Every word of the code, with where it ends.
    fn words(&self) -> Vec<(&str, usize)> {
        words(&self.code)
    }
}

fn words(code: &str) -> Vec<(&str, usize)> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = code.as_bytes();
    let mut words = Vec::new();
    let mut start = None;
    for index in 0..=bytes.len() {
        match (start, bytes.get(index).is_some_and(|byte| is_word(*byte))) {
            (None, true) => start = Some(index),
            (Some(from), false) => {
                words.push((&code[from..index], index));
                start = None;
            }
            _ => {}
        }
    }
    words
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
        Source { path: path.replace('\\', "/"), code: blank(&text) }
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

/// Replaces comments, texts and characters by blanks; line ends stay.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut index = 0;
    while index < bytes.len() {
        let end = match bytes[index] {
            b'/' if bytes[index..].starts_with(b"//") => line_end(bytes, index),
            b'/' if bytes[index..].starts_with(b"/*") => find(bytes, index + 2, b"*/"),
            b'"' => text_end(bytes, index),
            b'r' | b'b' if !follows_word(bytes, index) => raw_text_end(bytes, index),
            b'\'' => character_end(bytes, index),
            _ => index,
        };
        if end == index {
            out.push(if bytes[index].is_ascii() { bytes[index] as char } else { ' ' });
            index += 1;
        } else {
            let kept = |byte: &u8| if *byte == b'\n' { '\n' } else { ' ' };
            out.extend(bytes[index..end].iter().map(kept));
            index = end;
        }
    }
    out
}

fn follows_word(bytes: &[u8], index: usize) -> bool {
    index > 0 && (bytes[index - 1].is_ascii_alphanumeric() || bytes[index - 1] == b'_')
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| from + at)
}

/// Behind the next occurrence of `what`.
fn find(bytes: &[u8], from: usize, what: &[u8]) -> usize {
    let found = bytes[from..].windows(what.len()).position(|window| window == what);
    found.map_or(bytes.len(), |at| from + at + what.len())
}

fn text_end(bytes: &[u8], from: usize) -> usize {
    let mut index = from + 1;
    while index < bytes.len() && bytes[index] != b'"' {
        index += if bytes[index] == b'\\' { 2 } else { 1 };
    }
    (index + 1).min(bytes.len())
}

/// `r"..."`, `r#"..."#` and the same with `b`; `from` itself when it is none of them.
fn raw_text_end(bytes: &[u8], from: usize) -> usize {
    let mut index = from;
    index += usize::from(bytes[index] == b'b');
    if bytes.get(index) != Some(&b'r') {
        return from;
    }
    let hashes = bytes[index + 1..].iter().take_while(|byte| **byte == b'#').count();
    if bytes.get(index + 1 + hashes) != Some(&b'"') {
        return from;
    }
    let end = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    find(bytes, index + 2 + hashes, &end)
}

/// `'x'` and `'\n'`; `from` itself for a lifetime.
fn character_end(bytes: &[u8], from: usize) -> usize {
    let escaped = bytes.get(from + 1) == Some(&b'\\');
    let rest = &bytes[from + 1..];
    let longest = if escaped { 12 } else { 5 };
    let begin = if escaped { 2 } else { 1 };
    match rest.iter().take(longest).skip(begin).position(|byte| *byte == b'\'') {
        // A lifetime may be followed by a character within reach: `<'a>(c: 'b')` is not formatted so.
        Some(at) if escaped || at == 0 || !rest[0].is_ascii() => from + 1 + begin + at + 1,
        _ => from,
    }
}

/// Fails with every violation at once.
#[track_caller]
fn none(violations: Vec<String>) {
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

/// Fails where one of `names` is named outside of `place`.
#[track_caller]
fn only_in(place: &str, names: &[&str]) {
    let mut violations = Vec::new();
    for source in sources().iter().filter(|source| !source.is_in(place)) {
        for (word, _) in source.words().iter().filter(|(word, _)| names.contains(word)) {
            violations.push(format!("{} names {word}, which is for {place} only", source.path));
        }
    }
    none(violations);
}

#[test]
fn only_the_binding_names_napi() {
    only_in("src/binding", &["napi", "napi_derive", "napi_sys"]);
}

#[test]
fn only_the_sqlite_store_names_rusqlite() {
    only_in("src/store/sqlite", &["rusqlite"]);
}

#[test]
fn only_the_postgres_store_names_its_driver() {
    only_in("src/store/postgres", &["tokio_postgres", "postgres_types"]);
}

#[test]
fn only_the_clock_reads_the_process_time() {
    only_in("src/clock.rs", &["SystemTime", "UNIX_EPOCH"]);
    let mut violations = Vec::new();
    for source in sources().iter().filter(|source| source.path != "src/clock.rs") {
        // The queue's timers run on tokio's own clock, never on the standard library's.
        let code = match source.is_in("src/queue") {
            true => source.code.split("std::time::").skip(1).map(statement).collect(),
            false => source.code.clone(),
        };
        if words(&code).iter().any(|(word, _)| *word == "Instant") {
            violations.push(format!("{} names Instant", source.path));
        }
    }
    none(violations);
}

/// What stands before the end of a statement.
fn statement(code: &str) -> &str {
    code.split(';').next().unwrap_or_default()
}

#[test]
fn only_the_queue_waits_by_the_runtimes_time() {
    let mut violations = Vec::new();
    for source in sources().iter().filter(|source| !source.is_in("src/queue")) {
        if source.code.contains("tokio::time") {
            violations.push(format!("{} names tokio::time", source.path));
        }
    }
    none(violations);
}

#[test]
fn only_entropy_draws_random_bytes() {
    only_in("src/entropy.rs", &["getrandom", "rand", "fastrand"]);
}

#[test]
fn only_crypto_names_a_cipher() {
    only_in("src/crypto", &["aes_siv", "chacha20poly1305", "sha2", "hkdf", "aes_gcm"]);
}

#[test]
fn only_the_promises_may_be_unsafe() {
    only_in("src/binding/promise.rs", &["unsafe", "unsafe_code"]);
}

#[test]
fn no_panic_of_an_exported_function_crosses_into_javascript() {
    let mut violations = Vec::new();
    let mut exported = 0;
    for source in sources().iter().filter(|source| source.is_in("src/binding")) {
        for rest in source.without_tests().split("#[napi").skip(1) {
            let Some((attribute, item)) = rest.split_once("]\n") else { continue };
            let Some(signature) = item.trim_start().strip_prefix("pub fn ") else { continue };
            exported += 1;
            if !attribute.contains("catch_unwind") {
                let name = signature.split('(').next().unwrap_or_default();
                violations.push(format!("{}: {name} lacks catch_unwind", source.path));
            }
        }
    }
    assert!(exported > 40, "the exported functions are found");
    none(violations);
}

/// The crate's own modules that a file names by `crate::`.
fn named_modules(source: &Source) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for rest in source.code.split("crate::").skip(1) {
        let list = match rest.strip_prefix('{') {
            Some(group) => first_names(group),
            None => vec![rest],
        };
        for item in list {
            let word = |c: char| !c.is_ascii_alphanumeric() && c != '_';
            names.extend(item.trim_start().split(word).next().map(str::to_owned));
        }
    }
    names
}

/// The items of `{a::b, c::{d, e}}` behind its first brace.
fn first_names(group: &str) -> Vec<&str> {
    let (mut depth, mut from, mut items) = (0, 0, Vec::new());
    for (index, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(&group[from..index]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&group[from..index]);
                from = index + 1;
            }
            _ => {}
        }
    }
    items.retain(|item| !item.trim().is_empty());
    items
}

/// What each part of the house may name. The first place that holds a file counts.
const MAY_NAME: [(&str, &[&str]); 14] = [
    ("src/domain", &["domain"]),
    ("src/clock.rs", &["domain"]),
    ("src/entropy.rs", &["domain", "lock"]),
    ("src/lock.rs", &[]),
    ("src/sharing.rs", &["lock"]),
    ("src/error.rs", &["domain"]),
    ("src/crypto", &["crypto", "domain", "error", "entropy"]),
    ("src/store", &["store", "crypto", "domain", "error", "clock", "entropy", "lock"]),
    ("src/board", &["board", "store", "domain", "error", "lock"]),
    ("src/queue", &["queue", "store", "crypto", "domain", "error", "clock", "entropy", "lock"]),
    ("src/test_controls.rs", &["store", "clock"]),
    ("src/config.rs", &["store", "crypto", "domain", "error", "clock", "entropy", "lock", "queue"]),
    (
        "src/world.rs",
        &[
            "board",
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
            "board", "binding", "world", "config", "queue", "store", "crypto", "domain", "error",
            "lock",
        ],
    ),
];

#[test]
fn each_layer_names_only_the_layers_below_it() {
    let mut violations = Vec::new();
    for source in sources() {
        let layer = MAY_NAME.iter().find(|(place, _)| source.is_in(place));
        let Some((place, may_name)) = layer else {
            if source.path != "src/lib.rs" {
                violations.push(format!("{} stands in no layer of this test", source.path));
            }
            continue;
        };
        for name in named_modules(&source) {
            if !may_name.contains(&name.as_str()) {
                violations.push(format!("{} names crate::{name}; {place} may not", source.path));
            }
        }
    }
    none(violations);
}

#[test]
fn the_queue_and_the_board_know_the_store_and_not_its_sql() {
    let mut violations = Vec::new();
    for source in sources() {
        let knows =
            source.code.contains("store::sqlite") || source.code.contains("store::postgres");
        if knows && (source.is_in("src/queue") || source.is_in("src/board")) {
            violations.push(format!("{} names a kind of store", source.path));
        }
    }
    none(violations);
}

#[test]
fn no_file_leaves_the_crate_by_way_of_super() {
    let mut violations = Vec::new();
    for source in sources() {
        let depth = source.path.matches('/').count();
        let is_folder = source.path.ends_with("/mod.rs");
        // One more inside the unit tests, which are a module of their own.
        let supers_max = depth - usize::from(is_folder) + 1;
        if source.code.contains(&"super::".repeat(supers_max + 1)) {
            violations.push(format!("{} climbs above the crate's root", source.path));
        }
        if supers_max > 1 && source.without_tests().contains(&"super::".repeat(supers_max)) {
            violations.push(format!("{} names a layer by super:: instead of crate::", source.path));
        }
    }
    none(violations);
}

/// The functions of a file: name, first line, number of lines.
fn functions(source: &Source) -> Vec<(&str, usize, usize)> {
    let code = source.code.as_str();
    let words = source.words();
    let mut functions = Vec::new();
    for pair in words.windows(2) {
        let [("fn", keyword_end), (name, name_end)] = pair else { continue };
        // `fn(u8)` is a type: no name stands right behind it.
        if code[*keyword_end..].trim_start().starts_with('(') {
            continue;
        }
        if let Some(length) = body_length(&code[*name_end..]) {
            let line = code[..*name_end].matches('\n').count() + 1;
            let lines = code[*name_end..*name_end + length].matches('\n').count() + 1;
            functions.push((*name, line, lines));
        }
    }
    functions
}

/// How far a function goes from its name to its closing brace; `None` without a body.
fn body_length(code: &str) -> Option<usize> {
    let (mut depth, mut brackets) = (0, 0);
    for (index, c) in code.char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets -= 1,
            ';' if depth == 0 && brackets == 0 => return None,
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(index);
                }
            }
            _ => {}
        }
    }
    None
}

#[test]
fn no_file_is_longer_than_600_lines() {
    let mut violations = Vec::new();
    for source in sources() {
        let lines = source.without_tests().lines().count();
        if lines > FILE_LINES_MAX {
            violations.push(format!("{} has {lines} lines without its tests", source.path));
        }
    }
    none(violations);
}

#[test]
fn no_function_is_longer_than_70_lines() {
    let mut violations = Vec::new();
    let mut count = 0;
    for source in sources() {
        for (name, line, lines) in functions(&source) {
            count += 1;
            if lines > FUNCTION_LINES_MAX {
                violations.push(format!("{}:{line}: {name} has {lines} lines", source.path));
            }
        }
    }
    assert!(count > 200, "the functions are found: {count}");
    none(violations);
}

/// The words of a name, in lower case, in either case style.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for c in name.chars() {
        if c == '_' || c == '.' || c.is_ascii_uppercase() {
            parts.push(String::new());
        }
        if c.is_ascii_alphanumeric() {
            parts.last_mut().expect("there is one").push(c.to_ascii_lowercase());
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

fn is_forbidden(name: &str) -> bool {
    let begins_badly = FORBIDDEN_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning));
    let says_nothing = parts(name).iter().any(|part| FORBIDDEN_WORDS.contains(&part.as_str()));
    (begins_badly || says_nothing) && !NAMES_OF_THE_SDK.contains(&name)
}

#[test]
fn no_file_type_or_function_has_a_name_that_says_nothing() {
    let mut violations = Vec::new();
    for source in sources() {
        for folder_or_file in source.path.trim_end_matches(".rs").split('/') {
            if is_forbidden(folder_or_file) {
                violations.push(format!("{}: the path", source.path));
            }
        }
        for pair in words(source.without_tests()).windows(2) {
            let [(keyword, _), (name, _)] = pair else { continue };
            let names = matches!(*keyword, "fn" | "struct" | "enum" | "trait" | "type" | "mod");
            if names && is_forbidden(name) {
                violations.push(format!("{}: {keyword} {name}", source.path));
            }
        }
    }
    none(violations);
}

#[test]
fn every_module_says_what_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let undocumented = |source: &Source| {
        let text = fs::read_to_string(root.join(&source.path)).expect("a source file is text");
        !text.starts_with("//!")
    };
    let violations =
        sources().iter().filter(|source| undocumented(source)).map(|s| s.path.clone()).collect();
    none(violations);
}

mod self_test {
    //! The reader of source itself.

    use super::*;

    fn source(text: &str) -> Source {
        Source { path: "src/a.rs".into(), code: blank(text) }
    }

    #[test]
    fn comments_texts_and_characters_are_blank_and_code_is_not() {
        let text = "let a = \"napi \\\" napi\"; // napi\n/* napi\n */ let b = r#\"napi\"#; \
                    let c = 'n'; let d = '\\n'; fn f<'napi>(x: &'napi str) {} b\"napi\"";
        let found = source(text);
        let words: Vec<_> = found.words().into_iter().map(|(word, _)| word).collect();
        assert_eq!(words.iter().filter(|word| **word == "napi").count(), 2, "{words:?}");
        assert_eq!(found.code.matches('\n').count(), 2);
        assert!(!words.contains(&"n"), "{words:?}");
    }

    #[test]
    fn modules_are_found_in_paths_and_in_groups() {
        let found = source("use crate::a::b; use crate::{c::{d, e}, f}; x: crate::g::H");
        assert_eq!(named_modules(&found), ["a", "c", "f", "g"].map(str::to_owned).into());
    }

    #[test]
    fn functions_are_measured_from_their_name_to_their_last_brace() {
        let found = source("trait T { fn a(&self); }\nfn b(x: fn(u8)) {\n  if x {\n  }\n}\n");
        assert_eq!(functions(&found), [("b", 2, 4)]);
    }

    #[test]
    fn forbidden_words_are_found_in_both_case_styles() {
        for name in ["run_data", "RunManager", "handle_event", "new_run", "process_run", "util"] {
            assert!(is_forbidden(name), "{name}");
        }
        for name in
            ["new", "NewMessage", "handler", "database", "renew_lease", "processes", "metadata"]
        {
            assert!(!is_forbidden(name), "{name}");
        }
    }
}
