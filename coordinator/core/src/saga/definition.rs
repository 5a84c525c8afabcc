//! What a saga is made of, and the checks that every definition passes before it runs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::dag::{Dag, StepIx};
use crate::id::StepName;
use crate::message::{Tag, Topic};
use crate::payload::Payload;
use crate::reference::{Root, Template};
use crate::retry::RetryPolicy;
use crate::target::Target;
use crate::time::Millis;

use super::validate::{self, Violation};

/// How a step takes part when the saga turns back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// Can be undone.
    #[default]
    Compensable,
    /// The point of no return: comes after every compensable step. Once it
    /// may have run it is retried until its outcome is known.
    Pivot,
    /// Comes after the point of no return; retried without end, never undone.
    Retriable,
}

/// What the participant promises about calls that are repeated or late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fencing {
    /// It keeps a consumer log: a late call of an undone step is refused.
    ConsumerLog,
    /// It keeps none: an undo waits until no call can be under way.
    None,
}

/// How a compensation reaches its participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CompensateVia {
    /// A durable message to the service's command topic, reported back.
    Queue,
    /// A direct call.
    Call,
    /// The saga's cancel message.
    Broadcast,
}

/// A message that tells all services at once to undo their steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CancelMessage {
    /// Its topic.
    pub topic: String,
    /// Its tag.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tag: String,
    /// Template of its key, which may refer to the saga's input; none: the gid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Payload>,
}

/// One step as it is written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepDefinition {
    /// Unique in the saga.
    pub name: String,
    /// Where it is sent.
    pub target: String,
    /// Where its compensation is sent, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensation: Option<String>,
    /// Steps that must have succeeded before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// How it takes part in unwinding.
    #[serde(default)]
    pub kind: StepKind,
    /// Template of what it is sent; none: the saga's input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Payload>,
    /// Bound of one call.
    pub timeout: Millis,
    /// Retries of the step.
    pub retry: RetryPolicy,
    /// Retries of its compensation.
    pub undo_retry: RetryPolicy,
    /// What its participant promises.
    pub fencing: Fencing,
    /// How its compensation travels; none: by queue to registered services, by
    /// call to plain gRPC methods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensate_via: Option<CompensateVia>,
}

/// A saga as it is written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SagaDefinition {
    /// Its name.
    pub name: String,
    /// Its version, from 1 on.
    pub version: u32,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its steps.
    pub steps: Vec<StepDefinition>,
    /// Time from the start to turning back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Millis>,
    /// Template of its answer; none: `null`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Payload>,
    /// What steps are undone by that are compensated by broadcast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_message: Option<CancelMessage>,
}

/// SHA-256 of a definition's stored form, in hex. Equal content, equal hash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DefinitionHash(pub Arc<str>);

/// A definition that passed all checks, with everything worked out once that
/// running it needs.
#[derive(Debug, Clone)]
pub struct CompiledSaga {
    definition: SagaDefinition,
    json: String,
    hash: DefinitionHash,
    dag: Dag,
    steps: Vec<CompiledStep>,
    output: Body,
    cancel: Option<CompiledCancel>,
}

/// The cancel message of a compiled saga.
#[derive(Debug, Clone)]
pub struct CompiledCancel {
    /// Its topic.
    pub topic: Topic,
    /// Its tag.
    pub tag: Tag,
    /// Its key; none: the gid.
    pub key: Option<Body>,
}

/// What passed the checks.
pub(super) struct Checked {
    pub(super) dag: Dag,
    pub(super) steps: Vec<CompiledStep>,
    pub(super) output: Body,
    pub(super) cancel: Option<CompiledCancel>,
}

/// One step of a compiled saga.
#[derive(Debug, Clone)]
pub struct CompiledStep {
    /// Its name.
    pub name: StepName,
    /// Where it is sent; shared, because each call names it.
    pub target: Arc<Target>,
    /// Where its compensation is sent.
    pub compensation: Option<Arc<Target>>,
    /// How it takes part in unwinding.
    pub kind: StepKind,
    /// What its participant promises.
    pub fencing: Fencing,
    /// Bound of one call.
    pub timeout: Millis,
    /// Retries of the step.
    pub retry: RetryPolicy,
    /// Retries of its compensation.
    pub undo_retry: RetryPolicy,
    /// How its compensation travels.
    pub compensate_via: CompensateVia,
    /// What it is sent.
    pub input: Body,
    /// The steps whose outputs it is sent.
    pub consumes: Vec<StepIx>,
}

