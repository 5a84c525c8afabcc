//! Messages from their publisher to their consumers, over the wire.

mod checks;
mod consuming;
mod dead;
mod halves;
mod metrics;
mod publishing;
mod refusing;

use amends_proto::v1;
use amends_proto::v1::consume_request::Request;
use amends_proto::v1::consume_response::Response;
use amends_proto::v1::settlement::Verdict;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::api::{Api, json};

fn message(id: &str) -> v1::Message {
    v1::Message {
        id: id.to_owned(),
        topic: "orders".to_owned(),
        tag: "paid".to_owned(),
        key: "order-7".to_owned(),
        payload: json(r#"{"order":7}"#),
        ..Default::default()
    }
}

async fn publish(
    api: &Api,
    messages: Vec<v1::Message>,
) -> Result<Vec<v1::PublishedMessage>, Status> {
    let messages = messages.into_iter().map(|message| v1::PublishMessage {
        message: Some(message),
        delay: None,
    });
    let request = v1::PublishMessagesRequest {
        messages: messages.collect(),
    };
    let published = api.messages().publish_messages(request).await?;
    Ok(published.into_inner().messages)
}

async fn get(api: &Api, id: &str) -> v1::MessageStatus {
    let request = v1::GetMessageRequest { id: id.to_owned() };
    let found = api.messages().get_message(request).await.unwrap();
    found.into_inner().message.unwrap()
}

/// Asks until the message has this state in the group.
async fn handled(api: &Api, id: &str, group: &str, state: v1::DeliveryState) -> v1::Delivery {
    loop {
        let request = v1::LookupDeliveriesRequest {
            message_id: id.to_owned(),
            group: group.to_owned(),
            ..Default::default()
        };
        let found = api.consumers().lookup_deliveries(request).await.unwrap();
        let found = found.into_inner().deliveries.into_iter().next();
        if let Some(found) = found.filter(|found| found.state() == state) {
            return found;
        }
    }
}

fn subscription(group: &str) -> v1::Subscription {
    v1::Subscription {
        group: group.to_owned(),
        topic: "orders".to_owned(),
        ..Default::default()
    }
}

/// A consumer with its stream.
struct Member {
    requests: mpsc::Sender<v1::ConsumeRequest>,
    responses: Streaming<v1::ConsumeResponse>,
    /// Delivered, not looked at yet.
    delivered: Vec<v1::Delivered>,
}

impl Member {
    async fn join(api: &Api, subscription: v1::Subscription, credit: u32) -> Self {
        let first = Request::Subscribe(v1::Subscribe {
            subscription: Some(subscription),
            instance_id: "one".to_owned(),
            credit,
        });
        let mut member = Self::open(api, first).await.unwrap();
        match member.next().await.unwrap() {
            Some(Response::Subscribed(subscribed)) => assert!(subscribed.lease.is_some()),
            other => panic!("{other:?}"),
        }
        member
    }

    async fn open(api: &Api, first: Request) -> Result<Self, Status> {
        let (requests, receiver) = mpsc::channel(16);
        let first = v1::ConsumeRequest {
            request: Some(first),
        };
        requests.send(first).await.unwrap();
        let responses = api.messages().consume(ReceiverStream::new(receiver)).await;
        Ok(Self {
            requests,
            responses: responses?.into_inner(),
            delivered: Vec::new(),
        })
    }

    async fn say(&self, request: Request) {
        let request = Some(request);
        let said = self.requests.send(v1::ConsumeRequest { request }).await;
        said.unwrap();
    }

    /// `None`: the stream has ended.
    async fn next(&mut self) -> Result<Option<Response>, Status> {
        let response = self.responses.message().await?;
        Ok(response.map(|response| response.response.unwrap()))
    }

    /// The next message; answers about settlements are passed over.
    async fn delivery(&mut self) -> v1::Delivered {
        while self.delivered.is_empty() {
            match self.next().await.unwrap() {
                Some(Response::Deliveries(some)) => self.delivered = some.deliveries,
                Some(Response::Settled(settled)) => assert!(settled.stale.is_empty()),
                other => panic!("{other:?}"),
            }
        }
        self.delivered.remove(0)
    }

    async fn settle(&self, token: u64, verdict: Verdict) {
        let verdict = Some(verdict);
        let settlements = vec![v1::Settlement { token, verdict }];
        self.say(Request::Settle(v1::Settle { settlements })).await;
    }

    async fn done(&self, token: u64) {
        self.settle(token, Verdict::Done(v1::Done {})).await;
    }

    async fn dead(&self, token: u64, error: &str) {
        let error = error.to_owned();
        self.settle(token, Verdict::Dead(v1::Dead { error })).await;
    }

    async fn again(&self, token: u64, error: &str) {
        let after = Some(prost_types::Duration::default());
        let error = error.to_owned();
        self.settle(token, Verdict::Again(v1::Again { after, error }))
            .await;
    }
}

fn id(delivered: &v1::Delivered) -> &str {
    &delivered.message.as_ref().unwrap().id
}
