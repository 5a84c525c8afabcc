//! Choice of the instance, places, circuits: who waits for whom.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use amends_coordinator::participant::Unavailable;
use tokio::sync::{Semaphore, mpsc};
use tonic::{Response, Status};

use super::server::{Port, Reply, Server, execute_bytes, succeeded};
use super::world::{LONG, MAX_CALLS, SHORT, World, brief};

/// A server that reports each call and answers it when the test says so.
struct Gated {
    server: Server,
    arrivals: mpsc::Receiver<()>,
    gate: Arc<Semaphore>,
    most_at_once: Arc<AtomicUsize>,
}

impl Gated {
    async fn start() -> Self {
        let (arrived, arrivals) = mpsc::channel(MAX_CALLS);
        let gate = Arc::new(Semaphore::new(0));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (waiting, most_at_once) = (Arc::clone(&gate), Arc::clone(&most));
        let server = Server::start(move |_| {
            let (gate, now) = (Arc::clone(&waiting), Arc::clone(&now));
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            arrived.try_send(()).unwrap();
            async move {
                gate.acquire().await.unwrap().forget();
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(Response::new(execute_bytes(succeeded("1"))))
            }
        })
        .await;
        Self {
            server,
            arrivals,
            gate,
            most_at_once,
        }
    }

    fn calls_so_far(&mut self) -> usize {
        std::iter::from_fn(|| self.arrivals.try_recv().ok()).count()
    }
}

async fn answers(world: &World, target: &str, times: usize) -> Vec<String> {
    let mut found = Vec::new();
    for _ in 0..times {
        found.push(brief(&world.call(target, LONG).await));
    }
    found
}

/// How long a circuit stays open.
const OPEN: Duration = Duration::from_secs(2);
const ANSWERED: &str = "succeeded application/json:1";

#[tokio::test]
async fn calls_go_to_the_least_loaded_instance() {
    let (mut a, mut b) = (Gated::start().await, Gated::start().await);
    let world = World::new(|_| ());
    world.register("stock", a.server.address);
    world.register("stock", b.server.address);
    let mut calls = Vec::new();
    for _ in 0..4 {
        calls.push(world.spawn("stock/reserve", LONG));
        tokio::select! {
            Some(()) = a.arrivals.recv() => {}
            Some(()) = b.arrivals.recv() => {}
        }
    }
    let loads: Vec<u32> = world
        .registry
        .list(None)
        .iter()
        .map(|i| i.in_flight)
        .collect();
    assert_eq!(loads, [2, 2]);

    // A becomes idle: the next two go there, whatever turn it is.
    a.gate.add_permits(2);
    let loads_settled = || {
        let list = world.registry.list(Some("stock"));
        list.iter().map(|i| i.in_flight).sum::<u32>() == 2
    };
    while !loads_settled() {
        tokio::task::yield_now().await;
    }
    for _ in 0..2 {
        calls.push(world.spawn("stock/reserve", LONG));
        tokio::select! {
            Some(()) = a.arrivals.recv() => {}
            Some(()) = b.arrivals.recv() => panic!("it went to the busier one"),
        }
    }
    a.gate.add_permits(2);
    b.gate.add_permits(2);
    for call in calls {
        assert_eq!(brief(&call.await.unwrap()), ANSWERED);
    }
    assert_eq!(b.calls_so_far(), 0);
}

#[tokio::test]
async fn idle_instances_take_turns() {
    let (mut a, mut b) = (Gated::start().await, Gated::start().await);
    a.gate.add_permits(3);
    b.gate.add_permits(3);
    let world = World::new(|_| ());
    world.register("stock", a.server.address);
    world.register("stock", b.server.address);
    assert_eq!(answers(&world, "stock/reserve", 6).await, [ANSWERED; 6]);
    assert_eq!((a.calls_so_far(), b.calls_so_far()), (3, 3));
}

