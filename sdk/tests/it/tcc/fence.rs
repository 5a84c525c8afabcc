//! The test kit for branches: it passes what is right, and a planted bug of
//! each kind is caught, with the order of calls named.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use amends::testing::{FenceFailure, FenceReport, fence};
use amends::{
    Conn, Database, Service, ServiceBuilder, ServiceDef, StepResult, TccRef, args, reject,
};

use crate::databases::{on_every_database, on_sqlite};

on_every_database!(a_correct_branch_passes);

/// A jar with coins, and a bug.
struct Jar {
    bug: Bug,
    /// Outside of the transaction.
    counted: Arc<AtomicI64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Bug {
    None,
    /// The cancel gives back one too many.
    CancelTooMuch,
    /// The cancel forgets what is held.
    CancelNothing,
    /// The confirm says no.
    ConfirmRefuses,
    /// The cancel says no.
    CancelRefuses,
    /// The try writes outside of its transaction.
    OutsideOfTheTransaction,
}

impl Jar {
    const HOLD: TccRef<i64, i64> = TccRef::new("jar", "hold");

    async fn check(
        database: &Database,
        bug: Bug,
        coins: i64,
        calls: usize,
    ) -> Result<FenceReport, FenceFailure> {
        let mut conn = database.begin().await.unwrap();
        let table = "create table jar (free bigint not null, held bigint not null)";
        conn.execute_text(table).await.unwrap();
        let sql = "insert into jar values (?, 0)";
        conn.execute(sql, args![coins]).await.unwrap();
        conn.commit().await.unwrap();
        let counted = Arc::new(AtomicI64::new(0));
        let jar = Self {
            bug,
            counted: Arc::clone(&counted),
        };
        fence(database, jar)
            .branch(Self::HOLD, 2)
            .unchanged(async |conn| -> StepResult<(i64, i64, i64)> {
                let row = conn
                    .fetch_one("select free, held from jar", args![])
                    .await?;
                Ok((row.at(0)?, row.at(1)?, counted.load(Ordering::SeqCst)))
            })
            .check_all_orders(calls)
            .await
    }

    async fn hold(&self, conn: &mut Conn, n: i64) -> StepResult<i64> {
        if self.bug == Bug::OutsideOfTheTransaction {
            self.counted.fetch_add(n, Ordering::SeqCst);
        }
        let sql = "update jar set free = free - ?, held = held + ? where free >= ?";
        if conn.execute(sql, args![n, n, n]).await? == 0 {
            reject!("NO_COINS", "{n}");
        }
        Ok(n)
    }

    async fn spend(&self, conn: &mut Conn, held: i64) -> StepResult<()> {
        if self.bug == Bug::ConfirmRefuses {
            reject!("NEVER", "the lid is on");
        }
        conn.execute("update jar set held = held - ?", args![held])
            .await?;
        Ok(())
    }

    async fn give_back(&self, conn: &mut Conn, held: i64) -> StepResult<()> {
        let back = match self.bug {
            Bug::CancelTooMuch => held + 1,
            Bug::CancelNothing => return Ok(()),
            Bug::CancelRefuses => reject!("NEVER", "the lid is on"),
            _ => held,
        };
        if self.bug == Bug::OutsideOfTheTransaction {
            self.counted.fetch_sub(back, Ordering::SeqCst);
        }
        let sql = "update jar set held = held - ?, free = free + ?";
        conn.execute(sql, args![held, back]).await?;
        Ok(())
    }
}

impl Service for Jar {
    const NAME: &'static str = "jar";

    fn define(self: Arc<Self>) -> ServiceDef {
        ServiceBuilder::new(Self::NAME, self)
            .tcc(
                Self::HOLD,
                "",
                |jar, conn, n| Box::pin(jar.hold(conn, n)),
                |jar, conn, _, held| Box::pin(jar.spend(conn, *held)),
                |jar, conn, _, held| Box::pin(jar.give_back(conn, *held)),
            )
            .build()
    }
}

async fn a_correct_branch_passes(database: Database) {
    let report = Jar::check(&database, Bug::None, 10_000, 2).await.unwrap();
    assert_eq!(report.orders, 26);
}

#[tokio::test]
async fn longer_orders_pass_too_and_refusals() {
    on_sqlite(async |database| {
        let report = Jar::check(&database, Bug::None, 10_000, 3).await.unwrap();
        assert_eq!(report.orders, 138);
    })
    .await;
    on_sqlite(async |database| {
        // There are none to hold: every try is refused.
        Jar::check(&database, Bug::None, 1, 2).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn planted_bugs_are_caught() {
    for (bug, expected) in [
        (
            Bug::CancelTooMuch,
            "2. cancel -> null\nafter a cancel all must be as before the try",
        ),
        (
            Bug::CancelNothing,
            "2. cancel -> null\nafter a cancel all must be as before the try",
        ),
        (Bug::ConfirmRefuses, "the confirm must be successful"),
        (Bug::CancelRefuses, "the cancel must be successful"),
        (
            Bug::OutsideOfTheTransaction,
            "what is not held must leave nothing",
        ),
    ] {
        on_sqlite(async |database| {
            let failure = Jar::check(&database, bug, 10_000, 2).await.unwrap_err();
            let failure = failure.to_string();
            assert!(failure.contains(expected), "{bug:?}: {failure}");
            assert!(
                failure.starts_with("`jar/hold` breaks its promise"),
                "{failure}"
            );
        })
        .await;
    }
}
