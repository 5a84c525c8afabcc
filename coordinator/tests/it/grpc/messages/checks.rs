//! Checks over the wire: over a stream that the producer opened, and by a call.

use amends_proto::v1;
use amends_proto::v1::answer_checks_request::Request;
use amends_proto::v1::answer_checks_response::Response;
use amends_proto::v1::producer_service_server::{ProducerService, ProducerServiceServer};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Code, Status, Streaming};

use super::message;
use crate::grpc::api::{Api, brief};

/// Asked at once, and soon again.
const SOON: [(&str, &str); 3] = [
    ("store.url", "memory:"),
    ("half.check_after", "10ms"),
    ("half.check_interval", "20ms"),
];

async fn prepare(api: &Api, producer: &str, half: &str) {
    let request = v1::PrepareMessagesRequest {
        half_id: half.to_owned(),
        producer: producer.to_owned(),
        messages: vec![v1::PublishMessage {
            message: Some(message(&format!("{half}-m"))),
            delay: None,
        }],
        check_after: None,
    };
    api.halves().prepare_messages(request).await.unwrap();
}

/// Asks until the half is as it should be. Bounded by what the test runner allows.
async fn until(
    api: &Api,
    half: &str,
    holds: impl Fn(&v1::GetHalfResponse) -> bool,
) -> v1::GetHalfResponse {
    let wait = async {
        loop {
            let half_id = half.to_owned();
            let found = api.halves().get_half(v1::GetHalfRequest { half_id }).await;
            let found = found.unwrap().into_inner();
            if holds(&found) {
                return found;
            }
        }
    };
    let patience = std::time::Duration::from_secs(60);
    tokio::time::timeout(patience, wait)
        .await
        .expect("it happens in time")
}

fn state(found: &v1::GetHalfResponse) -> v1::HalfState {
    found.half.as_ref().unwrap().state()
}

/// A producer with its stream.
struct Producer {
    said: mpsc::Sender<v1::AnswerChecksRequest>,
    heard: Streaming<v1::AnswerChecksResponse>,
}

impl Producer {
    async fn open(api: &Api, first: Request) -> Result<Self, Status> {
        let (said, receiver) = mpsc::channel(16);
        let first = v1::AnswerChecksRequest {
            request: Some(first),
        };
        said.send(first).await.unwrap();
        let heard = api
            .halves()
            .answer_checks(ReceiverStream::new(receiver))
            .await?;
        Ok(Self {
            said,
            heard: heard.into_inner(),
        })
    }

    async fn join(api: &Api, group: &str, instance: &str) -> Self {
        let mut producer = Self::open(api, join(group, instance, 10)).await.unwrap();
        assert!(matches!(
            producer.next().await,
            Ok(Some(Response::Joined(_)))
        ));
        producer
    }

    async fn say(&self, request: Request) {
        let request = Some(request);
        let said = self.said.send(v1::AnswerChecksRequest { request }).await;
        said.unwrap();
    }

    async fn next(&mut self) -> Result<Option<Response>, Status> {
        let heard = self.heard.message().await?;
        Ok(heard.map(|heard| heard.response.unwrap()))
    }

    async fn check(&mut self) -> v1::Check {
        match self.next().await.unwrap() {
            Some(Response::Check(check)) => check,
            other => panic!("{other:?}"),
        }
    }

    async fn answer(&self, check_id: u64, verdict: v1::HalfVerdict) {
        self.say(Request::Answer(v1::CheckAnswer {
            check_id,
            verdict: verdict.into(),
            note: "says the test".to_owned(),
        }))
        .await;
    }
}

fn join(producer: &str, instance: &str, concurrency: u32) -> Request {
    Request::Join(v1::JoinProducers {
        producer: producer.to_owned(),
        instance_id: instance.to_owned(),
        concurrency,
    })
}

#[tokio::test]
async fn a_producer_without_an_address_is_asked_over_its_stream() {
    let api = Api::start_with(&SOON).await;
    prepare(&api, "books", "h").await;
    let silent = until(&api, "h", |found| {
        !found.half.as_ref().unwrap().note.is_empty()
    })
    .await;
    assert!(silent.half.unwrap().note.contains("no live instance"));
    let mut producer = Producer::join(&api, "books", "one").await;
    let check = producer.check().await;
    let question = check.question.unwrap();
    assert_eq!((question.half_id.as_str(), question.attempt), ("h", 1));
    assert_eq!(question.messages[0].id, "h-m");
    assert!(question.messages[0].payload.is_none());
    producer
        .answer(check.check_id, v1::HalfVerdict::Unspecified)
        .await;
    let again = producer.check().await;
    assert_eq!(again.question.unwrap().attempt, 2);
    // Too late, and about nothing: neither is harmful.
    producer
        .answer(check.check_id, v1::HalfVerdict::Rollback)
        .await;
    producer.answer(999, v1::HalfVerdict::Rollback).await;
    producer
        .answer(again.check_id, v1::HalfVerdict::Commit)
        .await;
    let found = until(&api, "h", |found| state(found) == v1::HalfState::Committed).await;
    let half = found.half.unwrap();
    assert_eq!((half.decided_by.as_str(), half.checks), ("check-back", 2));
    let told: Vec<_> = found
        .checks
        .iter()
        .map(|it| (it.verdict(), it.counted))
        .collect();
    assert_eq!(
        told,
        [
            (v1::HalfVerdict::Unspecified, true),
            (v1::HalfVerdict::Commit, true)
        ]
    );
    assert_eq!(found.checks[0].error, "says the test");
    let mut client = api.halves();
    let producers = client.list_producers(v1::ListProducersRequest::default());
    let producers = producers.await.unwrap().into_inner().producers;
    assert_eq!(producers[0].instance_ids, ["one"]);
}

