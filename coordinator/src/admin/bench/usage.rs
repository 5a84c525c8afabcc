//! What a process has used, as Linux tells it. Elsewhere nothing is known.

use std::fs;
use std::time::Duration;

/// Bytes of `kB` in `/proc`.
const KIB_PER_MIB: f64 = 1024.0;
/// Places of user and system time behind the name in `/proc/PID/stat`.
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;

/// Processor time of all its threads, ended ones included.
pub(super) fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let per_second = rustix::param::clock_ticks_per_second();
    let millis = ticks(&stat)?.checked_mul(1000)?.checked_div(per_second)?;
    Some(Duration::from_millis(millis))
}

/// The most memory it ever had resident, in MiB.
pub(super) fn peak_resident_mib(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(kib(&status, "VmHWM:")? as f64 / KIB_PER_MIB)
}

/// The memory it has resident now, in MiB.
pub(super) fn resident_mib(pid: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(kib(&status, "VmRSS:")? as f64 / KIB_PER_MIB)
}

fn ticks(stat: &str) -> Option<u64> {
    // The name may hold blanks and parentheses itself.
    let (_, numbers) = stat.rsplit_once(") ")?;
    let at = |place| numbers.split(' ').nth(place)?.parse::<u64>().ok();
    at(USER_TICKS)?.checked_add(at(SYSTEM_TICKS)?)
}

fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_linux_writes() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 900 0 0 0 17 5 0 0 20 0 4 0 100 1000 200";
        assert_eq!(ticks(stat), Some(22));
        assert_eq!(ticks(""), None);
        let status = "Name:\tamends\nVmHWM:\t   20480 kB\nVmRSS:\t  1024 kB\n";
        assert_eq!(kib(status, "VmHWM:"), Some(20480));
        assert_eq!(kib(status, "VmRSS:"), Some(1024));
        assert_eq!(kib("Name:\tamends\n", "VmHWM:"), None);
    }
}
