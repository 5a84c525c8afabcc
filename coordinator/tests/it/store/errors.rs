//! What is wrong with a store is said with a stable code and without passwords.

use std::fs;
use std::path::Path;

use amends_coordinator::config::{Migrate, StoreUrl};
use amends_coordinator::store::open::{DryRun, StoreOptions, migrate, open};
use amends_coordinator::store::{Incarnation, StoreError};
use amends_core::time::Timestamp;
use sqlx::{Connection, Executor, PgConnection, SqliteConnection};
use tempfile::TempDir;

use super::place::{self, Place, administer, server_url};
use super::samples::begin;

/// Code and message of a store that needs a person.
fn told<T>(result: Result<T, StoreError>) -> (&'static str, String) {
    match result {
        Err(StoreError::Unusable { code, message }) => (code, message),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was fine"),
    }
}

fn options(url: &str) -> StoreOptions {
    StoreOptions {
        url: url.parse().unwrap(),
        max_connections: 2,
    }
}

async fn opening(url: &str, mode: Migrate) -> (&'static str, String) {
    told(open(&options(url), Incarnation("a".to_owned()), mode).await)
}

fn sqlite_url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

#[tokio::test]
async fn a_file_that_cannot_be_used() {
    let folder = TempDir::new().unwrap();
    let text = folder.path().join("text.db");
    fs::write(
        &text,
        "This is a text, and long enough to be looked at. ".repeat(40),
    )
    .unwrap();
    let read_only = folder.path().join("read-only.db");
    fs::write(&read_only, "").unwrap();
    let mut permissions = fs::metadata(&read_only).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&read_only, permissions).unwrap();

    for (path, mode, code, hint) in [
        (
            text.clone(),
            Migrate::Auto,
            "FILE_DAMAGED",
            "no SQLite database",
        ),
        (
            read_only.clone(),
            Migrate::Auto,
            "READ_ONLY",
            "read-only.db",
        ),
        (
            folder.path().join("no/a.db"),
            Migrate::Auto,
            "DIRECTORY_MISSING",
            "no does not exist",
        ),
        (
            folder.path().to_owned(),
            Migrate::Auto,
            "FILE_NOT_WRITABLE",
            "not a file",
        ),
        (
            folder.path().join("a.db"),
            Migrate::Check,
            "DATABASE_MISSING",
            "amends migrate",
        ),
        (
            folder.path().join("a.db"),
            Migrate::Off,
            "DATABASE_MISSING",
            "amends migrate",
        ),
        (
            folder.path().join("a.db?mode=ro"),
            Migrate::Auto,
            "URL_INVALID",
            "no parameters",
        ),
    ] {
        let (found, message) = opening(&sqlite_url(&path), mode).await;
        assert_eq!(found, code, "{message}");
        assert!(message.contains(hint), "{message}");
    }
    assert!(!folder.path().join("a.db").exists());
}

#[tokio::test]
async fn a_file_serves_one_coordinator() {
    let folder = TempDir::new().unwrap();
    let place = Place::Sqlite(folder);
    let first = place.open("a").await;
    let (code, message) = told(place.try_open("b", Migrate::Auto).await);
    assert_eq!(code, "STORE_LOCKED");
    assert!(
        message.contains("amends.db is in use by process"),
        "{message}"
    );
    assert!(
        message.contains(&std::process::id().to_string()),
        "{message}"
    );
    let (code, _) = told(migrate(&place.options(), DryRun::No).await);
    assert_eq!(code, "STORE_LOCKED");
    drop(first);
    place.open("b").await;
}

#[test]
fn an_address_that_leads_nowhere() {
    for text in ["sqlite::memory:", "sqlite:", "mysql://u:geheim@h/d"] {
        assert!(text.parse::<StoreUrl>().is_err(), "{text}");
    }
}

#[tokio::test]
async fn migrations_of_a_file() {
    migrations(&Place::Sqlite(TempDir::new().unwrap()), None).await;
}

#[tokio::test]
async fn migrations_of_a_database() {
    place::postgres(async |place| migrations(place, Some(1)).await).await;
}

