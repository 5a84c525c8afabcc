//! Which coordinators of this machine are certainly gone.
//!
//! A coordinator keeps beside its lease which process it is. One that is
//! started on the same machine asks the system whether that process is still
//! there. One that is not has made its last call, so nobody has to wait until
//! its lease has run out. Where anything is unclear, the lease decides.

use std::fs;

use rustix::io::Errno;
use rustix::process::{Pid, getpid, test_kill_process};

/// This process, told from all others, also from those that had its number.
#[derive(Debug)]
pub(super) struct Process {
    /// Where its number means something: this boot of the machine, this
    /// namespace of processes.
    pub(super) machine: String,
    /// Its number, and when it began.
    pub(super) id: String,
}

impl Process {
    /// `None` where the system does not tell, as on others than Linux.
    pub(super) fn current() -> Option<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
        let pid = getpid();
        Some(Self {
            machine: format!("{} {}", boot.trim(), namespace.display()),
            id: format!("{}-{}", pid.as_raw_nonzero(), began(pid)?),
        })
    }
}

/// Whether a process of this machine is certainly not there any more.
pub(super) fn is_gone(id: &str) -> bool {
    let Some((pid, began_at)) = parsed(id) else {
        return false;
    };
    match test_kill_process(pid) {
        Err(error) => error == Errno::SRCH,
        // Another one may have its number by now.
        Ok(()) => began(pid).is_some_and(|began| began != began_at),
    }
}

fn parsed(id: &str) -> Option<(Pid, u64)> {
    let (pid, began) = id.split_once('-')?;
    Some((Pid::from_raw(pid.parse().ok()?)?, began.parse().ok()?))
}

/// When a process began, in clock ticks since the machine did.
fn began(pid: Pid) -> Option<u64> {
    /// Its place among the fields after the name.
    const START_TIME: usize = 19;
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name stands in brackets and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(START_TIME)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_what_is_certainly_gone_counts_as_gone() {
        let this = Process::current().unwrap().id;
        assert!(!is_gone(&this));
        let (pid, began) = parsed(&this).unwrap();
        let number_taken = format!("{}-{}", pid.as_raw_nonzero(), began + 1);
        assert!(is_gone(&number_taken));
        for unreadable in ["", "1", "x-1", "0-1", "-1-1", "1-x"] {
            assert!(!is_gone(unreadable), "{unreadable:?}");
        }
    }

    #[test]
    fn a_process_that_has_ended_is_gone() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let id = format!("{}-1", child.id());
        child.wait().unwrap();
        assert!(is_gone(&id));
    }
}
