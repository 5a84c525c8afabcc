//! Where it cannot serve it says why, on standard error, with exit code 1.

use std::path::Path;

use tempfile::TempDir;

use super::serve::{PATIENCE, Process, blocking, command};

/// Starts it, waits for its end, and returns what it said.
async fn refused(folder: &Path, store: &str) -> String {
    let mut command = command(folder, store);
    let output = blocking(move || command.output().unwrap());
    let output = tokio::time::timeout(PATIENCE, output)
        .await
        .expect("it hangs");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{store}: {errors}");
    assert!(output.stdout.is_empty(), "{store}");
    errors
}

#[tokio::test]
async fn stores_that_cannot_be_used() {
    let folder = TempDir::new().unwrap();
    std::fs::write(
        folder.path().join("garbage.db"),
        "this is no database".repeat(500),
    )
    .unwrap();
    for (store, expected) in [
        ("sqlite:garbage.db", "garbage.db"),
        ("sqlite:absent/amends.db", "absent"),
        // Nobody can create a file there, not even an administrator.
        ("sqlite:/proc/amends.db", "/proc/amends.db"),
        ("postgres://amends@127.0.0.1:1/amends", "127.0.0.1:1"),
    ] {
        let errors = refused(folder.path(), store).await;
        assert!(errors.contains(expected), "{store}: {errors}");
        assert!(errors.contains("reason: "), "{store}: {errors}");
        assert!(!errors.contains("panicked"), "{store}: {errors}");
    }
}

#[tokio::test]
async fn a_file_that_another_coordinator_uses() {
    let folder = TempDir::new().unwrap();
    let first = Process::start(folder.path(), "sqlite:amends.db", "").await;
    let errors = refused(folder.path(), "sqlite:amends.db").await;
    assert!(errors.contains("amends.db"), "{errors}");
    assert!(errors.contains("reason: STORE_LOCKED"), "{errors}");
    first.kill().await;
    Process::start(folder.path(), "sqlite:amends.db", "")
        .await
        .kill()
        .await;
}

#[tokio::test]
async fn a_schema_that_a_later_version_has_written() {
    use sqlx::Connection as _;
    let folder = TempDir::new().unwrap();
    Process::start(folder.path(), "sqlite:amends.db", "")
        .await
        .kill()
        .await;
    let path = folder.path().join("amends.db");
    let url = format!("sqlite:{}", path.display());
    let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
        SELECT 29990101000000, 'later', 1, checksum, 0 FROM _sqlx_migrations LIMIT 1";
    sqlx::query(later).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let errors = refused(folder.path(), "sqlite:amends.db").await;
    assert!(errors.contains("29990101000000"), "{errors}");
}