/// Empty, checked, brought up to date, newer. A database exists from the start
/// on; a file only when something is written to it.
async fn migrations(place: &Place, exists: Option<u32>) {
    let options = place.options();
    if exists.is_none() {
        let (code, _) = told(migrate(&options, DryRun::Yes).await);
        assert_eq!(code, "DATABASE_MISSING");
        execute(&options.url, "SELECT 1").await;
    }
    let (code, message) = told(place.try_open("a", Migrate::Check).await);
    assert_eq!(code, "SCHEMA_MISSING");
    assert!(message.contains("amends migrate"), "{message}");
    // Off believes what it is told, until it is used.
    let store = place
        .try_open("a", Migrate::Off)
        .await
        .unwrap()
        .transactions;
    assert_eq!(told(store.append(&[begin("t")]).await).0, "SCHEMA_MISSING");
    assert_eq!(told(store.due(Timestamp(0), 1).await).0, "SCHEMA_MISSING");
    drop(store);

    let pending = migrate(&options, DryRun::Yes).await.unwrap();
    assert!(!pending.pending.is_empty());
    assert_eq!((pending.applied.len(), pending.applied_now.len()), (0, 0));
    let applied = migrate(&options, DryRun::No).await.unwrap();
    assert_eq!(applied.applied_now, pending.pending);
    assert_eq!((applied.applied.len(), applied.pending.len()), (0, 0));
    let again = migrate(&options, DryRun::No).await.unwrap();
    assert_eq!(again.applied, applied.applied_now);
    assert_eq!((again.applied_now.len(), again.pending.len()), (0, 0));
    for mode in [Migrate::Check, Migrate::Off, Migrate::Auto] {
        place.try_open("a", mode).await.unwrap();
    }

    const NEWER: &str = "INSERT INTO _sqlx_migrations \
        (version, description, success, checksum, execution_time) \
        VALUES (9999, 'from the future', true, '\\x00', 1)";
    execute(&options.url, NEWER).await;
    for mode in [Migrate::Check, Migrate::Auto] {
        let (code, message) = told(place.try_open("a", mode).await);
        assert_eq!(code, "SCHEMA_TOO_NEW");
        assert!(message.contains("9999"), "{message}");
    }
    assert_eq!(
        told(migrate(&options, DryRun::Yes).await).0,
        "SCHEMA_TOO_NEW"
    );
    execute(
        &options.url,
        "DELETE FROM _sqlx_migrations WHERE version = 9999",
    )
    .await;
    execute(
        &options.url,
        "UPDATE _sqlx_migrations SET checksum = '\\x00'",
    )
    .await;
    let (code, _) = told(place.try_open("a", Migrate::Auto).await);
    assert_eq!(code, "SCHEMA_DIFFERENT");
}

/// One statement outside of the store.
async fn execute(url: &StoreUrl, statement: &'static str) {
    match url {
        StoreUrl::Sqlite { path } => {
            let url = format!("sqlite:{path}?mode=rwc");
            let mut connection = SqliteConnection::connect(&url).await.unwrap();
            connection.execute(statement).await.unwrap();
            connection.close().await.unwrap();
        }
        StoreUrl::Postgres { url } => {
            let mut connection = PgConnection::connect(url.expose()).await.unwrap();
            connection.execute(statement).await.unwrap();
            connection.close().await.unwrap();
        }
        StoreUrl::Memory => panic!("there is no outside"),
    }
}

#[tokio::test]
async fn a_database_that_is_not_there() {
    let (code, message) = opening(&server_url("amends_no_such_database"), Migrate::Auto).await;
    assert_eq!(code, "DATABASE_MISSING");
    assert!(message.contains("amends_no_such_database"), "{message}");
}

#[tokio::test]
async fn a_server_that_is_not_there() {
    // A port that was free a moment ago.
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let options = options(&format!("postgres://u:geheim@127.0.0.1:{port}/amends"));
    let result = open(&options, Incarnation("a".to_owned()), Migrate::Auto).await;
    let Err(StoreError::Unavailable(source)) = result else {
        panic!("it is there");
    };
    assert!(!format!("{source:?}").contains("geheim"));
}

#[tokio::test]
async fn a_role_that_may_not() {
    place::postgres(async |place| {
        place.open("a").await;
        let StoreUrl::Postgres { url } = place.options().url else {
            panic!("a database");
        };
        let (server, database) = url.expose().rsplit_once('/').unwrap();
        let role = database.replace("test", "role");
        administer(format!("CREATE ROLE {role} LOGIN PASSWORD 'right'")).await;
        let host = server.rsplit_once('@').map_or(server, |parts| parts.1);
        let stranger = format!("postgres://{role}:right@{host}/{database}");
        let store = open(
            &options(&stranger),
            Incarnation("b".to_owned()),
            Migrate::Off,
        )
        .await;
        let denied = store.unwrap().transactions.append(&[begin("t")]).await;
        let unknown = format!("postgres://{role}_x:geheim@{host}/{database}");
        let unknown = open(
            &options(&unknown),
            Incarnation("b".to_owned()),
            Migrate::Auto,
        )
        .await;
        administer(format!("DROP ROLE {role}")).await;
        assert_eq!(told(denied).0, "ACCESS_DENIED");
        let unknown = told(unknown);
        assert_eq!(unknown.0, "ACCESS_DENIED");
        assert!(!unknown.1.contains("geheim"), "{}", unknown.1);
    })
    .await;
}

#[tokio::test]
async fn a_database_that_takes_no_writes() {
    place::postgres(async |place| {
        place.open("a").await;
        let StoreUrl::Postgres { url } = place.options().url else {
            panic!("a database");
        };
        let (_, database) = url.expose().rsplit_once('/').unwrap();
        administer(format!(
            "ALTER DATABASE {database} SET default_transaction_read_only = on"
        ))
        .await;
        let store = place
            .try_open("b", Migrate::Off)
            .await
            .unwrap()
            .transactions;
        assert_eq!(told(store.append(&[begin("t")]).await).0, "READ_ONLY");
        assert_eq!(
            told(place.try_open("b", Migrate::Auto).await).0,
            "READ_ONLY"
        );
    })
    .await;
}
