//! A participant end to end: called over gRPC as a coordinator calls it, and
//! registered with a coordinator that forgets, is away, or says no.

use std::sync::atomic::Ordering;

use amends::proto;
use amends::proto::execute_response::Answer;
use amends::proto::participant_service_client::ParticipantServiceClient;
use amends::{Database, Participant, ParticipantError, RunningParticipant};
use tokio::net::TcpListener;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::databases::{on_every_database, on_sqlite};
use crate::registry::{Registry, serve};
use crate::shelf::{STOCK, Shelf, Then, log_rows, stock, take};

on_every_database!(a_coordinator_calls_steps_and_their_undo);

async fn started(database: &Database) -> (Shelf, RunningParticipant, Client) {
    let (shelf, _) = Shelf::stocked(database).await;
    let builder = Participant::builder(database.clone()).service(shelf.clone());
    let participant = builder.concurrency(2).start().await.unwrap();
    let url = format!("http://{}", participant.address());
    let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
    let client = ParticipantServiceClient::new(channel);
    (
        shelf,
        participant,
        Client(client.max_decoding_message_size(4 << 20)),
    )
}

#[derive(Clone)]
struct Client(ParticipantServiceClient<Channel>);

impl Client {
    async fn send(&self, request: proto::ExecuteRequest) -> Result<Answer, Status> {
        let answer = self.0.clone().execute(request).await?.into_inner();
        Ok(answer.answer.expect("an answer"))
    }

    /// The answer in short: the output, the code, or the status.
    async fn short(&self, request: proto::ExecuteRequest) -> String {
        match self.send(request).await {
            Ok(Answer::Succeeded(done)) => {
                let output = done.output.unwrap();
                assert_eq!(output.content_type, "application/json");
                String::from_utf8(output.data.to_vec()).unwrap()
            }
            Ok(Answer::Refused(refusal)) => refusal.code,
            Ok(Answer::InProgress(progress)) => {
                format!("again in {} s", progress.retry_after.unwrap().seconds)
            }
            Err(status) => format!("{:?}", status.code()),
        }
    }
}

fn call(phase: proto::Phase, gid: &str, then: Then) -> proto::ExecuteRequest {
    let data = serde_json::to_vec(&take(3, then)).unwrap();
    proto::ExecuteRequest {
        service: "shelf".into(),
        step: "take".into(),
        phase: phase.into(),
        gid: gid.into(),
        branch: "reserve-stock".into(),
        attempt: 1,
        input: Some(proto::Payload {
            content_type: "application/json".into(),
            data: data.into(),
        }),
        output: None,
    }
}

async fn a_coordinator_calls_steps_and_their_undo(database: Database) {
    let (_, participant, client) = started(&database).await;
    let forward = call(proto::Phase::Do, "g", Then::Succeed);
    let first = client.short(forward.clone()).await;
    assert!(
        first.starts_with(&format!("{{\"left\":{}", STOCK - 3)),
        "{first}"
    );
    assert_eq!(client.short(forward).await, first);
    assert_eq!(stock(&database, 1).await, STOCK - 3);

    let mut backward = call(proto::Phase::Undo, "g", Then::Succeed);
    // What the log has counts, not what the caller sends along.
    backward.output = Some(proto::Payload {
        content_type: String::new(),
        data: "{\"left\":-1}".into(),
    });
    assert_eq!(client.short(backward.clone()).await, "null");
    assert_eq!(client.short(backward).await, "null");
    assert_eq!(stock(&database, 1).await, STOCK);
    participant.shutdown().await;
}

