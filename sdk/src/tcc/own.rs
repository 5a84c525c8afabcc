//! Branches whose try the caller calls itself: registered first, reported after.

use std::marker::PhantomData;

use amends_proto::v1::report_try_request::Outcome;
use amends_proto::v1::{
    Failure, RegisterBranchRequest, ReportTryRequest, StepState, TransactionState,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::tx::described;
use super::{Tcc, TccError, TccRef};
use crate::saga::convert;
use crate::{ClientError, StepCx, StepError, StepResult};

/// The code under which an outcome is reported that the caller does not know.
const NOT_KNOWN: &str = "NOT_KNOWN";

/// A branch that is registered, and that its caller tries.
#[derive(Debug)]
#[must_use = "call its try, and report what came of it"]
pub struct OwnBranch<'t, O> {
    tcc: &'t Tcc,
    cx: StepCx,
    output: PhantomData<fn() -> O>,
}

impl Tcc {
    /// Registers a branch whose try the caller makes itself. From here on it is
    /// confirmed or cancelled with the others, whatever becomes of the caller.
    ///
    /// Send the gid and the name of the branch along with the try (they are in
    /// [`OwnBranch::cx`]), so that whoever serves it can tell a late one from
    /// one in time, and report what came of it.
    ///
    /// # Errors
    /// [`TccError::Cancelled`], [`TccError::Confirmed`], [`TccError::Coordinator`].
    pub async fn register<I: Serialize, O>(
        &self,
        name: impl Into<String>,
        branch: TccRef<I, O>,
        request: &I,
    ) -> Result<OwnBranch<'_, O>, TccError> {
        let name = name.into();
        self.registered(&name, branch, request).await?;
        Ok(OwnBranch {
            tcc: self,
            cx: StepCx::new(self.gid(), name, branch.name()),
            output: PhantomData,
        })
    }

    /// Registers a branch, makes its try with `work`, and reports what came of
    /// it. A branch that is known to have succeeded is not tried again: its
    /// first answer is returned.
    ///
    /// Dropping the future leaves the try unreported: it can no longer be
    /// confirmed, and is cancelled.
    ///
    /// # Errors
    /// Those of [`try_branch`](Self::try_branch).
    pub async fn try_own<I, O, F>(
        &self,
        name: impl Into<String>,
        branch: TccRef<I, O>,
        request: &I,
        work: F,
    ) -> Result<O, TccError>
    where
        I: Serialize,
        O: Serialize + DeserializeOwned,
        F: AsyncFnOnce(&StepCx) -> StepResult<O>,
    {
        let name = name.into();
        let taken = self.take(&name)?;
        let step = self.registered(&name, branch, request).await?;
        if step.state() != StepState::Pending
            && let Some(output) = self.tried(&step, TransactionState::Running).await?
        {
            taken.keep();
            return Ok(output);
        }
        let own = OwnBranch {
            tcc: self,
            cx: StepCx::new(self.gid(), name, branch.name()),
            output: PhantomData,
        };
        let done = work(&own.cx).await;
        let output = own.report(done).await?;
        taken.keep();
        Ok(output)
    }

    async fn registered<I: Serialize, O>(
        &self,
        name: &str,
        branch: TccRef<I, O>,
        request: &I,
    ) -> Result<amends_proto::v1::Step, TccError> {
        let request = RegisterBranchRequest {
            gid: self.gid().to_owned(),
            branch: Some(described(name, branch, request)?),
        };
        match self.client().register_branch(request).await {
            Ok(step) => Ok(step),
            Err(error) => Err(self.explained(error).await),
        }
    }
}

impl<O: Serialize> OwnBranch<'_, O> {
    /// Which branch of which TCC it is.
    #[must_use]
    pub fn cx(&self) -> &StepCx {
        &self.cx
    }

    /// Reports what came of the try, and returns it. Safe to repeat by
    /// registering again.
    ///
    /// # Errors
    /// [`TccError::Refused`] and [`TccError::Unknown`] as reported;
    /// [`TccError::Cancelled`], [`TccError::Confirmed`],
    /// [`TccError::Coordinator`].
    pub async fn report(self, done: StepResult<O>) -> Result<O, TccError> {
        let branch = self.cx.branch().to_owned();
        let outcome = match &done {
            Ok(output) => {
                let data = serde_json::to_vec(output).map_err(|source| ClientError::Data {
                    what: format!("the answer, a `{}`,", std::any::type_name::<O>()),
                    source,
                })?;
                Outcome::Succeeded(convert::json_payload(data))
            }
            Err(StepError::Refused { code, message }) => Outcome::Refused(Failure {
                code: code.clone(),
                message: message.clone(),
            }),
            Err(error) => Outcome::Unknown(Failure {
                code: NOT_KNOWN.to_owned(),
                message: error.to_string(),
            }),
        };
        let request = ReportTryRequest {
            gid: self.tcc.gid().to_owned(),
            branch: branch.clone(),
            outcome: Some(outcome),
        };
        if let Err(error) = self.tcc.client().report_try(request).await {
            return Err(self.tcc.explained(error).await);
        }
        done.map_err(|error| match error {
            StepError::Refused { code, message } => TccError::Refused {
                branch,
                code,
                message,
            },
            other => TccError::Unknown {
                branch,
                message: other.to_string(),
            },
        })
    }
}
