//! Where the measured coordinator keeps its transactions.

use std::path::Path;
use std::str::FromStr;

use crate::config::StoreUrl;

/// The file of a SQLite store, in the bench's own directory.
const SQLITE_FILE: &str = "amends.db";

/// What `--store` says.
#[derive(Debug, Clone)]
pub(super) enum StoreChoice {
    /// A SQLite file of the bench's own.
    OwnSqlite,
    /// A store that the caller names; it is left as the bench leaves it.
    Named { text: String, url: StoreUrl },
}

impl FromStr for StoreChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = match text {
            "sqlite" => return Ok(Self::OwnSqlite),
            "memory" => "memory:",
            other => other,
        };
        let url = text
            .parse()
            .map_err(|_| "expected sqlite, memory, sqlite:FILE or postgres://...".to_owned())?;
        Ok(Self::Named {
            text: text.to_owned(),
            url,
        })
    }
}

impl StoreChoice {
    /// The coordinator's `store.url`. It runs in `directory`; a relative file
    /// is relative to the directory of this process.
    pub(super) fn url(&self, directory: &Path) -> String {
        match self {
            Self::OwnSqlite => format!("sqlite:{}", directory.join(SQLITE_FILE).display()),
            Self::Named {
                url: StoreUrl::Sqlite { path },
                ..
            } => {
                let here = std::env::current_dir().unwrap_or_default();
                format!("sqlite:{}", here.join(path).display())
            }
            Self::Named { text, .. } => text.clone(),
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::OwnSqlite => "sqlite",
            Self::Named { url, .. } => match url {
                StoreUrl::Sqlite { .. } => "sqlite",
                StoreUrl::Memory => "memory",
                StoreUrl::Postgres { .. } => "postgres",
            },
        }
    }

    /// Whether it is a file of the bench's own.
    pub(super) fn is_own_sqlite(&self) -> bool {
        matches!(self, Self::OwnSqlite)
    }

    /// What a commit survives, for people.
    pub(super) fn durability(&self) -> &'static str {
        match self.kind() {
            "sqlite" => "every commit is synced (synchronous = FULL)",
            "postgres" => "as the server is configured (fsync, synchronous_commit)",
            _ => "none: nothing survives the process",
        }
    }

    /// Whether it lies in memory although it looks like a file.
    pub(super) fn is_on_memory_disk(&self, directory: &Path) -> bool {
        self.kind() == "sqlite" && is_memory_disk(directory)
    }
}

#[cfg(target_os = "linux")]
fn is_memory_disk(path: &Path) -> bool {
    const TMPFS_MAGIC: i128 = 0x0102_1994;
    rustix::fs::statfs(path).is_ok_and(|system| i128::from(system.f_type) == TMPFS_MAGIC)
}

#[cfg(not(target_os = "linux"))]
fn is_memory_disk(_path: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn kinds_and_urls() {
        let check = |text: &str, kind: &str, url: &str| {
            let store: StoreChoice = text.parse().unwrap();
            assert_eq!(store.kind(), kind, "{text}");
            assert_eq!(store.url(Path::new("/d")), url, "{text}");
        };
        check("sqlite", "sqlite", "sqlite:/d/amends.db");
        check("sqlite:/x/y.db", "sqlite", "sqlite:/x/y.db");
        check("memory", "memory", "memory:");
        check("postgres://u@h/d", "postgres", "postgres://u@h/d");
        assert!("mysql://u@h/d".parse::<StoreChoice>().is_err());
    }
}
