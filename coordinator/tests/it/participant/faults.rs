//! Participants that hang, die, come back, or talk nonsense.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tonic::{Request, Response};

use amends_core::answer::Answer;

use super::server::{Port, Reply, STALLS, Server, execute_bytes, succeeded};
use super::world::{LONG, MAX_CALLS, SHORT, World, brief};

async fn hanging() -> Server {
    Server::start(|_| std::future::pending::<Reply>()).await
}

#[tokio::test]
async fn one_that_hangs_is_a_timeout() {
    let server = hanging().await;
    let world = World::new(|_| ());
    world.register("stock", server.address);
    let plain = format!("grpc://{}/test.v1.Plain/Reserve", server.address);
    for target in ["stock/reserve", &plain] {
        assert_eq!(brief(&world.call(target, SHORT).await), "unknown TIMEOUT");
    }
}

#[tokio::test]
async fn half_an_answer_is_none() {
    let server = hanging().await;
    let world = World::new(|_| ());
    let target = format!("grpc://{}/test.v1.Plain{STALLS}", server.address);
    for _ in 0..3 {
        assert_eq!(brief(&world.call(&target, SHORT).await), "unknown TIMEOUT");
    }
    assert_eq!(
        brief(&world.call(&target, SHORT).await),
        "unknown CIRCUIT_OPEN"
    );
}

#[tokio::test]
async fn one_that_accepts_connections_and_says_nothing_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::new(|_| ());
    world.register("stock", listener.local_addr().unwrap());
    let answer = world.call("stock/reserve", SHORT).await;
    assert_eq!(brief(&answer), "unknown TIMEOUT");
}

#[tokio::test]
async fn one_that_speaks_no_grpc_is_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::new(|_| ());
    world.register("stock", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream
                .write_all(b"220 mail.example.org ESMTP\r\n")
                .await
                .unwrap();
        }
    });
    let answer = world.call("stock/reserve", LONG).await;
    assert!(matches!(answer, Answer::Unknown(_)), "{answer:?}");
    assert_ne!(brief(&answer), "unknown TIMEOUT");
}

#[tokio::test]
async fn an_answer_after_the_deadline_is_no_answer_to_the_next_call() {
    let late = Arc::new(Notify::new());
    let calls = Arc::new(AtomicU32::new(0));
    let server = {
        let late = Arc::clone(&late);
        Server::start(move |_| {
            let (late, call) = (Arc::clone(&late), calls.fetch_add(1, Ordering::SeqCst));
            async move {
                if call == 0 {
                    late.notified().await;
                }
                Ok(Response::new(execute_bytes(succeeded(&call.to_string()))))
            }
        })
        .await
    };
    let world = World::new(|_| ());
    world.register("stock", server.address);
    let first = world.call("stock/reserve", SHORT).await;
    assert_eq!(brief(&first), "unknown TIMEOUT");
    late.notify_one();
    let second = world.call("stock/reserve", LONG).await;
    assert_eq!(brief(&second), "succeeded application/json:1");
}

#[tokio::test]
async fn a_huge_answer_is_not_taken() {
    let size = |request: Request<Bytes>| {
        let request = amends_proto::v1::ExecuteRequest::decode(request.into_inner()).unwrap();
        request.step.parse::<usize>().unwrap()
    };
    let server = Server::start(move |request| {
        let json = format!("\"{}\"", "x".repeat(size(request)));
        std::future::ready(Ok(Response::new(execute_bytes(succeeded(&json)))))
    })
    .await;
    let world = World::new(|options| options.max_response_bytes = 1000);
    world.register("stock", server.address);
    let small = world.call("stock/900", LONG).await;
    assert!(matches!(small, Answer::Succeeded(_)), "{small:?}");
    let large = world.call("stock/1000", LONG).await;
    assert_eq!(brief(&large), "unknown RESPONSE_TOO_LARGE");
}

#[tokio::test]
async fn nobody_there_is_said_at_once() {
    let port = Port::reserve();
    let world = World::new(|_| ());
    world.register("stock", port.address);
    let Answer::Unknown(failure) = world.call("stock/reserve", LONG).await else {
        panic!("nobody is there");
    };
    assert_eq!(failure.code, "UNAVAILABLE");
    assert!(
        failure.message.contains(&port.address.to_string()),
        "{failure:?}"
    );
    assert!(failure.message.contains("refused"), "{failure:?}");
}

#[tokio::test]
async fn one_that_dies_in_the_middle_and_comes_back() {
    let (arrived, mut arrivals) = mpsc::channel(MAX_CALLS);
    let port = Port::reserve();
    let server = Server::start_at(port.address, move |_| {
        arrived.try_send(()).unwrap();
        std::future::pending::<Reply>()
    })
    .await;
    let world = World::new(|options| options.breaker_failures = NonZeroU32::MAX);
    world.register("stock", port.address);
    let under_way = world.spawn("stock/reserve", LONG);
    arrivals.recv().await.unwrap();
    server.kill().await;
    let answer = under_way.await.unwrap();
    assert!(matches!(answer, Answer::Unknown(_)), "{answer:?}");
    assert_ne!(
        brief(&answer),
        "unknown TIMEOUT",
        "its death must be noticed"
    );
    for _ in 0..10 {
        let answer = world.call("stock/reserve", LONG).await;
        assert_eq!(brief(&answer), "unknown UNAVAILABLE");
    }

    let _back = Server::answering_at(port.address, succeeded("1")).await;
    for _ in 0..10 {
        let answer = world.call("stock/reserve", Duration::from_secs(60)).await;
        assert_eq!(brief(&answer), "succeeded application/json:1");
    }
}

#[tokio::test]
async fn a_call_given_up_gives_its_place_back() {
    let (arrived, mut arrivals) = mpsc::channel(MAX_CALLS);
    let calls = AtomicU32::new(0);
    let server = Server::start(move |_| {
        let call = calls.fetch_add(1, Ordering::SeqCst);
        arrived.try_send(()).unwrap();
        async move {
            if call == 0 {
                std::future::pending::<()>().await;
            }
            Ok(Response::new(execute_bytes(succeeded("1"))))
        }
    })
    .await;
    let world = World::new(|options| options.max_in_flight_per_target = NonZeroU32::MIN);
    world.register("stock", server.address);
    let given_up = world.spawn("stock/reserve", LONG);
    arrivals.recv().await.unwrap();
    assert_eq!(world.registry.list(None)[0].in_flight, 1);
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());
    assert_eq!(world.registry.list(None)[0].in_flight, 0);
    let answer = world.call("stock/reserve", LONG).await;
    assert_eq!(brief(&answer), "succeeded application/json:1");
}
