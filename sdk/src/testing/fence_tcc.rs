//! Every order of calls against one branch of a user's service.
//!
//! The consumer log promises that a branch is tried once and then confirmed or
//! cancelled once. Whether the service's code keeps its side (everything it writes
//! goes through the [`Conn`] it is given, a cancel gives back exactly what the
//! try took, neither of them says no) shows only when calls fail, repeat and
//! overtake each other. What may be answered is said by a model of a branch; two calls
//! at the same time must look as if one had come after the other.

use std::fmt::{self, Debug, Display};
use std::marker::PhantomData;

use bytes::Bytes;

use super::direct::Direct;
use super::fence::{Fence, FenceFailure, FenceReport, show};
use super::orders::{Calls, orders};
use crate::consumer_log::{
    CANCEL_AFTER_CONFIRM, CONFIRM_AFTER_CANCEL, CONFIRM_WITHOUT_TRY, Fault, Phase, TRY_AFTER_CANCEL,
};
use crate::service::StepData;
use crate::{Conn, StepError, StepResult, TccRef};

impl Fence {
    /// The branch under test, and what its try is sent.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use amends::{args, Conn, Database, Service, ServiceBuilder, ServiceDef, StepResult, TccRef};
    /// # struct Wallet;
    /// # impl Wallet { const FREEZE: TccRef<i64, i64> = TccRef::new("wallet", "freeze"); }
    /// # impl Service for Wallet {
    /// #     const NAME: &'static str = "wallet";
    /// #     fn define(self: Arc<Self>) -> ServiceDef {
    /// #         ServiceBuilder::new(Self::NAME, self).tcc(
    /// #             Self::FREEZE, "",
    /// #             |_, conn, n| Box::pin(async move {
    /// #                 conn.execute("update money set n = n - ?", args![n]).await?; Ok(n) }),
    /// #             |_, _, _, _| Box::pin(async move { Ok(()) }),
    /// #             |_, conn, n, _| Box::pin(async move {
    /// #                 conn.execute("update money set n = n + ?", args![*n]).await?; Ok(()) }),
    /// #         ).build()
    /// #     }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = Database::connect("sqlite::memory:").await?;
    /// # let mut conn = database.begin().await?;
    /// # conn.execute_text("create table money (n integer); insert into money values (10000)").await?;
    /// # conn.commit().await?;
    /// async fn money(conn: &mut Conn) -> StepResult<i64> {
    ///     Ok(conn.fetch_one("select n from money", args![]).await?.at(0)?)
    /// }
    /// amends::testing::fence(&database, Wallet)
    ///     .branch(Wallet::FREEZE, 2)
    ///     .unchanged(async |conn| money(conn).await)
    ///     .check_all_orders(3)
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// What is confirmed is spent, so that the database must hold enough of
    /// whatever the request takes for all of them.
    pub fn branch<I: StepData, O: StepData>(
        self,
        branch: TccRef<I, O>,
        request: I,
    ) -> FenceBranch<I> {
        FenceBranch {
            calls: self.calls,
            name: branch.name(),
            target: branch.target(),
            request,
        }
    }
}

/// A branch under test.
#[derive(Debug)]
#[must_use = "say what a cancel must leave unchanged"]
pub struct FenceBranch<I> {
    calls: Direct,
    name: &'static str,
    target: String,
    request: I,
}

impl<I: StepData> FenceBranch<I> {
    /// Measures what must be as before once the branch is cancelled, and must
    /// change at most once by its try and once by its confirm: what is
    /// free and what is held, say.
    pub fn unchanged<F, V, E>(self, measure: F) -> FenceBranchCheck<I, F, V>
    where
        F: AsyncFn(&mut Conn) -> Result<V, E>,
        V: PartialEq + Debug,
        E: Display,
    {
        FenceBranchCheck {
            branch: self,
            measure,
            value: PhantomData,
        }
    }
}

/// A branch under test, with its measure.
#[must_use = "call `check_all_orders`"]
pub struct FenceBranchCheck<I, F, V> {
    branch: FenceBranch<I>,
    measure: F,
    value: PhantomData<fn() -> V>,
}

