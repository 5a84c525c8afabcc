//! The stored form of every record: what is written today must be readable for
//! ever, so it is checked in at `tests/golden/tcc_records.json`.

use amends_core::answer::Failure;
use amends_core::id::{Generation, StepName};
use amends_core::payload::Payload;
use amends_core::tcc::{Event, Phase, Record, Settlement, Work};
use amends_core::time::Timestamp;
use bytes::Bytes;
use serde_json::json;

use super::sketch::{branch, gid, nested_branch, nested_start, own_branch};
use crate::golden::golden;

#[expect(clippy::too_many_lines, reason = "one list of all events")]
fn every_event() -> Vec<Event> {
    let name = StepName::new("freeze").unwrap();
    let failure = Failure::new("NO_MONEY", "0 left");
    let (operator, reason) = ("kim".to_owned(), "by phone".to_owned());
    let at = Timestamp(1_700_000_000_500);
    let mut with_input = branch("freeze");
    if let Work::Participant { input, .. } = &mut with_input.work {
        *input = Payload::json(&json!({"n": 1.5}));
    }
    let mut with_bytes = own_branch("freeze");
    if let Work::Participant { input, .. } = &mut with_bytes.work {
        *input = Payload::new("text/plain", Bytes::from_static(b"hi"));
    }
    vec![
        Event::TccBegan {
            gid: gid("order/7"),
            name: "shop.pay".into(),
            deadline: at,
            parent: None,
        },
        Event::TccBegan {
            gid: gid("g"),
            name: "shop.pay".into(),
            deadline: at,
            parent: nested_start().parent,
        },
        Event::Resumed {
            generation: Generation(2),
        },
        Event::Registered(Box::new(with_input)),
        Event::Registered(Box::new(with_bytes)),
        Event::Registered(Box::new(nested_branch("pay", "c"))),
        Event::Called {
            branch: name.clone(),
            phase: Phase::Try,
            attempt: 1,
        },
        Event::TrySucceeded {
            branch: name.clone(),
            calls: 2,
            output: Payload::null(),
        },
        Event::TryRefused {
            branch: name.clone(),
            calls: 1,
            failure: failure.clone(),
        },
        Event::AttemptFailed {
            branch: name.clone(),
            phase: Phase::Confirm,
            attempt: 3,
            failure: failure.clone(),
            retry_at: Some(at),
            stuck: false,
        },
        Event::AttemptFailed {
            branch: name.clone(),
            phase: Phase::Cancel,
            attempt: 3,
            failure: failure.clone(),
            retry_at: None,
            stuck: true,
        },
        Event::Postponed {
            branch: name.clone(),
            phase: Phase::Try,
            attempt: 1,
            times: 2,
            until: at,
        },
        Event::Prepared,
        Event::ParentAsked { attempt: 1 },
        Event::ParentUndecided {
            heard: true,
            until: at,
        },
        Event::ConfirmDecided,
        Event::CancelDecided { cause: failure },
        Event::Settled {
            branch: name.clone(),
            calls: 1,
            settlement: Settlement::Called,
        },
        Event::Settled {
            branch: name,
            calls: 3,
            settlement: Settlement::ByHand {
                operator: operator.clone(),
                reason: reason.clone(),
            },
        },
        Event::RetryRequested,
        Event::Succeeded,
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
    golden("tcc_records.json", &found);
}
