//! [`Row`]: what portable queries return; and how each database's rows and
//! arguments become portable values.

use std::sync::Arc;

use sqlx::{Column, TypeInfo, ValueRef};

use super::{DatabaseError, FromValue, Value};

/// A row of a portable query.
#[derive(Clone, Debug)]
pub struct Row {
    columns: Vec<(Arc<str>, Value)>,
}

impl Row {
    /// The column of this name, as `T`. `Option<T>` reads `NULL` as `None`.
    ///
    /// # Errors
    /// [`DatabaseError::Column`]: no such column, or it holds something else.
    pub fn get<T: FromValue>(&self, name: &str) -> Result<T, DatabaseError> {
        let column = self.columns.iter().find(|(column, _)| &**column == name);
        let (_, value) =
            column.ok_or_else(|| DatabaseError::Column(format!("there is no column `{name}`")))?;
        T::from_value(value).map_err(|error| named(name, &error))
    }

    /// The column at this place, from 0 on, as `T`.
    ///
    /// # Errors
    /// As [`Row::get`].
    pub fn at<T: FromValue>(&self, index: usize) -> Result<T, DatabaseError> {
        let (name, value) = self
            .columns
            .get(index)
            .ok_or_else(|| DatabaseError::Column(format!("there is no column {index}")))?;
        T::from_value(value).map_err(|error| named(name, &error))
    }

    /// The names of the columns in order.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| &**name)
    }
}

fn named(name: &str, error: &DatabaseError) -> DatabaseError {
    DatabaseError::Column(format!("column `{name}`: {error}"))
}

#[cfg_attr(not(any(feature = "postgres", feature = "mysql")), allow(dead_code))]
fn unsupported(name: &str, kind: &str) -> DatabaseError {
    DatabaseError::Column(format!(
        "column `{name}` is of type {kind}, which portable rows do not carry: \
         cast it to text in the query, or use the connection itself"
    ))
}

/// The three functions of a back end, which differ in types only.
macro_rules! statements {
    ($db:ty, $sql:path) => {
        pub(crate) async fn execute(
            conn: &mut <$db as sqlx::Database>::Connection,
            sql: &str,
            args: Vec<Value>,
        ) -> Result<u64, DatabaseError> {
            let mut query = sqlx::query(sqlx::AssertSqlSafe($sql(sql)));
            for value in args {
                query = bind(query, value);
            }
            Ok(query.execute(conn).await?.rows_affected())
        }

        pub(crate) async fn fetch_all(
            conn: &mut <$db as sqlx::Database>::Connection,
            sql: &str,
            args: Vec<Value>,
        ) -> Result<Vec<Row>, DatabaseError> {
            let mut query = sqlx::query(sqlx::AssertSqlSafe($sql(sql)));
            for value in args {
                query = bind(query, value);
            }
            query.fetch_all(conn).await?.iter().map(portable).collect()
        }

        fn portable(row: &<$db as sqlx::Database>::Row) -> Result<Row, DatabaseError> {
            use sqlx::Row as _;
            let column = |at: usize, name: &str| {
                let null = row.try_get_raw(at)?.is_null();
                if null {
                    Ok(Value::Null)
                } else {
                    value(row, at, name)
                }
            };
            let named = row.columns().iter().enumerate().map(|(at, described)| {
                let name = described.name();
                Ok((Arc::from(name), column(at, name)?))
            });
            Ok(Row {
                columns: named.collect::<Result<_, DatabaseError>>()?,
            })
        }
    };
}

type Query<'q, DB> = sqlx::query::Query<'q, DB, <DB as sqlx::Database>::Arguments>;

#[cfg(feature = "sqlite")]
pub(crate) mod sqlite {
    use super::*;
    use sqlx::Row as _;
    use sqlx::sqlite::{Sqlite, SqliteRow};

    statements!(Sqlite, str::to_owned);

