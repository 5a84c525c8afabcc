//! [`Client`]: starts sagas and follows them, runs TCCs, publishes messages and half messages.
//!
//! Every call is repeated when the coordinator cannot be reached for a
//! while, with jittered backoff and within a bound; that is safe, because
//! starts and messages carry an id that the client makes where the caller has none.

mod call;
mod error;
mod halves;
mod messages;
mod run;
mod start;
mod tccs;

use std::sync::Arc;
use std::time::Duration;

use amends_proto::v1::saga_service_client::SagaServiceClient;
use amends_proto::v1::transaction_service_client::TransactionServiceClient;
use amends_proto::v1::{
    CancelTransactionsRequest, Definition, GetTransactionRequest, ListTransactionsRequest,
    ListTransactionsResponse, RegisterDefinitionRequest, Transaction, TransactionState,
};
use serde::Serialize;

pub(crate) use call::{Attempt, Budget, repeat};
pub use error::{ClientError, FieldViolation};
pub(crate) use halves::HALF_DECIDED;
pub use messages::{MAX_PUBLISHED_AT_ONCE, Published};
pub use run::{Outcome, Run};
pub(crate) use run::{known, outcome};
pub use start::{Gid, Start, Startable};
pub(crate) use tccs::no_branch;

use crate::access::{Access, Wire};
use crate::saga::Saga;

/// How long a call is repeated while the coordinator cannot be reached.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(30);
/// Of one answer; lists of large transactions are the largest.
pub(crate) const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// A connection to a coordinator. Cheap to clone; clones share it.
#[derive(Clone, Debug)]
pub struct Client {
    wire: Wire,
    patience: Duration,
    producer: Option<Arc<str>>,
}

impl Client {
    /// A client of the coordinator at `address`, such as
    /// `http://127.0.0.1:7431`. The connection is made when it is first
    /// needed, and again whenever it is lost. Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// [`ClientError::Access`] when that cannot be an address, and for
    /// `https://`, which needs [`connect_with`](Self::connect_with).
    pub fn connect(address: impl AsRef<str>) -> Result<Self, ClientError> {
        Self::connect_with(address, &Access::new())
    }

    /// The same for a coordinator that wants a token or TLS.
    ///
    /// # Errors
    /// [`ClientError::Access`] when the address and the access make no
    /// connection. Whether the coordinator accepts the token shows with the
    /// first call: [`ClientError::Denied`].
    pub fn connect_with(address: impl AsRef<str>, access: &Access) -> Result<Self, ClientError> {
        Ok(Self {
            wire: access.connect(address.as_ref(), None)?,
            patience: DEFAULT_PATIENCE,
            producer: None,
        })
    }

    /// How long calls are repeated while the coordinator cannot be reached;
    /// 30 s where nothing is said.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The producer group of its half messages, see [`half`](Self::half): a
    /// service of a participant, or a group that a participant or a
    /// [`Producer`](crate::Producer) joins.
    #[must_use]
    pub fn with_producer(mut self, group: impl Into<Arc<str>>) -> Self {
        self.producer = Some(group.into());
        self
    }

