//! The test kit itself: it passes what is right, and a planted bug of each
//! kind is caught, with the order of calls named.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use amends::testing::{FenceFailure, FenceReport, fence};
use amends::{
    Conn, Database, Effects, Service, ServiceBuilder, ServiceDef, StepRef, StepResult, args, reject,
};

use crate::databases::on_every_database;

on_every_database!(a_correct_step_passes);

/// A box with apples, and a bug.
#[derive(Clone)]
struct Apples {
    bug: Bug,
    database: Database,
    /// Elsewhere: what an external step changes, and for whom.
    paid: Arc<AtomicI64>,
    paid_for: Arc<std::sync::Mutex<Vec<String>>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Bug {
    None,
    /// The undo gives back one too many.
    UndoTooMuch,
    /// The undo does nothing.
    UndoNothing,
    /// The step writes outside of its transaction.
    OutsideOfTheTransaction,
    /// The undo refuses.
    UndoRefuses,
    /// An external step ignores its idempotency key.
    KeyIgnored,
}

impl Apples {
    const TAKE: StepRef<i64, i64> = StepRef::new("apples", "take");
    const PAY: StepRef<i64, ()> = StepRef::new("apples", "pay").with_effects(Effects::External);

    async fn new(database: &Database, bug: Bug) -> Self {
        let mut conn = database.begin().await.unwrap();
        conn.execute_text("create table apples (n bigint not null)")
            .await
            .unwrap();
        conn.execute_text("insert into apples values (5)")
            .await
            .unwrap();
        conn.commit().await.unwrap();
        Self {
            bug,
            database: database.clone(),
            paid: Arc::default(),
            paid_for: Arc::default(),
        }
    }

    async fn take(&self, conn: &mut Conn, n: i64) -> StepResult<i64> {
        if self.bug == Bug::OutsideOfTheTransaction {
            self.paid.fetch_add(n, Ordering::SeqCst);
        }
        if conn
            .execute("update apples set n = n - ? where n >= ?", args![n, n])
            .await?
            == 0
        {
            reject!("NO_APPLES", "{n}");
        }
        Ok(n)
    }

    async fn give_back(&self, conn: &mut Conn, _n: &i64, taken: &i64) -> StepResult<()> {
        let back = match self.bug {
            Bug::UndoTooMuch => taken + 1,
            Bug::UndoNothing => 0,
            Bug::UndoRefuses => reject!("NEVER", "what is taken is taken"),
            _ => *taken,
        };
        if self.bug == Bug::OutsideOfTheTransaction {
            self.paid.fetch_sub(back, Ordering::SeqCst);
        }
        conn.execute("update apples set n = n + ?", args![back])
            .await?;
        Ok(())
    }

    fn pay(&self, key: String, n: i64) {
        let mut paid_for = self.paid_for.lock().unwrap();
        if self.bug == Bug::KeyIgnored || !paid_for.contains(&key) {
            self.paid.fetch_add(n, Ordering::SeqCst);
        }
        paid_for.push(key);
    }

    fn pay_back(&self, key: &str, n: i64) {
        let mut paid_for = self.paid_for.lock().unwrap();
        if paid_for.iter().any(|other| other == key) {
            self.paid.fetch_sub(n, Ordering::SeqCst);
            paid_for.retain(|other| other != key);
        }
    }

    async fn check<O: amends::StepData>(
        self,
        step: StepRef<i64, O>,
        calls: usize,
    ) -> Result<FenceReport, FenceFailure> {
        let (database, paid) = (self.database.clone(), Arc::clone(&self.paid));
        fence(&database, self)
            .step(step, 2)
            .unchanged(async |conn| -> StepResult<(i64, i64)> {
                let n = conn
                    .fetch_one("select n from apples", args![])
                    .await?
                    .at(0)?;
                Ok((n, paid.load(Ordering::SeqCst)))
            })
            .check_all_orders(calls)
            .await
    }
}

impl Service for Apples {
    const NAME: &'static str = "apples";

    fn define(self: Arc<Self>) -> ServiceDef {
        ServiceBuilder::new(Self::NAME, self)
            .local_step(
                Self::TAKE,
                "",
                |apples, conn, n| Box::pin(apples.take(conn, n)),
                Some(|apples, conn, n, taken| Box::pin(apples.give_back(conn, n, taken))),
            )
            .external_step(
                Self::PAY,
                "",
                |apples, cx, n| {
                    Box::pin(async move {
                        apples.pay(cx.idempotency_key(), n);
                        Ok(())
                    })
                },
                Some(|apples, cx, n, _| {
                    Box::pin(async move {
                        apples.pay_back(&cx.idempotency_key(), *n);
                        Ok(())
                    })
                }),
            )
            .build()
    }
}

async fn a_correct_step_passes(database: Database) {
    let apples = Apples::new(&database, Bug::None).await;
    let report = apples.clone().check(Apples::TAKE, 3).await.unwrap();
    assert_eq!(report.orders, 60);
    let report = apples.check(Apples::PAY, 3).await.unwrap();
    assert_eq!(report.orders, 60);
}

#[tokio::test]
async fn all_orders_of_four_calls_pass() {
    let database = Database::connect("sqlite::memory:").await.unwrap();
    let apples = Apples::new(&database, Bug::None).await;
    let report = apples.clone().check(Apples::TAKE, 4).await.unwrap();
    assert_eq!(report.orders, 231);
    let report = apples.check(Apples::PAY, 4).await.unwrap();
    assert_eq!(report.orders, 231);
}

/// The whole report of a planted bug.
async fn caught<O: amends::StepData>(bug: Bug, step: StepRef<i64, O>, calls: usize) -> String {
    let database = Database::connect("sqlite::memory:").await.unwrap();
    Apples::new(&database, bug)
        .await
        .check(step, calls)
        .await
        .unwrap_err()
        .to_string()
}

#[tokio::test]
async fn planted_bugs_are_caught_in_the_shortest_order() {
    assert_eq!(
        caught(Bug::UndoTooMuch, Apples::TAKE, 4).await,
        "`apples/take` breaks its promise in this order of calls:\n  \
         1. do -> 2\n  \
         2. undo -> null\n\
         after an undo everything must be as before the step: \
         the value is (6, 0), it must be (5, 0)"
    );
    assert_eq!(
        caught(Bug::UndoNothing, Apples::TAKE, 4).await,
        "`apples/take` breaks its promise in this order of calls:\n  \
         1. do -> 2\n  \
         2. undo -> null\n\
         after an undo everything must be as before the step: \
         the value is (3, 0), it must be (5, 0)"
    );
    assert_eq!(
        caught(Bug::OutsideOfTheTransaction, Apples::TAKE, 4).await,
        "`apples/take` breaks its promise in this order of calls:\n  \
         1. do, made to fail after the work -> this attempt was made to fail\n\
         a failed call must leave nothing: the value is (5, 2), it must be (5, 0)"
    );
    assert_eq!(
        caught(Bug::UndoRefuses, Apples::TAKE, 4).await,
        "`apples/take` breaks its promise in this order of calls:\n  \
         1. do -> 2\n  \
         2. undo -> refused: NEVER: what is taken is taken\n\
         the undo must succeed, it answered: refused: NEVER: what is taken is taken"
    );
    assert_eq!(
        caught(Bug::KeyIgnored, Apples::PAY, 4).await,
        "`apples/pay` breaks its promise in this order of calls:\n  \
         1. do, made to fail after the work -> this attempt was made to fail\n  \
         2. do -> null\n\
         the step must take effect once: the value is (5, 4), it must be (5, 2)"
    );
}
