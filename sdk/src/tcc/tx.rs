//! [`Tcc`]: a TCC that has begun, its tries and its decision.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use amends_proto::v1::{
    Step, StepState, TccBranch, TccDecision, Transaction, TransactionState, TryBranchRequest,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::outcome::cancelled;
use super::{NewTcc, TccError, TccOutcome, TccRef};
use crate::client::no_branch;
use crate::saga::convert;
use crate::{Client, ClientError};

/// Between two questions about a try, so that a server that answers too early
/// is not flooded.
const PAUSE: Duration = Duration::from_millis(20);

/// A TCC that has begun. Dropping the handle changes nothing: what is not
/// confirmed by its deadline is cancelled.
#[derive(Debug)]
pub struct Tcc {
    client: Client,
    gid: String,
    created: bool,
    /// No try can succeed after it.
    end: Instant,
    /// The branches that this handle has, so that two of them are not taken for one.
    names: Mutex<HashSet<String>>,
}

impl Tcc {
    pub(super) fn new(client: Client, gid: String, created: bool, deadline: Duration) -> Self {
        const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        Self {
            client,
            gid,
            created,
            end: Instant::now() + deadline.min(FAR),
            names: Mutex::default(),
        }
    }

    /// Its global transaction id.
    #[must_use]
    pub fn gid(&self) -> &str {
        &self.gid
    }

    /// Whether this call began it; false where the key was used before.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.created
    }

    /// Registers a branch and has the coordinator call its try; returns what
    /// that answers. The branch is named like its target, `wallet.freeze`. Tries at the
    /// same time: `tokio::try_join!(tx.try_branch(..), tx.try_branch(..))`.
    ///
    /// Dropping the future leaves the branch registered: it is confirmed or cancelled with the others,
    /// and a confirm waits for its try.
    ///
    /// # Errors
    /// [`TccError::Refused`], [`TccError::Unknown`]; [`TccError::Cancelled`]
    /// and [`TccError::Confirmed`] where somebody else decided;
    /// [`TccError::Coordinator`].
    #[allow(
        clippy::needless_pass_by_value,
        reason = "a request is made for its try"
    )]
    pub async fn try_branch<I: Serialize, O: DeserializeOwned>(
        &self,
        branch: TccRef<I, O>,
        request: I,
    ) -> Result<O, TccError> {
        let name = format!("{}.{}", branch.service(), branch.name());
        self.try_named(name, branch, request).await
    }

    /// The same with a name of its own, unique in this TCC: 1 to 64 of a-z,
    /// 0-9, `-`, `_`, `.`. For several branches with the same target.
    ///
    /// # Errors
    /// Those of [`try_branch`](Self::try_branch).
    #[allow(
        clippy::needless_pass_by_value,
        reason = "a request is made for its try"
    )]
    pub async fn try_named<I: Serialize, O: DeserializeOwned>(
        &self,
        name: impl Into<String>,
        branch: TccRef<I, O>,
        request: I,
    ) -> Result<O, TccError> {
        let name = name.into();
        let taken = self.take(&name)?;
        let request = TryBranchRequest {
            gid: self.gid.clone(),
            branch: Some(described(&name, branch, &request)?),
            wait: None,
        };
        loop {
            let left = self.end.saturating_duration_since(Instant::now());
            let answer = self.client.try_branch(request.clone(), left).await;
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) => return Err(self.explained(error).await),
            };
            let state = answer.state();
            let step = answer.branch.ok_or_else(no_branch)?;
            match self.tried(&step, state).await? {
                Some(output) => {
                    taken.keep();
                    return Ok(output);
                }
                None if left.is_zero() => return Err(unknown(&step)),
                None => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Decides that every branch is confirmed, and waits up to `wait` for the
    /// end. Under a parent it prepares only. Safe to repeat.
    ///
    /// # Errors
    /// [`TccError::Coordinator`] with the reason `TRIES_OPEN` while a try is not
    /// known to have succeeded; [`TccError::Cancelled`]. After
    /// [`ClientError::Unavailable`] it may be confirmed.
    pub async fn confirm(&self, wait: Duration) -> Result<TccOutcome, TccError> {
        match self.client.confirm_tcc(&self.gid, wait).await {
            Ok(transaction) => Ok(TccOutcome::of(&transaction)?),
            Err(error) => Err(self.explained(error).await),
        }
    }

    /// Decides that every branch is cancelled, and waits up to `wait` for the
    /// end. `reason` is kept. Safe to repeat.
    ///
    /// # Errors
    /// [`TccError::Confirmed`]; [`TccError::Coordinator`].
    pub async fn cancel(&self, reason: &str, wait: Duration) -> Result<TccOutcome, TccError> {
        let cancel = self
            .client
            .cancel_tcc(&self.gid, reason, wait, Duration::MAX);
        match cancel.await {
            Ok(transaction) => Ok(TccOutcome::of(&transaction)?),
            Err(error) => Err(self.explained(error).await),
        }
    }

    /// A TCC that is a branch of this one: this one decides. Begin it or run it
    /// as any other, here or, with [`NewTcc::under`], in another process.
    pub fn child(&self, branch: impl Into<String>, name: impl Into<String>) -> NewTcc<'_> {
        self.client.tcc(name).under(self.gid.as_str(), branch)
    }

    /// How it stands.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn outcome(&self) -> Result<TccOutcome, ClientError> {
        TccOutcome::of(&self.get().await?)
    }

    /// What the coordinator knows about it.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn get(&self) -> Result<Transaction, ClientError> {
        self.client.get(&self.gid).await
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Makes sure that a name is given to one branch.
    pub(super) fn take<'t>(&'t self, name: &str) -> Result<Taken<'t>, ClientError> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if !names.insert(name.to_owned()) {
            return Err(ClientError::Invalid {
                reason: "BRANCH_TWICE".to_owned(),
                message: format!(
                    "this TCC has a branch named `{name}`; give each a name of its own"
                ),
                fields: Vec::new(),
            });
        }
        Ok(Taken {
            names: &self.names,
            name: Some(name.to_owned()),
        })
    }

    /// What a branch's state says about its try; `None`: nothing yet.
    pub(super) async fn tried<O: DeserializeOwned>(
        &self,
        step: &Step,
        state: TransactionState,
    ) -> Result<Option<O>, TccError> {
        if ![TransactionState::Running, TransactionState::Unspecified].contains(&state) {
            return Err(self.decided_otherwise().await?);
        }
        match step.state() {
            StepState::Succeeded => Ok(Some(output(step)?)),
            StepState::Refused => {
                let failure = step.last_failure.clone().unwrap_or_default();
                Err(TccError::Refused {
                    branch: step.name.clone(),
                    code: failure.code,
                    message: failure.message,
                })
            }
            StepState::Unknown => Err(unknown(step)),
            _ => Ok(None),
        }
    }

    /// Who decided, and why.
    async fn decided_otherwise(&self) -> Result<TccError, ClientError> {
        let transaction = self.get().await?;
        match TccOutcome::of(&transaction)? {
            TccOutcome::Prepared | TccOutcome::Confirming | TccOutcome::Confirmed => {
                let gid = self.gid.clone();
                Ok(TccError::Confirmed { gid })
            }
            TccOutcome::Stuck { .. } if transaction.decision() == TccDecision::Confirm => {
                let gid = self.gid.clone();
                Ok(TccError::Confirmed { gid })
            }
            TccOutcome::Forced if transaction.decision() != TccDecision::Cancel => {
                let gid = self.gid.clone();
                Ok(match transaction.decision() {
                    TccDecision::Confirm => TccError::Confirmed { gid },
                    _ => TccError::Forced { gid },
                })
            }
            // Its deadline has passed, and nobody has written that down yet.
            TccOutcome::Open => Err(ClientError::unexpected("nothing is decided")),
            _ => Ok(cancelled(&self.gid, &transaction)),
        }
    }

    /// What the coordinator says, with the cause where that can be found out.
    pub(super) async fn explained(&self, error: ClientError) -> TccError {
        match TccError::of_client(&self.gid, error) {
            cancelled @ TccError::Cancelled { .. } => {
                self.decided_otherwise().await.unwrap_or(cancelled)
            }
            other => other,
        }
    }
}

