//! A coordinator, a participant, and clients of every service.

use std::time::Duration;

use amends_coordinator::app::Coordinator;
use amends_coordinator::config::{Config, Setting, Sources, load};
use amends_proto::v1;
use amends_proto::v1::admin_service_client::AdminServiceClient;
use amends_proto::v1::consumer_service_client::ConsumerServiceClient;
use amends_proto::v1::dead_letter_service_client::DeadLetterServiceClient;
use amends_proto::v1::half_message_service_client::HalfMessageServiceClient;
use amends_proto::v1::message_service_client::MessageServiceClient;
use amends_proto::v1::registry_service_client::RegistryServiceClient;
use amends_proto::v1::saga_service_client::SagaServiceClient;
use amends_proto::v1::transaction_service_client::TransactionServiceClient;
use bytes::Bytes;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::process::ledger::{Ledger, Participant};

/// The smallest bodies that are too large here.
pub(super) const BODY_LIMIT: usize = 64 * 1024;

pub(super) struct Api {
    pub(super) coordinator: Coordinator,
    pub(super) channel: Channel,
    pub(super) ledger: Ledger,
    participant: Participant,
}

impl Api {
    /// Over a store in memory.
    pub(super) async fn start() -> Self {
        Self::start_with(&[("store.url", "memory:")]).await
    }

    /// The service `shop` is the ledger; there is no service `nobody`.
    pub(super) async fn start_with(settings: &[(&str, &str)]) -> Self {
        let ledger = Ledger::new();
        let participant = Participant::start(&ledger).await;
        let coordinator = Coordinator::start(config(settings, &participant))
            .await
            .unwrap();
        let channel = connect(&coordinator).await;
        Self {
            coordinator,
            channel,
            ledger,
            participant,
        }
    }

    /// Stops the coordinator and starts another one.
    pub(super) async fn restart(self, settings: &[(&str, &str)]) -> Self {
        // It waits for clients that keep their connection.
        drop(self.channel);
        self.coordinator.stop().await;
        let config = config(settings, &self.participant);
        let coordinator = Coordinator::start(config).await.unwrap();
        let channel = connect(&coordinator).await;
        Self {
            coordinator,
            channel,
            ..self
        }
    }

    pub(super) fn sagas(&self) -> SagaServiceClient<Channel> {
        SagaServiceClient::new(self.channel.clone())
    }

    pub(super) fn transactions(&self) -> TransactionServiceClient<Channel> {
        TransactionServiceClient::new(self.channel.clone())
    }

    pub(super) fn messages(&self) -> MessageServiceClient<Channel> {
        MessageServiceClient::new(self.channel.clone())
    }

    pub(super) fn halves(&self) -> HalfMessageServiceClient<Channel> {
        HalfMessageServiceClient::new(self.channel.clone())
    }

    pub(super) fn consumers(&self) -> ConsumerServiceClient<Channel> {
        ConsumerServiceClient::new(self.channel.clone())
    }

    pub(super) fn dead_letters(&self) -> DeadLetterServiceClient<Channel> {
        DeadLetterServiceClient::new(self.channel.clone())
    }

    pub(super) fn registry(&self) -> RegistryServiceClient<Channel> {
        RegistryServiceClient::new(self.channel.clone())
    }

    pub(super) fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone())
    }

    /// Starts and waits for the end.
    pub(super) async fn run(&self, gid: &str) -> v1::Transaction {
        let request = v1::StartSagaRequest {
            wait: seconds(60),
            ..start(gid, saga("order"))
        };
        let started = self.sagas().start_saga(request).await.unwrap();
        started.into_inner().transaction.unwrap()
    }

    /// Starts one that waits for a service that is not there; returns when it does.
    pub(super) async fn begin_waiting(&self, gid: &str) {
        let request = start(gid, waiting("waiting"));
        self.sagas().start_saga(request).await.unwrap();
        let watch = v1::WatchTransactionRequest {
            gid: gid.to_owned(),
        };
        let changes = self.transactions().watch_transaction(watch).await;
        let mut changes = changes.unwrap().into_inner();
        loop {
            let seen = changes.message().await.unwrap().unwrap();
            if seen.transaction.unwrap().steps[1].state() == v1::StepState::Waiting {
                return;
            }
        }
    }

    pub(super) async fn get(&self, gid: &str) -> v1::Transaction {
        let request = v1::GetTransactionRequest {
            gid: gid.to_owned(),
        };
        let found = self.transactions().get_transaction(request).await;
        found.unwrap().into_inner().transaction.unwrap()
    }

    /// Asks until everything left over by an earlier run has been taken up.
    pub(super) async fn recovered(&self) {
        let mut client = self.admin();
        loop {
            let status = client
                .get_status(v1::GetStatusRequest::default())
                .await
                .unwrap();
            if status.into_inner().recovered {
                return;
            }
        }
    }

    /// Waits for the end.
    pub(super) async fn end(&self, gid: &str) -> v1::TransactionState {
        let request = v1::WaitTransactionRequest {
            gid: gid.to_owned(),
            timeout: None,
        };
        let waited = self.transactions().wait_transaction(request).await;
        let waited = waited.unwrap().into_inner();
        assert!(waited.finished, "{gid}: {waited:?}");
        state(&waited.transaction.unwrap())
    }
}

