//! Who is there: registration, leases, the allow list.

use std::time::Duration;

use amends_coordinator::participant::{InstanceKey, MAX_OFFERS, Offer, Registration, Unavailable};
use amends_core::time::Timestamp;

use super::server::{Server, succeeded};
use super::world::{LONG, World, brief};

const ADDRESS: &str = "127.0.0.1:7001";
const LEASE: Duration = Duration::from_secs(10);

fn key(service: &str, instance_id: &str) -> InstanceKey {
    InstanceKey {
        service: service.to_owned(),
        instance_id: instance_id.to_owned(),
    }
}

fn offer(name: &str) -> Offer {
    Offer {
        name: name.to_owned(),
        ..Offer::default()
    }
}

/// Service, instance and whether calls go there.
fn seen(world: &World) -> Vec<String> {
    let instances = world.registry.list(None);
    let text = |view: &amends_coordinator::participant::InstanceView| {
        let said = &view.registration;
        let state = match view.unavailable {
            None => "there",
            Some(Unavailable::LeaseOver) => "silent",
            Some(Unavailable::CircuitOpen) => "open",
        };
        format!(
            "{}/{} {} {state}",
            said.service, said.instance_id, said.address
        )
    };
    instances.iter().map(text).collect()
}

#[test]
fn turns_down_what_is_malformed_or_not_allowed() {
    let world = World::new(|_| ());
    let long = "x".repeat(129);
    let good = vec![offer("reserve")];
    let many = vec![offer("reserve"); MAX_OFFERS + 1];
    let cases = [
        ("", "i", ADDRESS, &good, "NAME_INVALID"),
        ("Stock", "i", ADDRESS, &good, "NAME_INVALID"),
        (&long, "i", ADDRESS, &good, "NAME_INVALID"),
        ("stock", "", ADDRESS, &good, "NAME_INVALID"),
        ("stock", "a b", ADDRESS, &good, "NAME_INVALID"),
        ("stock", &long, ADDRESS, &good, "NAME_INVALID"),
        ("stock", "i", "", &good, "ADDRESS_INVALID"),
        ("stock", "i", "127.0.0.1", &good, "ADDRESS_INVALID"),
        ("stock", "i", "127.0.0.1:0", &good, "ADDRESS_INVALID"),
        ("stock", "i", "http://127.0.0.1:1", &good, "ADDRESS_INVALID"),
        ("stock", "i", "10.0.0.1:1", &good, "ADDRESS_NOT_ALLOWED"),
        ("stock", "i", "stock:1", &good, "ADDRESS_NOT_ALLOWED"),
        ("stock", "i", ADDRESS, &many, "TOO_MANY_STEPS"),
        (
            "stock",
            "i",
            ADDRESS,
            &vec![offer("Reserve")],
            "NAME_INVALID",
        ),
    ];
    for (service, instance_id, address, offers, code) in cases {
        let refused = world
            .registry
            .register(service, instance_id, address, offers.clone());
        let error = refused.unwrap_err();
        assert_eq!(
            error.code(),
            code,
            "{service} {instance_id} {address}: {error}"
        );
    }
    assert_eq!(seen(&world), [""; 0]);
}

#[tokio::test]
async fn targets_pass_the_allow_list_too() {
    let world = World::new(|_| ());
    for (target, expected) in [
        ("grpc://10.0.0.1:1/a.B/C", "unknown ADDRESS_NOT_ALLOWED"),
        ("grpc://stock:1/a.B/C", "unknown ADDRESS_NOT_ALLOWED"),
        ("grpc://[::1:1/a.B/C", "unknown ADDRESS_INVALID"),
        ("stock/reserve", "unknown NO_INSTANCE"),
    ] {
        assert_eq!(brief(&world.call(target, LONG).await), expected, "{target}");
    }
}

