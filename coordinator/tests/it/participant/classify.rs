//! What comes back, and what it is taken for.

use std::collections::HashMap;
use std::time::Duration;

use amends_core::answer::Answer;
use amends_core::payload::Payload;
use amends_core::saga::Phase;
use amends_proto::v1;
use amends_proto::v1::execute_response::Answer as Wired;
use bytes::Bytes;
use prost::Message as _;
use tokio::sync::mpsc;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::server::{Path, Reply, Server, execute_bytes, succeeded};
use super::world::{LONG, MAX_CALLS, World, brief, call_to};

fn refused(code: &str, message: &str) -> Wired {
    Wired::Refused(v1::Failure {
        code: code.to_owned(),
        message: message.to_owned(),
    })
}

fn in_progress(seconds: Option<i64>) -> Wired {
    let nanos = 0;
    Wired::InProgress(v1::InProgress {
        retry_after: seconds.map(|seconds| prost_types::Duration { seconds, nanos }),
    })
}

fn text_payload(content_type: &str, text: &'static str) -> Wired {
    Wired::Succeeded(v1::Succeeded {
        output: Some(v1::Payload {
            content_type: content_type.to_owned(),
            data: Bytes::from_static(text.as_bytes()),
        }),
    })
}

const ERRORS: [(Code, &str); 16] = [
    (Code::Cancelled, "CANCELLED"),
    (Code::Unknown, "UNKNOWN"),
    (Code::InvalidArgument, "INVALID_ARGUMENT"),
    (Code::DeadlineExceeded, "TIMEOUT"),
    (Code::NotFound, "NOT_FOUND"),
    (Code::AlreadyExists, "ALREADY_EXISTS"),
    (Code::PermissionDenied, "PERMISSION_DENIED"),
    (Code::ResourceExhausted, "RESOURCE_EXHAUSTED"),
    (Code::FailedPrecondition, "FAILED_PRECONDITION"),
    (Code::Aborted, "ABORTED"),
    (Code::OutOfRange, "OUT_OF_RANGE"),
    (Code::Unimplemented, "UNIMPLEMENTED"),
    (Code::Internal, "INTERNAL"),
    (Code::Unavailable, "UNAVAILABLE"),
    (Code::DataLoss, "DATA_LOSS"),
    (Code::Unauthenticated, "UNAUTHENTICATED"),
];

#[tokio::test]
async fn execute_answers() {
    let ok = |wired| Ok(Response::new(execute_bytes(wired)));
    let bytes = |bytes: &'static [u8]| Ok(Response::new(Bytes::from_static(bytes)));
    let mut cases: Vec<(Reply, String)> = [
        (
            ok(succeeded("{\"n\":1}")),
            "succeeded application/json:{\"n\":1}",
        ),
        (
            ok(Wired::Succeeded(v1::Succeeded::default())),
            "succeeded application/json:null",
        ),
        (
            ok(text_payload("text/plain", "hi")),
            "succeeded text/plain:hi",
        ),
        (
            ok(refused("OUT_OF_STOCK", "none left")),
            "refused OUT_OF_STOCK: none left",
        ),
        (ok(refused("", "")), "refused REFUSED: "),
        (ok(in_progress(Some(2))), "in progress Some(Millis(2000))"),
        (ok(in_progress(None)), "in progress None"),
        (ok(in_progress(Some(-2))), "in progress None"),
        (bytes(b""), "unknown PROTOCOL"),
        (bytes(b"\xff\xff\xff garbage"), "unknown INTERNAL"),
    ]
    .into_iter()
    .map(|(reply, expected)| (reply, expected.to_owned()))
    .collect();
    for (code, name) in ERRORS {
        cases.push((Err(Status::new(code, "no")), format!("unknown {name}")));
    }
    check_all(cases, |_| "stock/reserve".to_owned()).await;
}

#[tokio::test]
async fn plain_answers() {
    let reply = |text: &'static str| Response::new(Bytes::from_static(text.as_bytes()));
    let mut typed = reply("[1]");
    typed
        .metadata_mut()
        .insert("amends-content-type", "application/json".parse().unwrap());
    let mut with_code = MetadataMap::new();
    with_code.insert("amends-code", "SOLD_OUT".parse().unwrap());
    let delay = Some(Duration::from_millis(1500));
    let details = |details| Status::with_error_details(Code::Aborted, "none left", details);
    let info = ErrorDetails::with_error_info("OUT_OF_STOCK", "shop", HashMap::new());
    let retry = ErrorDetails::with_retry_info(delay);
    let mut cases: Vec<(Reply, String)> = [
        (Ok(reply("bytes")), "succeeded application/grpc+proto:bytes"),
        (Ok(reply("")), "succeeded application/grpc+proto:"),
        (Ok(typed), "succeeded application/json:[1]"),
        (Err(details(info)), "refused OUT_OF_STOCK: none left"),
        (
            Err(Status::with_metadata(Code::Aborted, "gone", with_code)),
            "refused SOLD_OUT: gone",
        ),
        (Err(Status::aborted("no")), "refused ABORTED: no"),
        (
            Err(Status::with_error_details(
                Code::FailedPrecondition,
                "",
                retry,
            )),
            "in progress Some(Millis(1500))",
        ),
        (Err(Status::failed_precondition("")), "in progress None"),
    ]
    .into_iter()
    .map(|(reply, expected)| (reply, expected.to_owned()))
    .collect();
    for (code, name) in ERRORS {
        if !matches!(code, Code::Aborted | Code::FailedPrecondition) {
            cases.push((Err(Status::new(code, "no")), format!("unknown {name}")));
        }
    }
    check_all(cases, plain_target).await;
}