fn config(settings: &[(&str, &str)], participant: &Participant) -> Config {
    let shop = format!("{{ shop = [\"{}\"] }}", participant.address);
    let limit = format!("{BODY_LIMIT}");
    let ours = [
        ("server.listen", "127.0.0.1:0"),
        ("server.max_request_bytes", limit.as_str()),
        ("participants.services", shop.as_str()),
        ("engine.shards", "2"),
    ];
    let flags = ours.iter().chain(settings).map(|(key, value)| Setting {
        flag: "--set".to_owned(),
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    });
    let sources = Sources {
        flags: flags.collect(),
        ..Sources::default()
    };
    load(&sources).unwrap().config
}

async fn connect(coordinator: &Coordinator) -> Channel {
    let address = format!("http://{}", coordinator.address());
    let endpoint = tonic::transport::Endpoint::new(address).unwrap();
    endpoint.connect().await.unwrap()
}

pub(super) fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

pub(super) fn json(text: &str) -> Option<v1::Payload> {
    Some(v1::Payload {
        content_type: String::new(),
        data: Bytes::copy_from_slice(text.as_bytes()),
    })
}

pub(super) fn quick() -> Option<v1::RetryPolicy> {
    Some(v1::RetryPolicy {
        max_attempts: 100,
        initial_backoff: Duration::from_millis(1).try_into().ok(),
        max_backoff: Duration::from_millis(10).try_into().ok(),
        multiplier: 1.0,
    })
}

/// A step of the service `shop`.
pub(super) fn step(name: &str) -> v1::StepDefinition {
    v1::StepDefinition {
        name: name.to_owned(),
        target: format!("shop/{name}"),
        compensation: format!("shop/{name}"),
        retry: quick(),
        undo_retry: quick(),
        ..v1::StepDefinition::default()
    }
}

/// Two steps.
pub(super) fn saga(name: &str) -> v1::SagaDefinition {
    let last = v1::StepDefinition {
        after: vec!["first".to_owned()],
        ..step("last")
    };
    v1::SagaDefinition {
        name: name.to_owned(),
        version: 1,
        steps: vec![step("first"), last],
        output: json(r#"{"done": true}"#),
        ..v1::SagaDefinition::default()
    }
}

/// A step that is done, and one that waits for a service that is not there.
pub(super) fn waiting(name: &str) -> v1::SagaDefinition {
    let hours = seconds(3_600);
    let mut definition = saga(name);
    definition.steps[1].target = "nobody/last".to_owned();
    definition.steps[1].compensation = String::new();
    definition.steps[1].retry = Some(v1::RetryPolicy {
        max_attempts: 1_000,
        initial_backoff: hours,
        max_backoff: hours,
        multiplier: 1.0,
    });
    definition
}

pub(super) fn start(gid: &str, definition: v1::SagaDefinition) -> v1::StartSagaRequest {
    v1::StartSagaRequest {
        gid: gid.to_owned(),
        source: Some(v1::start_saga_request::Source::Definition(definition)),
        ..v1::StartSagaRequest::default()
    }
}

pub(super) fn state(transaction: &v1::Transaction) -> v1::TransactionState {
    transaction.summary.as_ref().unwrap().state()
}

/// An error in one line: `CODE REASON [fields]`. Every error has a reason.
pub(super) fn brief<T: std::fmt::Debug>(result: Result<T, Status>) -> String {
    let status = result.expect_err("an error");
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("{status:?}"));
    assert_eq!(info.domain, "amends");
    assert!(!status.message().is_empty());
    let retry = matches!(status.code(), Code::ResourceExhausted | Code::Unavailable);
    assert_eq!(details.retry_info().is_some(), retry, "{status:?}");
    let fields = details
        .bad_request()
        .map_or(&[][..], |bad| &bad.field_violations);
    let fields: Vec<_> = fields.iter().map(|it| it.field.as_str()).collect();
    let fields = if fields.is_empty() {
        String::new()
    } else {
        format!(" {}", fields.join(", "))
    };
    format!("{:?} {}{fields}", status.code(), info.reason)
}
