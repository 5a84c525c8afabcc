//! Tries that the caller makes itself: registered first, reported after.

use std::time::Duration;

use amends::testing::direct;
use amends::{StepCx, StepError, StepResult, Tcc, TccError, TccOutcome, TccRef};

use super::bank::{Amount, Held, North};
use super::world::{ALL, PATIENCE, UNTOUCHED, World, amount};

/// The bank's own try, by whatever way it is called.
async fn hold(world: &World, cx: &StepCx, request: &Amount) -> StepResult<Held> {
    let calls = direct(&world.north, North);
    // The kit names the branch like the step.
    assert_eq!(cx.branch(), North::HOLD.name());
    calls.try_branch(North::HOLD, cx.gid(), request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_caller_tried_is_confirmed_with_the_rest() {
    let world = World::new().await;
    let run = world.client.tcc("bank.pay").key("t").wait(PATIENCE);
    let run = run.run(async |tx: &Tcc| {
        let request = amount(30);
        let own = tx.try_own("hold", North::HOLD, &request, async |cx| {
            assert_eq!(cx.idempotency_key(), "t/hold");
            hold(&world, cx, &request).await
        });
        Ok(own.await?)
    });
    assert_eq!(run.await.unwrap(), Held { cents: 30 });
    assert_eq!(world.money().await, [[ALL - 30, 0, 0], [ALL, 0, 0]]);
    assert_eq!(world.effects("t").await, [vec!["debit", "hold"], vec![]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_try_is_not_made_again() {
    let world = World::new().await;
    let begin = async || world.client.tcc("bank.pay").key("t").begin().await.unwrap();
    let (first, request) = (begin().await, amount(30));
    let work = async |cx: &StepCx| hold(&world, cx, &request).await;
    first
        .try_own("hold", North::HOLD, &request, work)
        .await
        .unwrap();
    let second = begin().await;
    let no_work = async |_: &StepCx| -> StepResult<Held> { panic!("it is made again") };
    let held = second.try_own("hold", North::HOLD, &request, no_work);
    assert_eq!(held.await.unwrap(), Held { cents: 30 });
    let outcome = second.cancel("enough", PATIENCE).await.unwrap();
    assert_eq!(outcome, TccOutcome::Cancelled);
    assert_eq!(world.money().await, UNTOUCHED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_and_unknown_tries_are_told_as_such() {
    let world = World::new().await;
    let tx = world.client.tcc("bank.pay").key("t").begin().await.unwrap();
    let all = amount(ALL);
    let refused = tx.try_own("hold", North::HOLD, &all, async |cx| {
        hold(&world, cx, &all).await
    });
    let refused = refused.await.unwrap_err();
    assert!(
        matches!(&refused, TccError::Refused { branch, code, .. } if branch == "hold" && code == "NO_MONEY"),
        "{refused}"
    );
    let lost = tx.try_own("lost", North::HOLD, &all, async |_| -> StepResult<Held> {
        Err(StepError::unknown("the line went dead"))
    });
    let lost = lost.await.unwrap_err();
    let text = "the try of branch `lost` has no known outcome: the line went dead";
    assert_eq!(lost.to_string(), text);
    // What is not known to hold cannot be confirmed, and is cancelled with the rest.
    let Err(TccError::Coordinator(open)) = tx.confirm(Duration::ZERO).await else {
        panic!("an unknown try was confirmed");
    };
    assert_eq!(open.reason(), "TRIES_OPEN");
    tx.cancel("enough", PATIENCE).await.unwrap();
    assert_eq!(world.money().await, UNTOUCHED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_never_tried_is_cancelled_and_too_late_then() {
    let world = World::new().await;
    let tx = world.client.tcc("bank.pay").key("t");
    let tx = tx.deadline(Duration::from_secs(1)).begin().await.unwrap();
    let request = amount(30);
    let branch: TccRef<Amount, Held> = North::HOLD;
    let own = tx.register("hold", branch, &request).await.unwrap();
    assert!(!world.confirmed("t").await);
    let late = hold(&world, own.cx(), &request).await.unwrap_err();
    assert!(
        matches!(&late, StepError::Refused { code, .. } if code == "TRY_AFTER_CANCEL"),
        "{late}"
    );
    let told = own.report(Err(late)).await.unwrap_err();
    assert!(matches!(told, TccError::Cancelled { .. }), "{told}");
    assert_eq!(world.money().await, UNTOUCHED);
}
