//! The service's own database: [`Database`], and [`Conn`], an open transaction.
//!
//! A [`Conn`] gives the concrete connection of sqlx ([`Conn::sqlite`],
//! [`Conn::postgres`], [`Conn::mysql`]) to services that know their database,
//! and a small portable layer ([`Conn::execute`] and friends, `?` as the
//! placeholder, [`Row`]) to those that run on any. The portable layer is no
//! query builder: it sends the text it is given, and knows numbers, texts,
//! bytes and truth values only.

mod database;
mod error;
mod placeholders;
mod row;
mod value;

use std::fmt;
use std::sync::Arc;

pub use database::{Database, Dialect, LOCK_WAIT, MAX_CONNECTIONS};
pub use error::DatabaseError;
pub(crate) use error::is_conflict;
pub use row::Row;
pub use value::{FromValue, Value};

use tokio::sync::Notify;

use crate::StepCx;
use database::Pool;

/// An open local transaction. In a step it also holds the step's row in the
/// consumer log, and the SDK commits it.
pub struct Conn {
    tx: Tx,
    cx: Option<StepCx>,
    state: State,
    outbox: Outbox,
}

/// What the relay of this database is to learn from the commit.
struct Outbox {
    notify: Arc<Notify>,
    published: bool,
}

/// Whether the transaction can still be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// It lost a race. MySQL has then rolled it back, and would commit each
    /// further statement on its own.
    Lost,
}

enum Tx {
    #[cfg(feature = "sqlite")]
    Sqlite {
        tx: sqlx::Transaction<'static, sqlx::Sqlite>,
        /// Held for as long as the transaction is open.
        _writer: tokio::sync::OwnedSemaphorePermit,
    },
    #[cfg(feature = "postgres")]
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
    #[cfg(feature = "mysql")]
    MySql(sqlx::Transaction<'static, sqlx::MySql>),
}

/// Runs `$body` with `$tx` bound to the concrete transaction.
macro_rules! each {
    ($on:expr, $tx:pat => $body:expr) => {
        match $on {
            #[cfg(feature = "sqlite")]
            Tx::Sqlite { tx: $tx, .. } => $body,
            #[cfg(feature = "postgres")]
            Tx::Postgres($tx) => $body,
            #[cfg(feature = "mysql")]
            Tx::MySql($tx) => $body,
        }
    };
}

impl Conn {
    /// Which call of which step this is; `None` outside steps.
    #[must_use]
    pub fn cx(&self) -> Option<&StepCx> {
        self.cx.as_ref()
    }

