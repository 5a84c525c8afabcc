//! Runs a saga's definition in the test's own process: no server, no
//! database, no time. It shows which steps are called in which order, with
//! which inputs, what is undone, and how the saga ends.
//!
//! ```
//! # use amends::{Saga, StepRef, Val, wire, Wire, testing};
//! # use serde::{Serialize, Deserialize};
//! # #[derive(Serialize, Deserialize, Wire)] struct Order { id: String, cents: i64 }
//! # const RESERVE: StepRef<String, i64> = StepRef::new("stock", "reserve");
//! # const CONFIRM: StepRef<Order, ()> = StepRef::new("orders", "confirm");
//! let place = || Saga::<Order, ()>::define("place", 1, |s, input| {
//!     let cents = s.step("reserve-stock", RESERVE, &input.id);
//!     s.step("confirm", CONFIRM, wire!(Order { id: input.id, cents: cents }))
//! });
//! testing::saga(place())
//!     .input(Order { id: "o1".into(), cents: 0 })
//!     .answer("reserve-stock", 500)
//!     .fail_at("confirm", "DECLINED")
//!     .expect_undone(["reserve-stock"]);
//! ```
//!
//! Steps that nothing links are called at the same time: all of them answer
//! before what a failure among them leads to begins. It is written apart from
//! the coordinator, so it is no proof of how the coordinator behaves.
#![allow(
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test kit reports by panicking, and takes what tests write in place"
)]

mod interpret;
mod report;
mod template;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::saga::Saga;

pub use interpret::Call;
pub use report::SagaReport;

use interpret::{Answer, Script};

/// A saga under test and how its steps will answer; see [`saga`].
#[must_use = "`.run()` it, or say what is expected"]
pub struct SagaTest<I, O> {
    saga: Saga<I, O>,
    input: Value,
    script: Script,
}

/// Tests a saga without a server. A step that nothing is said about succeeds
/// with `null`.
///
/// # Panics
/// When the saga is not well defined.
#[track_caller]
pub fn saga<I, O>(saga: Saga<I, O>) -> SagaTest<I, O> {
    if let Err(error) = saga.definition() {
        panic!("{error}");
    }
    SagaTest {
        saga,
        input: Value::Null,
        script: Script::default(),
    }
}

impl<I, O> SagaTest<I, O> {
    /// What the saga is started with; `null` where nothing is said.
    ///
    /// # Panics
    /// When it has no JSON form.
    #[track_caller]
    pub fn input(mut self, input: I) -> Self
    where
        I: Serialize,
    {
        self.input = json("the input", &input);
        self
    }

    /// What a step answers.
    ///
    /// # Panics
    /// When the saga has no such step, or the step's answer has another type.
    #[track_caller]
    pub fn answer(self, step: &str, output: impl Serialize) -> Self {
        let output = json(&format!("the answer of `{step}`"), &output);
        match self.saga.check_answer(step, &output) {
            Some(Err(error)) => panic!("the step `{step}` cannot answer {output}: {error}"),
            _ => self.script(step, Answer::Succeeded(output)),
        }
    }

    /// The step refuses with this code: nothing remains of it, and the saga turns back.
    ///
    /// # Panics
    /// When the saga has no such step.
    #[track_caller]
    pub fn fail_at(self, step: &str, code: &str) -> Self {
        self.script(step, Answer::Refused(code.to_owned()))
    }

    /// All attempts of the step end without an answer: it may have run, so it
    /// is undone too.
    ///
    /// # Panics
    /// When the saga has no such step.
    #[track_caller]
    pub fn unknown_at(self, step: &str) -> Self {
        self.script(step, Answer::Unknown)
    }

    /// The undo of the step does not succeed: its branch is stuck, the others finish.
    ///
    /// # Panics
    /// When the saga has no such step.
    #[track_caller]
    pub fn undo_fails_at(mut self, step: &str) -> Self {
        self.check_name(step);
        self.script.failing_undos.push(step.to_owned());
        self
    }

    #[track_caller]
    fn script(mut self, step: &str, answer: Answer) -> Self {
        self.check_name(step);
        self.script.answers.insert(step.to_owned(), answer);
        self
    }

    #[track_caller]
    fn check_name(&self, step: &str) {
        let steps = self
            .saga
            .definition()
            .map(|saga| saga.steps.as_slice())
            .unwrap_or_default();
        if !steps.iter().any(|other| other.name == step) {
            let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
            panic!("the saga has no step `{step}`; it has {}", names.join(", "));
        }
    }
}

impl<I, O: DeserializeOwned> SagaTest<I, O> {
    /// Runs it.
    ///
    /// # Panics
    /// When a step refers to data that the scripted answers do not have, or
    /// the output is no `O`.
    #[track_caller]
    pub fn run(self) -> SagaReport<O> {
        let Ok(definition) = self.saga.definition() else {
            unreachable!("checked when the test was made")
        };
        match interpret::run(definition, self.input, &self.script) {
            Ok(story) => SagaReport::new(definition, story),
            Err(why) => panic!("{why}"),
        }
    }

    /// Runs it and checks that exactly these steps were undone, in whatever order.
    ///
    /// # Panics
    /// When others were; and as [`run`](Self::run).
    #[track_caller]
    pub fn expect_undone<const N: usize>(self, steps: [&str; N]) -> SagaReport<O> {
        self.run().expect_undone(steps)
    }

    /// Runs it and checks that everything happened.
    ///
    /// # Panics
    /// When not; and as [`run`](Self::run).
    #[track_caller]
    pub fn expect_completed(self) -> SagaReport<O> {
        self.run().expect_completed()
    }
}

#[track_caller]
fn json(what: &str, value: &impl Serialize) -> Value {
    match serde_json::to_value(value) {
        Ok(value) => value,
        Err(error) => panic!("{what} has no JSON form: {error}"),
    }
}
