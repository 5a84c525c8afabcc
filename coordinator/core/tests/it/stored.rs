//! The stored form of every record: what is written today must be readable for
//! ever, so it is checked in at `tests/golden/records.json`.

use amends_core::answer::Failure;
use amends_core::id::{Generation, Gid, StepName};
use amends_core::payload::Payload;
use amends_core::saga::{Cause, Command, DefinitionHash, Event, Phase, Record, Settlement};
use amends_core::time::Timestamp;
use amends_core::took::Took;
use bytes::Bytes;
use serde_json::json;

use crate::golden::golden;
use crate::sketch::{Run, compile, ok, step};

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

#[test]
fn the_record_of_an_answer_says_where_the_time_of_the_call_went() {
    let took = Took {
        queue: 1,
        commit: 20,
        call: 300,
        scheduling: 4,
    };
    let definition = compile(vec![step("reserve", &[])]);
    let mut run = Run::begin(&definition, Payload::null());
    let call = run.calls.remove(0);
    let answered = Command::Answered {
        step: call.step,
        phase: call.phase,
        attempt: call.attempt,
        answer: ok(),
        took: Some(took),
    };
    run.command(answered).unwrap();
    let records = run.last.records;
    let parts: Vec<_> = records.iter().map(|record| record.took).collect();
    assert_eq!(parts, [Some(took), None], "of the answer, not of the end");
    let text = serde_json::to_string(&records[0]).unwrap();
    assert!(text.contains(r#""us":[1,20,300,4],"#), "{text}");
    assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), records[0]);
}
