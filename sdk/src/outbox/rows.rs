//! The statements of the outbox, and nothing else.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amends_proto::v1;

use super::lease::millis;
use crate::conn::Dialect;
use crate::{Conn, DatabaseError, Row, Value, args};

/// Most messages of one batch.
pub(super) const MAX_BATCH: usize = 100;
/// Most bytes of the bodies of one batch, unless one alone has more.
const MAX_BATCH_BYTES: i64 = 1024 * 1024;
/// The longest text kept of a failure, in characters.
const MAX_ERROR_LENGTH: usize = 1000;

/// What became of a message of the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Will be published, now or at the next attempt.
    Sending,
    /// The coordinator has it; which groups have handled it, the coordinator knows.
    Sent,
    /// It used up its attempts or its time, or the coordinator refuses it for good.
    Failed,
}

impl State {
    const ALL: [Self; 3] = [Self::Sending, Self::Sent, Self::Failed];

    fn number(self) -> i64 {
        match self {
            Self::Sending => 0,
            Self::Sent => 1,
            Self::Failed => 2,
        }
    }

    fn parse(number: i64) -> Result<Self, DatabaseError> {
        let state = Self::ALL.into_iter().find(|state| state.number() == number);
        state.ok_or_else(|| DatabaseError::Column(format!("{number} is no status of the outbox")))
    }
}

/// A message of the outbox, without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// Its id.
    pub id: String,
    /// Its topic.
    pub topic: String,
    /// Its tag.
    pub tag: String,
    /// Its key.
    pub key: String,
    /// What became of it.
    pub state: State,
    /// Attempts so far.
    pub try_count: u32,
    /// When the next attempt is due, where it waits for one.
    pub next_try_at: Option<SystemTime>,
    /// Why the last attempt failed; empty where none has.
    pub last_error: String,
}

/// A message about to be published.
pub(super) struct Outgoing {
    pub(super) seq: i64,
    pub(super) try_count: u32,
    /// How long ago it was first tried.
    pub(super) age: Duration,
    pub(super) message: v1::Message,
}

/// Milliseconds since 1970 by the database's clock.
pub(super) fn now(dialect: Dialect) -> &'static str {
    match dialect {
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => "cast(round((julianday('now') - 2440587.5) * 86400000) as integer)",
        #[cfg(feature = "postgres")]
        Dialect::Postgres => "cast(extract(epoch from clock_timestamp()) * 1000 as bigint)",
        #[cfg(feature = "mysql")]
        Dialect::MySql => "cast(unix_timestamp(current_timestamp(3)) * 1000 as signed)",
    }
}

/// The same as a value of `updated_at`.
fn timestamp(dialect: Dialect) -> &'static str {
    match dialect {
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
        #[cfg(feature = "postgres")]
        Dialect::Postgres => "clock_timestamp()",
        #[cfg(feature = "mysql")]
        Dialect::MySql => "current_timestamp(3)",
    }
}

