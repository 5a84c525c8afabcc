//! `MessageService`: publish, look, take back; `consume` holds the streams.

use amends_core::message::MessageId;
use amends_core::time::Timestamp;
use amends_proto::v1;
use amends_proto::v1::message_service_server::MessageService;
use tonic::{Request, Response, Status, Streaming};

use crate::grpc::page;
use crate::grpc::read::{page_size, reason, timestamp};
use crate::grpc::status::invalid;
use crate::messages::MAX_PUBLISH;
use crate::store::messages::MessageFilter;

use super::consume::{self, ConsumeStream};
use super::show::Body;
use super::{MessageApi, read, results, show};

#[tonic::async_trait]
impl MessageService for MessageApi {
    type ConsumeStream = ConsumeStream;

    async fn publish_messages(
        &self,
        request: Request<v1::PublishMessagesRequest>,
    ) -> Result<Response<v1::PublishMessagesResponse>, Status> {
        let messages = request.into_inner().messages;
        read::count("messages", messages.len(), MAX_PUBLISH)?;
        let messages = messages.into_iter().enumerate();
        let messages = messages.map(|(ix, message)| read::new_message(ix, message, self.max_bytes));
        let accepted = self.messages.publish(messages.collect::<Result<_, _>>()?);
        let published = accepted.await?.into_iter();
        let messages = published.map(|accepted| v1::PublishedMessage {
            id: accepted.id.into(),
            created: accepted.created,
        });
        Ok(Response::new(v1::PublishMessagesResponse {
            messages: messages.collect(),
        }))
    }

    async fn get_message(
        &self,
        request: Request<v1::GetMessageRequest>,
    ) -> Result<Response<v1::GetMessageResponse>, Status> {
        let id = read::message_id("id", &request.into_inner().id)?;
        let view = self.messages.get(&id).await?;
        Ok(Response::new(v1::GetMessageResponse {
            message: Some(show::view(&view)),
        }))
    }

    async fn list_messages(
        &self,
        request: Request<v1::ListMessagesRequest>,
    ) -> Result<Response<v1::ListMessagesResponse>, Status> {
        let filter = filter(&request.into_inner(), self.now())?;
        let found = self.messages.list(&filter).await?;
        let full = found.len() >= filter.limit as usize;
        let next = found.last().filter(|_| full);
        let next = next.map(|last| page::token(&(last.message.created_at, &last.message.id)));
        let messages = found.iter();
        Ok(Response::new(v1::ListMessagesResponse {
            messages: messages.map(|it| show::stored(it, Body::LeftOut)).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }

    async fn cancel_messages(
        &self,
        request: Request<v1::CancelMessagesRequest>,
    ) -> Result<Response<v1::CancelMessagesResponse>, Status> {
        let request = request.into_inner();
        let ids = read::ids(&request.ids, |id| read::message_id("ids", id))?;
        let reason = reason("reason", &request.reason)?;
        let done = self.messages.cancel(&ids, &reason).await?;
        Ok(Response::new(v1::CancelMessagesResponse {
            results: results(done),
        }))
    }

    async fn retry_messages(
        &self,
        request: Request<v1::RetryMessagesRequest>,
    ) -> Result<Response<v1::RetryMessagesResponse>, Status> {
        let request = request.into_inner();
        let ids = read::ids(&request.ids, |id| read::message_id("ids", id))?;
        let done = self.messages.retry_now(&ids).await?;
        Ok(Response::new(v1::RetryMessagesResponse {
            results: results(done),
        }))
    }

    async fn consume(
        &self,
        request: Request<Streaming<v1::ConsumeRequest>>,
    ) -> Result<Response<ConsumeStream>, Status> {
        let stream = consume::begin(&self.messages, request.into_inner()).await?;
        Ok(Response::new(stream))
    }
}

fn filter(request: &v1::ListMessagesRequest, now: Timestamp) -> Result<MessageFilter, Status> {
    let mut states = Vec::new();
    for number in &request.states {
        let known = v1::MessageState::try_from(*number).ok();
        let state = known.and_then(read::state);
        let unknown = || invalid("states", "ENUM_UNKNOWN", format!("{number} is not a state"));
        states.push(state.ok_or_else(unknown)?);
    }
    let after: Option<(Timestamp, MessageId)> = page::place(&request.page_token)?;
    Ok(MessageFilter {
        states,
        topic: read::optional_topic(&request.topic)?,
        tag: read::optional_tag(&request.tag)?,
        key: read::optional_key(&request.key)?,
        created_from: timestamp("created_after", request.created_after)?,
        created_before: timestamp("created_before", request.created_before)?,
        delayed_after: request.delayed.then_some(now),
        after,
        limit: page_size(request.page_size),
    })
}
