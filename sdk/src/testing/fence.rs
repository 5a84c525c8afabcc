//! Every order of calls against one step of a user's service.
//!
//! The consumer log promises that a step and its undo run at most once and in
//! the right order. Whether the service's code keeps its side (everything it
//! writes goes through the [`Conn`] it is given, the undo gives back exactly
//! what the step took, an external step honours its idempotency key) shows
//! only when calls fail, repeat and overtake each other.

use std::fmt::{self, Debug, Display};
use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;

use super::direct::{Direct, direct};
use super::orders::{Move, orders};
use crate::consumer_log::{Fault, Phase, UNDONE_BEFORE_DO};
use crate::service::StepData;
use crate::step_ref::{Compensation, Effects};
use crate::{Conn, Database, Service, StepError, StepRef, StepResult};

/// How often a call is repeated that is answered "in progress", and when.
const MAX_ASKS: u32 = 200;
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// A service under test; see [`fence`].
#[derive(Debug)]
#[must_use = "name the step"]
pub struct Fence {
    pub(super) calls: Direct,
}

/// Tests the steps of a service against every order of calls:
///
/// ```
/// # use std::sync::Arc;
/// # use amends::{args, Conn, Database, Service, ServiceBuilder, ServiceDef, StepRef, StepResult};
/// # struct Inventory;
/// # impl Inventory {
/// #     const RESERVE: StepRef<i64, i64> = StepRef::new("inventory", "reserve");
/// # }
/// # impl Service for Inventory {
/// #     const NAME: &'static str = "inventory";
/// #     fn define(self: Arc<Self>) -> ServiceDef {
/// #         ServiceBuilder::new(Self::NAME, self).local_step(
/// #             Self::RESERVE, "",
/// #             |_, conn, n| Box::pin(async move {
/// #                 conn.execute("update goods set n = n - ?", args![n]).await?; Ok(n) }),
/// #             Some(|_, conn, n, _| Box::pin(async move {
/// #                 conn.execute("update goods set n = n + ?", args![*n]).await?; Ok(()) })),
/// #         ).build()
/// #     }
/// # }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let database = Database::connect("sqlite::memory:").await?;
/// # let mut conn = database.begin().await?;
/// # conn.execute_text("create table goods (n integer); insert into goods values (10)").await?;
/// # conn.commit().await?;
/// async fn stock(conn: &mut Conn) -> StepResult<i64> {
///     Ok(conn.fetch_one("select n from goods", args![]).await?.at(0)?)
/// }
/// amends::testing::fence(&database, Inventory)
///     .step(Inventory::RESERVE, 2)
///     .unchanged(async |conn| stock(conn).await)
///     .check_all_orders(3)
///     .await?;
/// # Ok(()) }
/// ```
///
/// The database must hold the service's own tables and enough of whatever the
/// request takes; the SDK's tables are created. Use a database for testing.
pub fn fence<S: Service>(database: &Database, service: S) -> Fence {
    Fence {
        calls: direct(database, service),
    }
}

impl Fence {
    /// The step under test, and what it is sent.
    pub fn step<I: StepData, O: StepData>(self, step: StepRef<I, O>, request: I) -> FenceStep<I> {
        let Fence { calls } = self;
        let target = step.target();
        let kind = (step.compensation(), step.effects());
        FenceStep {
            calls,
            name: step.step(),
            target,
            kind,
            request,
        }
    }
}

/// A step under test.
#[derive(Debug)]
#[must_use = "say what the step must leave unchanged"]
pub struct FenceStep<I> {
    calls: Direct,
    name: &'static str,
    target: String,
    kind: (Compensation, Effects),
    request: I,
}

impl<I: StepData> FenceStep<I> {
    /// Measures what must be as before once the step is undone, and must
    /// change at most once while it is not: the stock, say, or a balance.
    pub fn unchanged<F, V, E>(self, measure: F) -> FenceCheck<I, F, V>
    where
        F: AsyncFn(&mut Conn) -> Result<V, E>,
        V: PartialEq + Debug,
        E: Display,
    {
        FenceCheck {
            step: self,
            measure,
            value: PhantomData,
        }
    }
}

/// A step under test, with its measure.
#[must_use = "call `check_all_orders`"]
pub struct FenceCheck<I, F, V> {
    step: FenceStep<I>,
    measure: F,
    value: PhantomData<fn() -> V>,
}

