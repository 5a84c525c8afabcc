//! [`Gid`] and [`Start`]: how a saga is started.

use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::time::Duration;

use amends_proto::v1::{StartSagaRequest, StartSagaResponse, start_saga_request::Source};
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::call::{Attempt, Budget, repeat};
use super::run::{Outcome, Run, known, outcome};
use super::{Client, ClientError};
use crate::saga::{Saga, SagaRef, convert};

/// Waited for within the start itself; a second call waits for the rest.
const MAX_START_WAIT: Duration = Duration::from_secs(60);

/// The id of a global transaction: the caller's own, at most 128 characters,
/// or a new one.
///
/// The id makes starting safe to repeat: the same id and input give the same
/// saga. Use the id of the business operation where there is one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gid(String);

/// What can be started: `&Saga` is sent along, `&SagaRef` is looked up.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no saga",
    label = "expected a `&Saga<I, O>` or a `&SagaRef<I, O>`"
)]
pub trait Startable<I, O> {
    /// How the request names it.
    #[doc(hidden)]
    fn source(&self) -> Result<Source, ClientError>;
}

/// A start that has not been sent yet: `.await` it.
#[must_use = "`.await` it"]
pub struct Start<'c, O> {
    client: &'c Client,
    request: Result<StartSagaRequest, ClientError>,
    output: PhantomData<fn() -> O>,
}

impl Gid {
    /// A new id (UUIDv7).
    #[must_use]
    pub fn unique() -> Self {
        Self(Uuid::now_v7().to_string())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Gid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Gid {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl From<String> for Gid {
    fn from(id: String) -> Self {
        Self(id)
    }
}

impl From<&String> for Gid {
    fn from(id: &String) -> Self {
        Self(id.clone())
    }
}

impl From<&Self> for Gid {
    fn from(id: &Self) -> Self {
        id.clone()
    }
}

impl From<Uuid> for Gid {
    fn from(id: Uuid) -> Self {
        Self(id.to_string())
    }
}

impl From<u64> for Gid {
    fn from(id: u64) -> Self {
        Self(id.to_string())
    }
}

impl From<i64> for Gid {
    fn from(id: i64) -> Self {
        Self(id.to_string())
    }
}

impl<I, O> Startable<I, O> for Saga<I, O> {
    fn source(&self) -> Result<Source, ClientError> {
        Ok(Source::Definition(self.definition()?.clone()))
    }
}

impl<I, O> Startable<I, O> for SagaRef<I, O> {
    fn source(&self) -> Result<Source, ClientError> {
        Ok(Source::Registered(self.to_proto()))
    }
}

impl<'c, O> Start<'c, O> {
    pub(crate) fn new<I: serde::Serialize>(
        client: &'c Client,
        saga: &(impl Startable<I, O> + ?Sized),
        gid: Gid,
        input: &I,
    ) -> Self {
        Self {
            client,
            request: request(saga, gid, input),
            output: PhantomData,
        }
    }

    /// Overrides the definition's deadline.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        if let Ok(request) = &mut self.request {
            request.deadline = convert::duration(deadline);
        }
        self
    }

    async fn send(
        client: &Client,
        request: Result<StartSagaRequest, ClientError>,
        wait: Duration,
    ) -> Result<StartSagaResponse, ClientError> {
        let request = request?;
        let waiting = Budget::new(wait);
        let attempt = || {
            let server_wait = waiting.left().min(MAX_START_WAIT);
            let mut request = request.clone();
            request.wait = convert::duration(server_wait).filter(|_| !server_wait.is_zero());
            Attempt {
                request,
                server_wait,
            }
        };
        let budget = Budget::new(wait.min(MAX_START_WAIT) + client.patience());
        repeat(budget, attempt, |request| {
            let mut api = client.sagas();
            async move { api.start_saga(request).await }
        })
        .await
    }
}

impl<O: DeserializeOwned> Start<'_, O> {
    /// Starts and waits for the end, in one call where the time allows; see
    /// [`Run::wait`].
    ///
    /// Cancel-safe in this sense: when the future is dropped the saga may or
    /// may not have been started; starting it again with the same id tells.
    ///
    /// # Errors
    /// Those of the start and of [`Run::wait`].
    pub async fn and_wait(self, time: Duration) -> Result<Outcome<O>, ClientError> {
        let budget = Budget::new(time);
        let answer = Self::send(self.client, self.request, time).await?;
        let transaction = known(answer.transaction)?;
        let outcome = outcome(&transaction)?;
        if !matches!(outcome, Outcome::Pending) || budget.left().is_zero() {
            return Ok(outcome);
        }
        let gid = transaction
            .summary
            .map(|summary| summary.gid)
            .unwrap_or_default();
        Run::new(self.client.clone(), gid, answer.created)
            .wait(budget.left())
            .await
    }
}

impl<'c, O: 'c> IntoFuture for Start<'c, O> {
    type Output = Result<Run<O>, ClientError>;
    type IntoFuture = BoxFuture<'c, Self::Output>;

    /// Starts it; the answer comes once the start is durable.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let answer = Self::send(self.client, self.request, Duration::ZERO).await?;
            let transaction = known(answer.transaction)?;
            let gid = transaction
                .summary
                .map(|summary| summary.gid)
                .unwrap_or_default();
            if gid.is_empty() {
                return Err(ClientError::unexpected("a started saga without an id"));
            }
            Ok(Run::new(self.client.clone(), gid, answer.created))
        })
    }
}

impl<O> fmt::Debug for Start<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.request {
            Ok(request) => write!(f, "Start({})", request.gid),
            Err(error) => write!(f, "Start(invalid: {error})"),
        }
    }
}

fn request<I: serde::Serialize, O>(
    saga: &(impl Startable<I, O> + ?Sized),
    gid: Gid,
    input: &I,
) -> Result<StartSagaRequest, ClientError> {
    if gid.0.is_empty() {
        return Err(ClientError::Invalid {
            reason: "GID_EMPTY".to_owned(),
            message: "a saga's id cannot be empty; `Gid::unique()` makes one".to_owned(),
            fields: Vec::new(),
        });
    }
    let input = serde_json::to_vec(input).map_err(|source| ClientError::Data {
        what: format!("the input, a `{}`,", std::any::type_name::<I>()),
        source,
    })?;
    Ok(StartSagaRequest {
        gid: gid.0,
        request_id: String::new(),
        source: Some(saga.source()?),
        input: Some(convert::json_payload(input)),
        deadline: None,
        wait: None,
    })
}
