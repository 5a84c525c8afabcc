//! Runs a definition against scripted answers.

use std::collections::{BTreeSet, HashMap};

use amends_proto::v1::{Payload, SagaDefinition, StepDefinition, StepKind};
use serde_json::Value;

use super::template::{self, Data};
use crate::saga::convert::JSON;

/// The id under which sagas run in tests.
const GID: &str = "test-gid";

/// How a step answers.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Succeeded(Value),
    Refused(String),
    Unknown,
}

/// How all steps answer.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) answers: HashMap<String, Answer>,
    pub(super) failing_undos: Vec<String>,
}

/// One call of a step or of its undo.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Call {
    /// The step itself.
    Do {
        /// Its name in the saga.
        step: String,
        /// What it was sent, references resolved.
        input: Value,
    },
    /// Its undo.
    Undo {
        /// The step's name in the saga.
        step: String,
    },
}

/// How it ended.
#[derive(Clone, Debug)]
pub(super) enum End {
    Completed(Value),
    Compensated { step: String, code: String },
    Stuck(String),
}

/// What happened.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) calls: Vec<Call>,
    pub(super) end: End,
}

/// Runs it; an error is a mistake in the test or in the saga.
pub(super) fn run(saga: &SagaDefinition, input: Value, script: &Script) -> Result<Story, String> {
    let mut world = World {
        saga,
        script,
        input,
        gid: Value::from(GID),
        calls: Vec::new(),
        answers: HashMap::new(),
        begun: BTreeSet::new(),
        may_have_run: BTreeSet::new(),
    };
    let end = world.run()?;
    Ok(Story {
        calls: world.calls,
        end,
    })
}

struct World<'a> {
    saga: &'a SagaDefinition,
    script: &'a Script,
    input: Value,
    gid: Value,
    calls: Vec<Call>,
    /// What the steps that succeeded have answered.
    answers: HashMap<&'a str, Value>,
    begun: BTreeSet<&'a str>,
    /// Steps that succeeded or never answered: all but those that refused.
    may_have_run: BTreeSet<&'a str>,
}

impl Data for World<'_> {
    fn input(&self) -> &Value {
        &self.input
    }

    fn answer(&self, step: &str) -> Option<&Value> {
        self.answers.get(step)
    }

    fn gid(&self) -> &Value {
        &self.gid
    }
}

impl<'a> World<'a> {
    fn run(&mut self) -> Result<End, String> {
        let mut stuck = Vec::new();
        loop {
            let ready = self.ready();
            if ready.is_empty() {
                break;
            }
            let mut failed = None;
            for step in ready {
                match self.call(step)? {
                    Answer::Succeeded(_) => {}
                    // Behind the point of no return there is no way back, and
                    // before it is known whether it was passed neither.
                    answer if is_final(step, &answer) => {
                        stuck.push(format!("step `{}`: {}", step.name, code(&answer)));
                    }
                    answer => failed = failed.or(Some((step, answer))),
                }
            }
            if let Some((step, answer)) = failed {
                return Ok(self.unwind(step, &answer));
            }
        }
        if !stuck.is_empty() {
            return Ok(End::Stuck(stuck.join("; ")));
        }
        let output = self.resolve(self.saga.output.as_ref());
        output
            .map(End::Completed)
            .map_err(|why| format!("the saga has no output: {why}"))
    }

