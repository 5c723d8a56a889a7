//! The host's claim: only one host at a time has a database. A file beside the database names the host
//! and shows when it last renewed its claim.
//!
//! A second host must know this before SQLite opens the file, because opening could rebuild the shared
//! memory that the first host uses. So the claim is not in a table. Each process that writes renews the
//! file, and the last one to close removes it. A host that stays silent for long enough counts as dead.
//! If it comes back, it finds another host's name and stops writing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind as Io, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::access::lock_files_refused;
use super::file_id::FileId;
use super::host::{Host, Standing};
use super::resolve::beside;
use super::same_access::SameAccess;
use crate::clock::{self, Clock};
use crate::entropy::Entropy;
use crate::error::{ErrorKind, WorldError};
use crate::lock::lock;

/// The file's name, in the folder of lock files.
pub(super) const FILE: &str = "host";
/// The interval at which the claim is renewed.
pub(super) const RENEW_EVERY: Duration = Duration::from_secs(10);
/// A process that has not renewed it for this long checks it before it writes anything.
const LOOK_AFTER_MS: i64 = 20_000;
/// Another host may take over after this silence.
const SILENCE: Duration = Duration::from_secs(60);

const _: () = {
    assert!(2 * RENEW_EVERY.as_millis() <= LOOK_AFTER_MS as u128, "one renewal may fail");
    assert!(
        2 * LOOK_AFTER_MS as u128 <= SILENCE.as_millis(),
        "a host that is followed by another one has long looked before it writes"
    );
};

/// The number of looks at a file that changes during the look.
const LOOKS_MAX: u32 = 100;
/// The pause between such looks.
const NAP: Duration = Duration::from_millis(5);

/// The contents of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Said {
    #[serde(flatten)]
    host: Host,
    /// The time at which this host took the database, by its own clock.
    since_ms: i64,
}

/// This process's part in its host's claim.
pub(super) struct HostClaim {
    database: PathBuf,
    folder: PathBuf,
    file: PathBuf,
    host: Host,
    clock: Arc<dyn Clock>,
    /// Locked shared by all processes of this host, so that the last one knows that it is the last.
    held: Mutex<Option<File>>,
    /// `None` while there was no space for the claim.
    renewed: Mutex<Option<Moment>>,
    /// Set once another host has the database.
    lost: OnceLock<WorldError>,
}

/// A point in time by both clocks of this host. The one can be set, and the other stops while the
/// machine sleeps.
#[derive(Debug, Clone, Copy, Default)]
struct Moment {
    now_ms: i64,
    elapsed_ms: i64,
}

impl Moment {
    fn of(clock: &dyn Clock) -> Self {
        Self { now_ms: clock.now_ms(), elapsed_ms: clock.elapsed_ms() }
    }

    /// The longer of the two clocks' answers.
    fn ms_since(self, earlier: Self) -> i64 {
        let by_time = (self.now_ms - earlier.now_ms).abs();
        by_time.max(self.elapsed_ms - earlier.elapsed_ms)
    }
}

/// The result of a look at the file.
enum Look {
    /// This host has the claim.
    Ours(File),
    /// No host has it.
    Nobody,
    /// Another host has or had it.
    Theirs(Option<Said>),
    /// The file changed during the look.
    Again,
}

