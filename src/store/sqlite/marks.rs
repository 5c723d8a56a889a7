//! Marks by which a process announces itself to others with the same database open. They are locks on
//! bytes far beyond the end of the file: one for the name by which the process opened the file, and one
//! for the process itself.
//!
//! Every version of Hookline reads them, so they are a contract: docs/storage-format.md describes them.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use super::file_id::FileId;
use super::fnv::fnv_1a;
use super::open_file_locks::Bytes;

/// The number of bytes on which each kind of mark may fall.
const SPREAD: i64 = 1 << 59;
/// The bytes for names.
pub(super) const NAMES: Bytes = (1 << 60)..(1 << 60) + SPREAD;
/// The bytes for processes.
const PROCESSES: Bytes = (1 << 61)..(1 << 61) + SPREAD;

/// The byte that the process that may write locks exclusively.
pub(super) const WRITING: Bytes = (1 << 62)..(1 << 62) + 1;

/// The byte of a name: of the folder's identity and the file's name in it. A folder that is mounted
/// twice is one folder. `None` if folders have no identity.
pub(super) fn of_name(database: &Path) -> Option<Bytes> {
    let FileId::Inode(device, inode) = FileId::at(database.parent()?).ok()? else { return None };
    let mut text = format!("{device} {inode} ").into_bytes();
    text.extend_from_slice(database.file_name()?.as_encoded_bytes());
    Some(byte_among(&NAMES, &text))
}

/// The byte of this process, equal in all copies of this addon in the process; `None` if the system
/// does not tell processes apart.
pub(super) fn of_this_process() -> Option<Bytes> {
    static MINE: OnceLock<Option<Bytes>> = OnceLock::new();
    MINE.get_or_init(|| Some(byte_among(&PROCESSES, name_of_process()?.as_bytes()))).clone()
}

/// A name that is unique among the processes of all kernels that may share the file. A process number
/// is not: containers use the same numbers, and numbers are used again.
fn name_of_process() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let started = started_at(&stat)?;
    Some(format!("{} {} {} {started}", boot.trim(), namespace.display(), std::process::id()))
}

/// Field 22 of a process's `stat`. The second field, the program's name, may hold anything.
fn started_at(stat: &str) -> Option<&str> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_ascii_whitespace().nth(19)
}

fn byte_among(place: &Bytes, text: &[u8]) -> Bytes {
    let byte = place.start + (fnv_1a(text) % SPREAD as u64) as i64;
    byte..byte + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_contract() {
        let byte = byte_among(&PROCESSES, b"boot pid:[1] 7 42").start;
        assert_eq!(byte, EXPECTED);
    }

    /// FNV-1a of that text, modulo 2^59, plus 2^61.
    const EXPECTED: i64 = 0x2708_0bc8_b716_5dea;

    #[test]
    fn a_program_may_have_any_name() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4 1 0 0 0 1 1 0 0 20 0 11 0 4242 1 1";
        assert_eq!(started_at(stat), Some("4242"));
    }
}
