//! A service described without macros: the `#[amends::service]` attribute
//! expands to exactly this.
//!
//! ```
//! # use std::sync::Arc;
//! # use amends::{Conn, Service, ServiceBuilder, ServiceDef, StepRef, StepResult};
//! struct Inventory;
//! impl Inventory {
//!     const RESERVE: StepRef<u64, u64> = StepRef::new("inventory", "reserve");
//!     async fn reserve(&self, _conn: &mut Conn, n: u64) -> StepResult<u64> { Ok(n) }
//!     async fn release(&self, _conn: &mut Conn, _n: &u64, _done: &u64) -> StepResult<()> { Ok(()) }
//! }
//! impl Service for Inventory {
//!     const NAME: &'static str = "inventory";
//!     fn define(self: Arc<Self>) -> ServiceDef {
//!         ServiceBuilder::new(Self::NAME, self)
//!             .local_step(
//!                 Self::RESERVE,
//!                 "Takes stock out of sale.",
//!                 |service, conn, n| Box::pin(service.reserve(conn, n)),
//!                 Some(|service, conn, n, done| Box::pin(service.release(conn, n, done))),
//!             )
//!             .build()
//!     }
//! }
//! ```
//!
//! Inputs and outputs travel as JSON; decoding and encoding happen here, so
//! everything behind this module sees bytes only.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::half::CheckDef;
use crate::message::{MessageDef, Subscription, json_or_null};
use crate::step_ref::{Compensation, Effects, StepRef};
use crate::tcc::TccCode;
use crate::{Conn, StepCx, StepError, StepResult};

/// The code of the refusal of an input that cannot be decoded.
pub const INPUT_INVALID: &str = "INPUT_INVALID";

/// A type that can be the input or the output of a step; implemented for
/// everything that fits.
pub trait StepData: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> StepData for T {}

/// A step with effects in the service's own database.
pub type LocalDo<S, I, O> = for<'a> fn(&'a S, &'a mut Conn, I) -> BoxFuture<'a, StepResult<O>>;

/// Its undo: runs only if the step committed; gets its input and its output.
pub type LocalUndo<S, I, O> =
    for<'a> fn(&'a S, &'a mut Conn, &'a I, &'a O) -> BoxFuture<'a, StepResult<()>>;

/// A step with effects elsewhere.
pub type ExternalDo<S, I, O> = for<'a> fn(&'a S, &'a StepCx, I) -> BoxFuture<'a, StepResult<O>>;

/// Its undo: runs once the step was started, unless it refused; the output is
/// `None` where the step never answered. It must be able to run again, like
/// the step itself.
pub type ExternalUndo<S, I, O> =
    for<'a> fn(&'a S, &'a StepCx, &'a I, Option<&'a O>) -> BoxFuture<'a, StepResult<()>>;

/// A struct with steps and handlers of messages.
pub trait Service: Send + Sync + Sized + 'static {
    /// The name under which it registers: 1 to 128 of a-z, 0-9, `-`, `_`, `.`.
    /// It is stored; renaming the struct must not change it.
    const NAME: &'static str;

    /// Describes its steps and handlers.
    fn define(self: Arc<Self>) -> ServiceDef;
}

/// Builds the description of a service.
#[must_use = "call `build`"]
pub struct ServiceBuilder<S> {
    pub(crate) service: Arc<S>,
    pub(crate) def: ServiceDef,
}

impl<S: Send + Sync + 'static> ServiceBuilder<S> {
    /// A service without steps.
    pub fn new(name: &'static str, service: Arc<S>) -> Self {
        Self {
            service,
            def: ServiceDef {
                name,
                steps: BTreeMap::new(),
                messages: Vec::new(),
                cancels: Vec::new(),
                checks: Vec::new(),
            },
        }
    }

    /// Adds a step whose effects are in the service's own database. A second
    /// step of the same name replaces the first.
    pub fn local_step<I: StepData, O: StepData>(
        mut self,
        step: StepRef<I, O>,
        description: &'static str,
        run: LocalDo<S, I, O>,
        undo: Option<LocalUndo<S, I, O>>,
    ) -> Self {
        let service = Arc::clone(&self.service);
        let forward: LocalForward = Box::new(move |conn, input| {
            let service = Arc::clone(&service);
            Box::pin(async move {
                let input = decode_input::<I>(&input)?;
                encode_output(&run(&service, conn, input).await?)
            })
        });
        let backward = undo.map(|undo| {
            let service = Arc::clone(&self.service);
            let backward: LocalBackward = Box::new(move |conn, input, output| {
                let service = Arc::clone(&service);
                Box::pin(async move {
                    let input = decode_input::<I>(&input)?;
                    let output = decode_output::<O>(&output)?;
                    undo(&service, conn, &input, &output).await
                })
            });
            backward
        });
        self.add(
            step.step(),
            description,
            Handler::Local { forward, backward },
        );
        self
    }

    /// Adds a step whose effects are elsewhere. A second step of the same
    /// name replaces the first.
    pub fn external_step<I: StepData, O: StepData>(
        mut self,
        step: StepRef<I, O>,
        description: &'static str,
        run: ExternalDo<S, I, O>,
        undo: Option<ExternalUndo<S, I, O>>,
    ) -> Self {
        let service = Arc::clone(&self.service);
        let forward: ExternalForward = Box::new(move |cx, input| {
            let service = Arc::clone(&service);
            Box::pin(async move {
                let input = decode_input::<I>(&input)?;
                encode_output(&run(&service, cx, input).await?)
            })
        });
        let backward = undo.map(|undo| {
            let service = Arc::clone(&self.service);
            let backward: ExternalBackward = Box::new(move |cx, input, output| {
                let service = Arc::clone(&service);
                Box::pin(async move {
                    let input = decode_input::<I>(&input)?;
                    let output = output.map(|bytes| decode_output::<O>(&bytes)).transpose()?;
                    undo(&service, cx, &input, output.as_ref()).await
                })
            });
            backward
        });
        self.add(
            step.step(),
            description,
            Handler::External { forward, backward },
        );
        self
    }

    /// Lets the cancel message of a saga, of this topic and tag, undo the steps
    /// of this service that it names. It is received by the group that has the
    /// service's name.
    pub fn cancel_on(mut self, topic: impl Into<String>, tag: impl Into<String>) -> Self {
        self.def.cancels.push((topic.into(), tag.into()));
        self
    }

    /// The finished description.
    pub fn build(self) -> ServiceDef {
        self.def
    }

    pub(crate) fn add(&mut self, name: &'static str, description: &'static str, handler: Handler) {
        self.def.steps.insert(
            name,
            StepDef {
                name,
                description,
                handler,
            },
        );
    }
}

