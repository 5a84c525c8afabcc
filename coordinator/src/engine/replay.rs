//! From the rows of a log to a transaction. Whatever does not fit parks it.

use amends_core::saga::{self, CorruptLog, Saga, definition_of, read_log};

use crate::store::{StoreError, Stored};

use super::definitions::Definitions;
use super::error::EngineError;

/// A transaction as its log tells it.
///
/// # Errors
/// [`EngineError::Parked`] when the log or its definition cannot be read, and the store's.
pub(super) async fn replay(
    definitions: &Definitions,
    stored: &Stored,
) -> Result<Saga, EngineError> {
    let parked = |reason: String| EngineError::Parked {
        gid: stored.gid.to_string(),
        reason,
    };
    if let Some(reason) = &stored.parked {
        return Err(parked(reason.clone()));
    }
    let corrupt = |error: CorruptLog| parked(error.to_string());
    let mut records = Vec::new();
    for (first, row) in &stored.log {
        if first.0 != records.len() as u64 + 1 {
            return Err(parked(format!(
                "record {} follows record {}",
                first.0,
                records.len()
            )));
        }
        records.extend(read_log([row.as_str()]).map_err(corrupt)?);
    }
    if records.len() as u64 != stored.last.0 {
        return Err(parked(format!(
            "{} records are there, {} should be",
            records.len(),
            stored.last.0
        )));
    }
    let hash = definition_of(&records).map_err(corrupt)?;
    let definition = match definitions.get(hash).await {
        Ok(Some(definition)) => definition,
        Ok(None) => {
            return Err(parked(format!(
                "its definition {} is not in the store",
                hash.0
            )));
        }
        Err(StoreError::Corrupt(problem)) => return Err(parked(problem)),
        Err(error) => return Err(error.into()),
    };
    saga::replay(&definition, &records).map_err(corrupt)
}
