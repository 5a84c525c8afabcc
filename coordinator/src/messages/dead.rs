//! Dead letters: looking, delivering again, giving up. Each is ended once, also when two try.

use std::sync::Arc;

use amends_core::message::{Message, MessageId};
use amends_core::time::{Millis, Timestamp};
use tokio::sync::oneshot;

use super::dispatch::Offer;
use super::error::MessagesError;
use super::handle::Messages;
use super::options::MAX_ITEMS;
use super::types::{DeadSelection, Edit, ItemOutcome, ItemResult, Resend};
use super::writer::{Job, JobOutcome};
use crate::store::messages::{
    DeadLetter, DeadLetterFilter, DeadLetterId, DeadLetterState, MessageWrite, Resolution, Written,
};

/// Writes of one job.
const JOB: usize = 256;
/// Ids looked up at a time.
const LOOKUP: usize = 100;

/// A dead letter to be ended.
struct Resolving {
    dead: DeadLetter,
    resolution: Resolution,
}

impl Messages {
    /// One page of dead letters, newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
    ) -> Result<Vec<DeadLetter>, MessagesError> {
        Ok(self.inner.store.list_dead_letters(filter).await?)
    }

    /// One dead letter.
    ///
    /// # Errors
    /// [`MessagesError::NoDeadLetter`], the store's.
    pub async fn dead_letter(&self, id: &DeadLetterId) -> Result<DeadLetter, MessagesError> {
        let found = self.inner.store.dead_letters(std::slice::from_ref(id));
        let found = found.await?.into_iter().next();
        found.ok_or_else(|| MessagesError::NoDeadLetter(id.0.clone()))
    }

    /// Delivers dead letters to their group again; one result for each.
    ///
    /// # Errors
    /// [`MessagesError::Invalid`], the store's.
    pub async fn resend(&self, resend: Resend) -> Result<Vec<ItemResult>, MessagesError> {
        let Resend {
            selection,
            edited,
            per_second,
            actor,
            reason,
        } = resend;
        let one = matches!(&selection, DeadSelection::Ids(ids) if ids.len() == 1);
        if edited.is_some() && !one {
            let why = "only one dead letter can be edited at a time";
            return Err(MessagesError::Invalid(why.to_owned()));
        }
        let now = self.inner.clock.now();
        let (mut results, found) = self.select(selection).await?;
        let mut resolving = Vec::with_capacity(found.len());
        for (ix, dead) in found.into_iter().enumerate() {
            let edited = match &edited {
                Some(edit) => Some(self.replacement(&dead, edit.clone(), now)?),
                None => None,
            };
            let at = place_in_time(ix, per_second, now);
            let resolution = Resolution::Resend { edited, at };
            resolving.push(Resolving { dead, resolution });
        }
        results.extend(self.resolve(resolving, &actor, &reason, now).await?);
        Ok(results)
    }

    /// Ends dead letters without delivering them; one result for each.
    ///
    /// # Errors
    /// [`MessagesError::Invalid`], the store's.
    pub async fn discard(
        &self,
        selection: DeadSelection,
        actor: &str,
        reason: &str,
    ) -> Result<Vec<ItemResult>, MessagesError> {
        if reason.trim().is_empty() {
            let why = "giving a dead letter up needs a reason";
            return Err(MessagesError::Invalid(why.to_owned()));
        }
        let now = self.inner.clock.now();
        let (mut results, found) = self.select(selection).await?;
        let discard = |dead| Resolving {
            dead,
            resolution: Resolution::Discard,
        };
        let resolving = found.into_iter().map(discard).collect();
        results.extend(self.resolve(resolving, actor, reason, now).await?);
        Ok(results)
    }

    /// The dead letters that are meant, and results for those that there are not.
    async fn select(
        &self,
        selection: DeadSelection,
    ) -> Result<(Vec<ItemResult>, Vec<DeadLetter>), MessagesError> {
        let ids = match selection {
            DeadSelection::Ids(ids) => ids,
            DeadSelection::Filter(filter) => match self.open(filter).await? {
                ids if ids.is_empty() => return Ok((Vec::new(), Vec::new())),
                ids => ids,
            },
        };
        if ids.is_empty() || ids.len() > MAX_ITEMS {
            return Err(MessagesError::Invalid(format!(
                "{} dead letters in one call, 1 to {MAX_ITEMS} are allowed",
                ids.len()
            )));
        }
        let mut found = Vec::with_capacity(ids.len());
        for some in ids.chunks(LOOKUP) {
            let mut page = self.inner.store.dead_letters(some).await?;
            page.sort_by_key(|dead| some.iter().position(|id| *id == dead.id));
            found.extend(page);
        }
        let missing = ids
            .iter()
            .filter(|id| !found.iter().any(|dead| dead.id == **id))
            .map(|id| refused(id, "DEAD_LETTER_NOT_FOUND", "there is no such dead letter"));
        Ok((missing.collect(), found))
    }

    /// Open dead letters that match; those that have waited longest come first.
    async fn open(&self, mut filter: DeadLetterFilter) -> Result<Vec<DeadLetterId>, MessagesError> {
        let most = u32::try_from(MAX_ITEMS).unwrap_or(u32::MAX);
        filter.limit = match filter.limit {
            0 => most,
            limit => limit.min(most),
        };
        filter.state = Some(DeadLetterState::Open);
        let found = self.inner.store.list_dead_letters(&filter).await?;
        Ok(found.into_iter().rev().map(|dead| dead.id).collect())
    }

    fn replacement(
        &self,
        dead: &DeadLetter,
        edit: Edit,
        now: Timestamp,
    ) -> Result<Arc<Message>, MessagesError> {
        let id = MessageId::new(&uuid::Uuid::now_v7().to_string())
            .map_err(|error| MessagesError::Invalid(error.to_string()))?;
        let Edit { headers, payload } = edit;
        Ok(Arc::new(Message {
            id,
            headers,
            payload,
            deliver_at: None,
            created_at: now,
            ..dead.message.as_ref().clone()
        }))
    }

    async fn resolve(
        &self,
        resolving: Vec<Resolving>,
        actor: &str,
        reason: &str,
        now: Timestamp,
    ) -> Result<Vec<ItemResult>, MessagesError> {
        let mut results = Vec::with_capacity(resolving.len());
        let mut resolving = resolving.into_iter().peekable();
        while resolving.peek().is_some() {
            let some: Vec<Resolving> = resolving.by_ref().take(JOB).collect();
            let write = |it: &Resolving| MessageWrite::Resolve {
                id: it.dead.id.clone(),
                resolution: it.resolution.clone(),
                actor: actor.to_owned(),
                reason: reason.to_owned(),
                now,
            };
            let writes = some.iter().map(write).collect();
            let (reply, answer) = oneshot::channel();
            let dispatchers = self.inner.dispatchers.clone();
            let (who, why) = (actor.to_owned(), reason.to_owned());
            let done = Box::new(move |outcome: JobOutcome| {
                let written = outcome.written();
                for (it, _) in some
                    .iter()
                    .zip(&written)
                    .filter(|(_, it)| **it == Written::Done)
                {
                    told(it, &who, &why);
                    if let Some(offer) = offer(it) {
                        let topic = offer.message.topic.clone();
                        dispatchers.offer(&it.dead.group, &topic, vec![offer]);
                    }
                }
                let result = |(it, written): (Resolving, Written)| result(&it, written);
                let results: Vec<ItemResult> = some.into_iter().zip(written).map(result).collect();
                let _ = reply.send(results);
            });
            let job = Job {
                writes,
                guard: None,
                done,
            };
            self.inner.writer.send(job).await?;
            results.extend(self.inner.writer.when_written(answer).await?);
        }
        Ok(results)
    }
}

