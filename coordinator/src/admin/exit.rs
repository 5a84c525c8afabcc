//! Exit codes.

use std::process::ExitCode;

/// How a command went, as scripts see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It is done.
    Done = 0,
    /// It failed: no connection, an error of the server, a broken disk.
    Failed = 1,
    /// The command, an input or the configuration is wrong; repeating it is useless.
    Usage = 2,
    /// Of several items, some were accepted and some were not.
    Partly = 3,
    /// There is no such thing.
    NotFound = 4,
    /// Refused in the present state, or the saga was refused and made good.
    Refused = 5,
    /// The time to wait was up before the transaction ended.
    TimedOut = 6,
}

/// For the help texts.
pub(super) const EXIT_CODES_HELP: &str = "Exit codes: 0 done, 1 failed, 2 usage, 3 partly done, 4 not found, \
    5 refused (or: the saga was made good), 6 wait timed out";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
