//! Half messages as a database takes them, and as it gives them back.

use amends_core::message::GroupName;
use amends_core::message::half::{CheckLog, DecidedBy, HalfState, Verdict};
use amends_core::time::{Millis, Timestamp};
use sqlx::FromRow;

use super::rows::{self, NewMessage};
use super::{Decision, HalfEnd, MessageWrite, StoredHalf};
use crate::store::StoreError;
use crate::store::rows::{signed, unsigned};
use crate::store::text::without_nul;

/// The rows of a [`MessageWrite::Prepare`]; none of anything else.
pub(super) fn prepared(write: &MessageWrite) -> Result<Vec<NewMessage<'_>>, StoreError> {
    let MessageWrite::Prepare {
        half,
        producer,
        check_at,
        messages,
    } = write
    else {
        return Ok(Vec::new());
    };
    let mut rows = Vec::with_capacity(messages.len());
    for (no, new) in messages.iter().enumerate() {
        rows.push(NewMessage {
            state: "PREPARED",
            published_at: None,
            half_id: Some(half.as_str()),
            // At most some hundred are prepared together.
            half_no: i64::try_from(no).ok(),
            producer: Some(producer.as_str()),
            delay: new.delay.map(|delay| signed(delay.0)).transpose()?,
            check_at: (no == 0).then_some(check_at.0),
            ..NewMessage::published(&new.message, new.message.created_at)?
        });
    }
    Ok(rows)
}

/// A message of a half that is decided, as a database takes it.
#[derive(Debug)]
pub(super) struct Decided<'a> {
    pub(super) id: &'a str,
    pub(super) half: &'a str,
    pub(super) state: &'static str,
    /// When to deliver it, if that is still to be done.
    pub(super) due_at: Option<i64>,
    pub(super) published_at: Option<i64>,
    pub(super) verdict: &'static str,
    pub(super) now: i64,
    pub(super) by: &'static str,
    pub(super) reason: std::borrow::Cow<'a, str>,
    pub(super) checks: Option<i64>,
    pub(super) log: Option<String>,
    pub(super) generation: i64,
}

/// The rows of a [`MessageWrite::Decide`]; none of anything else.
pub(super) fn decided(write: &MessageWrite) -> Result<Vec<Decided<'_>>, StoreError> {
    let MessageWrite::Decide {
        half,
        verdict,
        messages,
        by,
        reason,
        checks,
        generation,
        now,
    } = write
    else {
        return Ok(Vec::new());
    };
    let mut checks = checks.as_ref();
    let mut rows = Vec::with_capacity(messages.len());
    for (id, end) in messages {
        let (state, due_at, published_at) = match end {
            HalfEnd::RolledBack => ("ROLLED_BACK", None, None),
            HalfEnd::Committed(at) => ("COMMITTED", Some(at.0), None),
            HalfEnd::Published(_) => ("PUBLISHED", None, Some(now.0)),
        };
        // All about checks stands at the first.
        let checks = checks.take();
        rows.push(Decided {
            id: id.as_str(),
            half: half.as_str(),
            state,
            due_at,
            published_at,
            verdict: verdict.as_str(),
            now: now.0,
            by: by.as_str(),
            reason: without_nul(reason).into(),
            checks: checks.map(|(count, _)| i64::from(*count)),
            log: checks.map(|(_, log)| rows::json(log)).transpose()?,
            generation: signed(generation.0)?,
        });
    }
    Ok(rows)
}

/// Binds a [`Decided`] in the order in which the statements list its columns.
macro_rules! decided_message {
    ($query:expr, $row:expr) => {
        $query
            .bind($row.id)
            .bind($row.half)
            .bind($row.state)
            .bind($row.due_at)
            .bind($row.published_at)
            .bind($row.verdict)
            .bind($row.now)
            .bind($row.by)
            .bind($row.reason.as_ref())
            .bind($row.checks)
            .bind($row.log.as_deref())
            .bind($row.generation)
    };
}
pub(super) use decided_message;

/// Groups that get a message with the verdict.
pub(super) fn groups(end: &HalfEnd) -> &[GroupName] {
    match end {
        HalfEnd::Published(groups) => groups,
        HalfEnd::RolledBack | HalfEnd::Committed(_) => &[],
    }
}

/// The columns of [`HalfRow`].
macro_rules! half_columns {
    () => {
        "m.half_id, m.half_no, m.producer, m.delay, m.check_at, m.checks, m.check_log, \
         m.verdict, m.decided_at, m.decided_by, m.reason"
    };
}
pub(super) use half_columns;

/// What a row says about its half, if it has one.
#[derive(Debug, FromRow)]
pub(super) struct HalfRow {
    half_id: Option<String>,
    half_no: Option<i64>,
    producer: Option<String>,
    delay: Option<i64>,
    check_at: Option<i64>,
    checks: i64,
    check_log: Option<String>,
    verdict: Option<String>,
    decided_at: Option<i64>,
    decided_by: Option<String>,
    reason: Option<String>,
}

impl HalfRow {
    /// None: it is a message of its own.
    pub(super) fn read(self) -> Result<Option<Box<StoredHalf>>, StoreError> {
        let (Some(id), Some(no), Some(producer)) = (self.half_id, self.half_no, self.producer)
        else {
            return Ok(None);
        };
        let decision = match (self.verdict, self.decided_at, self.decided_by) {
            (Some(verdict), Some(at), Some(by)) => Some(Decision {
                verdict: read_verdict(&verdict)?,
                at: Timestamp(at),
                by: DecidedBy::parse(&by)
                    .ok_or_else(|| StoreError::Corrupt(format!("{by:?} decides nothing")))?,
                reason: self.reason.unwrap_or_default(),
            }),
            _ => None,
        };
        let log = match self.check_log {
            Some(text) => rows::from_json("checks", &text)?,
            None => CheckLog::default(),
        };
        Ok(Some(Box::new(StoredHalf {
            id: rows::name("a half id", id)?,
            no: rows::count(no)?,
            producer: rows::name("a producer group", producer)?,
            delay: self.delay.map(unsigned).transpose()?.map(Millis),
            check_at: self.check_at.map(Timestamp),
            checks: rows::count(self.checks)?,
            log,
            decision,
        })))
    }
}

pub(super) fn read_verdict(text: &str) -> Result<Verdict, StoreError> {
    Verdict::parse(text).ok_or_else(|| StoreError::Corrupt(format!("{text:?} is no verdict")))
}

/// A condition on halves by state, if it is not all states; made of constants.
pub(super) fn of_states(states: &[HalfState]) -> String {
    if states.is_empty() {
        return String::new();
    }
    let one = |state: &HalfState| match state {
        // These are rare, and as text they find their index.
        HalfState::Prepared => "(m.state = 'PREPARED' AND m.published_at IS NULL)",
        HalfState::Stuck => "(m.state = 'STUCK' AND m.published_at IS NULL)",
        HalfState::Committed => "m.verdict = 'COMMIT'",
        HalfState::RolledBack => "m.verdict = 'ROLLBACK'",
    };
    let states: Vec<_> = states.iter().map(one).collect();
    format!(" AND ({})", states.join(" OR "))
}
