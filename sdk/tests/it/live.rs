//! Live sagas as their users write them, against a coordinator in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use amends::proto::{CompensateVia as Via, Fencing, TransactionState};
use amends::saga::CompensateVia;
use amends::step_ref::{Compensation, Retry};
use amends::{Client, ClientError, Gid, LiveTx, Outcome, StepError, StepRef, StepResult, reject};

use crate::live_fake::LiveFake;

const PRICE: StepRef<i64, i64> = StepRef::new("stock", "reserve");
const COUPON: StepRef<i64, i64> = StepRef::new("coupons", "use");
const REFUSES: StepRef<i64, i64> = StepRef::new("no", "reserve");
const NEVER: StepRef<i64, i64> = StepRef::new("never", "answers");
/// What does not happen within it does not happen.
const PATIENCE: Duration = Duration::from_secs(20);

fn client(fake: &LiveFake) -> Client {
    Client::connect(fake.url()).unwrap()
}

fn compensated(step: &str, code: &str, message: &str) -> Outcome<i64> {
    Outcome::Compensated {
        step: step.to_owned(),
        code: code.to_owned(),
        message: message.to_owned(),
    }
}

async fn sum(tx: LiveTx) -> StepResult<i64> {
    let (price, off) = tokio::try_join!(tx.step(PRICE, 500), tx.step(COUPON, 20))?;
    Ok(price - off)
}

#[tokio::test]
async fn outputs_are_typed_and_the_result_is_kept_for_the_same_key() {
    let fake = LiveFake::start().await;
    let client = client(&fake);
    let runs = AtomicUsize::new(0);
    for _ in 0..3 {
        let outcome = client.saga("shop.order").key("4711").run(async |tx| {
            runs.fetch_add(1, Ordering::SeqCst);
            assert_eq!(tx.gid(), "shop.order/4711");
            sum(tx).await
        });
        assert_eq!(outcome.await.unwrap(), Outcome::Completed(480));
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1, "the code ran once");
    let kept = fake.saga("shop.order/4711");
    assert_eq!(
        (kept.begun.name.as_str(), kept.begun.key.as_str()),
        ("shop.order", "4711")
    );
    assert_eq!(kept.begun.lease.unwrap().seconds, 30);
    let mut names: Vec<_> = kept.steps.iter().map(|it| it.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["coupons.use", "stock.reserve"]);
}

#[tokio::test]
async fn everything_that_is_said_about_a_step_arrives() {
    let fake = LiveFake::start().await;
    let retry = Retry {
        max_attempts: 3,
        ..Retry::DEFAULT
    };
    let plain = StepRef::<i64, i64>::new("log", "write")
        .with_compensation(Compensation::None)
        .with_timeout(Duration::from_secs(2));
    let started = client(&fake)
        .saga("shop.order")
        .id(Gid::from("mine"))
        .lease(Duration::from_secs(9))
        .deadline(Duration::from_secs(60))
        .run(async |tx| {
            tx.with()
                .timeout(Duration::from_secs(5))
                .retry(retry)
                .undo_retry(retry)
                .compensate_via(CompensateVia::Call)
                .step(PRICE, 1)
                .await?;
            tx.named("again").step(PRICE, 2).await?;
            tx.step(plain, 3).await?;
            let target = "grpc://127.0.0.1:9/a.B/C";
            let bytes = tx
                .named("plain")
                .grpc_step(target, Some(target), "bytes")
                .await?;
            assert_eq!(&bytes[..], b"bytes");
            Ok(0)
        });
    assert_eq!(started.await.unwrap(), Outcome::Completed(0));
    let kept = fake.saga("mine");
    assert_eq!(kept.begun.lease.unwrap().seconds, 9);
    assert_eq!(kept.begun.deadline.unwrap().seconds, 60);
    let [first, again, log, bytes] = &kept.steps[..] else {
        panic!("{:?}", kept.steps);
    };
    assert_eq!(first.timeout.unwrap().seconds, 5);
    assert_eq!(first.retry.unwrap().max_attempts, 3);
    assert_eq!(first.undo_retry.unwrap().max_attempts, 3);
    assert_eq!(first.compensate_via(), Via::Call);
    assert_eq!(first.fencing(), Fencing::ConsumerLog);
    assert_eq!(first.compensation, "stock/reserve");
    assert_eq!(again.name, "again");
    assert_eq!(
        (log.compensation.as_str(), log.timeout.unwrap().seconds),
        ("", 2)
    );
    assert_eq!(bytes.fencing(), Fencing::Unspecified);
}