/// One call for each case; the server answers them in order.
async fn check_all(cases: Vec<(Reply, String)>, target: impl FnOnce(&Server) -> String) {
    let (replies, expected): (Vec<Reply>, Vec<String>) = cases.into_iter().unzip();
    let replies = std::sync::Mutex::new(replies.into_iter());
    let server = Server::start(move |_| {
        let reply = replies.lock().unwrap().next().unwrap();
        std::future::ready(reply)
    })
    .await;
    let world = World::new(|_| ());
    world.register("stock", server.address);
    let target = target(&server);
    for (at, expected) in expected.into_iter().enumerate() {
        let answer = world.call(&target, LONG).await;
        assert_eq!(brief(&answer), expected, "case {at}: {answer:?}");
    }
}

fn plain_target(server: &Server) -> String {
    format!("grpc://{}/test.v1.Plain/Reserve", server.address)
}

/// A server that answers with the bytes it got, and what it got.
async fn echo() -> (Server, mpsc::Receiver<Request<Bytes>>) {
    let (seen, requests) = mpsc::channel(MAX_CALLS);
    let server = Server::start(move |request: Request<Bytes>| {
        let reply = Response::new(request.get_ref().clone());
        seen.try_send(request).unwrap();
        std::future::ready(Ok(reply))
    })
    .await;
    (server, requests)
}

#[tokio::test]
async fn execute_carries_everything() {
    let (server, mut requests) = echo().await;
    let world = World::new(|_| ());
    world.register("stock", server.address);
    let mut call = call_to("stock/reserve-v2", Duration::from_secs(30));
    call.phase = Phase::Undo;
    call.attempt = 7;
    call.output = Some(Payload::new("text/plain", Bytes::from_static(b"out")));
    world.make(&call).await;

    let request = requests.recv().await.unwrap();
    assert!(request.metadata().contains_key("grpc-timeout"));
    let payload = |content_type: &str, data: &'static str| v1::Payload {
        content_type: content_type.to_owned(),
        data: Bytes::from_static(data.as_bytes()),
    };
    let expected = v1::ExecuteRequest {
        service: "stock".to_owned(),
        step: "reserve-v2".to_owned(),
        phase: v1::Phase::Undo.into(),
        gid: "order-1".to_owned(),
        branch: "reserve".to_owned(),
        attempt: 7,
        input: Some(payload("", "{\"sku\":\"A\"}")),
        output: Some(payload("text/plain", "out")),
    };
    let found = v1::ExecuteRequest::decode(request.into_inner()).unwrap();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn plain_bytes_go_through_unchanged_and_ids_go_beside_them() {
    let (server, mut requests) = echo().await;
    let world = World::new(|_| ());
    let every_byte: Bytes = (0..=255_u8).cycle().take(100_000).collect();
    let mut call = call_to(&plain_target(&server), Duration::from_secs(30));
    call.phase = Phase::Undo;
    call.attempt = 7;
    call.input = Payload::new("application/x-own", every_byte.clone());
    let answer = world.make(&call).await;
    let expected = Payload::new("application/grpc+proto", every_byte.clone());
    assert!(
        answer == Answer::Succeeded(expected),
        "other bytes came back"
    );

    let request = requests.recv().await.unwrap();
    assert!(request.get_ref() == &every_byte, "other bytes arrived");
    let Path(path) = request.extensions().get().unwrap();
    assert_eq!(path, "/test.v1.Plain/Reserve");
    let text = |key: &str| {
        request
            .metadata()
            .get(key)
            .map(|value| value.to_str().unwrap())
    };
    for (key, value) in [
        ("amends-gid", "order-1"),
        ("amends-branch", "reserve"),
        ("amends-phase", "undo"),
        ("amends-attempt", "7"),
        ("amends-content-type", "application/x-own"),
    ] {
        assert_eq!(text(key), Some(value), "{key}");
    }
    assert!(text("grpc-timeout").is_some());
}

#[tokio::test]
async fn a_content_type_that_cannot_travel() {
    let (server, _requests) = echo().await;
    let world = World::new(|_| ());
    let mut call = call_to(&plain_target(&server), LONG);
    call.input = Payload::new("two\nlines", Bytes::new());
    assert_eq!(
        brief(&world.make(&call).await),
        "unknown CONTENT_TYPE_INVALID"
    );
}

#[tokio::test]
async fn a_method_that_is_not_there() {
    let server = Server::answering(succeeded("1")).await;
    let world = World::new(|_| ());
    let target = format!("grpc://{}/other.v1.Service/Reserve", server.address);
    assert_eq!(
        brief(&world.call(&target, LONG).await),
        "unknown UNIMPLEMENTED"
    );
}