/// When the dead letter with this number is delivered, so that not all come at once.
fn place_in_time(ix: usize, per_second: u32, now: Timestamp) -> Option<Timestamp> {
    let ix = u64::try_from(ix).unwrap_or(u64::MAX);
    match (per_second, ix) {
        (0, _) | (_, 0) => None,
        (per_second, ix) => {
            let after = ix.saturating_mul(1_000) / u64::from(per_second);
            Some(now + Millis(after))
        }
    }
}

/// The log keeps it longer than the store keeps the letter.
fn told(resolving: &Resolving, actor: &str, reason: &str) {
    let dead = &resolving.dead;
    let (what, new_id) = match &resolving.resolution {
        Resolution::Resend { edited, .. } => {
            let new_id = edited.as_ref().map(|edited| edited.id.as_str());
            ("resent", new_id.unwrap_or(dead.message.id.as_str()))
        }
        Resolution::Discard => ("discarded", ""),
    };
    tracing::info!(
        id = dead.id.0, message = %dead.message.id, group = %dead.group, new_id, actor, reason,
        "a dead letter was {what}"
    );
}

/// What its group's dispatcher is told.
fn offer(resolving: &Resolving) -> Option<Offer> {
    let Resolution::Resend { edited, at } = &resolving.resolution else {
        return None;
    };
    let message = edited.as_ref().unwrap_or(&resolving.dead.message);
    Some(Offer {
        message: message.clone(),
        attempts: 0,
        at: *at,
    })
}

fn result(resolving: &Resolving, written: Written) -> ItemResult {
    let id = &resolving.dead.id;
    let new_id = match &resolving.resolution {
        Resolution::Resend { edited, .. } => edited.as_ref().map(|edited| edited.id.clone()),
        Resolution::Discard => None,
    };
    match written {
        Written::Done => ItemResult {
            id: id.0.clone(),
            outcome: ItemOutcome::Done { new_id },
        },
        Written::Exists(_) => refused(id, "MESSAGE_ID_REUSED", "the new id is taken"),
        other => {
            let state = match other {
                Written::Conflict { state: Some(state) } => state,
                _ => "gone".to_owned(),
            };
            let why = format!("it is {state}; somebody was faster");
            refused(id, "DEAD_LETTER_RESOLVED", &why)
        }
    }
}

fn refused(id: &DeadLetterId, code: &'static str, message: &str) -> ItemResult {
    ItemResult {
        id: id.0.clone(),
        outcome: ItemOutcome::Refused {
            code,
            message: message.to_owned(),
        },
    }
}
