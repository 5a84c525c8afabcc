//! [`Run`]: one started saga, and how it ends.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use amends_proto::v1::{
    Cause, StepState, Transaction, TransactionState, WaitTransactionRequest,
    WaitTransactionResponse,
};
use serde::de::DeserializeOwned;

use super::call::{Attempt, Budget, repeat};
use super::{Client, ClientError};
use crate::saga::convert;

/// The coordinator holds an answer back no longer than this.
const MAX_SERVER_WAIT: Duration = Duration::from_secs(60);
/// Added to a wait, so that an answer at its very end still arrives, and a
/// coordinator that restarts can be found again.
const GRACE: Duration = Duration::from_secs(5);
/// Between two waits, so that a server that answers too early is not flooded.
const PAUSE: Duration = Duration::from_millis(20);

/// A saga that was started; it goes on whether or not this handle exists.
pub struct Run<O> {
    client: Client,
    gid: String,
    created: bool,
    output: PhantomData<fn() -> O>,
}

/// How a saga stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<O> {
    /// Everything happened.
    Completed(O),
    /// Something failed, and everything that had happened was made good.
    Compensated {
        /// The step that failed; empty when it was cancelled or out of time.
        step: String,
        /// Stable code of the failure.
        code: String,
        /// For people.
        message: String,
    },
    /// A branch needs a person. Nothing is lost, and the saga can still end.
    Stuck {
        /// Which step and why.
        reason: String,
    },
    /// An operator ended it by hand.
    Forced {
        /// Why it had turned back, if it had.
        reason: String,
    },
    /// It has not ended yet.
    Pending,
}

impl<O> Run<O> {
    pub(crate) fn new(client: Client, gid: String, created: bool) -> Self {
        Self {
            client,
            gid,
            created,
            output: PhantomData,
        }
    }

    /// Its global transaction id.
    #[must_use]
    pub fn gid(&self) -> &str {
        &self.gid
    }

    /// Whether this start created it; false where the id was started before.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.created
    }

    /// What the coordinator knows about it.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn get(&self) -> Result<Transaction, ClientError> {
        self.client.get(&self.gid).await
    }

    /// Asks it to turn back. `Ok` means that it does, or had already.
    ///
    /// # Errors
    /// As [`Client::cancel`].
    pub async fn cancel(&self, reason: &str) -> Result<(), ClientError> {
        self.client.cancel(&self.gid, reason).await
    }
}

impl<O: DeserializeOwned> Run<O> {
    /// Waits for the end; [`Outcome::Pending`] when it has not come in time,
    /// [`Outcome::Stuck`] as soon as a person is needed. Restarts of the
    /// coordinator in between are waited out.
    ///
    /// Cancel-safe: dropping the future stops the waiting, not the saga.
    ///
    /// # Errors
    /// [`ClientError::Unavailable`] when the coordinator was away when the
    /// time was up; [`ClientError::NotFound`] when it has forgotten the saga;
    /// [`ClientError::Data`] when the output is no `O`.
    pub async fn wait(&self, time: Duration) -> Result<Outcome<O>, ClientError> {
        let budget = Budget::new(time);
        let grace = Budget::new(time.saturating_add(GRACE));
        loop {
            let answer = self.wait_once(budget, grace).await?;
            let transaction = known(answer.transaction)?;
            let outcome = outcome(&transaction)?;
            if !matches!(outcome, Outcome::Pending) || budget.left().is_zero() {
                return Ok(outcome);
            }
            tokio::time::sleep(PAUSE.min(budget.left())).await;
        }
    }

    async fn wait_once(
        &self,
        budget: Budget,
        grace: Budget,
    ) -> Result<WaitTransactionResponse, ClientError> {
        // The server takes no timeout at all for its default.
        const SHORTEST: Duration = Duration::from_millis(1);
        let attempt = || {
            let server_wait = budget.left().clamp(SHORTEST, MAX_SERVER_WAIT);
            let request = WaitTransactionRequest {
                gid: self.gid.clone(),
                timeout: convert::duration(server_wait),
            };
            Attempt {
                request,
                server_wait,
            }
        };
        repeat(grace, attempt, |request| {
            let mut api = self.client.transactions();
            async move { api.wait_transaction(request).await }
        })
        .await
    }
}

impl<O> fmt::Debug for Run<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Run({})", self.gid)
    }
}

pub(crate) fn known(transaction: Option<Transaction>) -> Result<Transaction, ClientError> {
    transaction.ok_or_else(|| ClientError::unexpected("an answer without its transaction"))
}

/// Reads the outcome off a transaction.
pub(crate) fn outcome<O: DeserializeOwned>(
    transaction: &Transaction,
) -> Result<Outcome<O>, ClientError> {
    let Some(summary) = &transaction.summary else {
        return Err(ClientError::unexpected("a transaction without its summary"));
    };
    Ok(match summary.state() {
        TransactionState::Succeeded => Outcome::Completed(output(transaction)?),
        TransactionState::Compensated => {
            let Cause { step, failure } = summary.cause.clone().unwrap_or_default();
            let failure = failure.unwrap_or_default();
            Outcome::Compensated {
                step,
                code: failure.code,
                message: failure.message,
            }
        }
        TransactionState::Stuck => Outcome::Stuck {
            reason: stuck_reason(transaction),
        },
        TransactionState::Forced => Outcome::Forced {
            reason: cause_text(summary.cause.as_ref()),
        },
        TransactionState::Prepared
        | TransactionState::Running
        | TransactionState::Confirming
        | TransactionState::Compensating => Outcome::Pending,
        TransactionState::Unspecified => {
            let state = summary.state;
            return Err(ClientError::unexpected(format!(
                "a transaction in state {state}"
            )));
        }
    })
}

fn output<O: DeserializeOwned>(transaction: &Transaction) -> Result<O, ClientError> {
    let data = transaction
        .output
        .as_ref()
        .map(|payload| payload.data.as_ref());
    let data = data
        .filter(|data: &&[u8]| !data.is_empty())
        .unwrap_or(b"null");
    serde_json::from_slice(data).map_err(|source| ClientError::Data {
        what: format!("the output as a `{}`", std::any::type_name::<O>()),
        source,
    })
}

fn stuck_reason(transaction: &Transaction) -> String {
    let stuck = transaction
        .steps
        .iter()
        .filter(|step| step.state() == StepState::Stuck);
    let lines: Vec<String> = stuck
        .map(|step| format!("step `{}`: {}", step.name, step.stuck_reason))
        .collect();
    if lines.is_empty() {
        let cause = transaction
            .summary
            .as_ref()
            .and_then(|summary| summary.cause.as_ref());
        return cause_text(cause);
    }
    lines.join("; ")
}

fn cause_text(cause: Option<&Cause>) -> String {
    let Some(Cause { step, failure }) = cause else {
        return String::new();
    };
    let failure = failure.clone().unwrap_or_default();
    let place = if step.is_empty() {
        String::new()
    } else {
        format!("step `{step}`: ")
    };
    format!("{place}{}: {}", failure.code, failure.message)
}
