//! The caller's side: what confirms, what cancels, and what a repeated key means.

use std::sync::Arc;
use std::time::Duration;

use amends::{ClientError, StepResult, Tcc, TccError, TccOutcome, reject};
use tokio::sync::Notify;

use super::bank::{CLOSED, Held, North, South};
use super::world::{ALL, UNTOUCHED, World, amount};

const NONE: [[&str; 0]; 2] = [[], []];

/// From north to south.
async fn transfer(tx: &Tcc, cents: i64) -> StepResult<(Held, Held)> {
    Ok(tokio::try_join!(
        tx.try_branch(North::HOLD, amount(cents)),
        tx.try_branch(South::ANNOUNCE, amount(cents)),
    )?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ok_confirms_what_was_held() {
    let world = World::new().await;
    let run = world
        .client
        .tcc("bank.transfer")
        .key("t")
        .wait(super::world::PATIENCE);
    let run = run.run(async |tx: &Tcc| {
        let held = transfer(tx, 30).await?;
        assert_eq!(world.money().await, [[ALL - 30, 30, 0], [ALL, 0, 30]]);
        assert_eq!(tx.outcome().await?, TccOutcome::Open);
        Ok(held)
    });
    assert_eq!(run.await.unwrap(), (Held { cents: 30 }, Held { cents: 30 }));
    assert_eq!(world.money().await, [[ALL - 30, 0, 0], [ALL + 30, 0, 0]]);
    let effects = world.effects("t").await;
    assert_eq!(effects, [vec!["debit", "hold"], vec!["announce", "credit"]]);

    // The same key again is the same TCC: nothing happens any more.
    let again = world.client.tcc("bank.transfer").key("t");
    let again = again.run(async |_: &Tcc| -> StepResult<()> { panic!("it runs again") });
    let again = again.await.unwrap_err();
    assert!(
        matches!(again, TccError::Confirmed { ref gid } if gid == "t"),
        "{again}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_a_refusal_and_a_refused_try_cancel() {
    let world = World::new().await;
    let run = async |key: &str, work: &dyn Fn() -> StepResult<()>, cents: i64, account: i64| {
        let run = world.client.tcc("bank.transfer").key(key);
        let run = run.wait(super::world::PATIENCE).run(async |tx: &Tcc| {
            tx.try_branch(North::HOLD, amount(cents)).await?;
            let to = super::bank::Amount { account, cents };
            tx.try_branch(South::ANNOUNCE, to).await?;
            work()
        });
        run.await.unwrap_err().to_string()
    };
    let fine = || Ok(());
    let lost = || Err(std::io::Error::other("the paper is lost"))?;
    let refuses = || reject!("NOT_TODAY", "come back tomorrow");

    let error = run("lost", &lost, 30, 0).await;
    assert_eq!(error, "the work within the TCC failed");
    let error = run("refuses", &refuses, 30, 0).await;
    assert_eq!(error, "refused: NOT_TODAY: come back tomorrow");
    let error = run("poor", &fine, ALL, 0).await;
    assert_eq!(
        error,
        format!("refused by branch `north.hold`: NO_MONEY: there are no {ALL} cents")
    );
    let error = run("closed", &fine, 30, CLOSED).await;
    assert_eq!(
        error,
        format!("refused by branch `south.announce`: CLOSED: account {CLOSED} takes no money")
    );

    let held_in_both = [vec!["hold", "unhold"], vec!["announce", "forget"]];
    assert_eq!(world.effects("lost").await, held_in_both);
    assert_eq!(world.effects("refuses").await, held_in_both);
    assert_eq!(world.effects("poor").await, NONE);
    assert_eq!(
        world.effects("closed").await,
        [vec!["hold", "unhold"], vec![]]
    );
    assert_eq!(world.money().await, UNTOUCHED);
    // Why is kept.
    let (code, text) = world.cause("lost").await;
    assert_eq!(code, "CANCELLED");
    assert!(text.ends_with("failed: the paper is lost"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_and_a_dropped_future_cancel() {
    let world = World::new().await;
    let client = world.client.clone();
    let panics = tokio::spawn(async move {
        let run = client.tcc("bank.transfer").key("panics");
        run.run(async |tx: &Tcc| -> StepResult<()> {
            transfer(tx, 30).await?;
            panic!("the teller fainted");
        })
        .await
    });
    assert!(panics.await.unwrap_err().is_panic());
    assert!(!world.confirmed("panics").await);

    let (client, held) = (world.client.clone(), Arc::new(Notify::new()));
    let told = Arc::clone(&held);
    let dropped = tokio::spawn(async move {
        let run = client.tcc("bank.transfer").key("dropped");
        run.run(async |tx: &Tcc| {
            transfer(tx, 30).await?;
            told.notify_one();
            std::future::pending::<StepResult<()>>().await
        })
        .await
    });
    held.notified().await;
    dropped.abort();
    assert!(!world.confirmed("dropped").await);
    for key in ["panics", "dropped"] {
        // By its caller, long before the deadline.
        let (code, text) = world.cause(key).await;
        assert_eq!(
            (code.as_str(), text.as_str()),
            ("CANCELLED", "its caller gave it up")
        );
        let effects = world.effects(key).await;
        assert_eq!(
            effects,
            [["hold", "unhold"], ["announce", "forget"]],
            "{key}"
        );
    }
    assert_eq!(world.money().await, UNTOUCHED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_confirms_is_cancelled_by_its_deadline() {
    let world = World::new().await;
    let tx = world.client.tcc("bank.transfer").key("t");
    let tx = tx.deadline(Duration::from_secs(2)).begin().await.unwrap();
    transfer(&tx, 30).await.unwrap();
    assert!(!world.confirmed("t").await);
    assert_eq!(world.money().await, UNTOUCHED);
    let is_late = |error: TccError| matches!(error, TccError::Cancelled { code, .. } if code == "DEADLINE_EXCEEDED");
    assert!(is_late(tx.confirm(Duration::ZERO).await.unwrap_err()));
    let late = tx.try_named("late", North::HOLD, amount(1)).await;
    assert!(matches!(late, Err(TccError::Cancelled { .. })), "{late:?}");
    assert_eq!(tx.outcome().await.unwrap(), TccOutcome::Cancelled);
    let again = world.client.tcc("bank.transfer").key("t");
    let again = again.deadline(Duration::from_secs(2));
    let again = again.run(async |tx: &Tcc| transfer(tx, 30).await).await;
    assert!(is_late(again.unwrap_err()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_left_open_goes_on() {
    let world = World::new().await;
    let first = world.client.tcc("bank.transfer").key("t").begin();
    let first = first.await.unwrap();
    assert!(first.is_new());
    first.try_branch(North::HOLD, amount(30)).await.unwrap();
    drop(first);
    let second = world.client.tcc("bank.transfer").key("t");
    let second = second.wait(super::world::PATIENCE).run(async |tx: &Tcc| {
        assert!(!tx.is_new());
        transfer(tx, 30).await
    });
    second.await.unwrap();
    let effects = world.effects("t").await;
    assert_eq!(effects, [["debit", "hold"], ["announce", "credit"]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_another_operation_is_left_alone() {
    let world = World::new().await;
    let first = world.client.tcc("bank.transfer").key("t").begin();
    let first = first.await.unwrap();
    transfer(&first, 30).await.unwrap();
    // Another name, and other branches.
    let conflict = world.client.tcc("bank.loan").key("t").begin().await;
    assert!(
        matches!(conflict, Err(ClientError::Conflict { .. })),
        "{conflict:?}"
    );
    let other = world.client.tcc("bank.transfer").key("t");
    let other = other.run(async |tx: &Tcc| transfer(tx, 31).await).await;
    let TccError::Coordinator(other) = other.unwrap_err() else {
        panic!("the coordinator takes it");
    };
    assert_eq!(other.reason(), "BRANCH_DIFFERS");
    let outcome = first.confirm(super::world::PATIENCE).await.unwrap();
    assert_eq!(outcome, TccOutcome::Confirmed);
    assert_eq!(world.money().await, [[ALL - 30, 0, 0], [ALL + 30, 0, 0]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_branches_of_one_name_are_not_taken_for_one() {
    let world = World::new().await;
    let tx = world.client.tcc("bank.transfer").begin().await.unwrap();
    tx.try_branch(North::HOLD, amount(30)).await.unwrap();
    let Err(TccError::Coordinator(twice)) = tx.try_branch(North::HOLD, amount(30)).await else {
        panic!("it is taken for the first one");
    };
    assert_eq!(twice.reason(), "BRANCH_TWICE");
    tx.try_named("more", North::HOLD, amount(30)).await.unwrap();
    assert_eq!(world.money().await, [[ALL - 60, 60, 0], [ALL, 0, 0]]);
    // A try that was refused may be looked at again.
    for _ in 0..2 {
        let refused = tx.try_named("all", North::HOLD, amount(ALL)).await;
        assert!(
            matches!(refused, Err(TccError::Refused { .. })),
            "{refused:?}"
        );
    }
    let Err(TccError::Coordinator(open)) = tx.confirm(Duration::ZERO).await else {
        panic!("a refused try was confirmed");
    };
    assert_eq!(open.reason(), "TRIES_OPEN");
    let outcome = tx.cancel("enough", super::world::PATIENCE).await.unwrap();
    assert_eq!(outcome, TccOutcome::Cancelled);
    assert_eq!(world.money().await, UNTOUCHED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_confirm_without_an_answer_is_found_out_by_its_key() {
    let mut world = World::new().await;
    let client = world
        .client
        .clone()
        .with_patience(Duration::from_millis(500));
    let run = client.tcc("bank.transfer").key("t");
    let run = run.run(async |tx: &Tcc| {
        let held = transfer(tx, 30).await?;
        world.kill_coordinator().await;
        Ok(held)
    });
    let undecided = run.await.unwrap_err();
    assert!(
        matches!(undecided, TccError::Undecided { ref gid, .. } if gid == "t"),
        "{undecided}"
    );
    world.restart_coordinator().await;
    let again = world.client.tcc("bank.transfer").key("t");
    let again = again.wait(super::world::PATIENCE);
    again
        .run(async |tx: &Tcc| transfer(tx, 30).await)
        .await
        .unwrap();
    let effects = world.effects("t").await;
    assert_eq!(effects, [["debit", "hold"], ["announce", "credit"]]);
    assert_eq!(world.money().await, [[ALL - 30, 0, 0], [ALL + 30, 0, 0]]);
}