#[tokio::test]
async fn answers_and_statuses_are_those_of_the_api() {
    on_sqlite(async |database| {
        let (_, _participant, client) = started(&database).await;
        let base = call(proto::Phase::Do, "g", Then::Succeed);
        let check = async |expected: &str, request: proto::ExecuteRequest| {
            assert_eq!(client.short(request).await, expected);
        };
        check("NOT_TODAY", call(proto::Phase::Do, "g1", Then::Refuse)).await;
        check("again in 7 s", call(proto::Phase::Do, "g2", Then::AskAgain)).await;
        check("Unknown", call(proto::Phase::Do, "g3", Then::Fail)).await;
        check("Unknown", call(proto::Phase::Do, "g4", Then::Panic)).await;
        check("null", call(proto::Phase::Undo, "g5", Then::Succeed)).await;
        check(
            "UNDONE_BEFORE_DO",
            call(proto::Phase::Do, "g5", Then::Succeed),
        )
        .await;
        check(
            "NotFound",
            proto::ExecuteRequest {
                service: "cellar".into(),
                ..base.clone()
            },
        )
        .await;
        check(
            "Unimplemented",
            proto::ExecuteRequest {
                step: "give".into(),
                ..base.clone()
            },
        )
        .await;
        check(
            "InvalidArgument",
            proto::ExecuteRequest {
                phase: 0,
                ..base.clone()
            },
        )
        .await;
        check(
            "InvalidArgument",
            proto::ExecuteRequest {
                gid: String::new(),
                ..base.clone()
            },
        )
        .await;
        check(
            "Unknown",
            proto::ExecuteRequest {
                gid: "x".repeat(300),
                ..base.clone()
            },
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn inputs_that_cannot_be_used_are_refused() {
    on_sqlite(async |database| {
        let (_, _participant, client) = started(&database).await;
        let base = call(proto::Phase::Do, "g", Then::Succeed);
        let check = async |expected: &str, request: proto::ExecuteRequest| {
            assert_eq!(client.short(request).await, expected);
        };
        let with_input = |gid: &str, content_type: &str, data: Vec<u8>| proto::ExecuteRequest {
            gid: gid.into(),
            input: Some(proto::Payload {
                content_type: content_type.into(),
                data: data.into(),
            }),
            ..base.clone()
        };
        check("INPUT_INVALID", with_input("g6", "", b"{".to_vec())).await;
        check(
            "INPUT_INVALID",
            with_input("g7", "application/protobuf", b"{}".to_vec()),
        )
        .await;
        check(
            "INPUT_INVALID",
            proto::ExecuteRequest {
                gid: "g8".into(),
                input: None,
                ..base.clone()
            },
        )
        .await;
        check("OutOfRange", with_input("g9", "", vec![b' '; 2 << 20])).await;

        // The answer is known to the caller and unknown to the log: no guess.
        let mut lost = call(proto::Phase::Undo, "g10", Then::Succeed);
        lost.output = Some(proto::Payload {
            content_type: String::new(),
            data: "{}".into(),
        });
        check("LOG_ENTRY_MISSING", lost).await;
    })
    .await;
}

#[tokio::test]
async fn more_calls_than_places_are_turned_away() {
    on_sqlite(async |database| {
        let (shelf, _participant, client) = started(&database).await;
        let mut waiting = Vec::new();
        for gid in ["g1", "g2"] {
            let mut request = call(proto::Phase::Do, gid, Then::Wait);
            // External: the two do not wait for each other's transaction.
            request.step = "charge".into();
            let client = client.clone();
            waiting.push(tokio::spawn(async move { client.short(request).await }));
        }
        shelf.watch.arrived.acquire_many(2).await.unwrap().forget();
        let third = call(proto::Phase::Do, "g3", Then::Succeed);
        assert_eq!(client.short(third.clone()).await, "ResourceExhausted");
        shelf.watch.gate.add_permits(2);
        for answer in waiting {
            assert!(answer.await.unwrap().starts_with("{\"left\":3"));
        }
        assert!(client.short(third).await.starts_with("{\"left\":"));
    })
    .await;
}

#[tokio::test]
async fn a_deadline_ends_a_step_that_hangs() {
    on_sqlite(async |database| {
        let (shelf, _participant, client) = started(&database).await;
        let mut request = Request::new(call(proto::Phase::Do, "g", Then::Wait));
        request.set_timeout(std::time::Duration::from_millis(200));
        client.0.clone().execute(request).await.unwrap_err();
        // The gate stays shut: only the end of the hanging call lets this one in.
        let next = client
            .short(call(proto::Phase::Do, "other", Then::Succeed))
            .await;
        assert!(next.starts_with("{\"left\":"), "{next}");
        assert_eq!(shelf.watch.runs.load(Ordering::SeqCst), 2);
        assert_eq!(stock(&database, 1).await, STOCK - 3);
    })
    .await;
}

#[tokio::test]
async fn a_shutdown_lets_calls_finish() {
    on_sqlite(async |database| {
        let (shelf, participant, client) = started(&database).await;
        let request = call(proto::Phase::Do, "g", Then::Wait);
        let waiting = tokio::spawn(async move { client.short(request).await });
        shelf.watch.arrived.acquire().await.unwrap().forget();
        let open = async {
            tokio::task::yield_now().await;
            shelf.watch.gate.add_permits(1);
        };
        tokio::join!(participant.shutdown(), open);
        assert!(waiting.await.unwrap().starts_with("{\"left\":"));
        assert_eq!(stock(&database, 1).await, STOCK - 3);
    })
    .await;
}

#[tokio::test]
async fn a_participant_cleans_its_log() {
    on_sqlite(async |database| {
        let (shelf, calls) = Shelf::stocked(&database).await;
        let req = take(1, Then::Succeed);
        for gid in ["old", "young"] {
            calls.run(Shelf::TAKE, gid, &req).await.unwrap();
        }
        let mut conn = database.begin().await.unwrap();
        conn.execute_text("update consumer_log set updated_at = '2001' where msg_key like 'old/%'")
            .await
            .unwrap();
        conn.commit().await.unwrap();
        let builder = Participant::builder(database.clone()).service(shelf);
        let _participant = builder.start().await.unwrap();
        while !log_rows(&database, "old").await.is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(log_rows(&database, "young").await, ["do do succeeded"]);
    })
    .await;
}

#[tokio::test]
async fn a_participant_stays_registered_and_leaves() {
    on_sqlite(async |database| {
        let registry = Registry::default();
        let address = serve(
            registry.clone(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        );
        let (shelf, _) = Shelf::stocked(&database).await;
        let participant = Participant::builder(database)
            .service(shelf)
            .coordinator(format!("http://{address}"))
            .start()
            .await
            .unwrap();
        participant.registered().await;
        let registered = registry.next("register").await;
        assert_eq!(registered.address, participant.address().to_string());
        let steps: Vec<_> = registered
            .steps
            .iter()
            .map(|step| step.name.as_str())
            .collect();
        assert_eq!(steps, ["charge", "move", "take"]);
        let flags: Vec<_> = registered
            .steps
            .iter()
            .map(|s| (s.compensable, s.external))
            .collect();
        assert_eq!(flags, [(true, true), (false, false), (true, false)]);
        assert_eq!(
            registered.steps[2].description,
            "Takes goods off the shelf."
        );

        registry.next("heartbeat").await;
        registry.forget();
        registry.next("register").await;
        registry.next("heartbeat").await;
        participant.shutdown().await;
        registry.next("deregister").await;
    })
    .await;
}

#[tokio::test]
async fn a_coordinator_that_is_away_at_first_is_no_error() {
    on_sqlite(async |database| {
        let registry = Registry::refusing(Code::Unavailable);
        let address = serve(
            registry.clone(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        );
        let (shelf, _) = Shelf::stocked(&database).await;
        let participant = Participant::builder(database)
            .service(shelf)
            .coordinator(format!("http://{address}"))
            .start()
            .await
            .unwrap();
        registry.accept();
        participant.registered().await;
        registry.next("register").await;
    })
    .await;
}

#[tokio::test]
async fn what_cannot_work_is_said_at_once() {
    on_sqlite(async |database| {
        let registry = Registry::refusing(Code::PermissionDenied);
        let address = serve(registry, TcpListener::bind("127.0.0.1:0").await.unwrap());
        let (shelf, _) = Shelf::stocked(&database).await;
        let builder = || Participant::builder(database.clone()).service(shelf.clone());
        let rejected = builder()
            .coordinator(format!("http://{address}"))
            .start()
            .await;
        let rejected = rejected.unwrap_err();
        assert!(
            matches!(&rejected, ParticipantError::Rejected { service, .. } if service == "shelf")
        );

        let check = async |expected: &str, error: ParticipantError| {
            assert!(error.to_string().contains(expected), "{error}");
        };
        let taken = builder()
            .listen(address.to_string())
            .start()
            .await
            .unwrap_err();
        check("cannot listen on", taken).await;
        let anywhere = builder()
            .listen("0.0.0.0:0")
            .coordinator("http://127.0.0.1:1");
        check("say what to advertise", anywhere.start().await.unwrap_err()).await;
        let url = builder()
            .coordinator("not a url")
            .start()
            .await
            .unwrap_err();
        check("no address of a coordinator", url).await;
        let twice = builder().service(shelf.clone()).start().await.unwrap_err();
        check("added twice", twice).await;
        let none = Participant::builder(database.clone())
            .start()
            .await
            .unwrap_err();
        check("needs a service", none).await;
    })
    .await;
}
