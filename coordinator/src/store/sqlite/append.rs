//! Writing a batch, in the common case that everything is as its writer believes.
//!
//! A batch is one text, from `BEGIN` to `COMMIT`, because a trip to the thread
//! that speaks to SQLite costs more than a row does, and waits for a core twice;
//! a large batch is several texts. Each has up to three statements (new
//! transactions, known ones, log rows), and no others, because each wakes who
//! waits for it. The rows are bound to a list of `VALUES`, padded to a power of
//! two with rows of nulls, so that there are few texts and each is prepared
//! once. No statement reports what it wrote. A row that is there already ends
//! the transaction, and so does a row too few among the known ones. Then nothing
//! is kept, and [`doubtful`] looks at each.
//!
//! A row that may not be written takes all back, rather than its statement: to
//! be able to do that, SQLite would copy each page before it changes it.

use sqlx::error::ErrorKind;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection};

use super::doubtful;
use crate::store::rows::NewRow;
use crate::store::{Append, Appended, Incarnation, StoreError};

/// Most rows of one text. Bounds how many texts there are and how large they
/// get; more rows per trip would save little.
const CHUNK: usize = 64;

const BEGIN: &str = "BEGIN IMMEDIATE;";
const COMMIT: &str = "COMMIT;";
/// Of what was left open.
pub(super) const ROLLBACK: &str = "ROLLBACK";

/// A limit that is none, and fails unless the statement before has made as many
/// changes as its parameter says: the least number has no absolute value.
macro_rules! if_as_many {
    () => {
        " LIMIT -1 - abs(iif(changes() = ?, 0, -9223372036854775807 - 1));"
    };
}
/// The same where nothing else follows.
const IF_AS_MANY: &str = concat!("SELECT 1 WHERE 0", if_as_many!());

/// New transactions; first parameter: the owner.
const CREATE: Values = Values {
    before: "INSERT OR ROLLBACK INTO transactions (owner, gid, kind, state, definition_hash, \
            definition_name, definition_version, cause_step, cause_code, cause_message, \
            generation, last_record, created_at, updated_at, finished_at, wake_at) \
        SELECT ?, * FROM (VALUES ",
    columns: 15,
    after: ") WHERE column1 IS NOT NULL;",
};

/// Known transactions; last parameter: the owner.
const ADVANCE: Values = Values {
    before: "UPDATE OR ROLLBACK transactions SET state = column4, last_record = column5, \
            updated_at = column6, finished_at = column7, wake_at = column8, \
            cause_step = column9, cause_code = column10, cause_message = column11, \
            parked = NULL \
        FROM (VALUES ",
    columns: 11,
    after: ") WHERE gid = column1 AND generation = column2 AND last_record = column3 \
        AND owner = ?;",
};

/// Log rows.
const LOG: Values = Values {
    before: "INSERT OR ROLLBACK INTO transaction_log (gid, seq, records) SELECT * FROM (VALUES ",
    columns: 3,
    after: ") WHERE column1 IS NOT NULL;",
};

/// The same after known transactions; last parameter: how many those are.
const LOG_OF_KNOWN: Values = Values {
    after: concat!(") WHERE column1 IS NOT NULL", if_as_many!()),
    ..LOG
};

type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

pub(super) async fn append(
    connection: &mut SqliteConnection,
    owner: &Incarnation,
    batch: &[Append],
) -> Result<Vec<Appended>, StoreError> {
    let rows = batch.iter().map(NewRow::try_from);
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    if write_all(connection, owner, &rows).await? {
        return Ok(vec![Appended::Written; rows.len()]);
    }
    let written = doubtful::append(connection, owner, &rows).await?;
    let answers = rows.iter().map(|row| match written.contains(row.gid) {
        true => Appended::Written,
        false => Appended::Conflict,
    });
    Ok(answers.collect())
}

