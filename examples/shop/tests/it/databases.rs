//! A database of its own for every test, on each of the three systems.

use std::panic::AssertUnwindSafe;

use amends::Database;
use futures_util::FutureExt;
use sqlx::AssertSqlSafe;

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
    let url = format!("sqlite:{}", folder.path().join("shop.db").display());
    let database = Database::connect(&url).await.unwrap();
    test(database).await;
}

pub(crate) async fn on_postgres(test: impl AsyncFnOnce(Database)) {
    with_postgres(&["all"], async |template| one(template, test).await).await;
}

pub(crate) async fn on_mysql(test: impl AsyncFnOnce(Database)) {
    with_mysql(&["all"], async |template| one(template, test).await).await;
}

async fn one(template: &str, test: impl AsyncFnOnce(Database)) {
    let url = template.replace("{service}", "all");
    let database = Database::connect(&url).await.unwrap();
    test(database.clone()).await;
    database.close().await;
}

/// Hands the test a URL template; a database exists for each of the names
/// that may stand for its `{service}`, until the test ends.
pub(crate) async fn with_postgres(names: &[&str], test: impl AsyncFnOnce(&str)) {
    let url = server("AMENDS_TEST_POSTGRES_URL");
    let prefix = unique_prefix();
    let admin = sqlx::PgPool::connect(&url).await.unwrap();
    let all = async |statement: &str, tail: &str| {
        for name in names {
            let statement = format!("{statement} {prefix}_{name} {tail}");
            let statement = sqlx::query(AssertSqlSafe(statement));
            statement.execute(&admin).await.unwrap();
        }
    };
    all("create database", "").await;
    let template = with_name(&url, &format!("{prefix}_{{service}}"));
    let done = AssertUnwindSafe(test(&template)).catch_unwind().await;
    all("drop database", "with (force)").await;
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// The same on MySQL or MariaDB.
pub(crate) async fn with_mysql(names: &[&str], test: impl AsyncFnOnce(&str)) {
    let url = server("AMENDS_TEST_MYSQL_URL");
    let prefix = unique_prefix();
    let admin = sqlx::MySqlPool::connect(&url).await.unwrap();
    let all = async |statement: &str| {
        for name in names {
            let statement = format!("{statement} {prefix}_{name}");
            let statement = sqlx::query(AssertSqlSafe(statement));
            statement.execute(&admin).await.unwrap();
        }
    };
    all("create database").await;
    let template = with_name(&url, &format!("{prefix}_{{service}}"));
    let done = AssertUnwindSafe(test(&template)).catch_unwind().await;
    all("drop database").await;
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

pub(crate) fn server(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run the tests with ./test"))
}

fn unique_prefix() -> String {
    format!("shop_{}", uuid::Uuid::now_v7().simple())
}

/// The URL with another database in it.
fn with_name(url: &str, name: &str) -> String {
    let (rest, query) = match url.split_once('?') {
        Some((rest, query)) => (rest, format!("?{query}")),
        None => (url, String::new()),
    };
    let authority = rest.find("://").map_or(0, |at| at + 3);
    let end = rest[authority..]
        .find('/')
        .map_or(rest.len(), |at| authority + at);
    format!("{}/{name}{query}", &rest[..end])
}
