//! The schema of a SQL store: what has been applied, what is to come.
//!
//! Migrations only go forward, and applied ones are frozen. A database that has
//! some this program does not know belongs to a newer one and is left alone.

use std::collections::HashMap;

use sqlx::migrate::{Migrate as Migrations, MigrateError, Migrator};

use super::StoreError;
use super::failure::{SCHEMA_MISSING, unusable};

/// What to do about migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DryRun {
    /// Tell which are to come.
    Yes,
    /// Apply them.
    No,
}

/// The migrations of a store, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MigrationReport {
    /// Those that were applied before.
    pub applied: Vec<Migration>,
    /// Those that this call has applied.
    pub applied_now: Vec<Migration>,
    /// Those that are still to come.
    pub pending: Vec<Migration>,
}

/// One migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Its number.
    pub version: i64,
    /// What it brings.
    pub description: String,
}

impl MigrationReport {
    /// Fails unless the schema is as this program wants it.
    ///
    /// # Errors
    /// `SCHEMA_MISSING` or `SCHEMA_TOO_OLD`.
    pub(super) fn demand_complete(&self) -> Result<(), StoreError> {
        let Some(next) = self.pending.first() else {
            return Ok(());
        };
        if self.applied.is_empty() {
            let message =
                "the store has no tables yet: run `amends migrate`, or start with --migrate=auto";
            return Err(unusable(SCHEMA_MISSING, message));
        }
        let message = format!(
            "the store lacks migration {} ({}): run `amends migrate`, or start with --migrate=auto",
            next.version, next.description
        );
        Err(unusable("SCHEMA_TOO_OLD", message))
    }
}

/// Compares a database with this program's migrations; changes nothing.
pub(super) async fn inspect<C: Migrations>(
    connection: &mut C,
    migrator: &Migrator,
) -> Result<MigrationReport, StoreError> {
    let applied = connection.list_applied_migrations(&migrator.table_name);
    let applied = match applied.await.map_err(StoreError::from) {
        Ok(applied) => applied,
        // No table of migrations: none applied.
        Err(StoreError::Unusable { code, .. }) if code == SCHEMA_MISSING => Vec::new(),
        Err(error) => return Err(error),
    };
    let applied = applied.into_iter().map(|it| (it.version, it.checksum));
    let mut applied: HashMap<_, _> = applied.collect();
    let mut report = MigrationReport::default();
    for known in migrator.iter() {
        let migration = Migration {
            version: known.version,
            description: known.description.to_string(),
        };
        match applied.remove(&known.version) {
            None => report.pending.push(migration),
            Some(checksum) if checksum == known.checksum => report.applied.push(migration),
            Some(_) => return Err(MigrateError::VersionMismatch(known.version).into()),
        }
    }
    match applied.into_keys().max() {
        Some(unknown) => Err(MigrateError::VersionMissing(unknown).into()),
        None => Ok(report),
    }
}

impl From<MigrateError> for StoreError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            MigrateError::VersionMissing(version) => unusable(
                "SCHEMA_TOO_NEW",
                format!(
                    "the store has migration {version}, which this program does not know: \
                     use a newer one"
                ),
            ),
            MigrateError::VersionMismatch(version) => unusable(
                "SCHEMA_DIFFERENT",
                format!("migration {version} of the store differs from this program's"),
            ),
            other => unusable("SCHEMA_BROKEN", format!("the store's migrations: {other}")),
        }
    }
}
