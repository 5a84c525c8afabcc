//! The client against a coordinator that misbehaves on purpose.

use std::time::Duration;

use amends::client::FieldViolation;
use amends::proto::start_saga_request::Source;
use amends::proto::{
    ActionResult, Cause, Failure, Payload, Step, StepState, Transaction, TransactionState,
    TransactionSummary,
};
use amends::{Client, ClientError, Gid, Outcome, Run, Saga, SagaRef};
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::fake::{Asked, Fake, Say};
use crate::shop::{PlaceOrder, Receipt, confirm_order};

const LONG: Duration = Duration::from_secs(600);

fn order() -> PlaceOrder {
    PlaceOrder {
        order: "o1".into(),
        goods: "g1".into(),
        number: 2,
        coupon: None,
    }
}

fn in_state(state: TransactionState) -> Transaction {
    let summary = TransactionSummary {
        gid: "g".into(),
        state: state.into(),
        ..TransactionSummary::default()
    };
    Transaction {
        summary: Some(summary),
        ..Transaction::default()
    }
}

fn completed() -> Transaction {
    let data = json!({"order": "o1", "paid": 500}).to_string().into_bytes();
    Transaction {
        output: Some(Payload {
            content_type: "application/json".into(),
            data: data.into(),
        }),
        ..in_state(TransactionState::Succeeded)
    }
}

fn receipt() -> Outcome<Receipt> {
    Outcome::Completed(Receipt {
        order: "o1".into(),
        paid: 500,
    })
}

fn caused(state: TransactionState) -> Transaction {
    let mut transaction = in_state(state);
    let failure = Failure {
        code: "DECLINED".into(),
        message: "no".into(),
    };
    transaction.summary.as_mut().unwrap().cause = Some(Cause {
        step: "confirm".into(),
        failure: Some(failure),
    });
    transaction
}

fn pending() -> Say {
    Say::Transaction(in_state(TransactionState::Running))
}

fn client(fake: &Fake) -> Client {
    Client::connect(fake.url()).unwrap()
}