/// What was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FenceReport {
    /// Orders of calls, each in a transaction of its own.
    pub orders: usize,
    /// Calls in all.
    pub calls: usize,
}

/// In which order of calls the step broke which promise. Prints readably
/// with `{}` and `{:?}`, so that `?` and `unwrap` in a test show it.
pub struct FenceFailure {
    pub(super) target: String,
    pub(super) trace: Vec<String>,
    pub(super) broken: String,
}

impl Display for FenceFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "`{}` breaks its promise in this order of calls:",
            self.target
        )?;
        for (at, line) in self.trace.iter().enumerate() {
            writeln!(f, "  {}. {line}", at + 1)?;
        }
        write!(f, "{}", self.broken)
    }
}

impl Debug for FenceFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl std::error::Error for FenceFailure {}

impl<I, F, V, E> FenceCheck<I, F, V>
where
    I: StepData,
    F: AsyncFn(&mut Conn) -> Result<V, E>,
    V: PartialEq + Debug,
    E: Display,
{
    /// Runs every order of 1 to `calls` calls of do, failing do and undo,
    /// alone and in concurrent pairs, each in a transaction of its own that
    /// ends with an undo. 3 calls are 60 orders, 4 are 231, 5 are 879.
    ///
    /// # Errors
    /// The first order, a shortest one, in which a promise is broken: a
    /// duplicate with another answer, an effect that happens twice, remains
    /// of a failed or refused call, anything left after an undo, a step that
    /// runs after its undo, an undo that does not succeed.
    pub async fn check_all_orders(&self, calls: usize) -> Result<FenceReport, FenceFailure> {
        let setup = self.step.calls.database().create_tables_if_missing().await;
        setup.map_err(|error| self.failure(Vec::new(), error.to_string()))?;
        let moves = match self.step.kind.0 {
            Compensation::Undo => Move::ALL.as_slice(),
            Compensation::None => Move::FORWARD.as_slice(),
        };
        let mut report = FenceReport {
            orders: 0,
            calls: 0,
        };
        for order in orders(moves, calls) {
            let mut run = Run::new(self, &order);
            let done = run.all(&order).await;
            report.orders += 1;
            report.calls += run.trace.len();
            done.map_err(|broken| self.failure(run.trace, broken))?;
        }
        Ok(report)
    }

    async fn value(&self) -> Result<V, String> {
        let not_measured = |error: &dyn Display| format!("the value cannot be measured: {error}");
        let mut conn = self
            .step
            .calls
            .database()
            .begin()
            .await
            .map_err(|e| not_measured(&e))?;
        let value = (self.measure)(&mut conn)
            .await
            .map_err(|e| not_measured(&e))?;
        conn.rollback().await.map_err(|e| not_measured(&e))?;
        Ok(value)
    }

    fn failure(&self, trace: Vec<String>, broken: String) -> FenceFailure {
        FenceFailure {
            target: self.step.target.clone(),
            trace,
            broken,
        }
    }
}

/// One order under way: what has been seen so far.
struct Run<'a, I, F, V> {
    check: &'a FenceCheck<I, F, V>,
    gid: String,
    /// The first answer to the step.
    answer: Option<Answer>,
    /// What the value is while the step has happened and is not undone.
    done_value: Option<V>,
    undone: Undone,
    trace: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Undone {
    No,
    Yes,
}

/// An answer that must be the same for every duplicate.
#[derive(Clone, PartialEq)]
enum Answer {
    Succeeded(Bytes),
    Refused(String, String),
}