#[tokio::test]
async fn a_refusal_passed_on_undoes_everything_and_names_its_step() {
    let fake = LiveFake::start().await;
    let outcome = client(&fake).saga("shop.order").run(async |tx| {
        tx.step(PRICE, 1).await?;
        tx.step(REFUSES, 2).await
    });
    let expected = compensated("no.reserve", "OUT_OF_STOCK", "why");
    assert_eq!(outcome.await.unwrap(), expected);
    let outcome = client(&fake).saga("shop.order").run(async |tx| {
        let price = tx.step(PRICE, 700).await?;
        if price > 600 {
            reject!("TOO_DEAR", "{price}");
        }
        Ok(price)
    });
    assert_eq!(outcome.await.unwrap(), compensated("", "TOO_DEAR", "700"));
}

#[tokio::test]
async fn a_refusal_can_be_dealt_with() {
    let fake = LiveFake::start().await;
    let outcome = client(&fake).saga("shop.order").run(async |tx| {
        match tx.step(REFUSES, 1).await {
            Err(StepError::Refused { code, .. }) => assert_eq!(code, "OUT_OF_STOCK"),
            other => panic!("{other:?}"),
        }
        tx.step(PRICE, 2).await
    });
    assert_eq!(outcome.await.unwrap(), Outcome::Completed(2));
}

#[tokio::test]
async fn any_other_error_undoes_everything() {
    let fake = LiveFake::start().await;
    let outcome = client(&fake).saga("shop.order").run(async |tx| {
        tx.step(PRICE, 1).await?;
        let number: i64 = "not a number".parse()?;
        Ok(number)
    });
    let why = "invalid digit found in string";
    assert_eq!(
        outcome.await.unwrap(),
        compensated("", "CALLER_FAILED", why)
    );
    let outcome = client(&fake).saga("shop.order").run(async |tx| {
        let wrong: StepRef<i64, Vec<String>> = StepRef::new("stock", "reserve");
        tx.step(wrong, 1).await?;
        Ok(1)
    });
    let Outcome::Compensated { code, message, .. } = outcome.await.unwrap() else {
        panic!("an answer of another type went unnoticed");
    };
    assert_eq!(code, "CALLER_FAILED");
    assert!(message.contains("Vec"), "{message}");
}

#[tokio::test]
async fn a_dropped_future_undoes_everything() {
    let fake = LiveFake::start().await;
    let saga = client(&fake);
    let saga = saga.saga("shop.order").key("dropped");
    let outcome = saga.run(async |tx| {
        tx.step(PRICE, 1).await?;
        tx.step(NEVER, 2).await
    });
    let gid = "shop.order/dropped";
    tokio::select! {
        outcome = outcome => panic!("{outcome:?}"),
        _ = fake.until(gid, |saga| saga.steps.len() == 2) => {}
    }
    let over = fake.until(gid, |saga| saga.state == TransactionState::Compensated);
    let kept = tokio::time::timeout(PATIENCE, over).await.expect("the end");
    let code = kept.cause.unwrap().failure.unwrap().code;
    assert_eq!(code, "CALLER_DROPPED");
}

#[tokio::test]
async fn a_panic_undoes_everything() {
    let fake = LiveFake::start().await;
    let caller = client(&fake);
    let task = tokio::spawn(async move {
        let saga = caller.saga("shop.order").key("panics");
        saga.run(async |tx| -> StepResult<i64> {
            tx.step(PRICE, 1).await?;
            panic!("on purpose");
        })
        .await
    });
    assert!(task.await.unwrap_err().is_panic());
    let over = fake.until("shop.order/panics", |saga| {
        saga.state == TransactionState::Compensated
    });
    let kept = tokio::time::timeout(PATIENCE, over).await.expect("the end");
    let code = kept.cause.unwrap().failure.unwrap().code;
    assert_eq!(code, "CALLER_PANICKED");
}

