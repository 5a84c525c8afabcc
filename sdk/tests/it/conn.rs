//! The portable layer and the tables, on each database.

use amends::conn::Dialect;
use amends::{Database, DatabaseError, Value, args, tables};
use tokio::task::JoinSet;

use crate::databases::on_every_database;

on_every_database!(
    values_come_back_as_they_went_in,
    sums_and_counts_are_whole_numbers,
    what_the_portable_layer_does_not_carry_is_named,
    a_second_row_of_the_same_key_is_told_apart,
    a_transaction_commits_on_ok_and_rolls_back_on_err,
    the_tables_can_be_created_by_many_at_once,
    the_tables_come_as_migrations_too,
);

async fn values_come_back_as_they_went_in(database: Database) {
    let bytes = match database.dialect() {
        Dialect::Postgres => "bytea",
        _ => "blob",
    };
    let mut conn = database.begin().await.unwrap();
    conn.execute_text(&format!(
        "create table things (i bigint, s smallint, f double precision, t varchar(100), b {bytes})"
    ))
    .await
    .unwrap();
    let all = "insert into things (i, s, f, t, b) values (?, ?, ?, ?, ?)";
    let texts = ["", "'?'", "ü\u{1F4E6}"];
    for text in texts {
        let row = args![i64::MIN, -1_i16, 0.1 + 0.2, text, vec![0_u8, 255, b'\'']];
        assert_eq!(conn.execute(all, row).await.unwrap(), 1);
    }
    let nothing = args![
        None::<i64>,
        None::<i16>,
        None::<f64>,
        None::<String>,
        None::<Vec<u8>>
    ];
    conn.execute(all, nothing).await.unwrap();

    let sql = "select i, s, f, t, b, '?' as q from things where t = ?";
    for text in texts {
        let row = conn.fetch_one(sql, args![text]).await.unwrap();
        assert_eq!(
            row.columns().collect::<Vec<_>>(),
            ["i", "s", "f", "t", "b", "q"]
        );
        assert_eq!(row.get::<i64>("i").unwrap(), i64::MIN);
        assert_eq!(row.get::<i16>("s").unwrap(), -1);
        assert!((row.get::<f64>("f").unwrap() - (0.1 + 0.2)).abs() < f64::EPSILON);
        assert_eq!(row.get::<String>("t").unwrap(), text);
        assert_eq!(row.get::<Vec<u8>>("b").unwrap(), [0, 255, b'\'']);
        assert_eq!(row.get::<String>("q").unwrap(), "?");
        assert!(row.get::<i64>("t").is_err());
        let missing = row.get::<i64>("x").unwrap_err().to_string();
        assert_eq!(missing, "there is no column `x`");
    }
    let row = conn
        .fetch_one("select * from things where i is null", args![])
        .await
        .unwrap();
    assert!((0..5).all(|at| row.at::<Value>(at).unwrap() == Value::Null));
    assert_eq!(row.get::<Option<String>>("t").unwrap(), None);
    assert!(
        conn.fetch_optional(sql, args!["no such"])
            .await
            .unwrap()
            .is_none()
    );
    let none = conn.fetch_one(sql, args!["no such"]).await.unwrap_err();
    assert!(matches!(none, DatabaseError::Query(_)));
}

async fn sums_and_counts_are_whole_numbers(database: Database) {
    let mut conn = database.begin().await.unwrap();
    conn.execute_text("create table t (n integer not null, d decimal(10, 2) not null)")
        .await
        .unwrap();
    for n in [1, -20_003] {
        conn.execute("insert into t values (?, ?)", args![n, n])
            .await
            .unwrap();
    }
    let row = conn
        .fetch_one(
            "select sum(n), count(*), max(n), sum(d * 1) from t",
            args![],
        )
        .await;
    let row = row.unwrap();
    assert_eq!(row.at::<i64>(0).unwrap(), -20_002);
    assert_eq!(row.at::<u8>(1).unwrap(), 2);
    assert_eq!(row.at::<i32>(2).unwrap(), 1);
    assert!((row.at::<f64>(3).unwrap() + 20_002.0).abs() < 1e-9);
}

