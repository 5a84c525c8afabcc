//! Asking the producer at once, because a person wants it.

use amends_core::message::half::HalfId;

use super::Halves;
use crate::messages::{ItemOutcome, ItemResult, MAX_ITEMS, MessagesError};
use crate::store::messages::{MessageWrite, Written};

/// Writes of one job.
const BATCH: usize = 100;

impl Halves {
    /// Makes the next check of halves due, of STUCK ones too; one result for each.
    ///
    /// # Errors
    /// [`MessagesError::Invalid`], the store's.
    pub async fn ask_now(&self, ids: &[HalfId]) -> Result<Vec<ItemResult>, MessagesError> {
        if ids.is_empty() || ids.len() > MAX_ITEMS {
            return Err(MessagesError::Invalid(format!(
                "{} halves in one call, 1 to {MAX_ITEMS} are allowed",
                ids.len()
            )));
        }
        let inner = &self.messages.inner;
        let now = inner.clock.now();
        let mut results = Vec::with_capacity(ids.len());
        for some in ids.chunks(BATCH) {
            let writes = some.iter().map(|half| MessageWrite::AskNow {
                half: half.clone(),
                now,
            });
            let written = inner.writer.write(writes.collect()).await?;
            results.extend(some.iter().zip(written).map(|(id, written)| ItemResult {
                id: id.to_string(),
                outcome: outcome(&written),
            }));
        }
        self.look();
        Ok(results)
    }
}

fn outcome(written: &Written) -> ItemOutcome {
    match written {
        Written::Done => ItemOutcome::Done { new_id: None },
        Written::Decided(verdict) => ItemOutcome::Refused {
            code: "HALF_DECIDED",
            message: format!("it was decided: {}", verdict.state().as_str()),
        },
        _ => ItemOutcome::Refused {
            code: "HALF_NOT_FOUND",
            message: "there is no such half".to_owned(),
        },
    }
}
