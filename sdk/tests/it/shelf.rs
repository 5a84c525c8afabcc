//! The service under test: goods on a shelf. What it does wrong is part of
//! its input, so that one service serves all tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use amends::conn::Dialect;
use amends::testing::{Direct, direct};
use amends::{
    Compensation, Conn, Database, Effects, Service, ServiceBuilder, ServiceDef, StepCx, StepError,
    StepRef, StepResult, args, reject,
};
use serde::{Deserialize, Serialize};
use tokio::sync::{Barrier, Semaphore};

/// On the shelf at the beginning, of each good.
pub(crate) const STOCK: i64 = 1000;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Take {
    pub(crate) good: i64,
    pub(crate) n: i64,
    pub(crate) then: Then,
}

/// What happens after the goods were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Then {
    Succeed,
    Refuse,
    Fail,
    /// Fails the first time it runs in this process, and succeeds from then on.
    FailOnce,
    Panic,
    AskAgain,
    /// Waits for the test to open the gate.
    Wait,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) left: i64,
    /// Something that does not survive careless storing.
    pub(crate) note: String,
    pub(crate) weight: f64,
}

/// Goods, and what the test looks at.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    pub(crate) watch: Arc<Watch>,
}

#[derive(Debug)]
pub(crate) struct Watch {
    /// How often the code ran, committed or not.
    pub(crate) runs: AtomicU32,
    pub(crate) undos: AtomicU32,
    /// Whether the last undo had the step's output.
    pub(crate) undone_with_output: AtomicU32,
    /// A permit for every run that waits.
    pub(crate) arrived: Semaphore,
    pub(crate) gate: Semaphore,
    pub(crate) both_have_one: Barrier,
}

pub(crate) fn take(n: i64, then: Then) -> Take {
    Take { good: 1, n, then }
}

impl Shelf {
    pub(crate) const TAKE: StepRef<Take, Taken> = StepRef::new("shelf", "take");
    pub(crate) const MOVE: StepRef<(i64, i64), ()> =
        StepRef::new("shelf", "move").with_compensation(Compensation::None);
    pub(crate) const CHARGE: StepRef<Take, Taken> =
        StepRef::new("shelf", "charge").with_effects(Effects::External);

    /// The service and its tables, with two goods.
    pub(crate) async fn stocked(database: &Database) -> (Self, Direct) {
        let mut conn = database.begin().await.unwrap();
        conn.execute_text(
            "create table goods (id bigint not null primary key, n bigint not null check (n >= 0))",
        )
        .await
        .unwrap();
        conn.execute_text(
            "create table moves (gid varchar(100) not null, kind varchar(10) not null)",
        )
        .await
        .unwrap();
        for good in 1..=2 {
            conn.execute("insert into goods values (?, ?)", args![good, STOCK])
                .await
                .unwrap();
        }
        conn.commit().await.unwrap();
        let shelf = Self {
            watch: Arc::new(Watch {
                runs: AtomicU32::new(0),
                undos: AtomicU32::new(0),
                undone_with_output: AtomicU32::new(0),
                arrived: Semaphore::new(0),
                gate: Semaphore::new(0),
                both_have_one: Barrier::new(2),
            }),
        };
        let calls = direct(database, shelf.clone());
        (shelf, calls)
    }

    async fn take(&self, conn: &mut Conn, req: Take) -> StepResult<Taken> {
        let run = self.watch.runs.fetch_add(1, Ordering::SeqCst);
        let taken = conn
            .execute(
                "update goods set n = n - ? where id = ? and n >= ?",
                args![req.n, req.good, req.n],
            )
            .await?;
        if taken == 0 {
            reject!("OUT_OF_STOCK", "{} x {}", req.n, req.good);
        }
        note(conn, "take").await?;
        let left = conn
            .fetch_one("select n from goods where id = ?", args![req.good])
            .await?
            .at(0)?;
        self.then(req.then, run).await?;
        Ok(Taken {
            left,
            note: "Ünïcode \"quoted\" \\ '?' \u{1F4E6}".into(),
            weight: 0.1 + 0.2,
        })
    }

    async fn put_back(&self, conn: &mut Conn, req: &Take, done: &Taken) -> StepResult<()> {
        self.watch.undos.fetch_add(1, Ordering::SeqCst);
        assert!(done.left >= 0);
        conn.execute(
            "update goods set n = n + ? where id = ?",
            args![req.n, req.good],
        )
        .await?;
        note(conn, "put back").await?;
        Ok(())
    }

    /// From one good to another: two of them in opposite directions deadlock,
    /// because the first two wait for each other (SQLite lets in one only).
    async fn move_one(&self, conn: &mut Conn, (from, to): (i64, i64)) -> StepResult<()> {
        let run = self.watch.runs.fetch_add(1, Ordering::SeqCst);
        conn.execute("update goods set n = n - 1 where id = ?", args![from])
            .await?;
        if run < 2 && conn.dialect() != Dialect::Sqlite {
            self.watch.both_have_one.wait().await;
        }
        conn.execute("update goods set n = n + 1 where id = ?", args![to])
            .await?;
        note(conn, "move").await?;
        Ok(())
    }