    /// Starts a saga: `client.start(&confirm_order(), &order_id, input).await?`.
    /// The same id and input again give the same saga. The answer comes once
    /// the start is durable.
    ///
    /// # Errors
    /// [`ClientError::Definition`], [`ClientError::Invalid`],
    /// [`ClientError::Conflict`] where the id was used with other content,
    /// [`ClientError::Unavailable`].
    #[allow(
        clippy::needless_pass_by_value,
        reason = "an input is made for its start"
    )]
    pub fn start<I: Serialize, O>(
        &self,
        saga: &impl Startable<I, O>,
        gid: impl Into<Gid>,
        input: I,
    ) -> Start<'_, O> {
        Start::new(self, saga, gid.into(), &input)
    }

    /// Starts a registered saga by its name and version, without sending the
    /// definition along. The same as [`start`](Self::start) with a [`crate::SagaRef`].
    ///
    /// # Errors
    /// Those of [`start`](Self::start), and [`ClientError::NotFound`] for an
    /// unknown definition.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "an input is made for its start"
    )]
    pub fn start_registered<I: Serialize, O>(
        &self,
        saga: &Saga<I, O>,
        gid: impl Into<Gid>,
        input: I,
    ) -> Start<'_, O> {
        Start::new(self, &saga.reference(), gid.into(), &input)
    }

    /// A handle to a saga that was started before, for example by another process.
    pub fn run<O>(&self, gid: impl Into<Gid>) -> Run<O> {
        Run::new(self.clone(), gid.into().to_string(), false)
    }

    /// Stores a definition under its name and version. Again with the same
    /// content it changes nothing.
    ///
    /// # Errors
    /// [`ClientError::Definition`], [`ClientError::Invalid`],
    /// [`ClientError::Conflict`] where this version has other content,
    /// [`ClientError::Unavailable`].
    pub async fn register<I, O>(&self, saga: &Saga<I, O>) -> Result<Definition, ClientError> {
        let request = RegisterDefinitionRequest {
            saga: Some(saga.definition()?.clone()),
        };
        let answer = repeat(
            self.budget(),
            || Attempt::plain(request.clone()),
            |request| {
                let mut api = self.sagas();
                async move { api.register_definition(request).await }
            },
        )
        .await?;
        let missing = || ClientError::unexpected("an answer without its definition");
        answer.definition.ok_or_else(missing)
    }

    /// What the coordinator knows about a transaction.
    ///
    /// # Errors
    /// [`ClientError::NotFound`], [`ClientError::Unavailable`].
    pub async fn get(&self, gid: &str) -> Result<Transaction, ClientError> {
        let request = GetTransactionRequest {
            gid: gid.to_owned(),
        };
        let answer = repeat(
            self.budget(),
            || Attempt::plain(request.clone()),
            |request| {
                let mut api = self.transactions();
                async move { api.get_transaction(request).await }
            },
        )
        .await?;
        run::known(answer.transaction)
    }

    /// A page of transactions, newest first.
    ///
    /// # Errors
    /// [`ClientError::Invalid`], [`ClientError::Unavailable`].
    pub async fn list(
        &self,
        filter: ListTransactionsRequest,
    ) -> Result<ListTransactionsResponse, ClientError> {
        repeat(
            self.budget(),
            || Attempt::plain(filter.clone()),
            |request| {
                let mut api = self.transactions();
                async move { api.list_transactions(request).await }
            },
        )
        .await
    }

    /// Asks a transaction to turn back. `Ok` means that it does, or had already.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when it cannot turn back any more,
    /// [`ClientError::NotFound`], [`ClientError::Unavailable`].
    pub async fn cancel(&self, gid: &str, reason: &str) -> Result<(), ClientError> {
        let request = CancelTransactionsRequest {
            gids: vec![gid.to_owned()],
            reason: reason.to_owned(),
        };
        let answer = repeat(
            self.budget(),
            || Attempt::plain(request.clone()),
            |request| {
                let mut api = self.transactions();
                async move { api.cancel_transactions(request).await }
            },
        )
        .await?;
        let Some(result) = answer.results.into_iter().next() else {
            return Err(ClientError::unexpected("an answer without its result"));
        };
        let turned_back = [
            TransactionState::Compensating,
            TransactionState::Compensated,
        ]
        .contains(&result.state());
        if result.accepted || turned_back {
            return Ok(());
        }
        let unknown = result.state() == TransactionState::Unspecified;
        let failure = result.failure.unwrap_or_default();
        let (reason, message) = (failure.code, failure.message);
        Err(if unknown {
            ClientError::NotFound { reason, message }
        } else {
            ClientError::Refused { reason, message }
        })
    }

    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    pub(crate) fn sagas(&self) -> SagaServiceClient<Wire> {
        SagaServiceClient::new(self.wire.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    pub(crate) fn transactions(&self) -> TransactionServiceClient<Wire> {
        TransactionServiceClient::new(self.wire.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    fn budget(&self) -> Budget {
        Budget::new(self.patience)
    }
}
