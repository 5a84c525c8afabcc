//! A coordinator that only pretends: fixed answers, chosen by the ids asked for.
//!
//! Ids: `done`, `back`, `stuck` and `slow` exist, and the TCCs `pay` and
//! `pay-points`; `slow` never ends. Everything else is not found. It records nothing and runs until the test process ends.

mod halves;
mod messages;
mod sagas;
mod tccs;
mod transactions;

use std::net::SocketAddr;

use amends_proto::v1::admin_service_server::AdminServiceServer;
use amends_proto::v1::consumer_service_server::ConsumerServiceServer;
use amends_proto::v1::dead_letter_service_server::DeadLetterServiceServer;
use amends_proto::v1::half_message_service_server::HalfMessageServiceServer;
use amends_proto::v1::message_service_server::MessageServiceServer;
use amends_proto::v1::registry_service_server::RegistryServiceServer;
use amends_proto::v1::saga_service_server::SagaServiceServer;
use amends_proto::v1::transaction_service_server::TransactionServiceServer;
use amends_proto::v1::{Failure, Payload};
use prost_types::Timestamp;
use tonic::{Request, Response, Status};

/// The token that callers of [`start_with_token`] must send.
pub(super) const TOKEN: &str = "geheim";

/// 2026-01-31T08:00:00Z.
const START: i64 = 1_769_846_400;

/// Starts one; returns its address.
pub(super) fn start() -> SocketAddr {
    serve(Ok)
}

/// Starts one that wants [`TOKEN`].
pub(super) fn start_with_token() -> SocketAddr {
    serve(|request| match request.metadata().get("authorization") {
        Some(value) if value == format!("Bearer {TOKEN}").as_str() => Ok(request),
        _ => Err(Status::unauthenticated("a valid token is needed")),
    })
}

fn serve(check: fn(Request<()>) -> Result<Request<()>, Status>) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
            tonic::transport::Server::builder()
                .add_service(TransactionServiceServer::with_interceptor(Fake, check))
                .add_service(SagaServiceServer::with_interceptor(Fake, check))
                .add_service(RegistryServiceServer::with_interceptor(Fake, check))
                .add_service(MessageServiceServer::with_interceptor(Fake, check))
                .add_service(HalfMessageServiceServer::with_interceptor(Fake, check))
                .add_service(ConsumerServiceServer::with_interceptor(Fake, check))
                .add_service(DeadLetterServiceServer::with_interceptor(Fake, check))
                .add_service(AdminServiceServer::with_interceptor(Fake, check))
                .serve_with_incoming(incoming)
                .await
                .unwrap();
        });
    });
    address
}

struct Fake;

type Answer<T> = Result<Response<T>, Status>;

fn answer<T>(message: T) -> Answer<T> {
    Ok(Response::new(message))
}

fn at(seconds: i64, millis: i32) -> Option<Timestamp> {
    Some(Timestamp {
        seconds: START + seconds,
        nanos: millis * 1_000_000,
    })
}

fn json(text: &str) -> Option<Payload> {
    Some(Payload {
        content_type: "application/json".to_owned(),
        data: text.to_owned().into(),
    })
}

fn failure(code: &str, message: &str) -> Option<Failure> {
    Some(Failure {
        code: code.to_owned(),
        message: message.to_owned(),
    })
}
