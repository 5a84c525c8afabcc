//! What the machines cost: `cargo bench -p amends-core`.
//!
//! Through the public interface only, with inputs of the size that services
//! send. Nothing here waits, so the figures are processor time.

#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a failing bench may panic"
)]

use std::hint::black_box;
use std::sync::Arc;

use amends_core::answer::Answer;
use amends_core::id::Gid;
use amends_core::payload::Payload;
use amends_core::retry::RetryPolicy;
use amends_core::saga::{
    Call, Command, CompiledSaga, Effect, Fencing, Record, Saga, SagaDefinition, StepDefinition,
    StepKind, apply, begin, decide, read_log, replay, write_records,
};
use amends_core::time::{Millis, Timestamp};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
/// Entries of a large input, each of about 50 bytes.
const LARGE: usize = 1_000;

criterion_group!(benches, sagas, replaying, references, encoding);
criterion_main!(benches);

/// Steps one after the other; `input` of each is made from its position.
fn chain(steps: usize, input: impl Fn(usize) -> Option<Value>) -> Arc<CompiledSaga> {
    let step = |ix: usize| StepDefinition {
        name: format!("step-{ix}"),
        target: format!("shop/step-{ix}"),
        compensation: Some(format!("shop/step-{ix}")),
        after: ix
            .checked_sub(1)
            .map(|before| format!("step-{before}"))
            .into_iter()
            .collect(),
        kind: StepKind::Compensable,
        input: input(ix).map(|input| Payload::json(&input)),
        timeout: Millis(10_000),
        retry: RetryPolicy::STEP,
        undo_retry: RetryPolicy::UNDO,
        fencing: Fencing::ConsumerLog,
        compensate_via: None,
    };
    let definition = SagaDefinition {
        name: "shop.confirm-order".into(),
        version: 1,
        description: String::new(),
        steps: (0..steps).map(step).collect(),
        deadline: None,
        output: None,
        cancel_message: None,
    };
    Arc::new(CompiledSaga::compile(definition).unwrap())
}

/// About the size of an order's head.
fn order() -> Payload {
    Payload::json(&json!({"order": 1_048_576, "customer": "c-4711", "amount": 4990}))
}

/// An order with many lines.
fn large() -> Value {
    let line = |ix| json!({"sku": format!("sku-{ix:08}"), "amount": 3, "price": 1999});
    json!({"customer": "c-4711", "lines": (0..LARGE).map(line).collect::<Vec<_>>()})
}

/// A saga under way, and its next call.
fn begun(definition: &Arc<CompiledSaga>, input: Payload) -> (Saga, Vec<Record>, Call) {
    let gid = Gid::new("0199f0c1-8a3b-7c11-9d7e-3f1a52c8b9aa").unwrap();
    let (saga, decision) = begin(gid, definition.clone(), input, None, NOW);
    let call = call(decision.effects).unwrap();
    (saga, decision.records, call)
}

fn call(effects: Vec<Effect>) -> Option<Call> {
    effects.into_iter().find_map(|effect| match effect {
        Effect::Call { call, .. } => Some(call),
        _ => None,
    })
}

fn answer(call: &Call, output: &Payload) -> Command {
    Command::Answered {
        step: call.step,
        phase: call.phase,
        attempt: call.attempt,
        answer: Answer::Succeeded(output.clone()),
        took: None,
    }
}

/// From its beginning to its end; its records.
fn run(definition: &Arc<CompiledSaga>, input: Payload, output: &Payload) -> Vec<Record> {
    let (mut saga, mut records, first) = begun(definition, input);
    let mut next = Some(first);
    while let Some(made) = next {
        let decision = decide(&saga, answer(&made, output), NOW).unwrap();
        for record in &decision.records {
            apply(&mut saga, record);
        }
        records.extend(decision.records);
        next = call(decision.effects);
    }
    assert!(saga.is_ended());
    records
}

fn sagas(c: &mut Criterion) {
    let output = Payload::json(&json!({"ok": true}));
    let mut group = c.benchmark_group("saga");
    for steps in [1, 4, 32] {
        let definition = chain(steps, |_| None);
        group.bench_function(format!("decide and apply, {steps} steps"), |b| {
            b.iter(|| run(black_box(&definition), order(), &output));
        });
    }
    let definition = chain(4, |_| None);
    let (saga, _, call) = begun(&definition, order());
    group.bench_function("decide one answer of 4 steps", |b| {
        b.iter_batched(
            || answer(&call, &output),
            |answer| decide(black_box(&saga), answer, NOW),
            BatchSize::SmallInput,
        );
    });
}

fn stored(records: &[Record]) -> Vec<Record> {
    records
        .iter()
        .filter(|record| record.is_stored())
        .cloned()
        .collect()
}

fn replaying(c: &mut Criterion) {
    let output = Payload::json(&json!({"ok": true}));
    let mut group = c.benchmark_group("replay");
    for steps in [4, 64] {
        let definition = chain(steps, |_| None);
        let log = stored(&run(&definition, order(), &output));
        group.throughput(Throughput::Elements(log.len() as u64));
        group.bench_function(format!("{steps} steps"), |b| {
            b.iter(|| replay(black_box(&definition), black_box(&log)).unwrap());
        });
    }
}

/// The second step takes a value from the answer of the first: one small
/// value, whatever the size of the answer, or the whole of it.
fn references(c: &mut Criterion) {
    let mut group = c.benchmark_group("references");
    let small = json!({"customer": "c-4711", "lines": [{"sku": "sku-1", "amount": 3}]});
    for (size, output) in [("small", small), ("large", large())] {
        let output = Payload::json(&output);
        for (what, path) in [
            ("one value", "$.steps.step-0.lines[0].sku"),
            ("all", "$.steps.step-0"),
        ] {
            let definition = chain(2, |ix| {
                (ix == 1).then(|| json!({"it": {"$ref": path}, "n": 1}))
            });
            let (saga, _, call) = begun(&definition, order());
            group.throughput(Throughput::Bytes(output.data().len() as u64));
            group.bench_function(format!("{what} of a {size} answer"), |b| {
                b.iter_batched(
                    || answer(&call, &output),
                    |answer| decide(black_box(&saga), answer, NOW),
                    BatchSize::SmallInput,
                );
            });
        }
    }
}

fn encoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("records");
    let small = Payload::json(&json!({"ok": true}));
    for (size, output) in [("small", small), ("large", Payload::json(&large()))] {
        let records = stored(&run(&chain(4, |_| None), order(), &output));
        let text = write_records(&records);
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(format!("write 4 steps, {size} answers"), |b| {
            b.iter(|| write_records(black_box(&records)));
        });
        group.bench_function(format!("read 4 steps, {size} answers"), |b| {
            b.iter(|| read_log([black_box(text.as_str())]).unwrap());
        });
    }
}
