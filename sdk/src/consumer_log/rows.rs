//! The statements of the consumer log, and nothing else.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Call, MAX_KEY_LENGTH, MAX_NAME_LENGTH, MAX_TAG_LENGTH, Phase};
use crate::conn::Dialect;
use crate::{Conn, DatabaseError, StepError, StepResult, Value, args};

/// The longest text kept of a failure, in characters.
const MAX_ERROR_LENGTH: usize = 1000;

/// Which row.
#[derive(Clone, Debug)]
pub(super) struct Key {
    group: String,
    tag: Cow<'static, str>,
    key: String,
}

impl Key {
    /// The row of this call.
    pub(super) fn step(call: &Call) -> StepResult<Self> {
        match call.phase {
            Phase::Do => Self::step_do(call),
            Phase::Undo => Self::step_undo(call),
            Phase::Try => Self::tcc_try(call),
            Phase::Confirm | Phase::Cancel => Self::tcc_settle(call),
        }
    }

    /// The row of the step itself, whichever phase is called.
    pub(super) fn step_do(call: &Call) -> StepResult<Self> {
        Self::checked(call.service, "do", &call.cx.idempotency_key())
    }

    /// The row of the step's undo, whichever phase is called.
    pub(super) fn step_undo(call: &Call) -> StepResult<Self> {
        Self::checked(call.service, "undo", &call.cx.idempotency_key())
    }

    /// The row of a branch's try, whichever phase is called.
    pub(super) fn tcc_try(call: &Call) -> StepResult<Self> {
        Self::checked(call.service, "try", &call.cx.idempotency_key())
    }

    /// The row of what became of a branch: confirm and cancel meet on it.
    pub(super) fn tcc_settle(call: &Call) -> StepResult<Self> {
        Self::checked(call.service, "settle", &call.cx.idempotency_key())
    }

    /// The row of a delivery.
    pub(super) fn delivery(group: &str, id: &str) -> StepResult<Self> {
        Self::checked(group, "delivery", id)
    }

    /// The row of a message that a handler of `group` got; `key` is what it is
    /// recognised by.
    pub(super) fn message(group: &str, topic: &str, tag: &str, key: &str) -> StepResult<Self> {
        Self::checked(group, format!("{topic}:{tag}"), key)
    }

    /// The row of the local transaction of half messages.
    pub(super) fn half(producer: &str, half_id: &str) -> StepResult<Self> {
        Self::checked(producer, "half", half_id)
    }

    // A key that the database would cut or pad would stand for another one.
    fn checked(group: &str, tag: impl Into<Cow<'static, str>>, key: &str) -> StepResult<Self> {
        let tag = tag.into();
        for (what, text, most) in [
            ("group", group, MAX_NAME_LENGTH),
            ("tag", &tag, MAX_TAG_LENGTH),
            ("key", key, MAX_KEY_LENGTH),
        ] {
            let length = text.chars().count();
            if length == 0 || length > most || text.trim() != text || text.contains('\0') {
                return Err(StepError::unknown(format!(
                    "the {what} must have 1 to {most} characters and no blanks around it"
                )));
            }
        }
        Ok(Self {
            group: group.to_owned(),
            tag,
            key: key.to_owned(),
        })
    }

    fn args(&self) -> Vec<Value> {
        args![&self.group, &*self.tag, &self.key]
    }
}

/// Who wrote a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WrittenBy {
    /// A step; a branch's try or confirm.
    Do,
    /// The undo of a step; the cancel of a branch.
    Undo,
    Message,
    /// The local transaction of half messages.
    Half,
    /// Who asked what became of it, and found nothing.
    Check,
}

