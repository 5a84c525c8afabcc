//! One coordinator for one file: an advisory lock on a file beside it.
//!
//! The operating system gives the lock up when the process ends, however it
//! ends. The lock's file stays; it holds the process id of the last owner.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::store::StoreError;
use crate::store::failure::{FILE_NOT_WRITABLE, unusable};

/// Held for as long as it lives.
#[derive(Debug)]
pub(super) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes the lock of a database file, without waiting.
    pub(super) fn take(database: &Path) -> Result<Self, StoreError> {
        let path = lock_path(database);
        let not_writable = |error: std::io::Error| {
            let message = format!("{} cannot be written: {error}", path.display());
            unusable(FILE_NOT_WRITABLE, message)
        };
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(not_writable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(locked(database, &mut file)),
            Err(TryLockError::Error(error)) => return Err(not_writable(error)),
        }
        file.set_len(0).map_err(not_writable)?;
        file.rewind().map_err(not_writable)?;
        writeln!(file, "{}", std::process::id()).map_err(not_writable)?;
        Ok(Self { _file: file })
    }
}

fn lock_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

fn locked(database: &Path, file: &mut File) -> StoreError {
    let mut owner = String::new();
    let owner = match file.read_to_string(&mut owner) {
        Ok(_) if !owner.trim().is_empty() => format!("process {}", owner.trim()),
        Ok(_) | Err(_) => "another process".to_owned(),
    };
    let message = format!(
        "{} is in use by {owner}: a SQLite file serves one coordinator; \
         stop that one, or give this one a file of its own",
        database.display()
    );
    unusable("STORE_LOCKED", message)
}
