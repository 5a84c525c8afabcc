//! The stored form of every record: what is written today must be readable for
//! ever, so it is checked in at `tests/golden/records.json`.

use amends_core::answer::Failure;
use amends_core::id::{Generation, Gid, StepName};
use amends_core::payload::Payload;
use amends_core::saga::{Cause, DefinitionHash, Event, Phase, Record, Settlement};
use amends_core::time::Timestamp;
use bytes::Bytes;
use serde_json::json;

use crate::golden::golden;

#[expect(clippy::too_many_lines, reason = "one list of all events")]
fn every_event() -> Vec<Event> {
    let step = StepName::new("reserve").unwrap();
    let failure = Failure::new("OUT_OF_STOCK", "0 left");
    let (operator, reason) = ("kim".to_owned(), "paid back".to_owned());
    let cause = |step| Cause {
        step,
        failure: failure.clone(),
    };
    let at = Timestamp(1_700_000_000_500);
    vec![
        Event::Began {
            gid: Gid::new("order/7").unwrap(),
            definition: DefinitionHash("ab12".into()),
            input: Payload::json(&json!({"sku": "A", "n": 1.5})),
            deadline: Some(at),
        },
        Event::Began {
            gid: Gid::new("g").unwrap(),
            definition: DefinitionHash("ab12".into()),
            input: Payload::new("text/plain", Bytes::from_static(b"hi")),
            deadline: None,
        },
        Event::Resumed {
            generation: Generation(2),
        },
        Event::Called {
            step: step.clone(),
            phase: Phase::Do,
            attempt: 1,
        },
        Event::StepSucceeded {
            step: step.clone(),
            calls: 2,
            output: Payload::null(),
        },
        Event::StepRefused {
            step: step.clone(),
            calls: 1,
            failure: failure.clone(),
        },
        Event::AttemptFailed {
            step: step.clone(),
            phase: Phase::Undo,
            attempt: 3,
            failure: failure.clone(),
            retry_at: Some(at),
        },
        Event::AttemptFailed {
            step: step.clone(),
            phase: Phase::Do,
            attempt: 3,
            failure: failure.clone(),
            retry_at: None,
        },
        Event::Postponed {
            step: step.clone(),
            phase: Phase::Do,
            attempt: 1,
            times: 2,
            until: at,
        },
        Event::BranchStuck {
            step: step.clone(),
            phase: Phase::Undo,
            failure: failure.clone(),
        },
        Event::TurnedBack {
            cause: cause(Some(step.clone())),
            in_doubt: vec![step.clone()],
        },
        Event::TurnedBack {
            cause: cause(None),
            in_doubt: Vec::new(),
        },
        Event::Undone {
            step: step.clone(),
            calls: 1,
            settlement: Settlement::Called,
        },
        Event::Undone {
            step,
            calls: 3,
            settlement: Settlement::ByHand {
                operator: operator.clone(),
                reason: reason.clone(),
            },
        },
        Event::RetryRequested,
        Event::Succeeded {
            output: Payload::json(&json!([1])),
        },
        Event::Compensated,
        Event::Forced { operator, reason },
    ]
}

#[test]
fn every_record_is_stored_as_ever_and_comes_back() {
    let mut found = String::new();
    for event in every_event() {
        let record = Record::new(Timestamp(1_700_000_000_000), event);
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
        found.push_str(&text);
        found.push('\n');
    }
    golden("records.json", &found);
}