async fn what_the_portable_layer_does_not_carry_is_named(database: Database) {
    // SQLite has no such types.
    if database.dialect() == Dialect::Sqlite {
        return;
    }
    let mut conn = database.begin().await.unwrap();
    let error = conn
        .fetch_all("select current_timestamp as at", args![])
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("column `at` is of type "), "{text}");
    assert!(text.contains("cast it to text"), "{text}");
}

async fn a_second_row_of_the_same_key_is_told_apart(database: Database) {
    let mut conn = database.begin().await.unwrap();
    conn.execute_text("create table k (id bigint not null primary key)")
        .await
        .unwrap();
    conn.execute("insert into k values (?)", args![1])
        .await
        .unwrap();
    let second = conn
        .execute("insert into k values (?)", args![1])
        .await
        .unwrap_err();
    assert!(matches!(second, DatabaseError::Duplicate(_)), "{second:?}");
    drop(conn);
    let mut conn = database.begin().await.unwrap();
    let nonsense = conn.execute("selec 1", args![]).await.unwrap_err();
    assert!(matches!(nonsense, DatabaseError::Query(_)), "{nonsense:?}");
}

async fn a_transaction_commits_on_ok_and_rolls_back_on_err(database: Database) {
    let create = async |conn: &mut amends::Conn| conn.execute_text("create table r (n int)").await;
    database.transaction(create).await.unwrap();
    let count = async || {
        let read = async |conn: &mut amends::Conn| {
            conn.fetch_one("select count(*) from r", args![])
                .await?
                .at::<i64>(0)
        };
        database.transaction(read).await.unwrap()
    };
    let undone: Result<(), DatabaseError> = database
        .transaction(async |conn| {
            conn.execute("insert into r values (?)", args![1]).await?;
            Err(DatabaseError::Broken)
        })
        .await;
    assert!(matches!(undone, Err(DatabaseError::Broken)));
    assert_eq!(count().await, 0);
    // The future can be spawned.
    let clone = database.clone();
    let work = async move {
        let name = 2;
        clone
            .transaction(async |conn: &mut amends::Conn| {
                conn.execute("insert into r values (?)", args![name]).await
            })
            .await
    };
    tokio::spawn(work).await.unwrap().unwrap();
    assert_eq!(count().await, 1);
}

async fn the_tables_can_be_created_by_many_at_once(database: Database) {
    database
        .transaction(async |conn| {
            conn.execute_text("drop table consumer_log; drop table consumer_failure")
                .await
        })
        .await
        .unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let database = database.clone();
        tasks.spawn(async move { database.create_tables_if_missing().await });
    }
    for done in tasks.join_all().await {
        done.unwrap();
    }
}

async fn the_tables_come_as_migrations_too(database: Database) {
    let migrator = tables::migrator(database.dialect());
    for _ in 0..2 {
        if let Some(pool) = database.sqlite() {
            migrator.run(pool).await.unwrap();
        }
        if let Some(pool) = database.postgres() {
            migrator.run(pool).await.unwrap();
        }
        if let Some(pool) = database.mysql() {
            migrator.run(pool).await.unwrap();
        }
    }
    let mut conn = database.begin().await.unwrap();
    let applied = format!("select count(*) from {}", tables::MIGRATIONS_TABLE);
    let row = conn.fetch_one(&applied, args![]).await.unwrap();
    assert_eq!(row.at::<i64>(0).unwrap(), 2);
}

#[tokio::test]
async fn urls_that_cannot_be_used_say_why() {
    let check = async |url: &str, expected: &str| {
        let error = Database::connect(url).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("secret"), "{error}");
    };
    check("", "it begins with none of").await;
    check("oracle://u:secret@h/d", "it begins with none of").await;
    check(
        "mysql://u:secret@h:port/d",
        "the database URL cannot be used",
    )
    .await;
}