#[tokio::test]
async fn a_silent_instance_gets_no_calls_until_it_is_heard_again() {
    let server = Server::answering(succeeded("1")).await;
    let world = World::new(|_| ());
    let address = server.address.to_string();
    let register = || world.registry.register("stock", "a", &address, Vec::new());
    assert_eq!(
        register().unwrap().heartbeat_interval,
        Duration::from_secs(3)
    );
    let there = format!("stock/a {address} there");
    let silent = format!("stock/a {address} silent");

    world.clock.advance(LEASE - Duration::from_millis(1));
    assert_eq!(seen(&world), std::slice::from_ref(&there));
    world.registry.heartbeat("stock", "a").unwrap();
    world.clock.advance(LEASE - Duration::from_millis(1));
    assert_eq!(seen(&world), std::slice::from_ref(&there));
    let call = || world.call("stock/reserve", LONG);
    assert_eq!(brief(&call().await), "succeeded application/json:1");

    world.clock.advance(Duration::from_millis(1));
    assert_eq!(seen(&world), [silent]);
    assert_eq!(brief(&call().await), "unknown NO_INSTANCE");
    assert_eq!(world.registry.sweep(), [], "it stays visible for a while");
    world.registry.heartbeat("stock", "a").unwrap();
    assert_eq!(brief(&call().await), "succeeded application/json:1");

    world.clock.advance(Duration::from_secs(3600));
    assert_eq!(world.registry.sweep(), [key("stock", "a")]);
    assert_eq!(seen(&world), [""; 0]);
    let unknown = world.registry.heartbeat("stock", "a").unwrap_err();
    assert_eq!(unknown.code(), "NOT_REGISTERED");
    register().unwrap();
    assert_eq!(seen(&world), [there]);
    assert_eq!(brief(&call().await), "succeeded application/json:1");
}

#[test]
fn leaving_and_moving() {
    let world = World::new(|_| ());
    let register = |id: &str, address: &str| {
        let accepted = world.registry.register("stock", id, address, Vec::new());
        accepted.unwrap().replaced
    };
    assert_eq!(register("a", "127.0.0.1:1"), []);
    assert_eq!(register("b", "127.0.0.1:2"), []);
    assert_eq!(
        register("a", "127.0.0.1:3"),
        [],
        "the same instance elsewhere"
    );
    // A new process where B was: B is gone.
    assert_eq!(register("c", "127.0.0.1:2"), [key("stock", "b")]);
    assert_eq!(
        seen(&world),
        ["stock/a 127.0.0.1:3 there", "stock/c 127.0.0.1:2 there"]
    );
    world.registry.deregister("stock", "a");
    world.registry.deregister("stock", "a");
    world.registry.deregister("other", "a");
    assert_eq!(seen(&world), ["stock/c 127.0.0.1:2 there"]);
    assert!(world.registry.heartbeat("stock", "a").is_err());
}

#[test]
fn what_was_stored_comes_back_with_one_fresh_lease() {
    let world = World::new(|_| ());
    let stored = |instance_id: &str, address: &str| Registration {
        service: "stock".to_owned(),
        instance_id: instance_id.to_owned(),
        address: address.to_owned(),
        offers: vec![offer("reserve")],
        registered_at: Timestamp(5),
    };
    let refused = world
        .registry
        .restore([stored("a", ADDRESS), stored("b", "10.0.0.1:1")]);
    let codes: Vec<_> = refused
        .iter()
        .map(|(key, error)| (key, error.code()))
        .collect();
    assert_eq!(codes, [(&key("stock", "b"), "ADDRESS_NOT_ALLOWED")]);
    let view = world.registry.list(Some("stock")).remove(0);
    assert_eq!(view.registration, stored("a", ADDRESS));
    assert_eq!(view.unavailable, None);
    world.clock.advance(LEASE);
    assert_eq!(seen(&world), ["stock/a 127.0.0.1:7001 silent"]);
}

#[tokio::test]
async fn instances_of_the_configuration_stay() {
    let server = Server::answering(succeeded("1")).await;
    let world = World::new(|options| options.allow = [].into_iter().collect());
    let address = server.address.to_string();
    world
        .registry
        .add_static("stock", &address.parse().unwrap())
        .unwrap();
    world.clock.advance(LEASE * 1000);
    world.registry.deregister("stock", &address);
    assert_eq!(world.registry.sweep(), []);
    assert_eq!(seen(&world), [format!("stock/{address} {address} there")]);
    let answer = world.call("stock/reserve", LONG).await;
    assert_eq!(brief(&answer), "succeeded application/json:1");
    // Configured for the service; that does not open it to any target.
    let target = format!("grpc://{address}/test.v1.Plain/Reserve");
    let answer = world.call(&target, LONG).await;
    assert_eq!(brief(&answer), "unknown ADDRESS_NOT_ALLOWED");
}

#[test]
fn whoever_registers_at_a_configured_address_takes_its_place_for_good() {
    let world = World::new(|_| ());
    world
        .registry
        .add_static("stock", &ADDRESS.parse().unwrap())
        .unwrap();
    let accepted = world.registry.register("stock", "a", ADDRESS, Vec::new());
    assert_eq!(accepted.unwrap().replaced, []);
    world.clock.advance(LEASE * 1000);
    world.registry.heartbeat("stock", "a").unwrap();
    world.registry.deregister("stock", "a");
    assert_eq!(seen(&world), [format!("stock/a {ADDRESS} there")]);
}
