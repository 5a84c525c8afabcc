//! How compensations travel: by queue, by call, by one message to all.

use std::sync::Arc;

use amends_core::payload::Payload;
use amends_core::saga::{
    Broadcast, Call, CancelMessage, CompensateVia, CompiledSaga, Effect, REPORT_TIMEOUT,
    SagaDefinition, StepDefinition, Via, pending_effects,
};
use amends_core::time::Millis;
use serde_json::json;

use crate::sketch::{Run, compile, definition, no, ok, step};

fn via(name: &str, after: &[&str], via: CompensateVia) -> StepDefinition {
    StepDefinition {
        compensate_via: Some(via),
        ..step(name, after)
    }
}

/// The undo calls that have to be in flight.
fn undos(run: &Run) -> Vec<Call> {
    let calls = pending_effects(&run.saga).into_iter();
    let calls = calls.filter_map(|effect| match effect {
        Effect::Call { call, .. } => Some(call),
        _ => None,
    });
    calls.collect()
}

#[test]
fn a_registered_service_is_reached_by_queue_and_has_time_to_report() {
    let mut plain = step("plain", &[]);
    plain.compensation = Some("grpc://127.0.0.1:1/a.B/C".to_owned());
    let steps = vec![
        step("queued", &[]),
        plain,
        via("called", &[], CompensateVia::Call),
        step("last", &["queued", "plain", "called"]),
    ];
    let mut run = Run::begin(&compile(steps), Payload::null());
    for name in ["queued", "plain", "called"] {
        run.answer(name, ok());
    }
    run.answer("last", no());
    let told: Vec<_> = undos(&run)
        .into_iter()
        .map(|call| (call.name.to_string(), call.via, call.timeout))
        .collect();
    let (own, report) = (Millis(1_000), REPORT_TIMEOUT);
    assert_eq!(
        told,
        [
            ("queued".to_owned(), Via::Queue, report),
            ("plain".to_owned(), Via::Call, own),
            ("called".to_owned(), Via::Call, own),
        ]
    );
}

fn broadcast(key: Option<&serde_json::Value>) -> Arc<CompiledSaga> {
    let steps = vec![
        via("stock", &[], CompensateVia::Broadcast),
        via("coupon", &["stock"], CompensateVia::Broadcast),
        step("money", &["coupon"]),
    ];
    let definition = SagaDefinition {
        cancel_message: Some(CancelMessage {
            topic: "orderTopic".to_owned(),
            tag: "order_cancel".to_owned(),
            key: key.map(Payload::json),
        }),
        ..definition(steps)
    };
    Arc::new(CompiledSaga::compile(definition).unwrap())
}

fn message(call: &Call) -> &Arc<Broadcast> {
    match &call.via {
        Via::Broadcast(message) => message,
        other => panic!("{} travels as {other:?}", call.name),
    }
}

#[test]
fn one_cancel_message_tells_all_services_at_once() {
    let order = json!({ "$ref": "$.input.order" });
    let mut run = Run::begin(
        &broadcast(Some(&order)),
        Payload::json(&json!({ "order": "o-7" })),
    );
    run.answer("stock", ok());
    run.answer("coupon", ok());
    run.answer("money", no());
    assert_eq!(run.under_way(), ["undo coupon", "undo stock"]);

    let undos = undos(&run);
    let told = message(&undos[0]);
    assert!(Arc::ptr_eq(told, message(&undos[1])));
    let names: Vec<_> = told.calls.iter().map(|call| call.name.as_str()).collect();
    assert_eq!(names, ["stock", "coupon"]);
    assert_eq!(
        (told.topic.as_str(), told.tag.as_str()),
        ("orderTopic", "order_cancel")
    );
    assert_eq!(told.key, "o-7");

    run.answer("stock", ok());
    run.answer("coupon", ok());
    assert!(run.saga.is_ended());
}

#[test]
fn the_key_is_the_gid_where_nothing_else_is_named() {
    for key in [
        None,
        Some(json!(null)),
        Some(json!({ "$ref": "$.input.nothing" })),
    ] {
        let mut run = Run::begin(&broadcast(key.as_ref()), Payload::null());
        run.answer("stock", ok());
        run.answer("coupon", no());
        let undos = undos(&run);
        assert_eq!(message(&undos[0]).key, run.saga.gid().as_str());
        assert_eq!(
            message(&undos[0]).calls.len(),
            1,
            "a refused step is not undone"
        );
    }
}
