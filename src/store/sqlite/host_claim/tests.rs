//! The rules of a host's claim, with faked hosts and times.

use tempfile::TempDir;

use super::*;
use crate::clock::ManualClock;

const NOW: i64 = 1_795_000_000_000;

struct Place {
    folder: TempDir,
    clock: Arc<ManualClock>,
}

fn host(name: &str, machine: Option<&str>) -> Host {
    Host { name: name.into(), machine: machine.map(str::to_owned), boot: format!("boot of {name}") }
}

impl Place {
    fn fresh() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.db"), "").unwrap();
        Self { folder, clock: Arc::new(ManualClock::at(NOW)) }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("a.db")
    }

    fn file(&self) -> PathBuf {
        beside(&self.database(), "-owners").join("host")
    }

    fn take(&self, host: Host) -> Result<HostClaim, WorldError> {
        HostClaim::take(&self.database(), host, Arc::clone(&self.clock) as Arc<dyn Clock>)
    }

    /// Simulates that no process renewed the claim for a while.
    fn silence(&self, silence: Duration) {
        let file = File::options().write(true).open(self.file()).unwrap();
        let written = file.metadata().unwrap().modified().unwrap();
        file.set_modified(written - silence).unwrap();
    }

    fn files(&self) -> Vec<String> {
        let Ok(files) = fs::read_dir(beside(&self.database(), "-owners")) else {
            return Vec::new();
        };
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    }
}

#[test]
fn another_host_is_refused_while_the_first_may_be_alive_and_told_when_to_come_again() {
    let place = Place::fresh();
    let first = place.take(host("first", None)).unwrap();
    place.silence(Duration::from_secs(20));
    let error = place.take(host("second", None)).err().expect("it is refused");
    assert_eq!(error.kind, ErrorKind::Busy);
    assert!(error.message.contains("\"first\""), "{}", error.message);
    let again_s = error.details["retryAfter"].as_u64().unwrap();
    assert!((30..=41).contains(&again_s), "{again_s}");
    first.check().expect("the first one goes on");
    assert_eq!(place.files(), ["host"], "a look leaves nothing behind");
}

#[test]
fn a_host_that_has_been_silent_for_long_is_followed_and_writes_no_more() {
    let place = Place::fresh();
    let first = place.take(host("first", None)).unwrap();
    place.silence(SILENCE);
    let second = place.take(host("second", None)).unwrap();
    second.check().unwrap();
    // By its own time, it has just renewed its claim.
    first.check().unwrap();
    place.clock.set(NOW + LOOK_AFTER_MS);
    for _ in 0..2 {
        let error = first.check().expect_err("it has lost the database");
        assert_eq!(error.kind, ErrorKind::Io);
        assert!(error.message.contains("\"second\""), "{}", error.message);
    }
    second.check().unwrap();
    first.release();
    assert_eq!(place.files(), ["host"], "it leaves what is not its own");
}

#[test]
fn a_host_that_slept_looks_before_it_writes_by_either_clock() {
    let place = Place::fresh();
    let first = place.take(host("first", None)).unwrap();
    fs::write(
        place.file(),
        serde_json::to_string(&Said { host: host("second", None), since_ms: 1 }).unwrap(),
    )
    .unwrap();
    first.check().unwrap();
    // While a machine sleeps, its monotonic clock stops and its wall clock does not.
    place.clock.step(3_600_000);
    assert_eq!(first.check().unwrap_err().kind, ErrorKind::Io);
}

#[test]
fn a_machine_that_was_started_again_takes_over_at_once() {
    let place = Place::fresh();
    let before = place.take(host("before", Some("machine"))).unwrap();
    let after = place.take(host("after", Some("machine"))).unwrap();
    after.check().unwrap();
    place.clock.set(NOW + LOOK_AFTER_MS);
    assert!(before.check().is_err());
}

/// On other systems the claim stays until it is silent.
#[cfg(unix)]
#[test]
fn processes_of_one_host_share_it_and_the_last_one_ends_it() {
    let place = Place::fresh();
    let one = place.take(host("first", None)).unwrap();
    let two = place.take(Host { name: "a container".into(), ..host("first", None) }).unwrap();
    one.release();
    one.release();
    assert_eq!(place.files(), ["host"]);
    assert!(place.take(host("second", None)).is_err());
    two.check().unwrap();
    drop(two);
    assert_eq!(place.files(), Vec::<String>::new());
    place.take(host("second", None)).unwrap();
}

#[test]
fn a_claim_that_was_removed_is_made_again() {
    let place = Place::fresh();
    let first = place.take(host("first", None)).unwrap();
    fs::remove_dir_all(beside(&place.database(), "-owners")).unwrap();
    first.renew_if_due();
    assert!(!place.file().exists(), "it is not time yet");
    place.clock.set(NOW + RENEW_EVERY.as_millis() as i64);
    first.renew_if_due();
    assert!(place.take(host("second", None)).is_err());
    first.check().unwrap();
}

#[test]
fn a_claim_whose_place_is_gone_is_not_renewed_and_nothing_is_made_there() {
    let place = Place::fresh();
    let folder = place.folder.path().join("folder");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a.db"), "").unwrap();
    let clock = Arc::clone(&place.clock) as Arc<dyn Clock>;
    let first = HostClaim::take(&folder.join("a.db"), host("first", None), clock).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(first.renew().unwrap_err().kind, ErrorKind::Io);
    assert!(!folder.exists());
    fs::create_dir_all(beside(&folder.join("a.db"), "-owners")).unwrap();
    fs::write(folder.join("a.db"), "").unwrap();
    first.renew().expect("it may come back");
}

#[test]
fn half_a_claim_keeps_nobody_away_for_ever() {
    let place = Place::fresh();
    fs::create_dir(beside(&place.database(), "-owners")).unwrap();
    fs::write(place.file(), "{\"na").unwrap();
    assert_eq!(place.take(host("first", None)).err().map(|e| e.kind), Some(ErrorKind::Busy));
    place.silence(SILENCE);
    place.take(host("first", None)).unwrap();
}

#[test]
fn of_many_that_follow_a_silent_host_one_gets_the_database() {
    for _ in 0..20 {
        let place = Place::fresh();
        let _gone = place.take(host("gone", None)).unwrap();
        place.silence(SILENCE);
        let taken: Vec<_> = std::thread::scope(|scope| {
            let place = &place;
            let take = |number| scope.spawn(move || place.take(host(number, None)));
            let taking: Vec<_> = ["a", "b", "c", "d"].into_iter().map(take).collect();
            taking.into_iter().map(|taking| taking.join().unwrap()).collect()
        });
        assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 1);
        place.clock.set(NOW + LOOK_AFTER_MS);
        taken.iter().flatten().for_each(|claim| claim.check().unwrap());
        assert_eq!(place.files(), ["host"]);
    }
}