/// Writes a message; one of the same id stays as it is.
pub(super) async fn insert(
    conn: &mut Conn,
    message: &v1::Message,
    delay: Option<Duration>,
) -> Result<(), DatabaseError> {
    let dialect = conn.dialect();
    let (deliver_at, time) = match (delay, &message.deliver_time) {
        (Some(delay), _) => (format!("{} + ?", now(dialect)), Some(millis(delay))),
        (None, Some(time)) => ("?".to_owned(), Some(to_millis(time))),
        (None, None) => ("null".to_owned(), None),
    };
    let or_nothing = match dialect {
        #[cfg(feature = "sqlite")]
        Dialect::Sqlite => " on conflict (id) do nothing",
        #[cfg(feature = "postgres")]
        Dialect::Postgres => " on conflict (id) do nothing",
        // A plain insert that fails fails alone, the transaction goes on.
        #[cfg(feature = "mysql")]
        Dialect::MySql => "",
    };
    let sql = format!(
        "insert into message_outbox (id, topic, tag, msg_key, order_key, headers, content_type, \
         body, last_error, deliver_at) values (?, ?, ?, ?, ?, ?, ?, ?, '', {deliver_at}){or_nothing}"
    );
    let headers = serde_json::to_string(&message.headers)
        .map_err(|error| DatabaseError::Column(error.to_string()))?;
    let payload = message.payload.clone().unwrap_or_default();
    let mut values = args![
        &message.id,
        &message.topic,
        &message.tag,
        &message.key,
        &message.order_key,
        headers,
        payload.content_type,
        payload.data.to_vec(),
    ];
    values.extend(time.map(Value::Int));
    match conn.execute(&sql, values).await {
        Ok(_) | Err(DatabaseError::Duplicate(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whose attempt is due and behind nothing of its order key that waits.
fn due(dialect: Dialect) -> String {
    let now = now(dialect);
    format!(
        "o.status = 0 and o.next_try_at <= {now} and (o.order_key = '' or not exists \
         (select 1 from message_outbox e where e.status = 0 and e.topic = o.topic \
          and e.order_key = o.order_key and e.seq < o.seq and e.next_try_at > {now}))"
    )
}

/// Whether anything is due.
pub(super) async fn any_due(conn: &mut Conn) -> Result<bool, DatabaseError> {
    let sql = format!(
        "select 1 from message_outbox o where {} limit 1",
        due(conn.dialect())
    );
    Ok(conn.fetch_optional(&sql, args![]).await?.is_some())
}

/// The next messages to publish, in their order.
pub(super) async fn next_batch(conn: &mut Conn) -> Result<Vec<Outgoing>, DatabaseError> {
    let dialect = conn.dialect();
    let sizes = format!(
        "select o.seq, length(o.body) as size from message_outbox o where {} \
         order by o.seq limit {MAX_BATCH}",
        due(dialect)
    );
    let (mut chosen, mut bytes) = (Vec::new(), 0);
    for row in conn.fetch_all(&sizes, args![]).await? {
        bytes += row.get::<i64>("size")?;
        if bytes > MAX_BATCH_BYTES && !chosen.is_empty() {
            break;
        }
        chosen.push(row.get::<i64>("seq")?);
    }
    if chosen.is_empty() {
        return Ok(Vec::new());
    }
    let places = places(chosen.len());
    let sql = format!(
        "select seq, id, topic, tag, msg_key, order_key, headers, content_type, body, deliver_at, \
         try_count, {now} - coalesce(first_try_at, {now}) as age \
         from message_outbox where seq in ({places}) order by seq",
        now = now(dialect),
    );
    let chosen = chosen.into_iter().map(Value::Int).collect();
    let rows = conn.fetch_all(&sql, chosen).await?;
    rows.iter().map(outgoing).collect()
}

fn outgoing(row: &Row) -> Result<Outgoing, DatabaseError> {
    let headers: String = row.get("headers")?;
    let headers: HashMap<String, String> = serde_json::from_str(&headers)
        .map_err(|error| DatabaseError::Column(format!("the headers are no JSON: {error}")))?;
    let payload = v1::Payload {
        content_type: row.get("content_type")?,
        data: row.get::<Vec<u8>>("body")?.into(),
    };
    let age: i64 = row.get("age")?;
    Ok(Outgoing {
        seq: row.get("seq")?,
        try_count: row.get("try_count")?,
        age: Duration::from_millis(age.max(0).unsigned_abs()),
        message: v1::Message {
            id: row.get("id")?,
            topic: row.get("topic")?,
            tag: row.get("tag")?,
            key: row.get("msg_key")?,
            order_key: row.get("order_key")?,
            headers,
            payload: Some(payload),
            deliver_time: row.get::<Option<i64>>("deliver_at")?.map(from_millis),
            create_time: None,
        },
    })
}

/// Notes that these were published.
pub(super) async fn mark_sent(conn: &mut Conn, seqs: &[i64]) -> Result<(), DatabaseError> {
    if seqs.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "update message_outbox set status = 1, try_count = try_count + 1, last_error = '', \
         updated_at = {} where status = 0 and seq in ({})",
        timestamp(conn.dialect()),
        places(seqs.len())
    );
    let values = seqs.iter().map(|seq| Value::Int(*seq)).collect();
    conn.execute(&sql, values).await.map(drop)
}

/// Notes an attempt that failed, and when the next one is; `None`: there is none.
pub(super) async fn mark_failed(
    conn: &mut Conn,
    seq: i64,
    next: Option<Duration>,
    error: &str,
) -> Result<(), DatabaseError> {
    let dialect = conn.dialect();
    let now = now(dialect);
    let sql = format!(
        "update message_outbox set status = ?, try_count = try_count + 1, \
         first_try_at = coalesce(first_try_at, {now}), next_try_at = {now} + ?, last_error = ?, \
         updated_at = {} where status = 0 and seq = ?",
        timestamp(dialect)
    );
    let state = if next.is_some() {
        State::Sending
    } else {
        State::Failed
    };
    let error: String = error
        .chars()
        .filter(|c| *c != '\0')
        .take(MAX_ERROR_LENGTH)
        .collect();
    let wait = millis(next.unwrap_or_default());
    conn.execute(&sql, args![state.number(), wait, error, seq])
        .await
        .map(drop)
}

/// Gives a failed message all its attempts and its time again.
pub(super) async fn resend(conn: &mut Conn, id: &str) -> Result<bool, DatabaseError> {
    let sql = format!(
        "update message_outbox set status = 0, try_count = 0, first_try_at = null, \
         next_try_at = 0, updated_at = {} where status = 2 and id = ?",
        timestamp(conn.dialect())
    );
    Ok(conn.execute(&sql, args![id]).await? == 1)
}

const KEPT: &str = "select id, topic, tag, msg_key, status, try_count, next_try_at, last_error \
    from message_outbox where ";

pub(super) async fn find(conn: &mut Conn, id: &str) -> Result<Option<Kept>, DatabaseError> {
    let row = conn
        .fetch_optional(&format!("{KEPT} id = ?"), args![id])
        .await?;
    row.as_ref().map(kept).transpose()
}

pub(super) async fn list(
    conn: &mut Conn,
    state: State,
    limit: u32,
) -> Result<Vec<Kept>, DatabaseError> {
    let sql = format!("{KEPT} status = ? order by seq limit ?");
    let rows = conn.fetch_all(&sql, args![state.number(), limit]).await?;
    rows.iter().map(kept).collect()
}

fn kept(row: &Row) -> Result<Kept, DatabaseError> {
    let state = State::parse(row.get("status")?)?;
    let next: i64 = row.get("next_try_at")?;
    let waits = state == State::Sending && next > 0;
    Ok(Kept {
        id: row.get("id")?,
        topic: row.get("topic")?,
        tag: row.get("tag")?,
        key: row.get("msg_key")?,
        state,
        try_count: row.get("try_count")?,
        next_try_at: waits.then(|| UNIX_EPOCH + Duration::from_millis(next.unsigned_abs())),
        last_error: row.get("last_error")?,
    })
}

fn places(count: usize) -> String {
    vec!["?"; count].join(", ")
}

fn to_millis(time: &prost_types::Timestamp) -> i64 {
    time.seconds
        .saturating_mul(1000)
        .saturating_add(i64::from(time.nanos / 1_000_000))
}

fn from_millis(millis: i64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: millis.div_euclid(1000),
        nanos: i32::try_from(millis.rem_euclid(1000) * 1_000_000).unwrap_or_default(),
    }
}
