//! A database of its own for every test, on each of the three systems.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use amends::Database;
use futures_util::FutureExt;
use sqlx::AssertSqlSafe;

/// Far more than any test takes, also on a busy machine.
const MAX_TEST: Duration = Duration::from_secs(300);

/// Makes one test per database out of each function `async fn(Database)`.
macro_rules! on_every_database {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                crate::databases::on_sqlite(super::$test).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                crate::databases::on_postgres(super::$test).await;
            })+
        }
        mod mysql {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                crate::databases::on_mysql(super::$test).await;
            })+
        }
    };
}

pub(crate) use on_every_database;

pub(crate) async fn on_sqlite(test: impl AsyncFnOnce(Database)) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("service.db").display());
    within(Box::pin(test(connect(&url).await))).await;
}

pub(crate) async fn on_postgres(test: impl AsyncFnOnce(Database)) {
    let admin_url = server("AMENDS_TEST_POSTGRES_URL");
    let name = unique_name();
    let admin = sqlx::PgPool::connect(&admin_url).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("create database {name}")))
        .execute(&admin)
        .await
        .unwrap();
    let database = connect(&with_name(&admin_url, &name)).await;
    let done = AssertUnwindSafe(within(Box::pin(test(database.clone()))))
        .catch_unwind()
        .await;
    let drop = format!("drop database {name} with (force)");
    sqlx::query(AssertSqlSafe(drop))
        .execute(&admin)
        .await
        .unwrap();
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

pub(crate) async fn on_mysql(test: impl AsyncFnOnce(Database)) {
    let admin_url = server("AMENDS_TEST_MYSQL_URL");
    let name = unique_name();
    let admin = sqlx::MySqlPool::connect(&admin_url).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("create database {name}")))
        .execute(&admin)
        .await
        .unwrap();
    let database = connect(&with_name(&admin_url, &name)).await;
    let done = AssertUnwindSafe(within(Box::pin(test(database.clone()))))
        .catch_unwind()
        .await;
    let drop = format!("drop database {name}");
    sqlx::query(AssertSqlSafe(drop))
        .execute(&admin)
        .await
        .unwrap();
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// A test fails, and never hangs.
async fn within(test: impl Future<Output = ()>) {
    tokio::time::timeout(MAX_TEST, test)
        .await
        .expect("the test ended in time");
}

/// Where a database is, to open it a second time.
pub(crate) fn url_of(database: &Database) -> String {
    use sqlx::ConnectOptions;
    if let Some(pool) = database.sqlite() {
        return pool.connect_options().to_url_lossy().to_string();
    }
    if let Some(pool) = database.postgres() {
        return pool.connect_options().to_url_lossy().to_string();
    }
    let pool = database.mysql().expect("one of the three");
    pool.connect_options().to_url_lossy().to_string()
}

async fn connect(url: &str) -> Database {
    let database = Database::connect(url).await.unwrap();
    database.create_tables_if_missing().await.unwrap();
    database
}

fn server(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run the tests with ./test"))
}

fn unique_name() -> String {
    format!("amends_{}", uuid::Uuid::now_v7().simple())
}

/// The URL with another database in it.
fn with_name(url: &str, name: &str) -> String {
    let (rest, query) = url
        .split_once('?')
        .map_or((url, String::new()), |(rest, query)| {
            (rest, format!("?{query}"))
        });
    let authority = rest.find("://").map_or(0, |at| at + 3);
    let server = rest[authority..]
        .find('/')
        .map_or(rest, |at| &rest[..authority + at]);
    format!("{server}/{name}{query}")
}

#[test]
fn the_name_in_a_url_is_replaced() {
    let check = |url: &str, expected: &str| assert_eq!(with_name(url, "x"), expected);
    check("postgres://u:p@h:1/postgres", "postgres://u:p@h:1/x");
    check("postgres://h", "postgres://h/x");
    check(
        "mysql://root@h:1/a?ssl-mode=disabled",
        "mysql://root@h:1/x?ssl-mode=disabled",
    );
}