/// A name that is taken, unless its try comes to nothing.
pub(super) struct Taken<'t> {
    names: &'t Mutex<HashSet<String>>,
    name: Option<String>,
}

impl Taken<'_> {
    pub(super) fn keep(mut self) {
        self.name = None;
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            names.remove(&name);
        }
    }
}

/// A branch as the coordinator is told of it.
pub(super) fn described<I: Serialize, O>(
    name: &str,
    branch: TccRef<I, O>,
    request: &I,
) -> Result<TccBranch, ClientError> {
    let input = serde_json::to_vec(request).map_err(|source| ClientError::Data {
        what: format!("the request, a `{}`,", std::any::type_name::<I>()),
        source,
    })?;
    Ok(TccBranch {
        name: name.to_owned(),
        target: branch.target(),
        confirm_target: String::new(),
        cancel_target: String::new(),
        input: Some(convert::json_payload(input)),
        timeout: branch.timeout().and_then(convert::duration),
        retry: branch.retry().map(convert::retry),
        settle_retry: branch.settle_retry().map(convert::retry),
    })
}

fn output<O: DeserializeOwned>(step: &Step) -> Result<O, ClientError> {
    let data = step.output.as_ref().map(|payload| payload.data.as_ref());
    let data = data.filter(|data: &&[u8]| !data.is_empty());
    serde_json::from_slice(data.unwrap_or(b"null")).map_err(|source| ClientError::Data {
        what: format!(
            "the answer of `{}` as a `{}`",
            step.name,
            std::any::type_name::<O>()
        ),
        source,
    })
}

pub(super) fn unknown(step: &Step) -> TccError {
    let failure = step.last_failure.clone().unwrap_or_default();
    TccError::Unknown {
        branch: step.name.clone(),
        message: match (failure.code.as_str(), failure.message) {
            ("", _) => "it did not answer in time".to_owned(),
            (code, message) => format!("{code}: {message}"),
        },
    }
}
