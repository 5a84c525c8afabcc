//! From the rows of a log to a transaction. Whatever does not fit parks it.

use amends_core::log::{CorruptLog, Logged, Record, read_log};
use amends_core::public_state::Kind;
use amends_core::saga::{self, Saga, definition_of};
use amends_core::tcc;
use serde::de::DeserializeOwned;

use crate::store::{StoreError, Stored};

use super::definitions::Definitions;
use super::error::EngineError;
use super::transaction::Transaction;

/// A transaction as its log tells it. The row says which machine it belongs to;
/// a log that begins otherwise is corrupt for that machine.
///
/// # Errors
/// [`EngineError::Parked`] when the log or its definition cannot be read, and the store's.
pub(super) async fn replay(
    definitions: &Definitions,
    stored: &Stored,
) -> Result<Transaction, EngineError> {
    if let Some(reason) = &stored.parked {
        return Err(parked(stored, reason.clone()));
    }
    match stored.summary.kind {
        Kind::Saga => replay_saga(definitions, stored)
            .await
            .map(Transaction::Saga),
        Kind::Live => {
            let records = records(stored)?;
            let live = saga::replay_live(&records);
            let live = live.map_err(|error| parked(stored, error.to_string()))?;
            Ok(Transaction::Saga(live))
        }
        Kind::Tcc => {
            let records = records(stored)?;
            let tcc = tcc::replay(&records).map_err(|error| parked(stored, error.to_string()))?;
            Ok(Transaction::Tcc(tcc))
        }
    }
}

async fn replay_saga(definitions: &Definitions, stored: &Stored) -> Result<Saga, EngineError> {
    let corrupt = |error: CorruptLog| parked(stored, error.to_string());
    let records = records(stored)?;
    let hash = definition_of(&records).map_err(corrupt)?;
    let definition = match definitions.get(hash).await {
        Ok(Some(definition)) => definition,
        Ok(None) => {
            let problem = format!("its definition {} is not in the store", hash.0);
            return Err(parked(stored, problem));
        }
        Err(StoreError::Corrupt(problem)) => return Err(parked(stored, problem)),
        Err(error) => return Err(error.into()),
    };
    saga::replay(&definition, &records).map_err(corrupt)
}

/// Every record of a log, without gaps.
fn records<E: Logged + DeserializeOwned>(stored: &Stored) -> Result<Vec<Record<E>>, EngineError> {
    let mut records = Vec::new();
    for (first, row) in &stored.log {
        if first.0 != records.len() as u64 + 1 {
            let problem = format!("record {} follows record {}", first.0, records.len());
            return Err(parked(stored, problem));
        }
        let more = read_log([row.as_str()]);
        records.extend(more.map_err(|error| parked(stored, error.to_string()))?);
    }
    if records.len() as u64 != stored.last.0 {
        let (there, last) = (records.len(), stored.last.0);
        return Err(parked(
            stored,
            format!("{there} records are there, {last} should be"),
        ));
    }
    Ok(records)
}

fn parked(stored: &Stored, reason: String) -> EngineError {
    EngineError::Parked {
        gid: stored.gid.to_string(),
        reason,
    }
}
