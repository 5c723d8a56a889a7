//! Which host this is.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::place;

/// What names a host, as the file says that keeps other hosts away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// For people.
    pub name: String,
    /// The machine, where it has a name that no other machine has.
    pub machine: Option<String>,
    /// Its kernel, from one start to the next: the same in all containers of the machine, whose locks
    /// and shared memory are one.
    pub boot: String,
}

/// How a host stands to the one that has a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is that one.
    Same,
    /// It is that one, started again: whatever had the database is gone.
    Restarted,
    /// It is another one, or nobody knows.
    Other,
}

impl Host {
    /// The host of this process.
    pub fn this() -> Self {
        let name = name();
        // What is in an image is in every container made of it, whatever host that runs on.
        let machine = (!place::is_in_container()).then(machine_id).flatten();
        Self {
            machine: machine.map(|id| format!("{id} {name}")),
            // Without it the name has to do.
            boot: boot_id().unwrap_or_else(|| format!("unknown of {name}")),
            name,
        }
    }

    pub(super) fn standing_to(&self, holder: &Self) -> Standing {
        if self.boot == holder.boot {
            Standing::Same
        } else if self.machine.is_some() && self.machine == holder.machine {
            Standing::Restarted
        } else {
            Standing::Other
        }
    }
}

fn text_of(path: &str) -> Option<String> {
    let text = fs::read_to_string(Path::new(path)).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(unix)]
fn name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

fn machine_id() -> Option<String> {
    text_of("/etc/machine-id")
}

#[cfg(not(target_os = "macos"))]
fn boot_id() -> Option<String> {
    text_of("/proc/sys/kernel/random/boot_id")
}

/// There is no safe call for it.
#[cfg(target_os = "macos")]
fn boot_id() -> Option<String> {
    let mut asking = std::process::Command::new("/usr/sbin/sysctl");
    let answer = asking.args(["-n", "kern.bootsessionuuid"]).output().ok()?;
    let text = String::from_utf8(answer.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(machine: Option<&str>, boot: &str) -> Host {
        Host { name: "a".into(), machine: machine.map(str::to_owned), boot: boot.into() }
    }

    #[test]
    fn a_host_is_the_same_by_its_boot_and_started_again_by_its_machine() {
        let me = host(Some("m"), "b");
        assert_eq!(me.standing_to(&host(Some("m"), "b")), Standing::Same);
        assert_eq!(me.standing_to(&host(None, "b")), Standing::Same, "a container of it");
        assert_eq!(me.standing_to(&host(Some("m"), "c")), Standing::Restarted);
        assert_eq!(me.standing_to(&host(Some("n"), "c")), Standing::Other);
        assert_eq!(me.standing_to(&host(None, "c")), Standing::Other);
        assert_eq!(host(None, "b").standing_to(&host(None, "c")), Standing::Other);
    }

    #[test]
    fn this_host_is_the_same_each_time_it_is_asked() {
        assert_eq!(Host::this(), Host::this());
    }
}
