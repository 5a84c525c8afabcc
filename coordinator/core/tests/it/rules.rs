//! Every rule of definitions, broken once: field, code and message, as checked
//! in at `tests/golden/rules.txt`.

use std::fmt::Write as _;

use amends_core::payload::Payload;
use amends_core::saga::{
    CancelMessage, CompensateVia, CompiledSaga, MAX_STEPS, SagaDefinition, StepKind,
};
use amends_core::time::Millis;
use bytes::Bytes;
use serde_json::json;

use crate::golden::golden;
use crate::sketch::{definition, step, step_of_kind};

/// `a`, then `b`.
fn sound() -> SagaDefinition {
    definition(vec![step("a", &[]), step("b", &["a"])])
}

type Break = fn(&mut SagaDefinition);

const BREAKS: &[(&str, Break)] = &[
    ("empty name", |d| d.name.clear()),
    ("long name", |d| d.name = "n".repeat(129)),
    ("capital in name", |d| d.name = "Order".into()),
    ("version 0", |d| d.version = 0),
    ("long description", |d| d.description = "x".repeat(4097)),
    ("no steps", |d| d.steps.clear()),
    ("too many steps", |d| {
        d.steps = (0..=MAX_STEPS)
            .map(|n| step(&format!("s{n}"), &[]))
            .collect();
    }),
    ("deadline of 0", |d| d.deadline = Some(Millis(0))),
    ("absurd deadline", |d| d.deadline = Some(Millis(u64::MAX))),
    ("empty step name", |d| d.steps[0].name.clear()),
    ("long step name", |d| d.steps[1].name = "n".repeat(65)),
    ("blank in step name", |d| d.steps[1].name = "a b".into()),
    ("step name twice", |d| d.steps[1].name = "a".into()),
    ("after an unknown step", |d| {
        d.steps[1].after = vec!["z".into()];
    }),
    ("after the same step twice", |d| {
        d.steps[1].after.push("a".into());
    }),
    ("after itself", |d| d.steps[0].after.push("a".into())),
    ("in a circle", |d| d.steps[0].after.push("b".into())),
    ("no target", |d| d.steps[0].target.clear()),
    ("target without step", |d| d.steps[0].target = "shop".into()),
    ("target with capitals", |d| {
        d.steps[0].target = "Shop/a".into();
    }),
    ("bad address", |d| {
        d.steps[0].target = "grpc://host/a.B/C".into();
    }),
    ("bad compensation", |d| {
        d.steps[0].compensation = Some("shop/".into());
    }),
    ("timeout of 0", |d| d.steps[0].timeout = Millis(0)),
    ("absurd timeout", |d| d.steps[0].timeout = Millis(u64::MAX)),
    ("no attempts", |d| d.steps[0].retry.max_attempts = 0),
    ("too many attempts", |d| {
        d.steps[0].undo_retry.max_attempts = 1_001;
    }),
    ("no first wait", |d| {
        d.steps[0].retry.initial_backoff = Millis(0);
    }),
    ("shrinking waits", |d| {
        d.steps[0].retry.max_backoff = Millis(1);
    }),
    ("multiplier below 1", |d| {
        d.steps[0].undo_retry.multiplier = 0.5;
    }),
    ("multiplier without value", |d| {
        d.steps[0].retry.multiplier = f64::NAN;
    }),
    ("input that is no JSON", |d| {
        d.steps[0].input = Some(Payload::new("", Bytes::from_static(b"{")));
    }),
    ("reference that is no text", |d| {
        d.steps[0].input = Some(Payload::json(&json!({"$ref": 1})));
    }),
    ("reference that is no path", |d| {
        d.steps[0].input = refer("steps.a");
    }),
    ("reference to an unknown step", |d| {
        d.steps[1].input = refer("$.steps.z.n");
    }),
    ("reference to a later step", |d| {
        d.steps[0].input = refer("$.steps.b.n");
    }),
    ("reference to itself", |d| {
        d.steps[1].input = refer("$.steps.b");
    }),
    ("reference into the id", |d| {
        d.steps[1].input = refer("$.gid.x");
    }),
    ("answer from an unknown step", |d| {
        d.output = refer("$.steps.z");
    }),
    ("answer that is no path", |d| d.output = refer("$.nothing")),
    ("pivot with an undo", |d| d.steps[1].kind = StepKind::Pivot),
    ("pivot first", |d| {
        d.steps[0] = step_of_kind("a", &[], StepKind::Pivot);
    }),
    ("retriable beside", |d| {
        d.steps.push(step_of_kind("c", &["a"], StepKind::Retriable));
    }),
    ("two pivots", |d| {
        d.steps.push(step_of_kind("c", &["b"], StepKind::Pivot));
        d.steps.push(step_of_kind("d", &["b"], StepKind::Pivot));
    }),
    ("message to a plain method", |d| {
        d.steps[0].compensation = Some("grpc://host:1/a.B/C".into());
        d.steps[0].compensate_via = Some(CompensateVia::Queue);
    }),
    ("broadcast of nothing", |d| {
        d.steps[1].compensate_via = Some(CompensateVia::Broadcast);
    }),
    ("bad cancel message", |d| {
        d.cancel_message = Some(CancelMessage {
            topic: "order topic".into(),
            tag: "a b".into(),
            key: refer("$.steps.a.order"),
        });
    }),
    ("many at once", |d| {
        d.name.clear();
        d.version = 0;
        d.steps[0].timeout = Millis(0);
        d.steps[1].target.clear();
        d.steps[1].after = vec!["z".into()];
        d.steps[1].retry.max_attempts = 0;
        d.deadline = Some(Millis(0));
    }),
];

fn refer(path: &str) -> Option<Payload> {
    Some(Payload::json(&json!({ "$ref": path })))
}

#[test]
fn every_broken_rule_is_named_with_its_field() {
    let mut found = String::new();
    for (what, break_it) in BREAKS {
        let mut broken = sound();
        break_it(&mut broken);
        writeln!(found, "{what}").unwrap();
        let violations = CompiledSaga::compile(broken).expect_err(what);
        for violation in violations {
            let (field, code, message) = (violation.field, violation.code, violation.message);
            writeln!(found, "    {field}: {code}: {message}").unwrap();
        }
    }
    golden("rules.txt", &found);
}

#[test]
fn a_sound_definition_has_a_stable_text_and_hash() {
    let compiled = CompiledSaga::compile(sound()).unwrap();
    let again = CompiledSaga::from_json(compiled.json()).unwrap();
    assert_eq!(
        (again.hash(), again.json()),
        (compiled.hash(), compiled.json())
    );
    golden(
        "definition.txt",
        &format!("{}\n{}\n", compiled.hash().0, compiled.json()),
    );
}
