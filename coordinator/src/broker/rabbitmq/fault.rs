//! What went wrong between us and the server, sorted by what can be done about it.

use std::fmt;
use std::time::Duration;

use lapin::ErrorKind;

use crate::broker::BrokerError;

/// Code of [`BrokerError::Unusable`] when something exists with other settings.
pub(super) const TOPOLOGY_MISMATCH: &str = "TOPOLOGY_MISMATCH";
const ACCESS_REFUSED: &str = "BROKER_ACCESS_REFUSED";

/// The protocol's reply codes that mean something of their own to us.
const REPLY_ACCESS_REFUSED: u16 = 403;
const REPLY_NOT_FOUND: u16 = 404;
const REPLY_PRECONDITION_FAILED: u16 = 406;

/// What went wrong; `Display` shows the server's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An exchange or queue does not exist.
    Missing,
    /// It exists with other settings.
    Differs,
    /// The user may not do that.
    Refused,
    /// Anything else; it may work on another connection.
    Lost,
}

impl Fault {
    /// No answer for so long.
    pub(super) fn silent(what: &str, waited: Duration) -> Self {
        Self::lost(format!("{what} within {waited:?}"))
    }

    /// Something that another attempt may not meet again.
    pub(super) fn lost(text: String) -> Self {
        let kind = Kind::Lost;
        Self { kind, text }
    }
}

/// The library's error in our terms.
pub(super) fn of(error: &lapin::Error) -> Fault {
    let ErrorKind::ProtocolError(reply) = error.kind() else {
        return Fault::lost(error.to_string());
    };
    let kind = match reply.get_id() {
        REPLY_ACCESS_REFUSED => Kind::Refused,
        REPLY_NOT_FOUND => Kind::Missing,
        REPLY_PRECONDITION_FAILED => Kind::Differs,
        _ => Kind::Lost,
    };
    Fault {
        kind,
        text: reply.get_message().to_string(),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Fault> for BrokerError {
    fn from(fault: Fault) -> Self {
        match fault.kind {
            Kind::Missing | Kind::Lost => Self::Unavailable(fault.text),
            Kind::Differs => Self::Unusable {
                code: TOPOLOGY_MISMATCH,
                message: format!(
                    "something of the same name exists at the broker with other settings: {}. \
                     Let its consumers empty it and delete it there; it is then made as it should be. \
                     Settings that may be changed in place, such as limits, are set by policies",
                    fault.text
                ),
            },
            Kind::Refused => Self::Unusable {
                code: ACCESS_REFUSED,
                message: format!(
                    "the broker refuses it: {}. Amends needs the permissions configure, write and read \
                     on amends.*, amends-dead-letters and dead.*",
                    fault.text
                ),
            },
        }
    }
}
