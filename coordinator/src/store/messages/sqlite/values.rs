//! A statement around a list of `VALUES`.
//!
//! As in the store's `append`: lists are padded to a power of two with rows of
//! nulls, so that there are few texts and each is prepared once; no statement
//! reports what it wrote but the number of changes.

use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection};

use crate::store::StoreError;

/// Most rows of one text. Bounds how many texts there are and how large they get.
const CHUNK: usize = 64;

pub(super) type Bound<'q> = Query<'q, Sqlite, SqliteArguments>;

/// A statement before and after its rows. Rows of nulls must change nothing.
pub(super) struct Values {
    pub(super) before: &'static str,
    pub(super) columns: usize,
    pub(super) after: &'static str,
}

impl Values {
    /// Executes it for all `rows`, of which `one` binds one; true when it made
    /// as many changes as there are rows. `first` is bound before them all.
    pub(super) async fn write<T>(
        &self,
        connection: &mut SqliteConnection,
        first: Option<&str>,
        rows: &[T],
        one: impl for<'q> Fn(Bound<'q>, &T) -> Bound<'q>,
    ) -> Result<bool, StoreError> {
        let mut changes = 0;
        for chunk in rows.chunks(CHUNK) {
            let padded = chunk.len().next_power_of_two();
            // Made of constants and of question marks.
            let mut query = sqlx::query(AssertSqlSafe(self.text(padded)));
            if let Some(first) = first {
                query = query.bind(first);
            }
            for row in chunk {
                query = one(query, row);
            }
            for _ in 0..(padded - chunk.len()) * self.columns {
                query = query.bind(None::<i64>);
            }
            changes += query.execute(&mut *connection).await?.rows_affected();
        }
        Ok(changes == rows.len() as u64)
    }

    fn text(&self, rows: usize) -> String {
        let row = format!(",({})", &",?".repeat(self.columns)[1..]);
        [self.before, &row.repeat(rows)[1..], self.after].concat()
    }
}