    fn bind(query: Query<'_, Sqlite>, value: Value) -> Query<'_, Sqlite> {
        match value {
            Value::Null => query.bind(None::<i64>),
            Value::Bool(value) => query.bind(value),
            Value::Int(value) => query.bind(value),
            Value::Float(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Bytes(value) => query.bind(value),
        }
    }

    // By what the value is: a SQLite column's type is a hint only.
    fn value(row: &SqliteRow, at: usize, name: &str) -> Result<Value, DatabaseError> {
        let kind = row.try_get_raw(at)?.type_info().name().to_owned();
        Ok(match kind.as_str() {
            "INTEGER" | "BOOLEAN" => Value::Int(row.try_get_unchecked(at)?),
            "REAL" => Value::Float(row.try_get_unchecked(at)?),
            "TEXT" | "DATE" | "TIME" | "DATETIME" => Value::Text(row.try_get_unchecked(at)?),
            "BLOB" => Value::Bytes(row.try_get_unchecked(at)?),
            other => return Err(unsupported(name, other)),
        })
    }
}

#[cfg(feature = "postgres")]
pub(crate) mod postgres {
    use super::*;
    use crate::conn::placeholders::numbered;
    use sqlx::Row as _;
    use sqlx::postgres::types::Oid;
    use sqlx::postgres::{PgArgumentBuffer, PgRow, PgTypeInfo, PgValueFormat, Postgres};

    statements!(Postgres, numbered);

    /// A `NULL` whose type the server infers.
    struct Null;

    impl sqlx::Type<Postgres> for Null {
        fn type_info() -> PgTypeInfo {
            PgTypeInfo::with_oid(Oid(0))
        }
    }

    impl sqlx::Encode<'_, Postgres> for Null {
        fn encode_by_ref(
            &self,
            _: &mut PgArgumentBuffer,
        ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
            Ok(sqlx::encode::IsNull::Yes)
        }
    }

    fn bind(query: Query<'_, Postgres>, value: Value) -> Query<'_, Postgres> {
        match value {
            Value::Null => query.bind(Null),
            Value::Bool(value) => query.bind(value),
            Value::Int(value) => query.bind(value),
            Value::Float(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Bytes(value) => query.bind(value),
        }
    }

    fn value(row: &PgRow, at: usize, name: &str) -> Result<Value, DatabaseError> {
        let raw = row.try_get_raw(at)?;
        Ok(match raw.type_info().name() {
            "BOOL" => Value::Bool(row.try_get(at)?),
            "INT2" => Value::Int(row.try_get::<i16, _>(at)?.into()),
            "INT4" => Value::Int(row.try_get::<i32, _>(at)?.into()),
            "INT8" => Value::Int(row.try_get(at)?),
            "FLOAT4" => Value::Float(row.try_get::<f32, _>(at)?.into()),
            "FLOAT8" => Value::Float(row.try_get(at)?),
            "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "UNKNOWN" => Value::Text(row.try_get(at)?),
            "BYTEA" => Value::Bytes(row.try_get(at)?),
            "NUMERIC" if raw.format() == PgValueFormat::Binary => {
                let bytes = raw.as_bytes().map_err(sqlx::Error::Decode)?;
                let text =
                    decimal(bytes).ok_or_else(|| unsupported(name, "NUMERIC (not finite)"))?;
                Value::Text(text)
            }
            other => return Err(unsupported(name, other)),
        })
    }

    /// The text of a `NUMERIC` as it comes over the wire: four big-endian
    /// 16-bit numbers (count of digits, weight of the first, sign, decimals to
    /// show), then the digits to base 10,000. `None` for NaN and infinities.
    fn decimal(bytes: &[u8]) -> Option<String> {
        const POSITIVE: u16 = 0;
        const NEGATIVE: u16 = 0x4000;
        let (pairs, rest) = bytes.as_chunks::<2>();
        let words: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
        let [
            count,
            weight,
            sign @ (POSITIVE | NEGATIVE),
            scale,
            digits @ ..,
        ] = words.as_slice()
        else {
            return None;
        };
        if !rest.is_empty() || digits.len() != usize::from(*count) {
            return None;
        }
        let weight = i32::from(weight.cast_signed());
        let digit = |place: i32| {
            let index = usize::try_from(weight - place).ok();
            index
                .and_then(|index| digits.get(index))
                .copied()
                .unwrap_or(0)
        };
        let whole: String = (0..=weight.max(0))
            .rev()
            .map(|at| format!("{:04}", digit(at)))
            .collect();
        let whole = whole.trim_start_matches('0');
        let scale = usize::from(*scale);
        let groups = i32::try_from(scale.div_ceil(4)).ok()?;
        let fraction: String = (1..=groups)
            .map(|at| format!("{:04}", digit(-at)))
            .collect();
        let minus = if *sign == NEGATIVE { "-" } else { "" };
        let whole = if whole.is_empty() { "0" } else { whole };
        let point = if scale == 0 { "" } else { "." };
        Some(format!("{minus}{whole}{point}{}", &fraction[..scale]))
    }

    #[cfg(test)]
    mod tests {
        use super::decimal;

        #[test]
        fn decimals_read_as_people_write_them() {
            let check = |words: &[u16], expected: Option<&str>| {
                let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
                assert_eq!(decimal(&bytes).as_deref(), expected, "{words:?}");
            };
            check(&[0, 0, 0, 0], Some("0"));
            check(&[1, 0, 0, 0, 42], Some("42"));
            check(&[1, 0, 0x4000, 0, 42], Some("-42"));
            check(&[1, 1, 0, 0, 3], Some("30000"));
            check(&[2, 1, 0, 0, 1, 2], Some("10002"));
            check(&[2, 0, 0, 2, 12, 3400], Some("12.34"));
            check(&[1, 0xffff, 0, 3, 50], Some("0.005"));
            check(&[0, 0, 0xc000, 0], None);
            check(&[2, 0, 0, 0, 1], None);
            check(&[], None);
        }
    }
}

#[cfg(feature = "mysql")]
pub(crate) mod mysql {
    use super::*;
    use sqlx::Row as _;
    use sqlx::mysql::{MySql, MySqlRow};

    statements!(MySql, str::to_owned);

    fn bind(query: Query<'_, MySql>, value: Value) -> Query<'_, MySql> {
        match value {
            Value::Null => query.bind(None::<i64>),
            Value::Bool(value) => query.bind(value),
            Value::Int(value) => query.bind(value),
            Value::Float(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Bytes(value) => query.bind(value),
        }
    }

    fn value(row: &MySqlRow, at: usize, name: &str) -> Result<Value, DatabaseError> {
        let raw = row.try_get_raw(at)?;
        let kind = raw.type_info();
        // The name calls a text with a binary collation bytes; this does not.
        if <String as sqlx::Type<MySql>>::compatible(&kind) {
            return Ok(Value::Text(row.try_get(at)?));
        }
        Ok(match kind.name() {
            "BOOLEAN" => Value::Bool(row.try_get(at)?),
            "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" => Value::Int(row.try_get(at)?),
            "TINYINT UNSIGNED" | "SMALLINT UNSIGNED" | "MEDIUMINT UNSIGNED" | "INT UNSIGNED"
            | "BIGINT UNSIGNED" => {
                let wide: u64 = row.try_get(at)?;
                Value::Int(i64::try_from(wide).map_err(|_| unsupported(name, "BIGINT UNSIGNED"))?)
            }
            "FLOAT" => Value::Float(row.try_get::<f32, _>(at)?.into()),
            "DOUBLE" => Value::Float(row.try_get(at)?),
            "BINARY" | "VARBINARY" | "TINYBLOB" | "BLOB" | "MEDIUMBLOB" | "LONGBLOB" => {
                Value::Bytes(row.try_get(at)?)
            }
            // Exact decimals come as text over the wire.
            "DECIMAL" => Value::Text(row.try_get_unchecked(at)?),
            other => return Err(unsupported(name, other)),
        })
    }
}