impl<I, F, V, E> FenceBranchCheck<I, F, V>
where
    I: StepData,
    F: AsyncFn(&mut Conn) -> Result<V, E>,
    V: PartialEq + Debug,
    E: Display,
{
    /// Runs every order of 1 to `calls` calls of try, failing try, confirm and
    /// cancel, alone and in concurrent pairs, each in a transaction of its own
    /// that ends settled. 2 calls are 26 orders, 3 are 138.
    ///
    /// # Errors
    /// The first order, a shortest one, in which a promise is broken.
    pub async fn check_all_orders(&self, calls: usize) -> Result<FenceReport, FenceFailure> {
        let setup = self.branch.calls.database().create_tables_if_missing();
        let setup = setup.await;
        setup.map_err(|error| self.failure(Vec::new(), error.to_string()))?;
        let mut report = FenceReport {
            orders: 0,
            calls: 0,
        };
        for order in orders(&MOVES, calls) {
            let mut run = Run {
                check: self,
                gid: format!("fence-{}", uuid::Uuid::now_v7()),
                model: Model::default(),
                held: None,
                confirmed: None,
                trace: Vec::new(),
            };
            let done = run.all(&order).await;
            report.orders += 1;
            report.calls += run.trace.len();
            done.map_err(|broken| self.failure(run.trace, broken))?;
        }
        Ok(report)
    }

    async fn value(&self) -> Result<V, String> {
        let not_measured = |error: &dyn Display| format!("the value cannot be measured: {error}");
        let database = self.branch.calls.database();
        let mut conn = database.begin().await.map_err(|e| not_measured(&e))?;
        let value = (self.measure)(&mut conn).await;
        let value = value.map_err(|e| not_measured(&e))?;
        conn.rollback().await.map_err(|e| not_measured(&e))?;
        Ok(value)
    }

    async fn call(&self, gid: &str, call: Call) -> StepResult<Bytes> {
        let (phase, fault) = match call {
            Call::Try => (Phase::Try, Fault::None),
            Call::FailingTry => (Phase::Try, Fault::AfterTheWork),
            Call::Confirm => (Phase::Confirm, Fault::None),
            Call::Cancel => (Phase::Cancel, Fault::None),
        };
        let input = serde_json::to_vec(&self.branch.request)?.into();
        let (calls, name) = (&self.branch.calls, self.branch.name);
        calls.raw(name, phase, gid, input, fault).await
    }

    fn failure(&self, trace: Vec<String>, broken: String) -> FenceFailure {
        FenceFailure {
            target: self.branch.target.clone(),
            trace,
            broken,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Try,
    FailingTry,
    Confirm,
    Cancel,
}

/// One call, or two at the same time.
#[derive(Clone, Copy)]
struct Move(Call, Option<Call>);

const MOVES: [Move; 10] = [
    Move(Call::Try, None),
    Move(Call::FailingTry, None),
    Move(Call::Confirm, None),
    Move(Call::Cancel, None),
    Move(Call::Try, Some(Call::Try)),
    Move(Call::Try, Some(Call::Confirm)),
    Move(Call::Try, Some(Call::Cancel)),
    Move(Call::Confirm, Some(Call::Confirm)),
    Move(Call::Confirm, Some(Call::Cancel)),
    Move(Call::Cancel, Some(Call::Cancel)),
];

impl Calls for Move {
    fn calls(self) -> usize {
        1 + usize::from(self.1.is_some())
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Try => "try",
            Self::FailingTry => "try, made to fail after the work",
            Self::Confirm => "confirm",
            Self::Cancel => "cancel",
        })
    }
}

/// What a branch has become.
#[derive(Clone, Default)]
struct Model {
    tried: Tried,
    settled: Option<Call>,
}

#[derive(Clone, Default, PartialEq)]
enum Tried {
    #[default]
    No,
    Held(Bytes),
    Refused(String, String),
    /// Its cancel came first.
    Barred,
}

