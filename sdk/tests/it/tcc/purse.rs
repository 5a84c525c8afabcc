//! The service under test: purses with money that can be frozen. What it does
//! wrong is part of its input, so that one service serves all tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use amends::testing::{Direct, direct};
use amends::{
    Conn, Database, Service, ServiceBuilder, ServiceDef, StepError, StepRef, StepResult, TccRef,
    args, reject,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

/// In each purse at the beginning.
pub(crate) const CENTS: i64 = 1000;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Freeze {
    pub(crate) cents: i64,
    /// What happens at the end of the try.
    pub(crate) hold: Then,
    /// What happens at the end of confirm and cancel.
    pub(crate) settle: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Then {
    Succeed,
    Refuse,
    Panic,
    /// Fails the first time that any method runs to its end in this process.
    FailOnce,
    /// Refuses until somebody has mended it.
    RefuseUntilMended,
    /// Waits for the test to open the gate.
    Wait,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Frozen {
    pub(crate) cents: i64,
    pub(crate) left: i64,
}

/// Purses, and what the test looks at.
#[derive(Clone, Debug)]
pub(crate) struct Purse {
    pub(crate) watch: Arc<Watch>,
}

#[derive(Debug)]
pub(crate) struct Watch {
    /// How often a method ran to its end, committed or not.
    pub(crate) runs: AtomicU32,
    pub(crate) mended: AtomicBool,
    /// A permit for every run that waits.
    pub(crate) arrived: Semaphore,
    pub(crate) gate: Semaphore,
}

/// A try of this much, without surprises.
pub(crate) fn freeze(cents: i64) -> Freeze {
    Freeze {
        cents,
        hold: Then::Succeed,
        settle: Then::Succeed,
    }
}

impl Purse {
    pub(crate) const FREEZE: TccRef<Freeze, Frozen> = TccRef::new("purse", "freeze");
    pub(crate) const LOOK: StepRef<(), i64> = StepRef::new("purse", "look");

    /// An instance of the service.
    pub(crate) fn new() -> Self {
        Self {
            watch: Arc::new(Watch {
                runs: AtomicU32::new(0),
                mended: AtomicBool::new(false),
                arrived: Semaphore::new(0),
                gate: Semaphore::new(0),
            }),
        }
    }

    /// The service and its tables, with one purse.
    pub(crate) async fn filled(database: &Database) -> (Self, Direct) {
        let mut conn = database.begin().await.unwrap();
        for table in [
            "create table purse (free bigint not null check (free >= 0), \
             held bigint not null check (held >= 0), spent bigint not null)",
            "create table effects (gid varchar(100) not null, kind varchar(10) not null)",
        ] {
            conn.execute_text(table).await.unwrap();
        }
        conn.execute("insert into purse values (?, 0, 0)", args![CENTS])
            .await
            .unwrap();
        conn.commit().await.unwrap();
        let purse = Self::new();
        let calls = direct(database, purse.clone());
        (purse, calls)
    }

    async fn freeze(&self, conn: &mut Conn, req: Freeze) -> StepResult<Frozen> {
        let sql = "update purse set free = free - ?, held = held + ? where free >= ?";
        let frozen = conn
            .execute(sql, args![req.cents, req.cents, req.cents])
            .await?;
        if frozen == 0 {
            reject!("NO_MONEY", "there are no {} cents", req.cents);
        }
        note(conn, "freeze").await?;
        let left = conn.fetch_one("select free from purse", args![]).await?;
        self.then(req.hold).await?;
        Ok(Frozen {
            cents: req.cents,
            left: left.at(0)?,
        })
    }

    async fn settle(&self, conn: &mut Conn, req: &Freeze, held: &Frozen) -> StepResult<()> {
        let sql = "update purse set held = held - ?, spent = spent + ?";
        conn.execute(sql, args![held.cents, held.cents]).await?;
        note(conn, "settle").await?;
        self.then(req.settle).await
    }

    async fn unfreeze(&self, conn: &mut Conn, req: &Freeze, held: &Frozen) -> StepResult<()> {
        let sql = "update purse set held = held - ?, free = free + ?";
        conn.execute(sql, args![held.cents, held.cents]).await?;
        note(conn, "unfreeze").await?;
        self.then(req.settle).await
    }

    async fn then(&self, then: Then) -> StepResult<()> {
        let run = self.watch.runs.fetch_add(1, Ordering::SeqCst);
        match then {
            Then::Succeed => Ok(()),
            Then::RefuseUntilMended if self.watch.mended.load(Ordering::SeqCst) => Ok(()),
            Then::Refuse | Then::RefuseUntilMended => reject!("NOT_TODAY", "the clasp is stuck"),
            Then::FailOnce if run > 0 => Ok(()),
            Then::FailOnce => Err(StepError::unknown("the lamp went out")),
            Then::Panic => panic!("the purse fell down"),
            Then::Wait => {
                self.watch.arrived.add_permits(1);
                self.watch.gate.acquire().await?.forget();
                Ok(())
            }
        }
    }
}

async fn note(conn: &mut Conn, kind: &str) -> StepResult<()> {
    let gid = conn.cx().expect("a call").gid().to_owned();
    conn.execute("insert into effects values (?, ?)", args![gid, kind])
        .await?;
    Ok(())
}

impl Service for Purse {
    const NAME: &'static str = "purse";

    fn define(self: Arc<Self>) -> ServiceDef {
        ServiceBuilder::new(Self::NAME, self)
            .tcc(
                Self::FREEZE,
                "Holds money.",
                |purse, conn, req| Box::pin(purse.freeze(conn, req)),
                |purse, conn, req, held| Box::pin(purse.settle(conn, req, held)),
                |purse, conn, req, held| Box::pin(purse.unfreeze(conn, req, held)),
            )
            .local_step(
                Self::LOOK,
                "Says what is free.",
                |_, conn, ()| {
                    Box::pin(async move {
                        let row = conn.fetch_one("select free from purse", args![]).await?;
                        Ok(row.at(0)?)
                    })
                },
                None,
            )
            .build()
    }
}

/// What is free, held and spent, committed.
pub(crate) async fn purse(database: &Database) -> [i64; 3] {
    let mut conn = database.begin().await.unwrap();
    let row = conn
        .fetch_one("select free, held, spent from purse", args![])
        .await
        .unwrap();
    [0, 1, 2].map(|at| row.at(at).unwrap())
}

/// What has taken effect for a transaction, in order of the names.
pub(crate) async fn effects(database: &Database, gid: &str) -> Vec<String> {
    let mut conn = database.begin().await.unwrap();
    let sql = "select kind from effects where gid = ? order by kind";
    let rows = conn.fetch_all(sql, args![gid]).await.unwrap();
    rows.iter().map(|row| row.at(0).unwrap()).collect()
}
