//! Named points at which a test can have the process killed as by `kill -9`.
//!
//! `AMENDS_CRASH_AT=name` kills at the first hit, `name:3` at the third.
//! Exists in debug builds only; a release build compiles to nothing.

/// Dies here if the environment says so.
#[cfg(debug_assertions)]
pub fn point(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicI64, Ordering};

    static WANTED: LazyLock<Option<(String, AtomicI64)>> = LazyLock::new(|| {
        let wanted = std::env::var("AMENDS_CRASH_AT").ok()?;
        let (name, hits) = wanted.split_once(':').unwrap_or((&wanted, "1"));
        Some((name.to_owned(), AtomicI64::new(hits.parse().unwrap_or(1))))
    });
    if let Some((wanted, left)) = WANTED.as_ref()
        && wanted == name
        && left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        // SIGKILL cannot be caught: no destructor runs, no buffer is flushed.
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Does nothing in a release build.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn point(_name: &str) {}
