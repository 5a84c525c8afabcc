//! Publishes messages, as many to a call as asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use amends_core::time::Timestamp;
use amends_proto::v1::message_service_client::MessageServiceClient;
use amends_proto::v1::{Message, Payload, PublishMessage, PublishMessagesRequest};
use tokio::runtime::Handle;
use tonic::Status;
use tonic::transport::Channel;

use super::BODY_BYTES;
use super::book::Book;
use crate::admin::bench::connections::Connections;
use crate::admin::bench::driver::{Fault, Work};

/// Largest answer taken: bodies come together.
const MAX_ANSWER_BYTES: usize = 64 << 20;
pub(super) const TOPIC: &str = "amends-bench";

pub(super) type Clients = Connections<MessageServiceClient<Channel>>;

pub(super) fn client(channel: Channel) -> MessageServiceClient<Channel> {
    MessageServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES)
}

/// What the bodies begin with: the message's number, and when it is due in
/// milliseconds since the epoch, or zero.
pub(super) fn read(body: &[u8]) -> Option<(u64, Option<Timestamp>)> {
    let (number, rest) = body.split_first_chunk()?;
    let due = i64::from_le_bytes(*rest.first_chunk()?);
    let due = (due != 0).then_some(Timestamp(due));
    Some((u64::from_le_bytes(*number), due))
}

fn body(number: u64, due: Option<Timestamp>) -> Vec<u8> {
    let mut body = Vec::with_capacity(BODY_BYTES);
    body.extend(number.to_le_bytes());
    body.extend(due.map_or(0, |due| due.0).to_le_bytes());
    body.resize(BODY_BYTES, 0);
    body
}

pub(super) struct Publishers {
    pub(super) clients: Clients,
    batch: usize,
    book: Arc<Book>,
    next: AtomicU64,
}

impl Publishers {
    pub(super) fn new(clients: Clients, batch: usize, book: Arc<Book>) -> Self {
        Self {
            clients,
            batch,
            book,
            next: AtomicU64::new(0),
        }
    }

    /// Publishes one message for each of these times, in one call; none: at once.
    pub(super) async fn publish(&self, times: &[Option<Timestamp>]) -> Result<(), Status> {
        let first = self.next.fetch_add(times.len() as u64, Ordering::Relaxed);
        let numbers = first..first + times.len() as u64;
        let messages = numbers
            .clone()
            .zip(times)
            .map(|(number, due)| PublishMessage {
                message: Some(message(number, *due)),
                delay: None,
            });
        let request = PublishMessagesRequest {
            messages: messages.collect(),
        };
        self.book.begun(numbers.clone());
        self.clients.next().publish_messages(request).await?;
        self.book.answered(numbers);
        Ok(())
    }
}

fn message(number: u64, due: Option<Timestamp>) -> Message {
    let time = |due: Timestamp| prost_types::Timestamp {
        seconds: due.0.div_euclid(1_000),
        nanos: i32::try_from(due.0.rem_euclid(1_000) * 1_000_000).unwrap_or(0),
    };
    Message {
        topic: TOPIC.to_owned(),
        tag: "load".to_owned(),
        payload: Some(Payload {
            content_type: "application/octet-stream".to_owned(),
            data: body(number, due).into(),
        }),
        deliver_time: due.map(time),
        ..Message::default()
    }
}

impl Work for Publishers {
    fn cores(&self) -> &[Handle] {
        self.clients.cores()
    }

    async fn once(&self) -> Result<(), Fault> {
        Ok(self.publish(&vec![None; self.batch]).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_say_who_they_are() {
        let due = Some(Timestamp(1_769_846_400_123));
        assert_eq!(body(7, due).len(), BODY_BYTES);
        assert_eq!(read(&body(7, due)), Some((7, due)));
        assert_eq!(read(&body(u64::MAX, None)), Some((u64::MAX, None)));
        assert_eq!(read(b"short"), None);
    }
}
