//! Publishing messages, and finding out what became of them.

use amends_proto::v1::consumer_service_client::ConsumerServiceClient;
use amends_proto::v1::message_service_client::MessageServiceClient;
use amends_proto::v1::{
    CancelMessagesRequest, GetMessageRequest, ListMessagesRequest, ListMessagesResponse,
    LookupDeliveriesRequest, LookupDeliveriesResponse, MessageStatus, PublishMessage,
    PublishMessagesRequest,
};

use super::call::{Attempt, repeat};
use super::{Client, ClientError, MAX_ANSWER_BYTES};
use crate::access::Wire;
use crate::message::NewMessage;

/// Most messages of one [`Client::publish_all`].
pub const MAX_PUBLISHED_AT_ONCE: usize = 256;

/// A message that is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its id.
    pub id: String,
    /// False when it had been published before.
    pub created: bool,
}

impl Client {
    /// Publishes a message. It is durable when this returns; from then on it
    /// reaches every group that subscribes to it. While the outcome is unknown
    /// the call is repeated with the same id, within the client's patience, so
    /// that it is published once.
    ///
    /// Cancel-safe in this sense: when the future is dropped the message may or
    /// may not have been published.
    ///
    /// To publish together with a change in the service's database, use
    /// [`Conn::publish`](crate::Conn::publish) instead.
    ///
    /// # Errors
    /// [`ClientError::Invalid`], [`ClientError::Data`], [`ClientError::Conflict`]
    /// where the id was used with other content, [`ClientError::Unavailable`].
    pub async fn publish(&self, message: NewMessage) -> Result<Published, ClientError> {
        let published = self.publish_all([message]).await?.into_iter().next();
        published.ok_or_else(|| ClientError::unexpected("a message without its answer"))
    }

    /// Publishes up to [`MAX_PUBLISHED_AT_ONCE`] messages, all or none.
    ///
    /// # Errors
    /// As [`publish`](Self::publish); none of them was published then, unless
    /// the outcome is unknown ([`ClientError::Unavailable`]).
    pub async fn publish_all(
        &self,
        messages: impl IntoIterator<Item = NewMessage>,
    ) -> Result<Vec<Published>, ClientError> {
        let messages = messages.into_iter().map(NewMessage::into_proto);
        let messages: Result<Vec<_>, _> = messages.collect();
        self.publish_checked(messages?).await
    }

    /// The same for messages that were checked before.
    pub(crate) async fn publish_checked(
        &self,
        messages: Vec<PublishMessage>,
    ) -> Result<Vec<Published>, ClientError> {
        let count = messages.len();
        if count == 0 {
            return Ok(Vec::new());
        }
        let request = PublishMessagesRequest { messages };
        let answer = repeat(
            self.budget(),
            || Attempt::plain(request.clone()),
            |request| {
                let mut api = self.message_service();
                async move { api.publish_messages(request).await }
            },
        )
        .await?;
        if answer.messages.len() != count {
            return Err(ClientError::unexpected("an answer for other messages"));
        }
        let published = answer.messages.into_iter().map(|message| Published {
            id: message.id,
            created: message.created,
        });
        Ok(published.collect())
    }

    /// Takes a message back that was not handed on yet, for example a delayed
    /// one. `Ok` means that nobody gets it, or that it had been taken back already.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when it is too late, [`ClientError::NotFound`],
    /// [`ClientError::Unavailable`].
    pub async fn cancel_message(&self, id: &str, reason: &str) -> Result<(), ClientError> {
        let request = CancelMessagesRequest {
            ids: vec![id.to_owned()],
            reason: reason.to_owned(),
        };
        let answer = repeat(
            self.budget(),
            || Attempt::plain(request.clone()),
            |request| {
                let mut api = self.message_service();
                async move { api.cancel_messages(request).await }
            },
        )
        .await?;
        let Some(result) = answer.results.into_iter().next() else {
            return Err(ClientError::unexpected("an answer without its result"));
        };
        if result.done {
            return Ok(());
        }
        // The answer to the first of two calls may have been lost.
        let status = self.message(id).await?;
        if status.state() == amends_proto::v1::MessageState::RolledBack {
            return Ok(());
        }
        Err(ClientError::Refused {
            reason: result.code,
            message: result.message,
        })
    }

    /// A message as it stands, with what became of it in each group.
    ///
    /// # Errors
    /// [`ClientError::NotFound`], [`ClientError::Unavailable`].
    pub async fn message(&self, id: &str) -> Result<MessageStatus, ClientError> {
        let request = GetMessageRequest { id: id.to_owned() };
        let answer = repeat(
            self.budget(),
            || Attempt::plain(request.clone()),
            |request| {
                let mut api = self.message_service();
                async move { api.get_message(request).await }
            },
        )
        .await?;
        let missing = || ClientError::unexpected("an answer without its message");
        answer.message.ok_or_else(missing)
    }

    /// A page of messages without their bodies, newest first.
    ///
    /// # Errors
    /// [`ClientError::Invalid`], [`ClientError::Unavailable`].
    pub async fn messages(
        &self,
        filter: ListMessagesRequest,
    ) -> Result<ListMessagesResponse, ClientError> {
        repeat(
            self.budget(),
            || Attempt::plain(filter.clone()),
            |request| {
                let mut api = self.message_service();
                async move { api.list_messages(request).await }
            },
        )
        .await
    }

    /// What became of messages in groups: was this one handled by that group?
    ///
    /// # Errors
    /// [`ClientError::Invalid`], [`ClientError::Unavailable`].
    pub async fn deliveries(
        &self,
        filter: LookupDeliveriesRequest,
    ) -> Result<LookupDeliveriesResponse, ClientError> {
        repeat(
            self.budget(),
            || Attempt::plain(filter.clone()),
            |request| {
                let mut api = ConsumerServiceClient::new(self.wire.clone())
                    .max_decoding_message_size(MAX_ANSWER_BYTES);
                async move { api.lookup_deliveries(request).await }
            },
        )
        .await
    }

    fn message_service(&self) -> MessageServiceClient<Wire> {
        MessageServiceClient::new(self.wire.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }
}