#[tokio::test]
async fn a_start_is_repeated_with_the_same_id() {
    let mut fake = Fake::start([
        Say::Error(Status::unavailable("restarting")),
        Say::Error(Status::resource_exhausted("busy")),
        pending(),
    ]);
    let run = client(&fake)
        .start(&confirm_order(), Gid::unique(), order())
        .deadline(Duration::from_secs(9))
        .await
        .unwrap();
    assert_eq!(run.gid(), "g");
    let mut requests = Vec::new();
    for _ in 0..3 {
        match fake.asked.recv().await.unwrap() {
            Asked::Start(request) => requests.push(request),
            other => panic!("{other:?}"),
        }
    }
    assert!(!requests[0].gid.is_empty());
    assert!(requests.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(requests[0].deadline.unwrap().seconds, 9);
    let input = &requests[0].input.as_ref().unwrap().data;
    assert_eq!(
        serde_json::from_slice::<PlaceOrder>(input).unwrap(),
        order()
    );
    match requests.remove(0).source {
        Some(Source::Definition(saga)) => assert_eq!(saga.name, "shop.confirm-order"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_registered_saga_is_named_only() {
    let mut fake = Fake::start([pending(), pending()]);
    let client = client(&fake);
    let stored = client.register(&confirm_order()).await.unwrap();
    assert_eq!(stored.saga.unwrap().name, "shop.confirm-order");
    client
        .start_registered(&confirm_order(), "o1", order())
        .await
        .unwrap();
    let by_name = SagaRef::<PlaceOrder, Receipt>::new("shop.confirm-order", 0);
    client.start(&by_name, "o1", order()).await.unwrap();
    for version in [1, 0] {
        match fake.asked.recv().await.unwrap() {
            Asked::Start(request) => match request.source.unwrap() {
                Source::Registered(named) => assert_eq!(named.version, version),
                Source::Definition(_) => panic!("the definition was sent"),
            },
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn every_state_has_its_outcome() {
    let mut stuck = in_state(TransactionState::Stuck);
    stuck.steps = vec![Step {
        name: "pay".into(),
        state: StepState::Stuck.into(),
        stuck_reason: "undo fails".into(),
        ..Step::default()
    }];
    let compensated = Outcome::Compensated {
        step: "confirm".into(),
        code: "DECLINED".into(),
        message: "no".into(),
    };
    let table = [
        (completed(), receipt()),
        (caused(TransactionState::Compensated), compensated),
        (
            stuck,
            Outcome::Stuck {
                reason: "step `pay`: undo fails".into(),
            },
        ),
        (
            caused(TransactionState::Forced),
            Outcome::Forced {
                reason: "step `confirm`: DECLINED: no".into(),
            },
        ),
        (in_state(TransactionState::Prepared), Outcome::Pending),
        (in_state(TransactionState::Running), Outcome::Pending),
        (in_state(TransactionState::Confirming), Outcome::Pending),
        (in_state(TransactionState::Compensating), Outcome::Pending),
    ];
    for (transaction, expected) in table {
        let fake = Fake::start([Say::Transaction(transaction)]);
        let run: Run<Receipt> = client(&fake).run("g");
        assert_eq!(run.wait(Duration::ZERO).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_long_wait_asks_again() {
    let mut fake = Fake::start([pending(), pending(), Say::Transaction(completed())]);
    let run: Run<Receipt> = client(&fake).run("g");
    assert_eq!(run.wait(LONG).await.unwrap(), receipt());
    for _ in 0..3 {
        match fake.asked.recv().await.unwrap() {
            Asked::Wait(request) => assert_eq!(request.timeout.unwrap().seconds, 60),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn start_and_wait_is_one_call_when_it_is_quick() {
    let fake = Fake::start([Say::Transaction(completed())]);
    let start = |client: Client| async move {
        let saga = confirm_order();
        client.start(&saga, "o1", order()).and_wait(LONG).await
    };
    assert_eq!(start(client(&fake)).await.unwrap(), receipt());

    let mut fake = Fake::start([pending(), Say::Transaction(completed())]);
    assert_eq!(start(client(&fake)).await.unwrap(), receipt());
    match fake.asked.recv().await.unwrap() {
        Asked::Start(request) => assert_eq!(request.wait.unwrap().seconds, 60),
        other => panic!("{other:?}"),
    }
    assert!(matches!(fake.asked.recv().await.unwrap(), Asked::Wait(_)));
}

#[tokio::test]
async fn a_wait_survives_a_coordinator_that_crashes() {
    let mut fake = Fake::start([Say::Hang]);
    let run: Run<Receipt> = client(&fake).run("g");
    let waiting = tokio::spawn(async move { run.wait(LONG).await });
    assert!(matches!(fake.asked.recv().await.unwrap(), Asked::Wait(_)));
    let address = fake.kill();
    let _again = Fake::start_at(address, [Say::Transaction(completed())]);
    assert_eq!(waiting.await.unwrap().unwrap(), receipt());
}

#[tokio::test]
async fn an_absent_coordinator_is_unavailable_when_patience_ends() {
    let address = Fake::start([]).kill();
    let client = Client::connect(format!("http://{address}"))
        .unwrap()
        .with_patience(Duration::from_millis(20));
    let error = client.get("g").await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn errors_keep_reason_and_details() {
    let mut details = ErrorDetails::new();
    details.set_error_info("GID_CONFLICT", "amends", std::collections::HashMap::new());
    let conflict =
        Status::with_error_details(Code::AlreadyExists, "the input differs", details.clone());
    details.add_bad_request_violation("steps[0].name", "is empty");
    let invalid = Status::with_error_details(Code::InvalidArgument, "bad", details);
    let fake = Fake::start([Say::Error(conflict), Say::Error(invalid)]);
    let client = client(&fake);

    let error = client
        .start(&confirm_order(), "o1", order())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "GID_CONFLICT");
    assert!(matches!(error, ClientError::Conflict { .. }));
    let error = client
        .start(&confirm_order(), "o1", order())
        .await
        .unwrap_err();
    let expected = FieldViolation {
        field: "steps[0].name".into(),
        description: "is empty".into(),
    };
    match error {
        ClientError::Invalid { fields, .. } => assert_eq!(fields, [expected]),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn garbage_is_an_error_and_no_panic() {
    let mut bare = completed();
    bare.summary = None;
    let mut future = in_state(TransactionState::Running);
    future.summary.as_mut().unwrap().state = 99;
    let mut other_type = completed();
    other_type.output.as_mut().unwrap().data = b"[1".as_slice().into();
    let table = [
        (
            Say::Empty,
            "unexpected answer: an answer without its transaction",
        ),
        (
            Say::Transaction(bare),
            "unexpected answer: a transaction without its summary",
        ),
        (
            Say::Transaction(future),
            "unexpected answer: a transaction in state 99",
        ),
        (
            Say::Transaction(other_type),
            "the output as a `it::shop::Receipt` does not fit",
        ),
        (Say::Error(Status::not_found("gone")), "not found: gone"),
    ];
    for (say, expected) in table {
        let fake = Fake::start([say]);
        let run: Run<Receipt> = client(&fake).run("g");
        let error = run.wait(Duration::ZERO).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn what_cannot_be_right_is_not_sent() {
    let mut fake = Fake::start([]);
    let client = client(&fake);
    let error = client
        .start(&confirm_order(), "", order())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "GID_EMPTY");
    let empty: Saga<(), ()> = Saga::define("empty", 1, |_, _| ());
    let error = client.start(&empty, "o1", ()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the saga `empty` is not well defined: it has 0 steps, not 1 to 256"
    );
    assert!(fake.asked.try_recv().is_err());
    let error = Client::connect("no address").unwrap_err();
    assert_eq!(
        error.to_string(),
        "no address of a coordinator: `no address`: invalid uri character"
    );
}

#[tokio::test]
async fn cancelling() {
    let result = |accepted: bool, state: TransactionState, code: &str| {
        Say::Result(ActionResult {
            gid: "g".into(),
            accepted,
            failure: Some(Failure {
                code: code.into(),
                message: "text".into(),
            }),
            state: state.into(),
        })
    };
    let table = [
        (result(true, TransactionState::Compensating, ""), None),
        // The first answer was lost, the second says what it led to.
        (
            result(false, TransactionState::Compensated, "NOT_ALLOWED"),
            None,
        ),
        (
            result(false, TransactionState::Succeeded, "ENDED"),
            Some("not possible now: ENDED: text"),
        ),
        (
            result(false, TransactionState::Unspecified, "UNKNOWN_GID"),
            Some("not found: UNKNOWN_GID: text"),
        ),
    ];
    for (say, expected) in table {
        let mut fake = Fake::start([say]);
        let run: Run<Receipt> = client(&fake).run("g");
        let error = run.cancel("changed my mind").await.err();
        assert_eq!(error.map(|error| error.to_string()).as_deref(), expected);
        match fake.asked.recv().await.unwrap() {
            Asked::Cancel(request) => assert_eq!(request.reason, "changed my mind"),
            other => panic!("{other:?}"),
        }
    }
}
