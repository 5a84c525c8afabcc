//! A coordinator that is killed around prepare, verdict and check: what the
//! producer committed is delivered once, and nothing else is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use amends_proto::v1;
use amends_proto::v1::consume_request::Request as Said;
use amends_proto::v1::consume_response::Response as Heard;
use amends_proto::v1::half_message_service_client::HalfMessageServiceClient;
use amends_proto::v1::message_service_client::MessageServiceClient;
use amends_proto::v1::producer_service_server::{ProducerService, ProducerServiceServer};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::audit::connect;
use super::serve::{PATIENCE, Process};
use crate::store::place;

/// Local transactions of one round.
const HALVES: usize = 24;

/// What became of the local transactions; one that is asked about before it
/// committed never does.
#[derive(Clone, Default)]
struct Books {
    committed: Arc<Mutex<BTreeMap<String, bool>>>,
}

impl Books {
    /// The local transaction; false: a check was faster.
    fn commit(&self, half: &str) -> bool {
        *self
            .committed
            .lock()
            .unwrap()
            .entry(half.to_owned())
            .or_insert(true)
    }

    fn is_committed(&self, half: &str) -> bool {
        *self
            .committed
            .lock()
            .unwrap()
            .entry(half.to_owned())
            .or_insert(false)
    }
}

#[tonic::async_trait]
impl ProducerService for Books {
    async fn check_back(
        &self,
        request: Request<v1::CheckBackRequest>,
    ) -> Result<Response<v1::CheckBackResponse>, Status> {
        let verdict = match self.is_committed(&request.into_inner().half_id) {
            true => v1::HalfVerdict::Commit,
            false => v1::HalfVerdict::Rollback,
        };
        Ok(Response::new(v1::CheckBackResponse {
            verdict: verdict.into(),
            note: String::new(),
        }))
    }
}

async fn serve(books: &Books) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = ProducerServiceServer::new(books.clone());
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

fn configure(folder: &Path, producer: SocketAddr) {
    let text = format!(
        "[participants.services]\nshop = [\"{producer}\"]\n\
         [half]\ncheck_after = \"300ms\"\ncheck_interval = \"500ms\"\n"
    );
    std::fs::write(folder.join("amends.toml"), text).unwrap();
}

/// Prepares, commits locally unless it is a failing one, and sends the verdict
/// unless it is a silent one. An error: the coordinator is gone.
async fn place(
    client: &mut HalfMessageServiceClient<Channel>,
    books: &Books,
    half: &str,
    n: usize,
) -> Result<(), Status> {
    let message = |part: &str| v1::PublishMessage {
        message: Some(v1::Message {
            id: format!("{half}-{part}"),
            topic: "orders".to_owned(),
            ..Default::default()
        }),
        delay: None,
    };
    let prepare = v1::PrepareMessagesRequest {
        half_id: half.to_owned(),
        producer: "shop".to_owned(),
        messages: vec![message("a"), message("b")],
        check_after: None,
    };
    client.prepare_messages(prepare).await?;
    let verdict = match n % 3 == 1 || !books.commit(half) {
        true => v1::HalfVerdict::Rollback,
        false => v1::HalfVerdict::Commit,
    };
    if n % 4 == 3 {
        return Ok(());
    }
    let decide = v1::DecideHalfRequest {
        half_id: half.to_owned(),
        verdict: verdict.into(),
        producer: "shop".to_owned(),
        reason: String::new(),
    };
    match client.decide_half(decide).await {
        // A check was faster; it said the same.
        Err(status) if status.code() != tonic::Code::FailedPrecondition => Err(status),
        _ => Ok(()),
    }
}

async fn place_all(address: &str, books: &Books, names: &[String]) {
    let Some(channel) = connect(address).await else {
        return;
    };
    let client = HalfMessageServiceClient::new(channel);
    let placing = names.iter().enumerate().map(|(n, half)| {
        let mut client = client.clone();
        // Whatever was not answered is left to the checks, or to the next run.
        async move { place(&mut client, books, half, n).await.is_ok() }
    });
    futures_util::future::join_all(placing).await;
}