impl WrittenBy {
    fn text(self) -> &'static str {
        match self {
            Self::Do => "do",
            Self::Undo => "undo",
            Self::Message => "message",
            Self::Half => "half",
            Self::Check => "check",
        }
    }

    fn parse(text: &str) -> Result<Self, DatabaseError> {
        let all = [Self::Do, Self::Undo, Self::Message, Self::Half, Self::Check];
        let writer = all.into_iter().find(|writer| writer.text() == text);
        writer.ok_or_else(|| DatabaseError::Column(format!("`{text}` is no writer of the log")))
    }
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// An attempt is under way. Committed by external steps only; `result`
    /// then says after how many milliseconds it certainly has ended.
    Running,
    /// External: an attempt has ended without an answer.
    Started,
    /// Done; `result` is the answer.
    Succeeded,
    /// Refused; `result` is the refusal.
    Refused,
    /// Undone, or asked for, before there was an answer: it must not run any more.
    Void,
}

impl Status {
    fn text(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Started => "started",
            Self::Succeeded => "succeeded",
            Self::Refused => "refused",
            Self::Void => "void",
        }
    }

    fn parse(text: &str) -> Result<Self, DatabaseError> {
        let all = [
            Self::Running,
            Self::Started,
            Self::Succeeded,
            Self::Refused,
            Self::Void,
        ];
        let status = all.into_iter().find(|status| status.text() == text);
        status.ok_or_else(|| DatabaseError::Column(format!("`{text}` is no status of the log")))
    }
}

/// A row as read.
#[derive(Clone, Debug)]
pub(super) struct LogRow {
    pub(super) msg_id: String,
    pub(super) by: WrittenBy,
    pub(super) status: Status,
    pub(super) result: Bytes,
    age_ms: i64,
}

impl LogRow {
    /// Whether an external attempt may still be under way, by database time.
    pub(super) fn attempt_may_run(&self) -> bool {
        let lease = std::str::from_utf8(&self.result)
            .ok()
            .and_then(|text| text.parse().ok());
        self.status == Status::Running && lease.is_none_or(|lease: i64| self.age_ms < lease)
    }
}