impl Model {
    /// What it becomes by a call with this answer; `Err` is what should have
    /// been answered.
    fn after(&self, call: Call, answer: &StepResult<Bytes>) -> Result<Self, String> {
        let mut next = self.clone();
        let expected = match (call, &self.tried, self.settled) {
            (Call::Try | Call::FailingTry, Tried::No, _) => {
                match answer {
                    Ok(output) if call == Call::Try => next.tried = Tried::Held(output.clone()),
                    Err(StepError::Refused { code, message }) => {
                        next.tried = Tried::Refused(code.clone(), message.clone());
                    }
                    Err(StepError::Unknown(_)) if call == Call::FailingTry => {}
                    _ => return Err("answered".to_owned()),
                }
                return Ok(next);
            }
            (Call::Try | Call::FailingTry, Tried::Held(first), _) => {
                return match answer {
                    Ok(output) if output == first => Ok(next),
                    _ => Err("answered as the first time".to_owned()),
                };
            }
            (Call::Try | Call::FailingTry, Tried::Refused(code, _), _) => Some(code.as_str()),
            (Call::Try | Call::FailingTry, Tried::Barred, _) => Some(TRY_AFTER_CANCEL),
            (Call::Confirm, _, Some(Call::Cancel)) => Some(CONFIRM_AFTER_CANCEL),
            (Call::Confirm, Tried::Held(_), _) => None,
            (Call::Confirm, _, _) => Some(CONFIRM_WITHOUT_TRY),
            (Call::Cancel, _, Some(Call::Confirm)) => Some(CANCEL_AFTER_CONFIRM),
            (Call::Cancel, _, _) => None,
        };
        match (expected, answer) {
            (None, Ok(_)) => {
                next.settled = Some(call);
                if call == Call::Cancel && self.tried == Tried::No {
                    next.tried = Tried::Barred;
                }
                Ok(next)
            }
            (Some(expected), Err(StepError::Refused { code, .. })) if code == expected => Ok(next),
            (None, _) => Err("successful".to_owned()),
            (Some(expected), _) => Err(format!("refused with {expected}")),
        }
    }
}

/// One order under way: what has been seen so far.
struct Run<'a, I, F, V> {
    check: &'a FenceBranchCheck<I, F, V>,
    gid: String,
    model: Model,
    /// What the value is while the branch is held, and once it is confirmed.
    held: Option<V>,
    confirmed: Option<V>,
    trace: Vec<String>,
}

impl<I, F, V, E> Run<'_, I, F, V>
where
    I: StepData,
    F: AsyncFn(&mut Conn) -> Result<V, E>,
    V: PartialEq + Debug,
    E: Display,
{
    async fn all(&mut self, order: &[Move]) -> Result<(), String> {
        let before = self.check.value().await?;
        for next in order {
            self.one(*next, &before).await?;
        }
        match self.model.settled {
            None => self.one(Move(Call::Cancel, None), &before).await,
            Some(_) => Ok(()),
        }
    }

    async fn one(&mut self, Move(one, other): Move, before: &V) -> Result<(), String> {
        let Some(other) = other else {
            self.trace.push(one.to_string());
            let answer = self.check.call(&self.gid, one).await;
            self.answered(&show(&answer));
            let next = self.model.after(one, &answer);
            self.model = next.map_err(|expected| format!("the {one} must be {expected}"))?;
            return self.check_value(before).await;
        };
        self.trace
            .push(format!("{one} and {other} at the same time"));
        let (a, b) = tokio::join!(
            self.check.call(&self.gid, one),
            self.check.call(&self.gid, other)
        );
        self.answered(&format!("{} and {}", show(&a), show(&b)));
        let first = |x: Call, ax, y: Call, ay| self.model.after(x, ax)?.after(y, ay);
        let next = first(one, &a, other, &b).or_else(|_| first(other, &b, one, &a));
        self.model = next.map_err(|_| {
            "one after the other, in either order, would be answered differently".to_owned()
        })?;
        self.check_value(before).await
    }

    fn answered(&mut self, answer: &str) {
        if let Some(line) = self.trace.last_mut() {
            *line = format!("{line} -> {answer}");
        }
    }

    async fn check_value(&mut self, before: &V) -> Result<(), String> {
        let now = self.check.value().await?;
        let (place, rule) = match (&self.model.tried, self.model.settled) {
            (Tried::Held(_), Some(Call::Confirm)) => {
                (&mut self.confirmed, "a confirm must take effect once")
            }
            (Tried::Held(_), None) => (&mut self.held, "a try must take effect once"),
            (_, Some(Call::Cancel)) => {
                return same(&now, before, "after a cancel all must be as before the try");
            }
            _ => return same(&now, before, "what is not held must leave nothing"),
        };
        match place {
            Some(first) => same(&now, first, rule),
            None => {
                *place = Some(now);
                Ok(())
            }
        }
    }
}

fn same<V: PartialEq + Debug>(now: &V, expected: &V, rule: &str) -> Result<(), String> {
    if now == expected {
        return Ok(());
    }
    Err(format!(
        "{rule}: the value is {now:?}, it must be {expected:?}"
    ))
}