    async fn charge(&self, _cx: &StepCx, req: Take) -> StepResult<Taken> {
        let run = self.watch.runs.fetch_add(1, Ordering::SeqCst);
        self.then(req.then, run).await?;
        Ok(Taken {
            left: req.n,
            note: String::new(),
            weight: 0.0,
        })
    }

    async fn refund(&self, _cx: &StepCx, _req: &Take, done: Option<&Taken>) -> StepResult<()> {
        self.watch.undos.fetch_add(1, Ordering::SeqCst);
        self.watch
            .undone_with_output
            .store(u32::from(done.is_some()), Ordering::SeqCst);
        Ok(())
    }

    async fn then(&self, then: Then, run: u32) -> StepResult<()> {
        match then {
            Then::Succeed => Ok(()),
            Then::Refuse => reject!("NOT_TODAY", "the shelf is being cleaned"),
            Then::FailOnce if run > 0 => Ok(()),
            Then::Fail | Then::FailOnce => Err(StepError::unknown("the lamp went out")),
            Then::Panic => panic!("the shelf fell over"),
            Then::AskAgain => Err(StepError::InProgress {
                retry_after: Some(Duration::from_secs(7)),
            }),
            Then::Wait => {
                self.watch.arrived.add_permits(1);
                self.watch.gate.acquire().await?.forget();
                Ok(())
            }
        }
    }
}

async fn note(conn: &mut Conn, kind: &str) -> StepResult<()> {
    let gid = conn.cx().expect("a step").gid().to_owned();
    conn.execute("insert into moves values (?, ?)", args![gid, kind])
        .await?;
    Ok(())
}

impl Service for Shelf {
    const NAME: &'static str = "shelf";

    fn define(self: Arc<Self>) -> ServiceDef {
        ServiceBuilder::new(Self::NAME, self)
            .local_step(
                Self::TAKE,
                "Takes goods off the shelf.",
                |shelf, conn, req| Box::pin(shelf.take(conn, req)),
                Some(|shelf, conn, req, done| Box::pin(shelf.put_back(conn, req, done))),
            )
            .local_step(
                Self::MOVE,
                "Moves one piece.",
                |shelf, conn, req| Box::pin(shelf.move_one(conn, req)),
                None,
            )
            .external_step(
                Self::CHARGE,
                "Charges somebody somewhere.",
                |shelf, cx, req| Box::pin(shelf.charge(cx, req)),
                Some(|shelf, cx, req, done| Box::pin(shelf.refund(cx, req, done))),
            )
            .build()
    }
}

/// The stock of a good, committed.
pub(crate) async fn stock(database: &Database, good: i64) -> i64 {
    number(database, "select n from goods where id = ?", good).await
}

/// How many effects of a transaction are committed, by kind.
pub(crate) async fn moves(database: &Database, gid: &str, kind: &str) -> i64 {
    let mut conn = database.begin().await.unwrap();
    let sql = "select count(*) from moves where gid = ? and kind = ?";
    conn.fetch_one(sql, args![gid, kind])
        .await
        .unwrap()
        .at(0)
        .unwrap()
}

/// `tag written_by status` of each log row of a transaction, in order.
pub(crate) async fn log_rows(database: &Database, gid: &str) -> Vec<String> {
    let mut conn = database.begin().await.unwrap();
    let sql = "select msg_tag, written_by, status from consumer_log where msg_key like ? \
               order by msg_tag";
    let rows = conn
        .fetch_all(sql, args![format!("{gid}/%")])
        .await
        .unwrap();
    let text = |row: &amends::Row, at| row.at::<String>(at).unwrap();
    rows.iter()
        .map(|row| [text(row, 0), text(row, 1), text(row, 2)].join(" "))
        .collect()
}

/// Attempts counted as failed for a transaction.
pub(crate) async fn failures(database: &Database, gid: &str) -> i64 {
    let sql = "select coalesce(sum(attempts), 0) from consumer_failure where msg_key like ?";
    number(database, sql, format!("{gid}/%")).await
}

async fn number(database: &Database, sql: &str, arg: impl Into<amends::Value>) -> i64 {
    let mut conn = database.begin().await.unwrap();
    conn.fetch_one(sql, args![arg])
        .await
        .unwrap()
        .at(0)
        .unwrap()
}

/// `CODE` of a refusal, or the text of any other answer.
pub(crate) fn code<T: std::fmt::Debug>(answer: StepResult<T>) -> String {
    match answer {
        Err(StepError::Refused { code, .. }) => code,
        Err(other) => other.to_string(),
        Ok(done) => format!("succeeded: {done:?}"),
    }
}
