//! Half messages at the coordinator: prepare, decide, and look.

use std::time::Duration;

use amends_proto::v1::half_message_service_client::HalfMessageServiceClient;
use amends_proto::v1::{
    DecideHalfRequest, GetHalfRequest, GetHalfResponse, HalfState, ListHalvesRequest,
    ListHalvesResponse, PrepareMessagesRequest,
};
use serde::Serialize;

use super::call::{Attempt, Budget, repeat};
use super::{Client, ClientError, MAX_ANSWER_BYTES};
use crate::access::Wire;
use crate::consumer_log::{HalfKey, Truth};
use crate::half::NewHalf;
use crate::message::NewMessage;

/// How long a verdict is tried to be told. Beyond it the coordinator asks.
const DECIDE_TIME: Duration = Duration::from_secs(3);

/// The reason with which a verdict is refused when the opposite one stands.
pub(crate) const HALF_DECIDED: &str = "HALF_DECIDED";

impl Client {
    /// A half message with a JSON body: delivered if and only if a local
    /// transaction commits. See [`crate::half`].
    ///
    /// ```no_run
    /// # use amends::{args, Client, Database, HalfError};
    /// # async fn run(client: Client, database: Database, order: &str) -> Result<(), HalfError> {
    /// let client = client.with_producer("payments");
    /// client
    ///     .half("payTopic", order)
    ///     .tag("pay_success")
    ///     .key(order)
    ///     .in_tx(&database, async |conn| {
    ///         conn.execute("UPDATE orders SET paid = 1 WHERE id = ?", args![order]).await?;
    ///         Ok(())
    ///     })
    ///     .await
    /// # }
    /// ```
    #[allow(
        clippy::needless_pass_by_value,
        reason = "a body is made for its message"
    )]
    pub fn half<T: Serialize>(&self, topic: impl Into<String>, body: T) -> NewHalf<'_> {
        self.half_message(NewMessage::new(topic, &body))
    }

    /// The same for a message that is described already.
    pub fn half_message(&self, message: NewMessage) -> NewHalf<'_> {
        NewHalf::new(self, message)
    }

    /// A half id as it stands, with its messages and the checks that were asked.
    ///
    /// # Errors
    /// [`ClientError::NotFound`], [`ClientError::Unavailable`].
    pub async fn half_status(&self, half_id: &str) -> Result<GetHalfResponse, ClientError> {
        let request = GetHalfRequest {
            half_id: half_id.to_owned(),
        };
        repeat(
            self.budget(),
            || Attempt::plain(request.clone()),
            |request| {
                let mut api = self.half_message_service();
                async move { api.get_half(request).await }
            },
        )
        .await
    }

    /// A page of half ids, newest first.
    ///
    /// # Errors
    /// [`ClientError::Invalid`], [`ClientError::Unavailable`].
    pub async fn halves(
        &self,
        filter: ListHalvesRequest,
    ) -> Result<ListHalvesResponse, ClientError> {
        repeat(
            self.budget(),
            || Attempt::plain(filter.clone()),
            |request| {
                let mut api = self.half_message_service();
                async move { api.list_halves(request).await }
            },
        )
        .await
    }

    /// The group that answers for its half messages.
    pub(crate) fn producer(&self) -> Option<&str> {
        self.producer.as_deref()
    }

    /// Prepares, and says where the half id stands. `time` bounds the
    /// repetitions together with the client's patience.
    pub(crate) async fn prepare(
        &self,
        request: PrepareMessagesRequest,
        time: Duration,
    ) -> Result<HalfState, ClientError> {
        let answer = repeat(
            Budget::new(self.patience.min(time)),
            || Attempt::plain(request.clone()),
            |request| {
                let mut api = self.half_message_service();
                async move { api.prepare_messages(request).await }
            },
        )
        .await?;
        Ok(answer.state())
    }

    /// Tells what became of a local transaction.
    pub(crate) async fn decide(&self, key: &HalfKey, truth: Truth) -> Result<(), ClientError> {
        let request = DecideHalfRequest {
            half_id: key.half_id().to_owned(),
            verdict: truth.to_proto().into(),
            producer: key.producer().to_owned(),
            reason: String::new(),
        };
        repeat(
            Budget::new(self.patience.min(DECIDE_TIME)),
            || Attempt::plain(request.clone()),
            |request| {
                let mut api = self.half_message_service();
                async move { api.decide_half(request).await }
            },
        )
        .await
        .map(drop)
    }

    pub(crate) fn half_message_service(&self) -> HalfMessageServiceClient<Wire> {
        HalfMessageServiceClient::new(self.wire.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }
}