impl<'a, I, F, V, E> Run<'a, I, F, V>
where
    I: StepData,
    F: AsyncFn(&mut Conn) -> Result<V, E>,
    V: PartialEq + Debug,
    E: Display,
{
    fn new(check: &'a FenceCheck<I, F, V>, order: &[Move]) -> Self {
        Self {
            check,
            gid: format!("fence-{}", uuid::Uuid::now_v7()),
            answer: None,
            done_value: None,
            undone: Undone::No,
            trace: Vec::with_capacity(order.len() + 1),
        }
    }

    async fn all(&mut self, order: &[Move]) -> Result<(), String> {
        let before = self.check.value().await?;
        for next in order {
            self.one(*next, &before).await?;
        }
        match self.check.step.kind.0 {
            Compensation::Undo => self.one(Move::Undo, &before).await,
            Compensation::None => Ok(()),
        }
    }

    async fn one(&mut self, next: Move, before: &V) -> Result<(), String> {
        let last = self.check.value().await?;
        self.trace.push(next.to_string());
        let answers = match next {
            Move::Do => vec![(Phase::Do, self.call(Phase::Do, Fault::None).await)],
            Move::FailingDo => vec![(Phase::Do, self.call(Phase::Do, Fault::AfterTheWork).await)],
            Move::Undo => vec![(Phase::Undo, self.call(Phase::Undo, Fault::None).await)],
            Move::DoAndDo => self.pair(Phase::Do, Phase::Do).await,
            Move::DoAndUndo => self.pair(Phase::Do, Phase::Undo).await,
            Move::UndoAndUndo => self.pair(Phase::Undo, Phase::Undo).await,
        };
        if let Some(line) = self.trace.last_mut() {
            let shown: Vec<_> = answers.iter().map(|(_, answer)| show(answer)).collect();
            *line = format!("{line} -> {}", shown.join(" and "));
        }
        let overtaken = match next {
            Move::DoAndUndo => Undone::Yes,
            _ => self.undone,
        };
        for (phase, answer) in answers {
            match phase {
                Phase::Do => self.check_do(answer, next, overtaken)?,
                _ => {
                    answer
                        .map_err(|error| format!("the undo must succeed, it answered: {error}"))?;
                    self.undone = Undone::Yes;
                }
            }
        }
        let value = self.check.value().await?;
        self.check_value(next, value, &last, before)
    }

    async fn pair(&self, one: Phase, other: Phase) -> Vec<(Phase, StepResult<Bytes>)> {
        let calls = tokio::join!(self.call(one, Fault::None), self.call(other, Fault::None));
        vec![(one, calls.0), (other, calls.1)]
    }

    /// One call; "in progress" is asked again, as a coordinator would.
    async fn call(&self, phase: Phase, fault: Fault) -> StepResult<Bytes> {
        let step = &self.check.step;
        let mut asked = 0;
        loop {
            let input = serde_json::to_vec(&step.request)?.into();
            let answer = step
                .calls
                .raw(step.name, phase, &self.gid, input, fault)
                .await;
            asked += 1;
            match answer {
                Err(StepError::InProgress { .. }) if asked < MAX_ASKS => {
                    tokio::time::sleep(ASK_AGAIN).await;
                }
                answer => return answer,
            }
        }
    }

    fn check_do(
        &mut self,
        answer: StepResult<Bytes>,
        next: Move,
        overtaken: Undone,
    ) -> Result<(), String> {
        let answer = match answer {
            Ok(output) => Answer::Succeeded(output),
            Err(StepError::Refused { code, .. })
                if code == UNDONE_BEFORE_DO && overtaken == Undone::Yes =>
            {
                return match self.answer {
                    Some(Answer::Succeeded(_)) => {
                        Err("the step succeeded before; its duplicate must say so too".to_owned())
                    }
                    _ => Ok(()),
                };
            }
            Err(StepError::Refused { code, message }) => Answer::Refused(code, message),
            Err(StepError::Unknown(_)) if next == Move::FailingDo && self.answer.is_none() => {
                return Ok(());
            }
            Err(error) => return Err(format!("the step must be answered, not: {error}")),
        };
        match &self.answer {
            None if self.undone == Undone::Yes => {
                Err("the step ran after its undo, it must be refused".to_owned())
            }
            None => {
                self.answer = Some(answer);
                Ok(())
            }
            Some(first) if *first == answer => Ok(()),
            Some(_) => Err("a duplicate was answered differently".to_owned()),
        }
    }

    fn check_value(&mut self, next: Move, now: V, last: &V, before: &V) -> Result<(), String> {
        let external = self.check.step.kind.1 == Effects::External;
        if self.undone == Undone::Yes {
            return same(
                &now,
                before,
                "after an undo everything must be as before the step",
            );
        }
        match &self.answer {
            Some(Answer::Refused(..)) => same(&now, before, "a refused step must leave nothing"),
            // Failed: nothing may remain, unless the effects are elsewhere.
            None if !external => same(&now, last, "a failed call must leave nothing"),
            _ => match &self.done_value {
                Some(done) => same(&now, done, "the step must take effect once"),
                None if next == Move::Undo => Ok(()),
                None => {
                    self.done_value = Some(now);
                    Ok(())
                }
            },
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

pub(super) fn show(answer: &StepResult<Bytes>) -> String {
    match answer {
        Ok(output) => String::from_utf8_lossy(output).into_owned(),
        Err(error) => error.to_string(),
    }
}
