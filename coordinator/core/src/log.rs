//! What the logs of all machines have in common: how a record is stored, which
//! attempts are worth one, and why a log cannot be read.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::took::Took;

/// Version of the stored form. A reader refuses what it does not know.
pub const RECORD_VERSION: u32 = 1;

/// Failed attempts and postponements up to this number are all recorded, later
/// ones only now and then, so that a branch that is retried for weeks keeps a bounded log.
const ALWAYS_RECORDED_ATTEMPTS: u32 = 32;
/// Of the later ones, one in so many is recorded.
const RECORDED_ATTEMPT_STRIDE: u32 = 64;

/// Something that happened, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<E> {
    /// Version of the stored form.
    #[serde(rename = "v")]
    pub version: u32,
    /// When it was decided.
    pub at: Timestamp,
    /// Where the time of the call went whose end this record tells of.
    #[serde(rename = "us", default, skip_serializing_if = "Option::is_none")]
    pub took: Option<Took>,
    /// What happened. Tagged from outside, because an inner tag would make the
    /// reader buffer payloads and so lose their exact bytes.
    pub event: E,
}

/// What a machine records.
pub trait Logged {
    /// Whether it belongs in the log. What does not is noise: forgetting it
    /// costs at most a repeated call.
    fn is_stored(&self) -> bool;
}

impl<E: Logged> Record<E> {
    /// A record in the present version.
    #[must_use]
    pub fn new(at: Timestamp, event: E) -> Self {
        Self {
            version: RECORD_VERSION,
            at,
            took: None,
            event,
        }
    }

    /// Whether it belongs in the log.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.event.is_stored()
    }
}

/// How a call that has to succeed in the end was settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum Settlement {
    /// The participant did it.
    Called,
    /// An operator said so.
    ByHand {
        /// Who.
        operator: String,
        /// Why.
        reason: String,
    },
}

/// Why a log cannot be replayed. The transaction is parked; the process goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CorruptLog {
    /// There is no record at all.
    #[error("the log is empty")]
    Empty,
    /// The text is not a list of records.
    #[error("record {number} cannot be read: {problem}")]
    Unreadable {
        /// Its number.
        number: usize,
        /// Why.
        problem: String,
    },
    /// Written by a later version of Amends, or garbage.
    #[error("record {number} has version {version}, known is up to {RECORD_VERSION}")]
    Version {
        /// Its number.
        number: usize,
        /// The version found.
        version: u32,
    },
    /// It does not fit what came before: a log that begins twice, goes on after
    /// its end, or undoes before it turned back.
    #[error("record {number} is {kind:?}, which cannot stand there")]
    Misplaced {
        /// Its number.
        number: usize,
        /// What it is.
        kind: &'static str,
    },
    /// It belongs to another definition.
    #[error("the log belongs to definition {expected}, given was {found}")]
    Definition {
        /// What the log says.
        expected: String,
        /// What was given.
        found: String,
    },
    /// It names a step that the definition does not have.
    #[error("record {number} is about step {step:?}, which the definition does not have")]
    UnknownStep {
        /// Its number.
        number: usize,
        /// The step.
        step: String,
    },
    /// It names a branch that was not registered before.
    #[error("record {number} is about branch {branch:?}, which was not registered")]
    UnknownBranch {
        /// Its number.
        number: usize,
        /// The branch.
        branch: String,
    },
    /// What it registers breaks a rule.
    #[error("record {number} holds {problem}")]
    Invalid {
        /// Its number.
        number: usize,
        /// The broken rules.
        problem: String,
    },
}

/// Writes records as one stored text, leaving out what does not belong in the log.
#[must_use]
pub fn write_records<E: Logged + Serialize>(records: &[Record<E>]) -> String {
    let stored: Vec<&Record<E>> = records.iter().filter(|record| record.is_stored()).collect();
    // Records hold texts, numbers and JSON that was read before: writing them cannot fail.
    serde_json::to_string(&stored).unwrap_or_default()
}

/// Reads the rows of a log, oldest first.
///
/// # Errors
/// Names the first record that cannot be read.
pub fn read_log<'r, E: DeserializeOwned>(
    rows: impl IntoIterator<Item = &'r str>,
) -> Result<Vec<Record<E>>, CorruptLog> {
    let mut records: Vec<Record<E>> = Vec::new();
    for row in rows {
        let number = records.len() + 1;
        let unreadable = |error: serde_json::Error| CorruptLog::Unreadable {
            number,
            problem: error.to_string(),
        };
        let versions: Vec<Version> = serde_json::from_str(row).map_err(unreadable)?;
        if let Some((offset, bad)) = versions
            .iter()
            .enumerate()
            .find(|(_, v)| v.v != RECORD_VERSION)
        {
            return Err(CorruptLog::Version {
                number: number + offset,
                version: bad.v,
            });
        }
        let more: Vec<Record<E>> = serde_json::from_str(row).map_err(unreadable)?;
        records.extend(more);
    }
    Ok(records)
}

/// Whether a failed attempt or postponement of this number is worth a record.
pub(crate) fn is_recorded_attempt(attempt: u32) -> bool {
    attempt <= ALWAYS_RECORDED_ATTEMPTS || attempt.is_multiple_of(RECORDED_ATTEMPT_STRIDE)
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}
