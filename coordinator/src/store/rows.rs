//! Rows of the SQL databases, to and from the types of the store.
//!
//! Reading distrusts what is stored: whatever does not fit is
//! [`StoreError::Corrupt`], never a panic.

use std::sync::Arc;

use amends_core::id::{Generation, Gid, RecordNo};
use amends_core::public_state::{Kind, PublicState};
use amends_core::saga::DefinitionHash;
use amends_core::time::Timestamp;
use serde::Serialize;
use sqlx::FromRow;

use super::text::without_nul;
use super::{
    Append, Incarnation, Listed, StoreError, Stored, StoredDefinition, StoredParticipant, Summary,
    SummaryCause,
};

/// One item of a batch, as a database takes it.
#[derive(Debug, Serialize)]
pub(super) struct NewRow<'a> {
    pub(super) gid: &'a str,
    pub(super) kind: &'static str,
    pub(super) state: &'static str,
    pub(super) definition_hash: Option<&'a str>,
    pub(super) definition_name: &'a str,
    pub(super) definition_version: i64,
    pub(super) cause_step: Option<String>,
    pub(super) cause_code: Option<String>,
    pub(super) cause_message: Option<String>,
    pub(super) generation: i64,
    pub(super) previous: i64,
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
    pub(super) finished_at: Option<i64>,
    pub(super) wake_at: Option<i64>,
    pub(super) records: &'a str,
}

impl<'a> TryFrom<&'a Append> for NewRow<'a> {
    type Error = StoreError;

    fn try_from(item: &'a Append) -> Result<Self, StoreError> {
        let summary = &item.summary;
        let cause = summary.cause.as_ref();
        Ok(Self {
            gid: item.gid.as_str(),
            kind: summary.kind.as_str(),
            state: summary.state.as_str(),
            definition_hash: summary.definition.as_ref().map(|hash| &*hash.0),
            definition_name: &summary.definition_name,
            definition_version: i64::from(summary.definition_version),
            cause_step: cause.and_then(|cause| cause.step.as_deref().map(without_nul)),
            cause_code: cause.map(|cause| without_nul(&cause.code)),
            cause_message: cause.map(|cause| without_nul(&cause.message)),
            generation: signed(item.generation.0)?,
            previous: signed(item.previous.0)?,
            first: signed(item.previous.next().0)?,
            last: signed(item.last.0)?,
            created_at: summary.created_at.0,
            updated_at: summary.updated_at.0,
            finished_at: summary.finished_at.map(|at| at.0),
            wake_at: summary.wake_at.map(|at| at.0),
            records: &item.records,
        })
    }
}

/// The columns of [`SummaryRow`].
macro_rules! summary_columns {
    () => {
        "gid, kind, state, definition_hash, definition_name, definition_version, cause_step, \
         cause_code, cause_message, created_at, updated_at, finished_at, wake_at"
    };
}
pub(super) use summary_columns;

/// A transaction in a list.
#[derive(Debug, FromRow)]
pub(super) struct SummaryRow {
    gid: String,
    kind: String,
    state: String,
    definition_hash: Option<String>,
    definition_name: String,
    definition_version: i64,
    cause_step: Option<String>,
    cause_code: Option<String>,
    cause_message: Option<String>,
    created_at: i64,
    updated_at: i64,
    finished_at: Option<i64>,
    wake_at: Option<i64>,
}

impl TryFrom<SummaryRow> for Listed {
    type Error = StoreError;

    fn try_from(row: SummaryRow) -> Result<Self, StoreError> {
        let cause = match (row.cause_code, row.cause_message) {
            (Some(code), Some(message)) => Some(SummaryCause {
                step: row.cause_step,
                code,
                message,
            }),
            _ => None,
        };
        let summary = Summary {
            kind: kind(&row.kind)?,
            state: state(&row.state)?,
            definition: row.definition_hash.map(|hash| DefinitionHash(hash.into())),
            definition_name: row.definition_name,
            definition_version: version(row.definition_version)?,
            cause,
            created_at: Timestamp(row.created_at),
            updated_at: Timestamp(row.updated_at),
            finished_at: row.finished_at.map(Timestamp),
            wake_at: row.wake_at.map(Timestamp),
        };
        let gid = gid(row.gid)?;
        Ok(Self { gid, summary })
    }
}

