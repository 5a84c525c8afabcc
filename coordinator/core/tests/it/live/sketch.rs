//! Short ways to write down live sagas.

use amends_core::answer::Failure;
use amends_core::id::{Gid, StepName};
use amends_core::payload::Payload;
use amends_core::saga::{
    Command, CompensateVia, Fencing, LiveCommand, LiveStart, LiveStep, Rejected, Saga, begin_live,
};
use amends_core::target::Target;
use amends_core::time::{Millis, Timestamp};
use serde_json::json;

use crate::sketch::{RETRY, Run};

/// How long callers may be silent here.
pub(crate) const LEASE: Millis = Millis(5_000);

pub(crate) fn start() -> LiveStart {
    LiveStart {
        gid: Gid::new("g").unwrap(),
        name: "order".to_owned(),
        key: "4711".to_owned(),
        caller: "caller-1".to_owned(),
        lease: LEASE,
        deadline: None,
    }
}

pub(crate) fn named(name: &str) -> StepName {
    StepName::new(name).unwrap()
}

/// A step with a compensation and a consumer log.
pub(crate) fn live_step(name: &str) -> LiveStep {
    let target = Target::parse(&format!("shop/{name}")).unwrap();
    LiveStep {
        target: target.clone(),
        compensation: Some(target),
        input: Payload::json(&json!({"$ref": "means nothing here"})),
        timeout: Millis(1_000),
        retry: RETRY,
        undo_retry: RETRY,
        fencing: Fencing::ConsumerLog,
        compensate_via: CompensateVia::Queue,
    }
}

pub(crate) fn unfenced_step(name: &str) -> LiveStep {
    LiveStep {
        fencing: Fencing::None,
        ..live_step(name)
    }
}

pub(crate) fn asks(name: &str) -> Command {
    asks_for(name, live_step(name))
}

pub(crate) fn asks_for(name: &str, step: LiveStep) -> Command {
    let name = named(name);
    said(LiveCommand::Step { name, step })
}

pub(crate) fn completes() -> Command {
    let output = Payload::json(&json!("done"));
    said(LiveCommand::Complete { output })
}

pub(crate) fn fails(step: Option<&str>) -> Command {
    said(LiveCommand::Fail {
        step: step.map(named),
        failure: Failure::new("TOO_DEAR", "more than the customer would pay"),
    })
}

pub(crate) fn said(command: LiveCommand) -> Command {
    Command::Live(Box::new(command))
}

/// A live saga with the calls that are under way.
pub(crate) fn begun(start: LiveStart) -> Run {
    let now = Timestamp(1_000_000);
    let (saga, decision) = begin_live(start, now).unwrap();
    Run::of(saga, decision, now)
}

/// The code with which a command is rejected.
pub(crate) fn code(outcome: Result<(), Rejected>) -> &'static str {
    outcome.map_or_else(|rejected| rejected.code(), |()| "ok")
}

/// How far the steps got, as `a: Succeeded`.
pub(crate) fn steps(saga: &Saga) -> Vec<String> {
    let names = saga.definition().steps().iter();
    let steps = names.zip(saga.steps());
    steps
        .map(|(step, run)| {
            let forward = format!("{:?}", run.forward);
            let word = forward.split([' ', '{']).next().unwrap_or_default();
            format!("{}: {word}", step.name)
        })
        .collect()
}
