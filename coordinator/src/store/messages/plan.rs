//! How a batch is written: what is common in many rows at a time, the rest one
//! after the other.
//!
//! Where each change is about another message, the order between them makes no
//! difference, except for the places of deliveries: those are given in the order
//! of the batch.

use std::collections::HashSet;

use amends_core::id::Generation;
use amends_core::message::{GroupName, Message, MessageId};
use amends_core::time::Timestamp;

use super::half::{self, Decided};
use super::rows::NewMessage;
use super::{Birth, MessageWrite, Outcome, Resolution};
use crate::store::StoreError;
use crate::store::rows::signed;

/// A batch, taken apart.
#[derive(Debug, Default)]
pub(super) struct Plan<'a> {
    /// New messages, half ones too.
    pub(super) accepted: Vec<NewMessage<'a>>,
    /// COMMITTED messages that begin to be published.
    pub(super) claimed: Vec<Fenced<'a>>,
    /// COMMITTED messages that were published.
    pub(super) published: Vec<Fenced<'a>>,
    /// Half messages that are decided.
    pub(super) decided: Vec<Decided<'a>>,
    /// READY rows of new and of published messages, in the order of the batch.
    pub(super) fanned_out: Vec<FanOut<'a>>,
    /// Deliveries that were handled.
    pub(super) done: Vec<Done<'a>>,
    /// Everything else: places in the batch.
    pub(super) rest: Vec<usize>,
}

/// A message as its owner believes it to be.
#[derive(Debug)]
pub(super) struct Fenced<'a> {
    pub(super) id: &'a str,
    pub(super) generation: i64,
    pub(super) now: i64,
}

/// A message for a group.
#[derive(Debug)]
pub(super) struct FanOut<'a> {
    pub(super) group: &'a str,
    pub(super) id: &'a str,
    pub(super) now: i64,
}

/// A message that a group has handled.
#[derive(Debug)]
pub(super) struct Done<'a> {
    pub(super) group: &'a str,
    pub(super) id: &'a str,
    pub(super) attempts: i64,
    pub(super) now: i64,
}

/// Takes a batch apart; none: it has to be written one by one.
pub(super) fn plan(batch: &[MessageWrite]) -> Result<Option<Plan<'_>>, StoreError> {
    if batch.len() < 2 || !is_free_of_order(batch) {
        return Ok(None);
    }
    let mut plan = Plan::default();
    let mut places_in_rest = false;
    for (at, write) in batch.iter().enumerate() {
        match write {
            MessageWrite::Accept { message, birth } => plan.accept(message, birth)?,
            MessageWrite::Prepare { .. } => plan.accepted.extend(half::prepared(write)?),
            MessageWrite::Decide { messages, now, .. } => {
                plan.decided.extend(half::decided(write)?);
                for (id, end) in messages {
                    plan.fan_out(id, half::groups(end), *now);
                }
            }
            MessageWrite::Claim {
                id,
                generation,
                now,
            } => plan.claimed.push(fenced(id, *generation, *now)?),
            MessageWrite::Publish {
                id,
                generation,
                fanout,
                now,
            } => {
                plan.published.push(fenced(id, *generation, *now)?);
                plan.fan_out(id, fanout, *now);
            }
            MessageWrite::Settle {
                group,
                message,
                attempts,
                outcome: Outcome::Done,
                now,
            } => plan.done.push(Done {
                group: group.as_str(),
                id: message.id.as_str(),
                attempts: i64::from(*attempts),
                now: now.0,
            }),
            other => {
                places_in_rest |= makes_waiting(other);
                plan.rest.push(at);
            }
        }
    }
    Ok((plan.fanned_out.is_empty() || !places_in_rest).then_some(plan))
}

impl<'a> Plan<'a> {
    fn accept(&mut self, message: &'a Message, birth: &'a Birth) -> Result<(), StoreError> {
        self.accepted.push(NewMessage::born(message, birth)?);
        if let Birth::Published { fanout } = birth {
            self.fan_out(&message.id, fanout, message.created_at);
        }
        Ok(())
    }

    fn fan_out(&mut self, id: &'a MessageId, groups: &'a [GroupName], now: Timestamp) {
        self.fanned_out.extend(groups.iter().map(|group| FanOut {
            group: group.as_str(),
            id: id.as_str(),
            now: now.0,
        }));
    }
}

fn fenced(
    id: &MessageId,
    generation: Generation,
    now: Timestamp,
) -> Result<Fenced<'_>, StoreError> {
    Ok(Fenced {
        id: id.as_str(),
        generation: signed(generation.0)?,
        now: now.0,
    })
}

/// Whether the change makes a row that waits, or a dead letter.
pub(super) fn makes_waiting(write: &MessageWrite) -> bool {
    match write {
        MessageWrite::Accept { birth, .. } => match birth {
            Birth::Published { fanout } => !fanout.is_empty(),
            Birth::Committed => false,
        },
        MessageWrite::Decide { messages, .. } => {
            let mut ends = messages.iter();
            ends.any(|(_, end)| !half::groups(end).is_empty())
        }
        MessageWrite::Publish { fanout, .. } => !fanout.is_empty(),
        MessageWrite::Settle { outcome, .. } => *outcome != Outcome::Done,
        MessageWrite::Resolve { resolution, .. } => *resolution != Resolution::Discard,
        MessageWrite::Claim { .. }
        | MessageWrite::Fail { .. }
        | MessageWrite::Cancel { .. }
        | MessageWrite::RetryNow { .. }
        | MessageWrite::Prepare { .. }
        | MessageWrite::Checked { .. }
        | MessageWrite::AskNow { .. } => false,
    }
}

/// Whether the order of the changes makes no difference: each is about another message, or about
/// it in another group. So are that an outside broker has a message and that a group has
/// handled it: they change different rows, and often come together.
fn is_free_of_order(batch: &[MessageWrite]) -> bool {
    let mut changed = HashSet::with_capacity(batch.len());
    let mut carried = HashSet::new();
    let mut settled = HashSet::with_capacity(batch.len());
    let mut halves = HashSet::new();
    for write in batch {
        let new = match write {
            MessageWrite::Publish { id, fanout, .. } if fanout.is_empty() => {
                carried.insert(id);
                changed.insert(id)
            }
            MessageWrite::Accept { message, .. } => changed.insert(&message.id),
            MessageWrite::Claim { id, .. }
            | MessageWrite::Publish { id, .. }
            | MessageWrite::Fail { id, .. }
            | MessageWrite::Cancel { id, .. }
            | MessageWrite::RetryNow { id, .. } => changed.insert(id),
            MessageWrite::Prepare { half, messages, .. } => {
                let mut messages = messages.iter();
                halves.insert(half) && messages.all(|it| changed.insert(&it.message.id))
            }
            MessageWrite::Decide { half, messages, .. } => {
                let mut messages = messages.iter();
                halves.insert(half) && messages.all(|(id, _)| changed.insert(id))
            }
            MessageWrite::Checked { half, .. } | MessageWrite::AskNow { half, .. } => {
                halves.insert(half)
            }
            MessageWrite::Settle { group, message, .. } => settled.insert((&message.id, group)),
            // It does not say which message it is about.
            MessageWrite::Resolve { .. } => false,
        };
        if !new {
            return false;
        }
    }
    let is_alone = |id| !changed.contains(id) || carried.contains(id);
    changed.is_empty() || settled.iter().all(|(id, _)| is_alone(*id))
}