#[tokio::test]
async fn a_saga_that_was_cancelled_elsewhere_says_so() {
    let fake = LiveFake::start().await;
    let other = fake.clone();
    let outcome = client(&fake)
        .saga("shop.order")
        .key("cancelled")
        .run(async |tx| {
            tx.step(PRICE, 1).await?;
            other.turn_back(tx.gid(), "CANCELLED");
            tx.step(COUPON, 2).await
        });
    assert_eq!(outcome.await.unwrap(), compensated("", "CANCELLED", "why"));
    // Also when the code has no step left.
    let outcome = client(&fake)
        .saga("shop.order")
        .key("late")
        .run(async |tx| {
            let price = tx.step(PRICE, 1).await?;
            other.turn_back(tx.gid(), "DEADLINE_EXCEEDED");
            Ok(price)
        });
    assert_eq!(
        outcome.await.unwrap(),
        compensated("", "DEADLINE_EXCEEDED", "why")
    );
}

#[tokio::test]
async fn a_second_caller_is_told_that_it_runs() {
    let fake = LiveFake::start().await;
    let client = client(&fake);
    let outcome = client.saga("shop.order").key("one").run(async |tx| {
        let second = client.saga("shop.order").key("one");
        let second = second.run(async |_| -> StepResult<i64> { panic!("it ran twice") });
        match second.await {
            Err(ClientError::Refused { reason, .. }) => assert_eq!(reason, "ALREADY_RUNNING"),
            other => panic!("{other:?}"),
        }
        tx.step(PRICE, 1).await
    });
    assert_eq!(
        outcome.await.unwrap(),
        Outcome::Completed(1),
        "and the first goes on"
    );
}

#[tokio::test]
async fn lost_answers_change_nothing() {
    let fake = LiveFake::start_losing_answers().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let outcome = client(&fake).saga("shop.order").run(async move |tx| {
        counted.fetch_add(1, Ordering::SeqCst);
        sum(tx).await
    });
    assert_eq!(outcome.await.unwrap(), Outcome::Completed(480));
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    let gid = fake.ids().remove(0);
    assert_eq!(
        fake.saga(&gid).steps.len(),
        2,
        "each was asked for twice, and is there once"
    );
}

#[tokio::test]
async fn it_is_heard_while_its_code_takes_its_time() {
    let fake = LiveFake::start().await;
    let saga = client(&fake);
    let saga = saga.saga("shop.order").key("slow");
    let saga = saga.lease(Duration::from_millis(120));
    let outcome = saga.run(async |tx| {
        fake.until(tx.gid(), |saga| saga.heartbeats >= 3).await;
        tx.step(PRICE, 1).await
    });
    assert_eq!(outcome.await.unwrap(), Outcome::Completed(1));
}

#[tokio::test]
async fn its_future_can_be_sent_to_another_thread() {
    let fake = LiveFake::start().await;
    let client = client(&fake);
    let task = tokio::spawn(async move { client.saga("shop.order").run(sum).await });
    assert_eq!(task.await.unwrap().unwrap(), Outcome::Completed(480));
}

#[tokio::test]
async fn a_step_made_twice_needs_another_name() {
    let fake = LiveFake::start().await;
    let client = client(&fake);
    let made = client
        .saga("shop.order")
        .key("twice")
        .run(async |tx: LiveTx| {
            tx.step(PRICE, 500).await?;
            let Err(StepError::Unknown(twice)) = tx.step(PRICE, 500).await else {
                panic!("taken for the first one");
            };
            let reason = twice.downcast_ref().map(ClientError::reason);
            assert_eq!(reason, Some("STEP_TWICE"));
            tx.named("again").step(PRICE, 7).await
        });
    assert_eq!(made.await.unwrap(), Outcome::Completed(7));
    assert_eq!(fake.saga("shop.order/twice").steps.len(), 2);
}
