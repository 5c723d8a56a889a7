//! The identity of this host.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::place;
use crate::host;

/// Identifies a host in the file that keeps other hosts away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// A name for people.
    pub name: String,
    /// The machine, if it has an id that no other machine has.
    pub machine: Option<String>,
    /// The boot of its kernel. All containers of a machine share it, as they share locks and memory.
    pub boot: String,
}

/// The relation of a host to the host that has a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The same host.
    Same,
    /// The same host after a restart. The processes that had the database are gone.
    Restarted,
    /// Another host, or an unknown one.
    Other,
}

impl Host {
    /// The host of this process.
    pub fn this() -> Self {
        let name = host::name();
        // All containers of an image have the machine id of the image, on any host.
        let machine = (!place::is_in_container()).then(machine_id).flatten();
        Self {
            machine: machine.map(|id| format!("{id} {name}")),
            // Without a boot id, the name is used.
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

fn machine_id() -> Option<String> {
    text_of("/etc/machine-id")
}

#[cfg(not(target_os = "macos"))]
fn boot_id() -> Option<String> {
    text_of("/proc/sys/kernel/random/boot_id")
}

/// macOS has no safe call for it.
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
