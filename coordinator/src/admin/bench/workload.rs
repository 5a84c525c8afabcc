//! What is measured: one saga, and the same calls as a client would make them.

use amends_proto::v1::{
    ExecuteRequest, Payload, Phase, RetryPolicy, SagaDefinition, StepDefinition, TransactionState,
};
use bytes::Bytes;
use clap::ValueEnum;
use prost_types::Duration;

/// The participant of what is measured.
pub(super) const SERVICE: &str = "bench";
/// The participant that never answers, and the saga whose step it has.
pub(super) const HANGING_SERVICE: &str = "bench.hanging";
/// A step that is done at once.
pub(super) const WORK: &str = "work";
/// A step that is refused at once.
pub(super) const REFUSE: &str = "refuse";
/// A step that asks to be called again later, until the participant is told to release it.
pub(super) const LATER: &str = "later";
/// A step without an answer, until the participant is told to release it.
pub(super) const HANG: &str = "hang";

/// About the size of an order's head.
static INPUT: &[u8] = br#"{"order":1048576,"customer":"c-4711","amount":4990}"#;
/// The bound of a call that hangs: short, so that retries and circuits take part in a short run.
const HANGING_TIMEOUT_SECONDS: i64 = 1;
/// Longer than any run.
const PATIENT_TIMEOUT_SECONDS: i64 = 3600;
/// The default one, but for more attempts than any run has time for.
const HANGING_RETRY: RetryPolicy = RetryPolicy {
    max_attempts: 1000,
    initial_backoff: Some(Duration {
        seconds: 0,
        nanos: 100_000_000,
    }),
    max_backoff: Some(Duration {
        seconds: 10,
        nanos: 0,
    }),
    multiplier: 2.0,
};

/// The course that each saga takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Mode {
    /// Every step succeeds, one after the other
    #[default]
    Ok,
    /// The last step is refused; the ones before it are undone
    Fail,
    /// Every step succeeds, all at the same time
    Parallel,
    /// As ok, while other sagas wait for a participant that never answers
    Hang,
    /// A coordinator with unfinished sagas is killed and started again
    Restart,
    /// Many sagas wait for a timer
    Waiting,
}

impl Mode {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Fail => "fail",
            Self::Parallel => "parallel",
            Self::Hang => "hang",
            Self::Restart => "restart",
            Self::Waiting => "waiting",
        }
    }
}

/// One saga's shape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Workload {
    pub(super) mode: Mode,
    pub(super) steps: usize,
}

/// A call as the coordinator would make it, and what the answer must be.
#[derive(Debug, Clone)]
pub(super) struct PlannedCall {
    pub(super) request: ExecuteRequest,
    pub(super) refused: bool,
}

impl Workload {
    pub(super) fn definition(self) -> SagaDefinition {
        let steps = (0..self.steps).map(|ix| StepDefinition {
            after: match ix.checked_sub(1) {
                Some(before) if self.mode != Mode::Parallel => vec![branch(before)],
                _ => Vec::new(),
            },
            ..step(branch(ix), &target(SERVICE, self.step(ix)))
        });
        definition(
            format!("bench-{}-{}", self.mode.name(), self.steps),
            steps.collect(),
        )
    }

    /// How each saga must end.
    pub(super) fn expected(self) -> TransactionState {
        match self.mode {
            Mode::Fail => TransactionState::Compensated,
            _ => TransactionState::Succeeded,
        }
    }

    /// The saga's calls: one stage after the other, those of a stage at the same time.
    pub(super) fn stages(self) -> Vec<Vec<PlannedCall>> {
        let call = |ix, phase| self.call(ix, phase);
        let forward = (0..self.steps).map(|ix| call(ix, Phase::Do));
        match self.mode {
            Mode::Parallel => vec![forward.collect()],
            Mode::Ok | Mode::Hang | Mode::Restart | Mode::Waiting => {
                forward.map(|call| vec![call]).collect()
            }
            Mode::Fail => {
                let back = (0..self.steps - 1).rev().map(|ix| call(ix, Phase::Undo));
                forward.chain(back).map(|call| vec![call]).collect()
            }
        }
    }