/// Writes all rows, or none and says so.
async fn write_all(
    connection: &mut SqliteConnection,
    owner: &Incarnation,
    rows: &[NewRow<'_>],
) -> Result<bool, StoreError> {
    let last = rows.chunks(CHUNK).len().saturating_sub(1);
    for (number, chunk) in rows.chunks(CHUNK).enumerate() {
        let text = statements(owner, chunk, number == 0, number == last);
        if let Err(error) = text.execute(&mut *connection).await {
            // Fails where SQLite itself has done that, as on a full disk.
            let _ = sqlx::query(ROLLBACK).execute(&mut *connection).await;
            return match is_doubtful(&error) {
                true => Ok(false),
                false => Err(error.into()),
            };
        }
    }
    Ok(true)
}

/// A row is there already, or not as it should be.
fn is_doubtful(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    error.is_some_and(|error| {
        error.kind() != ErrorKind::Other || error.message() == "integer overflow"
    })
}

/// What writes `rows`, in a transaction that it begins where these are the
/// first ones and commits where they are the last.
fn statements<'q>(
    owner: &Incarnation,
    rows: &[NewRow<'_>],
    is_first: bool,
    is_last: bool,
) -> Bound<'q> {
    let (new, known): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.previous == 0);
    let logged = rows.iter().filter(|row| !row.records.is_empty());
    let logged: Vec<_> = logged.collect();

    let mut text = String::new();
    if is_first {
        text.push_str(BEGIN);
    }
    CREATE.write(&mut text, new.len());
    ADVANCE.write(&mut text, known.len());
    match (known.len(), logged.len()) {
        (0, some) => LOG.write(&mut text, some),
        (_, 0) => text.push_str(IF_AS_MANY),
        (_, some) => LOG_OF_KNOWN.write(&mut text, some),
    }
    if is_last {
        text.push_str(COMMIT);
    }
    // Made of the constants above and of question marks.
    let mut query = sqlx::query(AssertSqlSafe(text));
    if !new.is_empty() {
        query = CREATE.bind(query.bind(&owner.0), &new, created);
    }
    if !known.is_empty() {
        query = ADVANCE.bind(query, &known, advanced).bind(&owner.0);
    }
    query = LOG.bind(query, &logged, log_row);
    match i64::try_from(known.len()) {
        Ok(0) | Err(_) => query,
        Ok(known) => query.bind(known),
    }
}

fn created<'q>(query: Bound<'q>, row: &NewRow<'_>) -> Bound<'q> {
    query
        .bind(row.gid)
        .bind(row.kind)
        .bind(row.state)
        .bind(row.definition_hash)
        .bind(row.definition_name)
        .bind(row.definition_version)
        .bind(row.cause_step.as_deref())
        .bind(row.cause_code.as_deref())
        .bind(row.cause_message.as_deref())
        .bind(row.generation)
        .bind(row.last)
        .bind(row.created_at)
        .bind(row.updated_at)
        .bind(row.finished_at)
        .bind(row.wake_at)
}

fn advanced<'q>(query: Bound<'q>, row: &NewRow<'_>) -> Bound<'q> {
    query
        .bind(row.gid)
        .bind(row.generation)
        .bind(row.previous)
        .bind(row.state)
        .bind(row.last)
        .bind(row.updated_at)
        .bind(row.finished_at)
        .bind(row.wake_at)
        .bind(row.cause_step.as_deref())
        .bind(row.cause_code.as_deref())
        .bind(row.cause_message.as_deref())
}

fn log_row<'q>(query: Bound<'q>, row: &NewRow<'_>) -> Bound<'q> {
    query.bind(row.gid).bind(row.first).bind(row.records)
}

/// A statement around a list of `VALUES`.
struct Values {
    before: &'static str,
    columns: usize,
    after: &'static str,
}

impl Values {
    /// Adds the statement for `rows` rows to `text`; for none, nothing.
    fn write(&self, text: &mut String, rows: usize) {
        if rows == 0 {
            return;
        }
        let row = format!(",({})", &",?".repeat(self.columns)[1..]);
        text.push_str(self.before);
        text.push_str(&row.repeat(padded(rows))[1..]);
        text.push_str(self.after);
    }

    /// Binds `rows` with `one`, and nulls to the rows that pad them.
    fn bind<'q>(
        &self,
        mut query: Bound<'q>,
        rows: &[&NewRow<'_>],
        one: fn(Bound<'q>, &NewRow<'_>) -> Bound<'q>,
    ) -> Bound<'q> {
        for row in rows {
            query = one(query, row);
        }
        for _ in 0..(padded(rows.len()) - rows.len()) * self.columns {
            query = query.bind(None::<i64>);
        }
        query
    }
}

/// How many rows a list for `rows` has.
fn padded(rows: usize) -> usize {
    match rows {
        0 => 0,
        some => some.next_power_of_two(),
    }
}