impl HostClaim {
    /// Claims the database for this host, or joins its other processes. Blocks for a moment.
    ///
    /// # Errors
    /// `Busy` while another host has it, with that host's name and the time to try again; `ReadOnly` or
    /// `Io` if the file cannot be written. A full disk is an error only of the first write.
    pub(super) fn take(
        database: &Path,
        host: Host,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, WorldError> {
        let folder = beside(database, "-owners");
        let claim = Self {
            database: database.to_owned(),
            file: folder.join(FILE),
            folder,
            host,
            clock,
            held: Mutex::default(),
            renewed: Mutex::default(),
            lost: OnceLock::new(),
        };
        let mut has_followed = false;
        for look in 1..=LOOKS_MAX {
            let before = Moment::of(&*claim.clock);
            let taken = match claim.look().map_err(|error| claim.refused(&error))? {
                Look::Ours(file) => claim.join(file),
                Look::Nobody => match claim.create() {
                    // The database can be read. The claim is taken before anything is written.
                    Err(error) if error.kind() == Io::StorageFull => return Ok(claim),
                    created => created.map_err(|error| claim.refused(&error))?,
                },
                // A process has been writing the file all this time, or died while writing it.
                Look::Theirs(None) | Look::Again if look < LOOKS_MAX / 2 => false,
                Look::Again => claim.follow(&None).map(|()| false)?,
                Look::Theirs(said) => {
                    has_followed = true;
                    claim.follow(&said).map(|()| false)?
                }
            };
            if taken && !has_followed {
                *lock(&claim.renewed) = Some(before);
                return Ok(claim);
            }
            // Other hosts may also have taken over. The host whose name is now in the file has the
            // claim.
            has_followed &= !taken;
            std::thread::sleep(NAP);
        }
        Err(claim.refused(&io::Error::from(Io::ResourceBusy)))
    }

    fn look(&self) -> io::Result<Look> {
        let mut file = match OpenOptions::new().read(true).write(true).open(&self.file) {
            Ok(file) => file,
            Err(error) if error.kind() == Io::NotFound => return Ok(Look::Nobody),
            // Another user of this host may have left the file. This user may take over from them.
            Err(error) if error.kind() == Io::PermissionDenied => {
                return match read(&self.file) {
                    Ok(text) => Ok(Look::Theirs(parse(&text))),
                    Err(_) => Err(error),
                };
            }
            Err(error) => return Err(error),
        };
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let Some(said) = parse(&text) else { return Ok(Look::Again) };
        if self.host.standing_to(&said.host) != Standing::Same {
            return Ok(Look::Theirs(Some(said)));
        }
        // Writes the same text at the same place: nobody ever reads half of it, and the file's time is
        // new.
        file.rewind()?;
        file.write_all(text.as_bytes())?;
        Ok(if leads_to(&self.file, &file) { Look::Ours(file) } else { Look::Again })
    }

    fn create(&self) -> io::Result<bool> {
        let access = SameAccess::as_has(&self.database)?;
        access.make_folder(&self.folder)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        // The file holds no secret. Another user of this host must be able to read that it is this
        // host.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o644);
        let mut file = match options.open(&self.file) {
            Ok(file) => file,
            // Another process was faster, or the last one of this host has just left.
            Err(error) if matches!(error.kind(), Io::AlreadyExists | Io::NotFound) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let said = Said { host: self.host.clone(), since_ms: self.clock.now_ms() };
        let written = file.write_all(serde_json::to_string(&said)?.as_bytes());
        if let Err(error) = written {
            // A half-written file would keep every host away.
            let _ = fs::remove_file(&self.file);
            return Err(error);
        }
        access.let_all_read(&file);
        self.hold(file);
        Ok(true)
    }

    /// Whether the file is still there. The last of the other processes may have removed it.
    fn join(&self, file: File) -> bool {
        self.hold(file);
        lock(&self.held).as_ref().is_some_and(|file| leads_to(&self.file, file))
    }

    fn hold(&self, file: File) {
        // On Windows a lock keeps everybody from writing. Without the lock, the file is left behind.
        if cfg!(unix) {
            let _ = file.lock_shared();
        }
        *lock(&self.held) = Some(file);
    }

    /// Removes the claim of a host that is gone.
    fn follow(&self, seen: &Option<Said>) -> Result<(), WorldError> {
        let standing = seen.as_ref().map(|said| self.host.standing_to(&said.host));
        let is_gone = |file: &Path| -> io::Result<Option<Duration>> {
            if matches!(standing, Some(Standing::Same | Standing::Restarted)) {
                return Ok(None);
            }
            let silent = self.silence_of(file)?;
            Ok((silent < SILENCE).then_some(silent))
        };
        let refused = |error: io::Error| self.refused(&error);
        match is_gone(&self.file) {
            Ok(None) => {}
            Ok(Some(silent)) => return Err(self.held_elsewhere(seen.as_ref(), silent)),
            Err(error) if error.kind() == Io::NotFound => return Ok(()),
            Err(error) => return Err(refused(error)),
        }
        // The process that renames the file removes it. The renamed file may be newer than the one that
        // was seen.
        let aside = self.passing_file();
        match fs::rename(&self.file, &aside) {
            Ok(()) => {}
            Err(error) if error.kind() == Io::NotFound => return Ok(()),
            Err(error) => return Err(refused(error)),
        }
        let same = read(&aside).is_ok_and(|text| parse(&text) == *seen);
        if !same || !matches!(is_gone(&aside), Ok(None)) {
            // Unless the next claim is there already.
            match fs::hard_link(&aside, &self.file) {
                Err(error) if error.kind() != Io::AlreadyExists => {
                    let _ = fs::rename(&aside, &self.file);
                }
                _ => {}
            }
        }
        let _ = fs::remove_file(&aside);
        Ok(())
    }

    /// The age of a file by the clock of the file system, which all hosts share.
    fn silence_of(&self, file: &Path) -> io::Result<Duration> {
        let written = fs::metadata(file)?.modified()?;
        let probe = self.passing_file();
        let now = fs::write(&probe, "now").and_then(|()| fs::metadata(&probe)?.modified());
        let _ = fs::remove_file(&probe);
        Ok(now?.duration_since(written).unwrap_or_default())
    }

    fn passing_file(&self) -> PathBuf {
        self.folder.join(format!("host-{}", Entropy::default().owner_name()))
    }

    /// Renews the claim, and checks that this host still has it.
    ///
    /// # Errors
    /// `Io` for ever once another host has the database; `StorageFull`, `ReadOnly` or `Io` while the
    /// check fails.
    pub(super) fn renew(&self) -> Result<(), WorldError> {
        if let Some(lost) = self.lost.get() {
            return Err(lost.clone());
        }
        for _ in 0..LOOKS_MAX {
            // Taken before the write, because the machine may fall asleep after it.
            let before = Moment::of(&*self.clock);
            let renewed = match self.look().map_err(|error| self.refused(&error))? {
                Look::Ours(file) => self.join(file),
                Look::Nobody => self.create().map_err(|error| self.refused(&error))?,
                Look::Theirs(Some(said)) if self.host.standing_to(&said.host) != Standing::Same => {
                    return Err(self.lost.get_or_init(|| taken_over_by(&said.host)).clone());
                }
                // The file belongs to another user of this host.
                Look::Theirs(Some(said)) => self.follow(&Some(said)).map(|()| false)?,
                Look::Theirs(None) | Look::Again => false,
            };
            if renewed {
                *lock(&self.renewed) = Some(before);
                return Ok(());
            }
            std::thread::sleep(NAP);
        }
        Err(self.refused(&io::Error::from(Io::ResourceBusy)))
    }

    /// Calls [`HostClaim::renew`] if it is due.
    pub(super) fn renew_if_due(&self) {
        if self.silent_ms() >= RENEW_EVERY.as_millis() as i64 {
            // An error is ignored here, because the writer checks the claim itself before it writes.
            let _ = self.renew();
        }
    }

    /// Refuses if another host is known to have the database.
    ///
    /// # Errors
    /// `Io`, for ever.
    pub(super) fn refuse_if_lost(&self) -> Result<(), WorldError> {
        self.lost.get().map_or(Ok(()), |lost| Err(lost.clone()))
    }

    /// Checks that this host still has the database. It looks only if that is uncertain, because this
    /// process or its machine may have been asleep.
    ///
    /// # Errors
    /// As [`HostClaim::renew`].
    pub(super) fn check(&self) -> Result<(), WorldError> {
        match self.lost.get() {
            Some(lost) => Err(lost.clone()),
            None if self.silent_ms() < LOOK_AFTER_MS => Ok(()),
            None => self.renew(),
        }
    }

    /// The time since the last renewal, in milliseconds.
    fn silent_ms(&self) -> i64 {
        let renewed = *lock(&self.renewed);
        renewed.map_or(i64::MAX, |renewed| Moment::of(&*self.clock).ms_since(renewed))
    }

    /// Leaves the claim. The last process of this host removes it. Idempotent.
    pub(super) fn release(&self) {
        let Some(file) = lock(&self.held).take() else { return };
        if !cfg!(unix) || file.unlock().is_err() || file.try_lock().is_err() {
            return;
        }
        if leads_to(&self.file, &file) {
            let _ = fs::remove_file(&self.file);
        }
        // The folder stays if it contains lock files.
        let _ = fs::remove_dir(&self.folder);
    }

    fn refused(&self, error: &io::Error) -> WorldError {
        lock_files_refused(&self.folder, error)
    }

    fn held_elsewhere(&self, said: Option<&Said>, silent: Duration) -> WorldError {
        held_elsewhere(said, silent, self.clock.now_ms())
    }
}

impl Drop for HostClaim {
    fn drop(&mut self) {
        self.release();
    }
}

/// Refuses to read while another host has the database. Nothing is written, so this host's time is
/// used.
///
/// # Errors
/// `Busy`, as [`HostClaim::take`].
pub(super) fn refuse_to_read_elsewhere(
    database: &Path,
    host: &Host,
    clock: &dyn Clock,
) -> Result<(), WorldError> {
    let file = beside(database, "-owners").join(FILE);
    let Ok(text) = read(&file) else { return Ok(()) };
    let said = parse(&text);
    if said.as_ref().is_none_or(|said| host.standing_to(&said.host) != Standing::Other) {
        return Ok(());
    }
    let written = fs::metadata(&file).and_then(|there| there.modified());
    let Ok(written) = written else { return Ok(()) };
    let silent_ms = clock.now_ms().saturating_sub(clock::ms_of(written));
    let silent = Duration::from_millis(silent_ms.max(0) as u64);
    match silent < SILENCE {
        true => Err(held_elsewhere(said.as_ref(), silent, clock.now_ms())),
        false => Ok(()),
    }
}

fn held_elsewhere(said: Option<&Said>, silent: Duration, now_ms: i64) -> WorldError {
    let again_s = (SILENCE.saturating_sub(silent)).as_secs() + 1;
    let (name, since) = match said {
        Some(Said { host, since_ms }) => {
            let since_s = (now_ms - since_ms).max(0) / 1000;
            (format!("the host \"{}\"", host.name), format!("has had it open for {since_s} s and "))
        }
        None => ("another host".to_owned(), String::new()),
    };
    let message = format!(
        "another host has the database: {name} {since}was last active {} s ago. Only one host can use it at \
         a time. Stop the app there. After a crash of that host, or if the files were copied from it, the \
         database is free in {again_s} s",
        silent.as_secs()
    );
    WorldError::new(ErrorKind::Busy, message).with("retryAfter", again_s)
}

fn taken_over_by(host: &Host) -> WorldError {
    let message = format!(
        "the host \"{}\" has taken the database over, because this host was silent for {} s (it was \
         suspended, or cut off from the disk): this process writes nothing more; stop it",
        host.name,
        SILENCE.as_secs()
    );
    WorldError::new(ErrorKind::Io, message).for_good()
}

fn read(file: &Path) -> io::Result<String> {
    fs::read_to_string(file)
}

fn parse(text: &str) -> Option<Said> {
    serde_json::from_str(text).ok()
}

/// Whether a path still names this open file. If files have no identity, whether it names any file.
fn leads_to(path: &Path, file: &File) -> bool {
    match FileId::of(file) {
        Ok(Some(open)) => FileId::at(path).is_ok_and(|there| there == open),
        Ok(None) => path.exists(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests;