/// A transaction with what fences it.
#[derive(Debug, FromRow)]
pub(super) struct TransactionRow {
    #[sqlx(flatten)]
    summary: SummaryRow,
    owner: String,
    generation: i64,
    last_record: i64,
    parked: Option<String>,
}

impl TryFrom<TransactionRow> for Stored {
    type Error = StoreError;

    /// Its log is still to come.
    fn try_from(row: TransactionRow) -> Result<Self, StoreError> {
        let Listed { gid, summary } = row.summary.try_into()?;
        Ok(Self {
            gid,
            owner: Incarnation(row.owner),
            generation: Generation(unsigned(row.generation)?),
            last: RecordNo(unsigned(row.last_record)?),
            summary,
            parked: row.parked,
            log: Vec::new(),
        })
    }
}

/// One row of a log: id, number of the first record, records.
pub(super) type LogRow = (String, i64, String);

/// Transactions with their logs, in the order of `rows`; `log` is ordered by
/// id and number.
pub(super) fn with_logs(
    rows: Vec<TransactionRow>,
    log: Vec<LogRow>,
) -> Result<Vec<Stored>, StoreError> {
    let rows = rows.into_iter().map(Stored::try_from);
    let mut stored = rows.collect::<Result<Vec<_>, _>>()?;
    let places = stored.iter().enumerate();
    let places: std::collections::HashMap<Gid, usize> =
        places.map(|(at, row)| (row.gid.clone(), at)).collect();
    for (text, first, records) in log {
        let at = places.get(&gid(text)?);
        if let Some(row) = at.and_then(|at| stored.get_mut(*at)) {
            row.log.push((RecordNo(unsigned(first)?), records));
        }
    }
    Ok(stored)
}

/// The columns of [`DefinitionRow`].
macro_rules! definition_columns {
    () => {
        "hash, name, version, body, created_at, registered_at"
    };
}
pub(super) use definition_columns;

/// A definition.
#[derive(Debug, FromRow)]
pub(super) struct DefinitionRow {
    hash: String,
    name: String,
    version: i64,
    body: String,
    created_at: i64,
    registered_at: Option<i64>,
}

impl TryFrom<DefinitionRow> for StoredDefinition {
    type Error = StoreError;

    fn try_from(row: DefinitionRow) -> Result<Self, StoreError> {
        Ok(Self {
            hash: DefinitionHash(Arc::from(row.hash)),
            name: row.name,
            version: version(row.version)?,
            json: row.body,
            created_at: Timestamp(row.created_at),
            registered_at: row.registered_at.map(Timestamp),
        })
    }
}

/// A registered instance.
#[derive(Debug, FromRow)]
pub(super) struct ParticipantRow {
    service: String,
    instance_id: String,
    address: String,
    offers: String,
    registered_at: i64,
}

impl From<ParticipantRow> for StoredParticipant {
    fn from(row: ParticipantRow) -> Self {
        Self {
            service: row.service,
            instance_id: row.instance_id,
            address: row.address,
            offers: row.offers,
            registered_at: Timestamp(row.registered_at),
        }
    }
}

/// A transaction's id as stored.
pub(super) fn gid(text: String) -> Result<Gid, StoreError> {
    let wrong = |error| StoreError::Corrupt(format!("a transaction id {error}"));
    Gid::try_from(text).map_err(wrong)
}

/// A counter as databases keep it.
pub(super) fn signed(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Corrupt(format!("{number} is too large")))
}

pub(super) fn unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Corrupt(format!("{number} is negative")))
}

fn version(number: i64) -> Result<u32, StoreError> {
    u32::try_from(number).map_err(|_| StoreError::Corrupt(format!("{number} is no version")))
}

fn kind(text: &str) -> Result<Kind, StoreError> {
    let found = Kind::ALL.into_iter().find(|kind| kind.as_str() == text);
    found.ok_or_else(|| StoreError::Corrupt(format!("{text:?} is no kind of transaction")))
}

fn state(text: &str) -> Result<PublicState, StoreError> {
    let mut all = PublicState::ALL.into_iter();
    let found = all.find(|state| state.as_str() == text);
    found.ok_or_else(|| StoreError::Corrupt(format!("{text:?} is no state")))
}