    /// Which language the database speaks.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        match &self.tx {
            #[cfg(feature = "sqlite")]
            Tx::Sqlite { .. } => Dialect::Sqlite,
            #[cfg(feature = "postgres")]
            Tx::Postgres(_) => Dialect::Postgres,
            #[cfg(feature = "mysql")]
            Tx::MySql(_) => Dialect::MySql,
        }
    }

    /// The connection, if this is SQLite.
    #[cfg(feature = "sqlite")]
    pub fn sqlite(&mut self) -> Option<&mut sqlx::SqliteConnection> {
        match &mut self.tx {
            Tx::Sqlite { tx, .. } => Some(tx),
            #[allow(unreachable_patterns)] // with this feature alone
            _ => None,
        }
    }

    /// The connection, if this is PostgreSQL.
    #[cfg(feature = "postgres")]
    pub fn postgres(&mut self) -> Option<&mut sqlx::PgConnection> {
        match &mut self.tx {
            Tx::Postgres(tx) => Some(tx),
            #[allow(unreachable_patterns)] // with this feature alone
            _ => None,
        }
    }

    /// The connection, if this is MySQL or MariaDB.
    #[cfg(feature = "mysql")]
    pub fn mysql(&mut self) -> Option<&mut sqlx::MySqlConnection> {
        match &mut self.tx {
            Tx::MySql(tx) => Some(tx),
            #[allow(unreachable_patterns)] // with this feature alone
            _ => None,
        }
    }

    /// Runs a statement and returns the number of rows it affected.
    ///
    /// ```
    /// # use amends::{args, Conn, StepResult, reject};
    /// async fn take(conn: &mut Conn, id: i64, n: i64) -> StepResult<()> {
    ///     let taken = conn
    ///         .execute("UPDATE goods SET n = n - ? WHERE id = ? AND n >= ?", args![n, id, n])
    ///         .await?;
    ///     if taken == 0 {
    ///         reject!("OUT_OF_STOCK", "{n} x {id}");
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// As the database says; on PostgreSQL the transaction can then only be
    /// rolled back.
    pub async fn execute(&mut self, sql: &str, args: Vec<Value>) -> Result<u64, DatabaseError> {
        self.ensure_open()?;
        let done = match &mut self.tx {
            #[cfg(feature = "sqlite")]
            Tx::Sqlite { tx, .. } => row::sqlite::execute(tx, sql, args).await,
            #[cfg(feature = "postgres")]
            Tx::Postgres(tx) => row::postgres::execute(tx, sql, args).await,
            #[cfg(feature = "mysql")]
            Tx::MySql(tx) => row::mysql::execute(tx, sql, args).await,
        };
        self.checked(done)
    }

    /// Runs a query and returns all its rows.
    ///
    /// # Errors
    /// As [`Conn::execute`], and [`DatabaseError::Column`] for a column of a
    /// type that portable rows do not carry.
    pub async fn fetch_all(
        &mut self,
        sql: &str,
        args: Vec<Value>,
    ) -> Result<Vec<Row>, DatabaseError> {
        self.ensure_open()?;
        let done = match &mut self.tx {
            #[cfg(feature = "sqlite")]
            Tx::Sqlite { tx, .. } => row::sqlite::fetch_all(tx, sql, args).await,
            #[cfg(feature = "postgres")]
            Tx::Postgres(tx) => row::postgres::fetch_all(tx, sql, args).await,
            #[cfg(feature = "mysql")]
            Tx::MySql(tx) => row::mysql::fetch_all(tx, sql, args).await,
        };
        self.checked(done)
    }

    /// Runs a query and returns its first row, if there is one.
    ///
    /// # Errors
    /// As [`Conn::fetch_all`].
    pub async fn fetch_optional(
        &mut self,
        sql: &str,
        args: Vec<Value>,
    ) -> Result<Option<Row>, DatabaseError> {
        Ok(self.fetch_all(sql, args).await?.into_iter().next())
    }

    /// Runs a query and returns its first row.
    ///
    /// # Errors
    /// As [`Conn::fetch_all`], and [`DatabaseError::Query`] when there is no row.
    pub async fn fetch_one(&mut self, sql: &str, args: Vec<Value>) -> Result<Row, DatabaseError> {
        let row = self.fetch_optional(sql, args).await?;
        row.ok_or(DatabaseError::Query(sqlx::Error::RowNotFound))
    }

    /// Runs a text of several statements without arguments, as it is.
    ///
    /// # Errors
    /// As [`Conn::execute`].
    pub async fn execute_text(&mut self, sql: &str) -> Result<(), DatabaseError> {
        self.ensure_open()?;
        let text = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()));
        let done = each!(&mut self.tx, tx => text.execute(&mut **tx).await.map(drop));
        self.checked(done.map_err(DatabaseError::from))
    }

    /// Makes everything permanent.
    ///
    /// # Errors
    /// As the database says. A connection lost meanwhile leaves it unknown
    /// whether it happened.
    pub async fn commit(self) -> Result<(), DatabaseError> {
        self.ensure_open()?;
        each!(self.tx, tx => tx.commit().await)?;
        if self.outbox.published {
            self.outbox.notify.notify_one();
        }
        Ok(())
    }

    /// Undoes everything. Dropping does the same, later.
    ///
    /// # Errors
    /// As the database says; it is undone nevertheless.
    pub async fn rollback(self) -> Result<(), DatabaseError> {
        each!(self.tx, tx => tx.rollback().await)?;
        Ok(())
    }

    pub(crate) fn set_cx(&mut self, cx: StepCx) {
        self.cx = Some(cx);
    }

    /// The relay need not wait until it looks next.
    pub(crate) fn wake_outbox_at_commit(&mut self) {
        self.outbox.published = true;
    }

    fn ensure_open(&self) -> Result<(), DatabaseError> {
        match self.state {
            State::Open => Ok(()),
            State::Lost => Err(DatabaseError::Broken),
        }
    }

    fn checked<T>(&mut self, done: Result<T, DatabaseError>) -> Result<T, DatabaseError> {
        if done.as_ref().is_err_and(DatabaseError::is_conflict) {
            self.state = State::Lost;
        }
        done
    }

    async fn begin(database: &Database) -> Result<Self, DatabaseError> {
        let tx = match &database.pool {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite { pool, writer } => {
                let permit = tokio::time::timeout(LOCK_WAIT, writer.clone().acquire_owned()).await;
                let Ok(Ok(_writer)) = permit else {
                    return Err(DatabaseError::WriterBusy(LOCK_WAIT));
                };
                Tx::Sqlite {
                    tx: pool.begin_with("BEGIN IMMEDIATE").await?,
                    _writer,
                }
            }
            #[cfg(feature = "postgres")]
            Pool::Postgres(pool) => Tx::Postgres(
                pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED")
                    .await?,
            ),
            #[cfg(feature = "mysql")]
            Pool::MySql(pool) => Tx::MySql(pool.begin().await?),
        };
        Ok(Self {
            tx,
            cx: None,
            state: State::Open,
            outbox: Outbox {
                notify: database.outbox_notify(),
                published: false,
            },
        })
    }
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn")
            .field("dialect", &self.dialect())
            .field("cx", &self.cx)
            .finish()
    }
}