#[tokio::test]
async fn a_stream_ends_for_a_reason() {
    let api = Api::start_with(&SOON).await;
    let alive = Request::Keepalive(v1::ProducerKeepalive {});
    for (first, expected) in [
        (alive.clone(), "InvalidArgument MISSING join"),
        (
            join("books", "one", 0),
            "InvalidArgument COUNT_INVALID join.concurrency",
        ),
        (
            join("books", "one", 101),
            "InvalidArgument COUNT_INVALID join.concurrency",
        ),
        (
            join("", "one", 1),
            "InvalidArgument NAME_INVALID join.producer",
        ),
        (
            join("books", "", 1),
            "InvalidArgument NAME_INVALID join.instance_id",
        ),
    ] {
        let refused = Producer::open(&api, first).await;
        assert_eq!(brief(refused.map(drop)), expected);
    }
    let mut twice = Producer::join(&api, "books", "one").await;
    twice.say(alive).await;
    twice.say(join("books", "one", 1)).await;
    assert_eq!(brief(twice.next().await), "InvalidArgument JOINED_ALREADY");
    let mut first = Producer::join(&api, "books", "one").await;
    let mut second = Producer::join(&api, "books", "one").await;
    assert_eq!(brief(first.next().await), "Aborted PRODUCER_REPLACED");
    let coordinator = api.coordinator;
    drop(api.channel);
    let (_, ended) = tokio::join!(coordinator.stop(), second.next());
    assert_eq!(brief(ended), "Unavailable STOPPING");
}

struct Books;

#[tonic::async_trait]
impl ProducerService for Books {
    async fn check_back(
        &self,
        request: tonic::Request<v1::CheckBackRequest>,
    ) -> Result<tonic::Response<v1::CheckBackResponse>, Status> {
        let question = request.into_inner();
        // It is down at first, does not know then, and knows at last.
        static ASKED: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let verdict = match ASKED.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => return Err(Status::unavailable("the database is away")),
            1 => return Err(Status::internal("a bug")),
            2 => v1::HalfVerdict::Unspecified,
            _ => v1::HalfVerdict::Rollback,
        };
        assert_eq!(question.producer, "books");
        Ok(tonic::Response::new(v1::CheckBackResponse {
            verdict: verdict.into(),
            note: "still open".to_owned(),
        }))
    }
}

#[tokio::test]
async fn a_registered_producer_is_called() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder().add_service(ProducerServiceServer::new(Books));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let api = Api::start_with(&SOON).await;
    let request = v1::RegisterParticipantRequest {
        service: "books".to_owned(),
        instance_id: "two".to_owned(),
        address: address.to_string(),
        steps: Vec::new(),
    };
    api.registry().register_participant(request).await.unwrap();
    prepare(&api, "books", "h").await;
    let found = until(&api, "h", |found| state(found) == v1::HalfState::RolledBack).await;
    let told: Vec<_> = found
        .checks
        .iter()
        .map(|it| (it.verdict(), it.counted))
        .collect();
    let unknown = v1::HalfVerdict::Unspecified;
    assert_eq!(
        told,
        [
            (unknown, false),
            (unknown, true),
            (unknown, true),
            (v1::HalfVerdict::Rollback, true)
        ]
    );
    assert_eq!(found.checks[2].error, "still open");
    assert!(found.checks.iter().all(|it| it.instance_id == "two"));
    assert_eq!(found.half.unwrap().checks, 3);
}

/// The ledger of these tests executes steps and answers no such questions.
#[tokio::test]
async fn an_instance_that_answers_no_checks_costs_none() {
    let api = Api::start_with(&SOON).await;
    prepare(&api, "shop", "h").await;
    let found = until(&api, "h", |found| !found.checks.is_empty()).await;
    assert!(!found.checks[0].counted, "{found:?}");
    assert_eq!(found.half.unwrap().checks, 0);
    let status = api
        .admin()
        .get_status(v1::GetStatusRequest::default())
        .await;
    assert!(status.unwrap().into_inner().silent_producers.is_empty());
    let late = api.halves().get_half(v1::GetHalfRequest::default()).await;
    assert_eq!(late.unwrap_err().code(), Code::InvalidArgument);
}
