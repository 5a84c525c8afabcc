//! One check: the question, its answer, and what follows from it.

use std::sync::Arc;
use std::time::Duration;

use amends_core::message::GroupName;
use amends_core::message::half::{Check, Command, HalfId, Record, Verdict};
use amends_proto::v1;

use super::Halves;
use super::decide::{Deciding, contents};
use super::members::Place;
use super::recent::Contents;
use super::types::standing;
use super::wire::described;
use crate::crash;
use crate::messages::MessagesError;
use crate::participant::Asked;
use crate::store::messages::{Bodies, MessageWrite, StoredHalf, StoredMessage, Written};

/// Wait after a check whose outcome could not be recorded, which makes it due at once.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// How a group can be asked.
pub(super) enum Way {
    /// Over a stream that one of its instances has opened.
    Member(Place),
    /// By a call to one of its instances.
    Call,
}

impl Way {
    /// None: everybody is busy, or nobody there.
    pub(super) fn to(halves: &Halves, producer: &GroupName) -> Option<Self> {
        if let Some(place) = halves.shared.members.place(producer) {
            return Some(Self::Member(place));
        }
        let callable = halves.shared.asker.instances(producer.as_str());
        (!callable.is_empty()).then_some(Self::Call)
    }
}

impl Halves {
    /// Asks about one half and records what it brought.
    pub(super) async fn check(&self, half: &HalfId, way: Way) {
        match self.ask_and_note(half, way).await {
            Ok(true) => {}
            Ok(false) => tokio::time::sleep(AFTER_FAILURE).await,
            Err(error) => {
                tracing::warn!(%half, %error, "a check was not recorded; it is repeated");
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }

    /// False: somebody else has changed it meanwhile.
    async fn ask_and_note(&self, id: &HalfId, way: Way) -> Result<bool, MessagesError> {
        // Bodies are not held while the producer thinks.
        let found = self.of_half(id, Bodies::LeftOut).await?;
        let first = found.first();
        let Some((first, half)) = first.and_then(|it| Some((it, it.half.as_deref()?))) else {
            return Ok(false);
        };
        if half.decision.is_some() {
            return Ok(false);
        }
        let question = question(half, &found);
        let (generation, half) = (first.generation, half.clone());
        let asked = self.asked(question, way).await;
        crash::point("half-checked");
        let now = self.messages.inner.clock.now();
        let check = Check {
            at: now,
            instance: asked.instance,
            verdict: asked.verdict,
            error: asked.note,
            counted: asked.counted,
        };
        let mut state = standing(&half);
        let command = Command::Checked(check);
        let Ok(record) = state.take(command, now, &self.options.policy) else {
            return Ok(false);
        };
        state.apply(record.clone());
        let written = match record {
            Record::Decided { verdict, by, .. } => {
                let deciding = Deciding {
                    id: id.clone(),
                    verdict,
                    by,
                    reason: String::new(),
                    checks: Some((state.checks, state.log)),
                };
                let contents = self.contents_for(id, verdict, &found).await?;
                self.write_verdict(deciding, &contents).await?
            }
            Record::Checked { next, .. } => {
                if next.is_none() {
                    tracing::error!(half = %id, producer = %half.producer, checks = state.checks, "the checks of a half message are used up without a verdict; a person has to decide");
                }
                let write = MessageWrite::Checked {
                    half: id.clone(),
                    generation,
                    checks: state.checks,
                    log: state.log,
                    next_check_at: next,
                    now,
                };
                self.write_one(write).await?
            }
            Record::AskAt(_) => return Ok(false),
        };
        Ok(written == Written::Done)
    }

    async fn asked(&self, question: v1::CheckBackRequest, way: Way) -> Asked {
        let timeout = self.options.check_timeout;
        match way {
            Way::Member(place) => place.ask(question, timeout).await,
            Way::Call => self.shared.asker.ask(question, timeout).await,
        }
    }

    /// What a verdict is about; only what is delivered needs its body.
    async fn contents_for(
        &self,
        id: &HalfId,
        verdict: Verdict,
        found: &[StoredMessage],
    ) -> Result<Arc<Contents>, MessagesError> {
        match (self.shared.recent.take(id), verdict) {
            (Some(recent), _) => Ok(recent),
            (None, Verdict::Rollback) => Ok(Arc::new(contents(id, found)?)),
            (None, Verdict::Commit) => {
                let found = self.of_half(id, Bodies::Read).await?;
                Ok(Arc::new(contents(id, &found)?))
            }
        }
    }
}

fn question(half: &StoredHalf, messages: &[StoredMessage]) -> v1::CheckBackRequest {
    v1::CheckBackRequest {
        producer: half.producer.to_string(),
        half_id: half.id.to_string(),
        messages: messages.iter().map(|it| described(&it.message)).collect(),
        attempt: half.checks.saturating_add(1),
    }
}