    /// Calls of one saga when nothing is repeated.
    pub(super) fn calls(self) -> usize {
        self.stages().iter().map(Vec::len).sum()
    }

    fn step(self, ix: usize) -> &'static str {
        if self.mode == Mode::Fail && ix + 1 == self.steps {
            REFUSE
        } else {
            WORK
        }
    }

    fn call(self, ix: usize, phase: Phase) -> PlannedCall {
        let step = self.step(ix);
        let request = ExecuteRequest {
            service: SERVICE.to_owned(),
            step: step.to_owned(),
            phase: phase.into(),
            gid: String::new(),
            branch: branch(ix),
            attempt: 1,
            input: Some(input()),
            output: (phase == Phase::Undo).then(output),
        };
        PlannedCall {
            request,
            refused: step == REFUSE,
        }
    }
}

/// The saga of one step whose call takes as long as it takes: a call that is
/// under way when the coordinator dies.
pub(super) fn unfinished_definition() -> SagaDefinition {
    definition("bench-unfinished".to_owned(), vec![patient(HANG)])
}

/// The saga of one step that asks to be called again later.
pub(super) fn waiting_definition() -> SagaDefinition {
    definition("bench-waiting".to_owned(), vec![patient(LATER)])
}

fn patient(name: &str) -> StepDefinition {
    StepDefinition {
        timeout: Some(Duration {
            seconds: PATIENT_TIMEOUT_SECONDS,
            nanos: 0,
        }),
        ..step(branch(0), &target(HANGING_SERVICE, name))
    }
}

/// The saga of one step that nobody answers.
pub(super) fn hanging_definition() -> SagaDefinition {
    let step = StepDefinition {
        timeout: Some(Duration {
            seconds: HANGING_TIMEOUT_SECONDS,
            nanos: 0,
        }),
        retry: Some(HANGING_RETRY),
        ..step(branch(0), &target(HANGING_SERVICE, HANG))
    };
    definition("bench-hanging".to_owned(), vec![step])
}

/// The input of each saga, and so of each step.
pub(super) fn input() -> Payload {
    Payload {
        content_type: String::new(),
        data: Bytes::from_static(INPUT),
    }
}

/// What each step answers.
pub(super) fn output() -> Payload {
    Payload {
        content_type: String::new(),
        data: Bytes::from_static(br#"{"ok":true}"#),
    }
}

fn definition(name: String, steps: Vec<StepDefinition>) -> SagaDefinition {
    SagaDefinition {
        name,
        version: 1,
        steps,
        ..SagaDefinition::default()
    }
}

fn step(name: String, target: &str) -> StepDefinition {
    StepDefinition {
        name,
        target: target.to_owned(),
        compensation: target.to_owned(),
        ..StepDefinition::default()
    }
}

fn target(service: &str, step: &str) -> String {
    format!("{service}/{step}")
}

fn branch(ix: usize) -> String {
    format!("s{}", ix + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `s1+` is a call of step 1, `s1-` one of its undo, `!` a refusal.
    fn check(mode: Mode, steps: usize, expected: &str) {
        let workload = Workload { mode, steps };
        let show = |call: &PlannedCall| {
            let undo = call.request.phase() == Phase::Undo;
            let mark = if undo { '-' } else { '+' };
            let refused = if call.refused { "!" } else { "" };
            format!("{}{mark}{refused}", call.request.branch)
        };
        let stages = workload.stages();
        let stages: Vec<String> = stages
            .iter()
            .map(|stage| stage.iter().map(show).collect::<Vec<_>>().join("|"))
            .collect();
        assert_eq!(stages.join(" "), expected);
    }

    #[test]
    fn the_same_calls_as_the_saga_makes() {
        check(Mode::Ok, 3, "s1+ s2+ s3+");
        check(Mode::Hang, 1, "s1+");
        check(Mode::Parallel, 3, "s1+|s2+|s3+");
        check(Mode::Fail, 4, "s1+ s2+ s3+ s4+! s3- s2- s1-");
        check(Mode::Fail, 1, "s1+!");
    }
}