/// Inserts a row; `false` when there is one. Waits while another transaction
/// that inserted it is open.
pub(super) async fn insert(
    conn: &mut Conn,
    key: &Key,
    msg_id: &str,
    by: WrittenBy,
    status: Status,
    result: Option<&[u8]>,
) -> Result<bool, DatabaseError> {
    const COLUMNS: &str = "insert into consumer_log \
        (group_name, msg_tag, msg_key, msg_id, written_by, status, result) \
        values (?, ?, ?, ?, ?, ?, ?)";
    const OR_NOTHING: &str = "insert into consumer_log \
        (group_name, msg_tag, msg_key, msg_id, written_by, status, result) \
        values (?, ?, ?, ?, ?, ?, ?) on conflict (group_name, msg_tag, msg_key) do nothing";
    let sql = match conn.dialect() {
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => OR_NOTHING,
        #[cfg(feature = "postgres")]
        Dialect::Postgres => OR_NOTHING,
        // `insert ignore` would cut what is too long; a plain insert that
        // fails fails alone, the transaction goes on.
        #[cfg(feature = "mysql")]
        Dialect::MySql => COLUMNS,
    };
    let _ = (COLUMNS, OR_NOTHING); // without one of the databases, one is unused
    let mut values = key.args();
    values.extend(args![msg_id, by.text(), status.text(), result]);
    match conn.execute(sql, values).await {
        Ok(rows) => Ok(rows == 1),
        Err(DatabaseError::Duplicate(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reads a row.
pub(super) async fn read(conn: &mut Conn, key: &Key) -> Result<Option<LogRow>, DatabaseError> {
    let sql = match conn.dialect() {
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => {
            "select msg_id, written_by, status, result, \
             cast((julianday('now') - julianday(updated_at)) * 86400000 as integer) as age_ms \
             from consumer_log where group_name = ? and msg_tag = ? and msg_key = ?"
        }
        #[cfg(feature = "postgres")]
        Dialect::Postgres => {
            "select msg_id, written_by, status, result, \
             cast(extract(epoch from clock_timestamp() - updated_at) * 1000 as bigint) as age_ms \
             from consumer_log where group_name = ? and msg_tag = ? and msg_key = ?"
        }
        #[cfg(feature = "mysql")]
        Dialect::MySql => {
            "select msg_id, written_by, status, result, \
             timestampdiff(microsecond, updated_at, current_timestamp(3)) div 1000 as age_ms \
             from consumer_log where group_name = ? and msg_tag = ? and msg_key = ?"
        }
    };
    let Some(row) = conn.fetch_optional(sql, key.args()).await? else {
        return Ok(None);
    };
    Ok(Some(LogRow {
        msg_id: row.get("msg_id")?,
        by: WrittenBy::parse(&row.get::<String>("written_by")?)?,
        status: Status::parse(&row.get::<String>("status")?)?,
        result: row
            .get::<Option<Vec<u8>>>("result")?
            .unwrap_or_default()
            .into(),
        age_ms: row.get("age_ms")?,
    }))
}

/// What a row must be for a change to happen, and what it becomes.
pub(super) struct Change<'a> {
    /// The delivery that wrote it last.
    pub(super) from: (&'a str, Status),
    /// The delivery that writes it now.
    pub(super) to: (&'a str, Status),
    pub(super) by: WrittenBy,
    pub(super) result: Option<&'a [u8]>,
}

/// Changes a row, if it still is what the caller takes it for; says whether.
pub(super) async fn change(
    conn: &mut Conn,
    key: &Key,
    change: Change<'_>,
) -> Result<bool, DatabaseError> {
    let sql = match conn.dialect() {
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => {
            "update consumer_log set msg_id = ?, status = ?, written_by = ?, result = ?, \
             updated_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') \
             where group_name = ? and msg_tag = ? and msg_key = ? and msg_id = ? and status = ?"
        }
        #[cfg(feature = "postgres")]
        Dialect::Postgres => {
            "update consumer_log set msg_id = ?, status = ?, written_by = ?, result = ?, \
             updated_at = clock_timestamp() \
             where group_name = ? and msg_tag = ? and msg_key = ? and msg_id = ? and status = ?"
        }
        #[cfg(feature = "mysql")]
        Dialect::MySql => {
            "update consumer_log set msg_id = ?, status = ?, written_by = ?, result = ?, \
             updated_at = current_timestamp(3) \
             where group_name = ? and msg_tag = ? and msg_key = ? and msg_id = ? and status = ?"
        }
    };
    let (old_id, old_status) = change.from;
    let (new_id, new_status) = change.to;
    let mut values = args![new_id, new_status.text(), change.by.text(), change.result];
    values.extend(key.args());
    values.extend(args![old_id, old_status.text()]);
    Ok(conn.execute(sql, values).await? == 1)
}

/// Counts a failed attempt.
pub(super) async fn note_failure(
    conn: &mut Conn,
    key: &Key,
    error: &str,
) -> Result<(), DatabaseError> {
    let sql = match conn.dialect() {
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => {
            "insert into consumer_failure (group_name, msg_tag, msg_key, attempts, last_error) \
             values (?, ?, ?, 1, ?) on conflict (group_name, msg_tag, msg_key) do update set \
             attempts = consumer_failure.attempts + 1, last_error = excluded.last_error, \
             updated_at = excluded.updated_at"
        }
        #[cfg(feature = "postgres")]
        Dialect::Postgres => {
            "insert into consumer_failure (group_name, msg_tag, msg_key, attempts, last_error) \
             values (?, ?, ?, 1, ?) on conflict (group_name, msg_tag, msg_key) do update set \
             attempts = consumer_failure.attempts + 1, last_error = excluded.last_error, \
             updated_at = excluded.updated_at"
        }
        #[cfg(feature = "mysql")]
        Dialect::MySql => {
            "insert into consumer_failure (group_name, msg_tag, msg_key, attempts, last_error) \
             values (?, ?, ?, 1, ?) on duplicate key update \
             attempts = attempts + 1, last_error = values(last_error), \
             updated_at = current_timestamp(3)"
        }
    };
    let text: String = error
        .chars()
        .filter(|c| *c != '\0')
        .take(MAX_ERROR_LENGTH)
        .collect();
    let mut values = key.args();
    values.push(text.into());
    conn.execute(sql, values).await.map(drop)
}
