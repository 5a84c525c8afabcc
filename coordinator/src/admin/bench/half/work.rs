//! What is measured: a pair of prepare and commit, and a plain publish.

use amends_proto::v1::half_message_service_client::HalfMessageServiceClient;
use amends_proto::v1::message_service_client::MessageServiceClient;
use amends_proto::v1::{
    DecideHalfRequest, HalfState, HalfVerdict, Message, Payload, PrepareMessagesRequest,
    PublishMessage, PublishMessagesRequest,
};
use tokio::runtime::Handle;
use tonic::Status;
use tonic::transport::Channel;

use crate::admin::bench::connections::Connections;
use crate::admin::bench::driver::{Fault, Work};
use crate::admin::error::CommandError;

pub(super) const TOPIC: &str = "amends-bench";
pub(super) const GROUP: &str = "bench-half";
pub(super) const PRODUCER: &str = "bench-producer";
/// Bytes of a body.
const BODY_BYTES: usize = 512;

fn message() -> PublishMessage {
    PublishMessage {
        message: Some(Message {
            topic: TOPIC.to_owned(),
            tag: "load".to_owned(),
            payload: Some(Payload {
                content_type: "application/octet-stream".to_owned(),
                data: vec![0; BODY_BYTES].into(),
            }),
            ..Message::default()
        }),
        delay: None,
    }
}

/// Prepares and commits.
pub(super) struct Pairs {
    pub(super) clients: Connections<HalfMessageServiceClient<Channel>>,
}

impl Pairs {
    pub(super) async fn connect(
        coordinator: &str,
        connections: usize,
        cores: &[Handle],
    ) -> Result<Self, CommandError> {
        let client = HalfMessageServiceClient::new;
        let clients = Connections::open(coordinator, connections, cores, client).await?;
        Ok(Self { clients })
    }

    /// Prepares one message; the half id.
    pub(super) async fn prepare(
        &self,
        check_after: Option<prost_types::Duration>,
    ) -> Result<String, Status> {
        let request = PrepareMessagesRequest {
            half_id: String::new(),
            producer: PRODUCER.to_owned(),
            messages: vec![message()],
            check_after,
        };
        let prepared = self.clients.next().prepare_messages(request).await?;
        Ok(prepared.into_inner().half_id)
    }
}

impl Work for Pairs {
    fn cores(&self) -> &[Handle] {
        self.clients.cores()
    }

    async fn once(&self) -> Result<(), Fault> {
        let half_id = self.prepare(None).await?;
        let request = DecideHalfRequest {
            half_id,
            verdict: HalfVerdict::Commit.into(),
            producer: PRODUCER.to_owned(),
            reason: String::new(),
        };
        let decided = self.clients.next().decide_half(request).await?.into_inner();
        match decided.state() {
            HalfState::Committed => Ok(()),
            other => Err(Fault(format!("ended as {}", other.as_str_name()))),
        }
    }
}

/// Publishes.
pub(super) struct Plain {
    clients: Connections<MessageServiceClient<Channel>>,
}

impl Plain {
    pub(super) async fn connect(
        coordinator: &str,
        connections: usize,
        cores: &[Handle],
    ) -> Result<Self, CommandError> {
        let client = MessageServiceClient::new;
        let clients = Connections::open(coordinator, connections, cores, client).await?;
        Ok(Self { clients })
    }
}

impl Work for Plain {
    fn cores(&self) -> &[Handle] {
        self.clients.cores()
    }

    async fn once(&self) -> Result<(), Fault> {
        let messages = vec![message()];
        let request = PublishMessagesRequest { messages };
        self.clients.next().publish_messages(request).await?;
        Ok(())
    }
}