#[tokio::test]
async fn no_more_calls_at_once_than_the_limit() {
    let mut stock = Gated::start().await;
    let world = World::new(|options| {
        options.max_in_flight_per_target = NonZeroU32::new(2).unwrap();
    });
    world.register("stock", stock.server.address);
    let calls: Vec<_> = (0..5).map(|_| world.spawn("stock/reserve", LONG)).collect();
    for _ in 0..2 {
        stock.arrivals.recv().await.unwrap();
    }
    let waiting = world.call("stock/reserve", SHORT).await;
    assert_eq!(brief(&waiting), "unknown TIMEOUT");
    assert!(format!("{waiting:?}").contains("busy"), "{waiting:?}");

    // A full target holds up no other.
    let coupon = Server::answering(succeeded("1")).await;
    world.register("coupon", coupon.address);
    assert_eq!(answers(&world, "coupon/use", 1).await, [ANSWERED]);

    stock.gate.add_permits(5);
    for call in calls {
        assert_eq!(brief(&call.await.unwrap()), ANSWERED);
    }
    assert_eq!(stock.most_at_once.load(Ordering::SeqCst), 2);
    assert_eq!(
        stock.calls_so_far(),
        3,
        "the one that timed out was never made"
    );
}

#[tokio::test]
async fn a_circuit_opens_and_closes() {
    let port = Port::reserve();
    let world = World::new(|_| ());
    world.register("stock", port.address);
    let expected = [
        "unknown UNAVAILABLE",
        "unknown UNAVAILABLE",
        "unknown UNAVAILABLE",
        "unknown CIRCUIT_OPEN",
        "unknown CIRCUIT_OPEN",
    ];
    assert_eq!(answers(&world, "stock/reserve", 5).await, expected);
    let seen = world.registry.list(None);
    assert_eq!(seen[0].unavailable, Some(Unavailable::CircuitOpen));

    world.clock.advance(OPEN);
    let expected = ["unknown UNAVAILABLE", "unknown CIRCUIT_OPEN"];
    assert_eq!(answers(&world, "stock/reserve", 2).await, expected);

    let _back = Server::answering_at(port.address, succeeded("1")).await;
    assert_eq!(
        answers(&world, "stock/reserve", 1).await,
        ["unknown CIRCUIT_OPEN"]
    );
    world.clock.advance(OPEN);
    assert_eq!(answers(&world, "stock/reserve", 5).await, [ANSWERED; 5]);
    assert_eq!(world.registry.list(None)[0].unavailable, None);
}

#[tokio::test]
async fn registering_again_closes_the_circuit() {
    let port = Port::reserve();
    let world = World::new(|_| ());
    world.register("stock", port.address);
    answers(&world, "stock/reserve", 3).await;
    assert_eq!(
        answers(&world, "stock/reserve", 1).await,
        ["unknown CIRCUIT_OPEN"]
    );
    let _back = Server::answering_at(port.address, succeeded("1")).await;
    world.register("stock", port.address);
    assert_eq!(answers(&world, "stock/reserve", 1).await, [ANSWERED]);
}

#[tokio::test]
async fn whoever_answers_keeps_the_circuit_closed() {
    let server = Server::start(|_| std::future::ready(Err(Status::internal("no")) as Reply)).await;
    let world = World::new(|_| ());
    world.register("stock", server.address);
    assert_eq!(
        answers(&world, "stock/reserve", 9).await,
        ["unknown INTERNAL"; 9]
    );
}

#[tokio::test]
async fn timeouts_open_the_circuit_and_those_who_waited_are_told() {
    let server = Server::start(|_| std::future::pending::<Reply>()).await;
    let world = World::new(|options| {
        options.max_in_flight_per_target = NonZeroU32::MIN;
        options.breaker_failures = NonZeroU32::MIN;
    });
    world.register("stock", server.address);
    let hanging = world.spawn("stock/reserve", SHORT);
    while world.registry.list(None)[0].in_flight < 1 {
        tokio::task::yield_now().await;
    }
    let waiting = world.call("stock/reserve", LONG).await;
    assert_eq!(brief(&waiting), "unknown CIRCUIT_OPEN");
    assert_eq!(brief(&hanging.await.unwrap()), "unknown TIMEOUT");
}

#[tokio::test]
async fn a_dead_instance_costs_few_calls() {
    let server = Server::answering(succeeded("1")).await;
    let world = World::new(|_| ());
    let dead = Port::reserve();
    world.register("stock", dead.address);
    world.register("stock", server.address);
    let found = answers(&world, "stock/reserve", 20).await;
    let lost = found.iter().filter(|answer| *answer != ANSWERED).count();
    assert_eq!(lost, 3, "{found:?}");
    assert_eq!(found[10..], [ANSWERED; 10]);
}