/// What a service offers, with its code behind it.
pub struct ServiceDef {
    name: &'static str,
    steps: BTreeMap<&'static str, StepDef>,
    pub(crate) messages: Vec<MessageDef>,
    /// Topic and tag of the cancel messages that it obeys.
    pub(crate) cancels: Vec<(String, String)>,
    /// Its own checks of half messages.
    pub(crate) checks: Vec<CheckDef>,
}

impl ServiceDef {
    /// The service's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its steps by name.
    pub fn steps(&self) -> impl Iterator<Item = &StepDef> {
        self.steps.values()
    }

    /// Its handlers of messages, which somebody else runs from now on.
    pub(crate) fn take_messages(&mut self) -> Vec<MessageDef> {
        std::mem::take(&mut self.messages)
    }

    /// What its handlers of messages want.
    pub fn subscriptions(&self) -> impl Iterator<Item = &Subscription> {
        self.messages.iter().map(|handler| &handler.subscription)
    }

    /// One step.
    #[must_use]
    pub fn step(&self, name: &str) -> Option<&StepDef> {
        self.steps.get(name)
    }
}

impl fmt::Debug for ServiceDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceDef")
            .field("name", &self.name)
            .field("steps", &self.steps.keys())
            .field("subscriptions", &self.subscriptions().collect::<Vec<_>>())
            .finish()
    }
}

/// A step that a service offers, with its code behind it.
pub struct StepDef {
    name: &'static str,
    description: &'static str,
    pub(crate) handler: Handler,
}

impl StepDef {
    /// Its name in the service.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its documentation; empty when it has none.
    #[must_use]
    pub fn description(&self) -> &'static str {
        self.description
    }

    /// Whether it can be undone; of a branch of TCCs: cancelled, which it always can.
    #[must_use]
    pub fn compensation(&self) -> Compensation {
        match &self.handler {
            Handler::Local { backward: None, .. } | Handler::External { backward: None, .. } => {
                Compensation::None
            }
            Handler::Local { .. } | Handler::External { .. } | Handler::Tcc(_) => {
                Compensation::Undo
            }
        }
    }

    /// Where its effects are.
    #[must_use]
    pub fn effects(&self) -> Effects {
        match &self.handler {
            Handler::Local { .. } | Handler::Tcc(_) => Effects::Local,
            Handler::External { .. } => Effects::External,
        }
    }

    /// Whether it is a branch of TCCs, and no step of sagas.
    #[must_use]
    pub fn is_tcc(&self) -> bool {
        matches!(self.handler, Handler::Tcc(_))
    }
}

pub(crate) type LocalForward =
    Box<dyn for<'a> Fn(&'a mut Conn, Bytes) -> BoxFuture<'a, StepResult<Bytes>> + Send + Sync>;
pub(crate) type LocalBackward =
    Box<dyn for<'a> Fn(&'a mut Conn, Bytes, Bytes) -> BoxFuture<'a, StepResult<()>> + Send + Sync>;
pub(crate) type ExternalForward =
    Box<dyn for<'a> Fn(&'a StepCx, Bytes) -> BoxFuture<'a, StepResult<Bytes>> + Send + Sync>;
pub(crate) type ExternalBackward = Box<
    dyn for<'a> Fn(&'a StepCx, Bytes, Option<Bytes>) -> BoxFuture<'a, StepResult<()>> + Send + Sync,
>;

/// The code of a step, types erased.
pub(crate) enum Handler {
    Local {
        forward: LocalForward,
        backward: Option<LocalBackward>,
    },
    External {
        forward: ExternalForward,
        backward: Option<ExternalBackward>,
    },
    Tcc(TccCode),
}

// Nothing will ever make an undecodable input decodable: a refusal, not unknown.
pub(crate) fn decode_input<I: DeserializeOwned>(bytes: &Bytes) -> StepResult<I> {
    serde_json::from_slice(json_or_null(bytes)).map_err(|error| {
        let wanted = std::any::type_name::<I>();
        StepError::refused(INPUT_INVALID, format!("the input is no {wanted}: {error}"))
    })
}

// An answer that was stored by another version of the service: unknown, a
// newer version may read it.
pub(crate) fn decode_output<O: DeserializeOwned>(bytes: &Bytes) -> StepResult<O> {
    Ok(serde_json::from_slice(json_or_null(bytes))?)
}

pub(crate) fn encode_output<O: Serialize>(output: &O) -> StepResult<Bytes> {
    Ok(Bytes::from(serde_json::to_vec(output)?))
}