    /// Steps that have not begun and wait for nothing, in the order of the definition.
    fn ready(&self) -> Vec<&'a StepDefinition> {
        let done = |name: &String| self.answers.contains_key(name.as_str());
        let is_ready = |step: &&StepDefinition| {
            !self.begun.contains(step.name.as_str()) && step.after.iter().all(done)
        };
        self.saga.steps.iter().filter(is_ready).collect()
    }

    fn call(&mut self, step: &'a StepDefinition) -> Result<Answer, String> {
        let name = step.name.as_str();
        let input = self.resolve(step.input.as_ref()).map_err(|why| {
            format!(
                "step `{name}` cannot be called: {why}; \
                 say what earlier steps answer with `.answer(step, ..)`"
            )
        })?;
        self.calls.push(Call::Do {
            step: step.name.clone(),
            input,
        });
        self.begun.insert(name);
        let nothing = Answer::Succeeded(Value::Null);
        let answer = self.script.answers.get(name).cloned().unwrap_or(nothing);
        if let Answer::Succeeded(output) = &answer {
            self.answers.insert(name, output.clone());
        }
        if !matches!(answer, Answer::Refused(_)) {
            self.may_have_run.insert(name);
        }
        Ok(answer)
    }

    /// Undoes, from the last to the first, what may have run. A step waits
    /// for the undo of everything that came after it.
    fn unwind(&mut self, failed: &StepDefinition, answer: &Answer) -> End {
        let before = ancestors(self.saga);
        let mut stuck = Vec::new();
        let mut left: Vec<&'a StepDefinition> = self
            .saga
            .steps
            .iter()
            .filter(|step| self.may_have_run.contains(step.name.as_str()))
            .filter(|step| !step.compensation.is_empty())
            .collect();
        loop {
            let free = |step: &&StepDefinition| {
                !left
                    .iter()
                    .any(|later| before[later.name.as_str()].contains(step.name.as_str()))
            };
            let mut wave: Vec<_> = left.iter().copied().filter(free).collect();
            wave.reverse();
            wave.retain(|step| !stuck.contains(&step.name));
            if wave.is_empty() {
                break;
            }
            for step in wave {
                self.calls.push(Call::Undo {
                    step: step.name.clone(),
                });
                if self.script.failing_undos.contains(&step.name) {
                    stuck.push(step.name.clone());
                } else {
                    left.retain(|other| other.name != step.name);
                }
            }
        }
        if stuck.is_empty() {
            return End::Compensated {
                step: failed.name.clone(),
                code: code(answer),
            };
        }
        End::Stuck(format!(
            "the undo of `{}` does not succeed",
            stuck.join("`, `")
        ))
    }

    /// A payload with its references resolved; what is no JSON is only named.
    fn resolve(&self, payload: Option<&Payload>) -> Result<Value, String> {
        let Some(Payload { content_type, data }) = payload else {
            return Ok(self.input.clone());
        };
        if content_type != JSON {
            return Ok(Value::String(format!(
                "{} bytes of {content_type}",
                data.len()
            )));
        }
        let value = serde_json::from_slice(data).map_err(|error| error.to_string())?;
        template::resolve(&value, self)
    }
}

/// The steps that come before each step, directly or through others. A step
/// is always defined after those it waits for.
fn ancestors(saga: &SagaDefinition) -> HashMap<&str, BTreeSet<&str>> {
    let mut all: HashMap<&str, BTreeSet<&str>> = HashMap::new();
    for step in &saga.steps {
        let mut before: BTreeSet<&str> = step.after.iter().map(String::as_str).collect();
        let further = step.after.iter().filter_map(|name| all.get(name.as_str()));
        before.extend(further.flatten().copied().collect::<Vec<_>>());
        all.insert(&step.name, before);
    }
    all
}

/// Whether this answer leaves the branch to a person: a retriable step that
/// cannot be done, a pivot of which nobody knows whether it was done.
fn is_final(step: &StepDefinition, answer: &Answer) -> bool {
    match step.kind() {
        StepKind::Retriable => true,
        StepKind::Pivot => matches!(answer, Answer::Unknown),
        StepKind::Compensable | StepKind::Unspecified => false,
    }
}

fn code(answer: &Answer) -> String {
    match answer {
        Answer::Refused(code) => code.clone(),
        Answer::Unknown => "UNKNOWN".to_owned(),
        Answer::Succeeded(_) => String::new(),
    }
}
