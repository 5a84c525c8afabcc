//! [`LiveTx`]: what the code of a live saga sees of it.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amends_proto::v1;
use amends_proto::v1::{Fencing, StepState};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::api::Api;
use crate::saga::{CompensateVia, convert};
use crate::step_ref::{Compensation, Retry, StepRef};
use crate::{ClientError, StepError, StepResult};

/// A running live saga. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct LiveTx {
    api: Api,
    /// Step and reason of each refusal, to name the step that a failure came from.
    refusals: Arc<Mutex<Vec<(String, v1::Failure)>>>,
    /// The steps whose outcome this code knows, so that two of them are not taken for one.
    known: Arc<Mutex<HashSet<String>>>,
}

/// What is already said about the next step.
#[must_use = "say which step: `.step(..)` or `.grpc_step(..)`"]
#[derive(Debug)]
pub struct NextLiveStep<'t> {
    tx: &'t LiveTx,
    name: Option<String>,
    timeout: Option<Duration>,
    retry: Option<Retry>,
    undo_retry: Option<Retry>,
    via: Option<CompensateVia>,
}

impl LiveTx {
    pub(super) fn new(api: Api) -> Self {
        Self {
            api,
            refusals: Arc::default(),
            known: Arc::default(),
        }
    }

    /// Its global transaction id.
    #[must_use]
    pub fn gid(&self) -> &str {
        &self.api.gid
    }

    /// Runs a step, under the name `service.step`; a second call of the same step needs
    /// [`named`](Self::named), and is `STEP_TWICE` without. Steps that are polled together (`tokio::try_join!`) run together.
    ///
    /// Dropped, the step goes on; the saga completes when it has ended.
    ///
    /// # Errors
    /// [`StepError::Refused`] when the participant says no: nothing of the step remains, and
    /// the saga can go on. [`StepError::Unknown`] when the saga has turned back for any reason (cancelled, out of
    /// time, a step that proved nothing), when the coordinator cannot be reached, or the answer is no `O`.
    pub async fn step<I: Serialize, O: DeserializeOwned>(
        &self,
        step: StepRef<I, O>,
        input: I,
    ) -> StepResult<O> {
        self.with().step(step, input).await
    }

    /// The next step has this name: 1 to 64 of a-z, 0-9, `-`, `_`, `.`, unique in the saga.
    pub fn named(&self, name: impl Into<String>) -> NextLiveStep<'_> {
        NextLiveStep {
            name: Some(name.into()),
            ..self.with()
        }
    }

    /// Begins a step, to say more about it than its input.
    pub fn with(&self) -> NextLiveStep<'_> {
        NextLiveStep {
            tx: self,
            name: None,
            timeout: None,
            retry: None,
            undo_retry: None,
            via: None,
        }
    }

    /// The step that an error came from, if it was refused by one, and the cause as it is kept.
    pub(super) fn cause(&self, error: &StepError, failure: v1::Failure) -> (String, v1::Failure) {
        let refused = match error {
            StepError::Refused { code, message } => {
                let refusals = locked(&self.refusals);
                let mut refusals = refusals.iter().rev();
                let found = refusals.find(|(_, why)| (&why.code, &why.message) == (code, message));
                found.map(|(step, _)| step.clone())
            }
            _ => None,
        };
        (refused.unwrap_or_default(), failure)
    }

    async fn run(&self, step: v1::LiveStep) -> StepResult<Bytes> {
        if locked(&self.known).contains(&step.name) {
            return Err(StepError::from(ClientError::Invalid {
                reason: "STEP_TWICE".to_owned(),
                message: format!(
                    "this live saga has made its step `{}`; give each a name of its own",
                    step.name
                ),
                fields: Vec::new(),
            }));
        }
        // In a box: steps are joined and nested in futures that would grow large.
        let done = Box::pin(self.api.step(&step)).await?;
        locked(&self.known).insert(step.name.clone());
        if done.state() == StepState::Refused {
            let why = done.last_failure.unwrap_or_default();
            let error = StepError::refused(why.code.clone(), why.message.clone());
            locked(&self.refusals).push((step.name, why));
            return Err(error);
        }
        Ok(done.output.map(|output| output.data).unwrap_or_default())
    }
}

/// Nothing that panics runs under these locks.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl NextLiveStep<'_> {
    /// Bounds one call of the step.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Says how calls of the step are retried.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = Some(retry);
        self
    }

    /// Says how calls of its compensation are retried before the branch counts as stuck.
    pub fn undo_retry(mut self, retry: Retry) -> Self {
        self.undo_retry = Some(retry);
        self
    }

    /// Says how its compensation travels; a live saga knows no broadcast.
    pub fn compensate_via(mut self, via: CompensateVia) -> Self {
        self.via = Some(via);
        self
    }

    /// Runs the step; see [`LiveTx::step`].
    ///
    /// # Errors
    /// Those of [`LiveTx::step`].
    pub async fn step<I: Serialize, O: DeserializeOwned>(
        self,
        step: StepRef<I, O>,
        input: I,
    ) -> StepResult<O> {
        let data = |what: String| move |source| ClientError::Data { what, source };
        let what = format!("the input, a `{}`,", std::any::type_name::<I>());
        let input = serde_json::to_vec(&input).map_err(data(what))?;
        let compensation = match step.compensation() {
            Compensation::Undo => step.target(),
            Compensation::None => String::new(),
        };
        let name = format!("{}.{}", step.service(), step.step());
        let asked = v1::LiveStep {
            timeout: self.timeout.or(step.timeout()).and_then(convert::duration),
            retry: self.retry.or(step.retry()).map(convert::retry),
            fencing: Fencing::ConsumerLog.into(),
            ..self.asked(
                name,
                step.target(),
                compensation,
                convert::json_payload(input),
            )
        };
        let output = self.tx.run(asked).await?;
        let output = if output.is_empty() {
            &b"null"[..]
        } else {
            &output
        };
        let what = format!("the output as a `{}`", std::any::type_name::<O>());
        Ok(serde_json::from_slice(output).map_err(data(what))?)
    }

    /// Runs a plain unary gRPC method as a step; no SDK is needed there. `target` is
    /// `grpc://host:port/package.Service/Method`; `compensate_with`, of the same form, undoes it and is sent
    /// the same bytes. The step needs a [name](LiveTx::named). Returns the answer's bytes.
    ///
    /// # Errors
    /// Those of [`LiveTx::step`].
    pub async fn grpc_step(
        self,
        target: &str,
        compensate_with: Option<&str>,
        message: impl Into<Bytes>,
    ) -> StepResult<Bytes> {
        let input = v1::Payload {
            content_type: "application/protobuf".to_owned(),
            data: message.into(),
        };
        let compensation = compensate_with.unwrap_or_default().to_owned();
        let asked = self.asked(String::new(), target.to_owned(), compensation, input);
        self.tx.run(asked).await
    }

    fn asked(
        &self,
        name: String,
        target: String,
        compensation: String,
        input: v1::Payload,
    ) -> v1::LiveStep {
        let via = self.via.map(CompensateVia::to_proto);
        v1::LiveStep {
            name: self.name.clone().unwrap_or(name),
            target,
            compensation,
            input: Some(input),
            timeout: self.timeout.and_then(convert::duration),
            retry: self.retry.map(convert::retry),
            undo_retry: self.undo_retry.map(convert::retry),
            fencing: Fencing::Unspecified.into(),
            compensate_via: via.unwrap_or(v1::CompensateVia::Unspecified).into(),
        }
    }
}

impl fmt::Debug for LiveTx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LiveTx({})", self.api.gid)
    }
}
