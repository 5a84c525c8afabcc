//! What a database's errors mean to the coordinator.

use sqlx::error::{DatabaseError, ErrorKind};

use super::StoreError;

/// Code of a store that has no tables, or not those of this program.
pub(super) const SCHEMA_MISSING: &str = "SCHEMA_MISSING";
/// Code of a store that does not exist.
pub(super) const DATABASE_MISSING: &str = "DATABASE_MISSING";
/// Code of a store that takes no writes.
pub(super) const READ_ONLY: &str = "READ_ONLY";
/// Code of an address that cannot be understood.
pub(super) const URL_INVALID: &str = "URL_INVALID";
/// Code of credentials or rights that do not suffice.
pub(super) const ACCESS_DENIED: &str = "ACCESS_DENIED";
/// Code of a file that cannot be created or written.
pub(super) const FILE_NOT_WRITABLE: &str = "FILE_NOT_WRITABLE";
/// Code of a file that is no SQLite database, or a broken one.
pub(super) const FILE_DAMAGED: &str = "FILE_DAMAGED";

const NO_TABLES: &str = "the store has no tables of this program: run `amends migrate`";

/// A store that needs a person.
pub(super) fn unusable(code: &'static str, message: impl Into<String>) -> StoreError {
    let message = message.into();
    StoreError::Unusable { code, message }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => from_database(error),
            sqlx::Error::Configuration(error) => unusable(
                URL_INVALID,
                format!("the store's URL is not valid: {error}"),
            ),
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::Decode(_) => Self::Corrupt(error.to_string()),
            other => Self::Unavailable(other.into()),
        }
    }
}

fn from_database(error: Box<dyn DatabaseError>) -> StoreError {
    // Written against the rules of the tables: trying again would not help.
    let breaks_a_rule = matches!(
        error.kind(),
        ErrorKind::CheckViolation
            | ErrorKind::NotNullViolation
            | ErrorKind::UniqueViolation
            | ErrorKind::ForeignKeyViolation
    );
    if breaks_a_rule {
        return StoreError::Corrupt(error.to_string());
    }
    let code = error.code().unwrap_or_default().into_owned();
    let unusable = match code.parse::<u32>() {
        // PostgreSQL's codes have five characters.
        Ok(number) if code.len() < 5 => sqlite(number, error.message()),
        _ => postgres(&code, error.message()),
    };
    unusable.unwrap_or_else(|| StoreError::Unavailable(Box::new(sqlx::Error::Database(error))))
}

/// By SQLite's (extended) result code; none: it may pass.
fn sqlite(code: u32, message: &str) -> Option<StoreError> {
    const ERROR: u32 = 1;
    const PERM: u32 = 3;
    const READONLY: u32 = 8;
    const CORRUPT: u32 = 11;
    const CANTOPEN: u32 = 14;
    const AUTH: u32 = 23;
    const NOTADB: u32 = 26;
    let no_tables = message.starts_with("no such table") || message.starts_with("no such column");
    Some(match code & 0xff {
        ERROR if no_tables => unusable(SCHEMA_MISSING, NO_TABLES),
        READONLY => unusable(READ_ONLY, "the store's file is read-only"),
        PERM | AUTH | CANTOPEN => unusable(
            FILE_NOT_WRITABLE,
            format!("the store's file cannot be opened for writing: {message}"),
        ),
        CORRUPT | NOTADB => unusable(
            FILE_DAMAGED,
            format!("the store's file is no SQLite database, or a broken one: {message}"),
        ),
        _ => return None,
    })
}

/// By SQLSTATE; none: it may pass.
fn postgres(code: &str, message: &str) -> Option<StoreError> {
    Some(match code {
        "42P01" | "42703" | "3F000" => unusable(SCHEMA_MISSING, NO_TABLES),
        "25006" => unusable(READ_ONLY, "the store's database is read-only"),
        "3D000" => unusable(
            DATABASE_MISSING,
            format!("the store's database does not exist: {message}"),
        ),
        "28000" | "28P01" | "42501" => unusable(
            ACCESS_DENIED,
            format!("the store's database refuses access: {message}"),
        ),
        _ => return None,
    })
}