/// Waits until nothing waits for a verdict.
async fn decided(address: &str) {
    let mut client = HalfMessageServiceClient::new(connect(address).await.unwrap());
    let all = async {
        loop {
            let request = v1::ListHalvesRequest {
                states: vec![v1::HalfState::Prepared.into(), v1::HalfState::Stuck.into()],
                ..Default::default()
            };
            let left = client
                .list_halves(request)
                .await
                .unwrap()
                .into_inner()
                .halves;
            if left.is_empty() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, all)
        .await
        .expect("every half is decided");
}

/// Takes what was delivered to a group up to now, settled.
async fn delivered(address: &str, until: usize) -> Vec<String> {
    let mut client = MessageServiceClient::new(connect(address).await.unwrap());
    let (said, receiver) = mpsc::channel(64);
    let subscribe = Said::Subscribe(v1::Subscribe {
        subscription: Some(v1::Subscription {
            group: "billing".to_owned(),
            topic: "orders".to_owned(),
            ..Default::default()
        }),
        instance_id: String::new(),
        credit: 500,
    });
    let say = async |request| {
        said.send(v1::ConsumeRequest {
            request: Some(request),
        })
        .await
        .unwrap();
    };
    say(subscribe).await;
    let heard = client.consume(ReceiverStream::new(receiver)).await.unwrap();
    let mut heard = heard.into_inner();
    let mut ids = Vec::new();
    let all = async {
        while ids.len() < until {
            let response = heard.message().await.unwrap().unwrap().response;
            let Some(Heard::Deliveries(some)) = response else {
                continue;
            };
            let settlements = some.deliveries.iter().map(|it| v1::Settlement {
                token: it.token,
                verdict: Some(v1::settlement::Verdict::Done(v1::Done {})),
            });
            say(Said::Settle(v1::Settle {
                settlements: settlements.collect(),
            }))
            .await;
            ids.extend(some.deliveries.into_iter().map(|it| it.message.unwrap().id));
        }
    };
    tokio::time::timeout(PATIENCE, all)
        .await
        .expect("what was committed is delivered");
    ids.sort();
    ids
}

async fn crash_at(store: &str, point: &str) {
    let folder = TempDir::new().unwrap();
    let books = Books::default();
    configure(folder.path(), serve(&books).await);
    let names: Vec<String> = (0..HALVES).map(|n| format!("half-{n:02}")).collect();
    let process = Process::start(folder.path(), store, point).await;
    // The group is there before anything is sent, so that commits fan out at once.
    delivered(&process.address, 0).await;
    place_all(&process.address, &books, &names).await;
    let status = process.exit().await;
    assert_eq!(status.signal(), Some(9), "{point}: {status}");

    let process = Process::start(folder.path(), store, "").await;
    place_all(&process.address, &books, &names).await;
    decided(&process.address).await;
    let committed = books.committed.lock().unwrap().clone();
    let committed = committed.into_iter().filter(|(_, committed)| *committed);
    let expected: Vec<String> = committed
        .flat_map(|(half, _)| [format!("{half}-a"), format!("{half}-b")])
        .collect();
    let got = delivered(&process.address, expected.len()).await;
    assert_eq!(got, expected, "{point}");
    process.signal(Signal::TERM);
    assert!(process.exit().await.success());
}

const POINTS: [&str; 8] = [
    "half-prepared",
    "half-prepared:9",
    "half-deciding",
    "half-deciding:7",
    "half-decided",
    "half-decided:5",
    "half-checked",
    "half-checked:3",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_around_every_step_of_a_half() {
    for point in POINTS {
        crash_at("sqlite:amends.db", point).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_around_a_verdict_on_postgres() {
    for point in ["half-deciding:3", "half-decided:5", "half-checked"] {
        let name = format!("amends_test_{}", uuid::Uuid::new_v4().simple());
        place::administer(format!("CREATE DATABASE {name}")).await;
        let url = place::server_url(&name);
        let run = std::panic::AssertUnwindSafe(crash_at(&url, point));
        let result = futures_util::FutureExt::catch_unwind(run).await;
        place::administer(format!("DROP DATABASE {name} WITH (FORCE)")).await;
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }
}
