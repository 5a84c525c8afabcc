//! [`SagaReport`]: what happened in a tested saga, and what was expected.

use std::fmt;

use amends_proto::v1::SagaDefinition;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::interpret::{Call, End, Story};
use super::json;
use crate::client::Outcome;

/// What happened. The checks panic with the whole story when they fail, and
/// give the report back, so that several can be chained.
pub struct SagaReport<O> {
    title: String,
    calls: Vec<Call>,
    outcome: Outcome<O>,
    /// The outcome as text: `O` need not be printable.
    end: String,
}

impl<O: DeserializeOwned> SagaReport<O> {
    #[track_caller]
    pub(super) fn new(saga: &SagaDefinition, story: Story) -> Self {
        let end = match &story.end {
            End::Completed(output) => format!("completed with {output}"),
            End::Compensated { step, code } => format!("compensated: `{step}` failed with {code}"),
            End::Stuck(reason) => format!("stuck: {reason}"),
        };
        let outcome = match story.end {
            End::Completed(output) => match O::deserialize(&output) {
                Ok(output) => Outcome::Completed(output),
                Err(error) => panic!("the output {output} has not the saga's type: {error}"),
            },
            End::Compensated { step, code } => Outcome::Compensated {
                step,
                code,
                message: String::new(),
            },
            End::Stuck(reason) => Outcome::Stuck { reason },
        };
        let title = format!("saga {} version {}", saga.name, saga.version);
        Self {
            title,
            calls: story.calls,
            outcome,
            end,
        }
    }
}

impl<O> SagaReport<O> {
    /// How it ended.
    #[must_use]
    pub fn outcome(&self) -> &Outcome<O> {
        &self.outcome
    }

    /// Every call in order.
    #[must_use]
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// The steps that were called, in order.
    #[must_use]
    pub fn called(&self) -> Vec<&str> {
        let names = self.calls.iter().filter_map(|call| match call {
            Call::Do { step, .. } => Some(step.as_str()),
            Call::Undo { .. } => None,
        });
        names.collect()
    }

    /// The steps whose undo was called, in order.
    #[must_use]
    pub fn undone(&self) -> Vec<&str> {
        let names = self.calls.iter().filter_map(|call| match call {
            Call::Undo { step } => Some(step.as_str()),
            Call::Do { .. } => None,
        });
        names.collect()
    }

    /// What a step was sent, references resolved; `None` when it was not called.
    #[must_use]
    pub fn input_of(&self, step: &str) -> Option<&Value> {
        self.calls.iter().find_map(|call| match call {
            Call::Do { step: name, input } if name == step => Some(input),
            _ => None,
        })
    }

    /// Checks that everything happened.
    ///
    /// # Panics
    /// When not.
    #[track_caller]
    #[allow(clippy::must_use_candidate, reason = "a check may be the last")]
    pub fn expect_completed(self) -> Self {
        if !matches!(self.outcome, Outcome::Completed(_)) {
            panic!("expected the saga to complete\n{self}");
        }
        self
    }

    /// Checks that exactly these steps were undone, in whatever order.
    ///
    /// # Panics
    /// When others were.
    #[track_caller]
    #[allow(clippy::must_use_candidate, reason = "a check may be the last")]
    pub fn expect_undone<const N: usize>(self, mut steps: [&str; N]) -> Self {
        let mut undone = self.undone();
        undone.sort_unstable();
        steps.sort_unstable();
        if undone != steps {
            panic!("expected these steps to be undone: {steps:?}, but it was {undone:?}\n{self}");
        }
        self
    }

    /// Checks that exactly these steps were undone, in this order.
    ///
    /// # Panics
    /// When others were, or in another order.
    #[track_caller]
    #[allow(clippy::must_use_candidate, reason = "a check may be the last")]
    pub fn expect_undone_in_order<const N: usize>(self, steps: [&str; N]) -> Self {
        let undone = self.undone();
        if undone != steps {
            panic!("expected the undo of {steps:?} in this order, but it was {undone:?}\n{self}");
        }
        self
    }

    /// Checks that exactly these steps were called, in whatever order.
    ///
    /// # Panics
    /// When others were.
    #[track_caller]
    #[allow(clippy::must_use_candidate, reason = "a check may be the last")]
    pub fn expect_called<const N: usize>(self, mut steps: [&str; N]) -> Self {
        let mut called = self.called();
        called.sort_unstable();
        steps.sort_unstable();
        if called != steps {
            panic!("expected these steps to be called: {steps:?}, but it was {called:?}\n{self}");
        }
        self
    }

    /// Checks what a step was sent.
    ///
    /// # Panics
    /// When it was sent something else, or was not called.
    #[track_caller]
    #[allow(clippy::must_use_candidate, reason = "a check may be the last")]
    pub fn expect_input(self, step: &str, input: impl Serialize) -> Self {
        let expected = json("the expected input", &input);
        match self.input_of(step) {
            Some(found) if *found == expected => self,
            Some(found) => {
                panic!("expected step `{step}` to be sent {expected}, but it was {found}\n{self}")
            }
            None => panic!("expected step `{step}` to be called\n{self}"),
        }
    }
}

impl<O> fmt::Display for SagaReport<O> {
    /// The story, a line for each call.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        for call in &self.calls {
            match call {
                Call::Do { step, input } => writeln!(f, "  do   {step} {input}")?,
                Call::Undo { step } => writeln!(f, "  undo {step}")?,
            }
        }
        write!(f, "  {}", self.end)
    }
}

impl<O> fmt::Debug for SagaReport<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
