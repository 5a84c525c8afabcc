//! A TCC within another one: the outer one decides.

use std::time::Duration;

use amends::{StepResult, Tcc, TccError, TccOutcome, reject};

use super::bank::{Held, North, South};
use super::world::{ALL, PATIENCE, UNTOUCHED, World, amount};

/// The part of the south, as a TCC of its own.
async fn part(tx: &Tcc, key: &str) -> Result<Held, TccError> {
    let part = tx.child("part", "bank.part").key(key);
    part.run(async |part: &Tcc| Ok(part.try_branch(South::ANNOUNCE, amount(30)).await?))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_is_confirmed_with_the_whole() {
    let world = World::new().await;
    let whole = world
        .client
        .tcc("bank.transfer")
        .key("whole")
        .wait(PATIENCE);
    let whole = whole.run(async |tx: &Tcc| {
        let held = part(tx, "part").await?;
        // Its confirm was only a promise.
        let part = world
            .client
            .tcc("bank.part")
            .key("part")
            .under("whole", "part");
        assert_eq!(part.begin().await?.outcome().await?, TccOutcome::Prepared);
        assert_eq!(world.money().await, [[ALL, 0, 0], [ALL, 0, 30]]);
        tx.try_branch(North::HOLD, amount(30)).await?;
        Ok(held)
    });
    assert_eq!(whole.await.unwrap(), Held { cents: 30 });
    assert!(world.confirmed("part").await);
    assert_eq!(world.money().await, [[ALL - 30, 0, 0], [ALL + 30, 0, 0]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_is_cancelled_with_the_whole() {
    let world = World::new().await;
    let whole = world
        .client
        .tcc("bank.transfer")
        .key("whole")
        .wait(PATIENCE);
    let whole = whole.run(async |tx: &Tcc| -> StepResult<()> {
        part(tx, "part").await?;
        reject!("NOT_TODAY", "after the part had promised");
    });
    let error = whole.await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "refused: NOT_TODAY: after the part had promised"
    );
    assert!(!world.confirmed("part").await);
    let effects = world.effects("part").await;
    assert_eq!(effects, [vec![], vec!["announce", "forget"]]);
    assert_eq!(world.money().await, UNTOUCHED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_never_promised_stops_the_whole() {
    let world = World::new().await;
    let tx = world.client.tcc("bank.transfer").key("whole").begin();
    let tx = tx.await.unwrap();
    let part = tx
        .child("part", "bank.part")
        .key("part")
        .begin()
        .await
        .unwrap();
    part.try_branch(South::ANNOUNCE, amount(30)).await.unwrap();
    let Err(TccError::Coordinator(open)) = tx.confirm(Duration::ZERO).await else {
        panic!("the whole was confirmed without its part");
    };
    assert_eq!(open.reason(), "TRIES_OPEN");
    tx.cancel("enough", PATIENCE).await.unwrap();
    assert!(!world.confirmed("part").await);
    let late = part.confirm(Duration::ZERO).await;
    assert!(matches!(late, Err(TccError::Cancelled { .. })), "{late:?}");
    assert_eq!(world.money().await, UNTOUCHED);
}