/// What is sent, before references are resolved.
#[derive(Debug, Clone)]
pub enum Body {
    /// The saga's input as it is.
    SagaInput,
    /// These bytes as they are.
    Fixed(Payload),
    /// JSON with references.
    Template(Template),
}

impl CompiledSaga {
    /// Checks a definition and works out what running it needs.
    ///
    /// # Errors
    /// Every rule that it breaks, each with the field at fault.
    pub fn compile(definition: SagaDefinition) -> Result<Self, Vec<Violation>> {
        let Checked {
            dag,
            steps,
            output,
            cancel,
        } = validate::check(&definition)?;
        let json = serde_json::to_string(&definition).map_err(|error| {
            vec![Violation::new(
                "definition",
                "UNSERIALIZABLE",
                error.to_string(),
            )]
        })?;
        let hash = DefinitionHash(hex(&Sha256::digest(json.as_bytes())).into());
        Ok(Self {
            definition,
            json,
            hash,
            dag,
            steps,
            output,
            cancel,
        })
    }

    /// Reads a stored definition.
    ///
    /// # Errors
    /// What is wrong with it, as one text.
    pub fn from_json(json: &str) -> Result<Self, String> {
        let definition = serde_json::from_str(json).map_err(|error| error.to_string())?;
        Self::compile(definition).map_err(|violations| {
            violations
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; ")
        })
    }

    /// The definition of a live saga before its first step. It has no stored
    /// form: the records of the saga are that.
    pub(super) fn growing(name: String) -> Self {
        Self {
            definition: SagaDefinition {
                name,
                version: 0,
                description: String::new(),
                steps: Vec::new(),
                deadline: None,
                output: None,
                cancel_message: None,
            },
            json: String::new(),
            hash: DefinitionHash("".into()),
            dag: Dag::default(),
            steps: Vec::new(),
            output: Body::Fixed(Payload::null()),
            cancel: None,
        }
    }

    /// Appends a step that comes after these.
    pub(super) fn grow(
        &mut self,
        step: CompiledStep,
        as_written: StepDefinition,
        before: Vec<StepIx>,
    ) {
        self.steps.push(step);
        self.definition.steps.push(as_written);
        self.dag.push(before);
    }

    /// Its cancel message, if it has one.
    #[must_use]
    pub fn cancel(&self) -> Option<&CompiledCancel> {
        self.cancel.as_ref()
    }

    /// As it was written down.
    #[must_use]
    pub fn definition(&self) -> &SagaDefinition {
        &self.definition
    }

    /// Its stored form.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Its identity.
    #[must_use]
    pub fn hash(&self) -> &DefinitionHash {
        &self.hash
    }

    /// The order of its steps.
    #[must_use]
    pub fn dag(&self) -> &Dag {
        &self.dag
    }

    /// Its steps.
    #[must_use]
    pub fn steps(&self) -> &[CompiledStep] {
        &self.steps
    }

    /// Its answer.
    #[must_use]
    pub fn output(&self) -> &Body {
        &self.output
    }

    /// The step of a name.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<StepIx> {
        self.steps
            .iter()
            .position(|step| step.name.as_str() == name)
    }
}

impl Body {
    /// Reads a body as written down. Only JSON can hold references; where it
    /// holds none, its bytes are sent as they are.
    pub(super) fn read(payload: Option<&Payload>) -> Result<Self, String> {
        let Some(payload) = payload else {
            return Ok(Self::SagaInput);
        };
        if !payload.is_json() {
            return Ok(Self::Fixed(payload.clone()));
        }
        let value = payload.to_value().ok_or("is not well-formed JSON")?;
        match Template::parse(value).map_err(|error| error.to_string())? {
            // A `$literal` has to be unwrapped, so the bytes are written anew.
            Template::Literal(value) => Ok(Self::Fixed(Payload::json(&value))),
            template => Ok(Self::Template(template)),
        }
    }

    /// The names of the steps whose outputs it refers to.
    pub(super) fn referred_steps(&self) -> Vec<&str> {
        let Self::Template(template) = self else {
            return Vec::new();
        };
        template
            .references()
            .into_iter()
            .filter_map(|reference| match reference.root() {
                Root::Step(name) => Some(name.as_str()),
                Root::Input | Root::Gid => None,
            })
            .collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
