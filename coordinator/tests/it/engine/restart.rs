//! Crashes at every point, other incarnations, logs that cannot be read.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use amends_coordinator::clock::runtime_now;
use amends_coordinator::engine::{Command, EngineError};
use amends_coordinator::store::memory::Fault;
use amends_coordinator::store::{Append, Incarnation, ListFilter, Store, Summary};
use amends_core::id::{Generation, RecordNo};
use amends_core::payload::Payload;
use amends_core::public_state::Kind;
use amends_core::saga::{CompiledSaga, PublicState, begin, write_records};
use amends_core::time::Timestamp;

use super::script::{PATIENCE, Reply, Script, no, ok};
use super::world::{World, chain, gid};

/// What is in force after these calls, where a participant refuses a step that
/// was undone and repeats its first answer.
fn in_force(script: &Script, id: &str) -> Vec<String> {
    let mut steps: HashMap<String, (bool, bool)> = HashMap::new();
    for key in script.keys() {
        let mut words = key.split(' ');
        let (gid, phase, step) = (words.next(), words.next(), words.next().unwrap());
        if gid != Some(id) || step == "refused" {
            continue;
        }
        let (done, undone) = steps.entry(step.to_owned()).or_default();
        match phase {
            Some("undo") => *undone = true,
            _ => *done = true,
        }
    }
    let mut found: Vec<_> = steps
        .into_iter()
        .filter(|(_, (done, undone))| *done && !*undone)
        .map(|(step, _)| step)
        .collect();
    found.sort();
    found
}

/// Crashes at append number `at`, before it is written or after.
async fn crash(saga: &Arc<CompiledSaga>, at: usize, written: bool) -> (World, bool) {
    let mut world = World::new();
    world.options.flush_after = Duration::ZERO;
    world
        .script
        .rule(|asked| asked.key.ends_with("do refused").then(|| Reply::Now(no())));
    let run = world.run("first");
    for _ in 0..at {
        // One that goes well: it waits for nothing.
        let (fault, hold) = Fault::hang();
        hold.release();
        world.store.faults().next_append(fault);
    }
    if written {
        world.store.faults().next_append(Fault::FailAfterCommit);
    }
    let (fault, mut hold) = Fault::hang();
    world.store.faults().next_append(fault);
    let starting = run.starting("g", saga);
    let id = gid("g");
    let crashed = async {
        if at == 0 {
            assert!(hold.reached().await);
            return;
        }
        tokio::select! {
            reached = hold.reached() => assert!(reached),
            // It costs fewer appends than that.
            ended = async { run.engine.wait(&id, runtime_now() + PATIENCE).await } => drop(ended.unwrap()),
        }
    };
    let accepted = at > 0;
    if accepted {
        assert!(starting.await.unwrap().unwrap().created);
    }
    tokio::time::timeout(PATIENCE, crashed).await.unwrap();
    drop(run);
    world.store.faults().clear();
    (world, accepted)
}

#[tokio::test]
async fn what_was_accepted_ends_wherever_the_process_dies() {
    for (saga, state, effects) in [
        (chain(&["a", "b"]), PublicState::Succeeded, vec!["a", "b"]),
        (
            chain(&["a", "b", "refused"]),
            PublicState::Compensated,
            vec![],
        ),
    ] {
        for at in 0..6 {
            for written in [false, true] {
                let (world, accepted) = crash(&saga, at, written).await;
                let next = world.recovered("second").await;
                let what = format!("{state:?}, crash at {at}, written: {written}");
                let found = world.store.load(&[gid("g")]).await.unwrap();
                if found.is_empty() {
                    assert!(!accepted, "{what}: lost");
                    assert_eq!(world.script.keys(), [""; 0], "{what}");
                    continue;
                }
                assert_eq!(next.ended("g").await, state, "{what}");
                assert_eq!(in_force(&world.script, "g"), effects, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn who_lost_a_transaction_drops_it_and_makes_no_more_effects() {
    let world = World::new();
    world
        .script
        .rule(|asked| (asked.key == "g do b" && asked.nth == 1).then_some(Reply::Held));
    let old = world.run("old");
    old.start("g", &chain(&["a", "b", "c"])).await;
    world.script.called("g do b", 1).await;
    let new = world.recovered("new").await;
    assert_eq!(new.ended("g").await, PublicState::Succeeded);
    let calls = world.script.keys().len();
    let lost = old
        .engine
        .command(
            &gid("g"),
            Command::Cancel {
                reason: String::new(),
            },
        )
        .await;
    assert!(matches!(lost, Err(EngineError::NotOwned(_))), "{lost:?}");
    assert_eq!(old.engine.live_count(), 0);
    world.script.release("g do b", ok());
    old.poke().await;
    assert_eq!(world.script.keys().len(), calls);
    // It still tells how things stand.
    assert_eq!(old.ended("g").await, PublicState::Succeeded);
}

/// A transaction as its first owner wrote it.
fn row(world: &World, id: &str, records: Option<&str>) -> Append {
    use amends_coordinator::clock::Clock as _;
    let saga = chain(&["a"]);
    let now = world.clock.now();
    let (_, decision) = begin(gid(id), saga.clone(), Payload::null(), None, now);
    Append {
        gid: gid(id),
        generation: Generation::FIRST,
        previous: RecordNo(0),
        last: RecordNo(1),
        records: records.map_or_else(|| write_records(&decision.records), str::to_owned),
        summary: Summary {
            kind: Kind::Saga,
            state: PublicState::Running,
            definition: Some(saga.hash().clone()),
            definition_name: "test".to_owned(),
            definition_version: 1,
            cause: None,
            created_at: now,
            updated_at: now,
            finished_at: None,
            wake_at: None,
        },
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_replayed_parks_that_one_only() {
    let world = World::new();
    let dead = world.store.reopen(Incarnation("dead".to_owned()));
    let good = row(&world, "good", None);
    let of_later_version = good.records.replace("\"v\":1", "\"v\":99");
    let of_another_definition = good.records.replace(chain(&["a"]).hash().0.as_ref(), "f00");
    assert!(of_later_version != good.records && of_another_definition != good.records);
    let mut short = row(&world, "short", None);
    short.last = RecordNo(4);
    let mut asleep = row(&world, "asleep", Some("[]"));
    asleep.summary.wake_at = Some(Timestamp(10_000_000));
    let rows = [
        row(&world, "garbage", Some("not JSON")),
        row(&world, "nothing", Some("[]")),
        row(&world, "later", Some(&of_later_version)),
        row(&world, "undefined", Some(&of_another_definition)),
        short,
        asleep,
        good,
    ];
    dead.append(&rows).await.unwrap();
    let definition = amends_coordinator::engine::to_stored(&chain(&["a"]), Timestamp(0));
    dead.keep_definition(&definition).await.unwrap();

    let run = world.recovered("b").await;
    assert_eq!(run.ended("good").await, PublicState::Succeeded);
    world.pass(Duration::from_secs(100_000), &run).await;
    run.wake().await;
    for (id, reason) in [
        ("garbage", "cannot be read"),
        ("nothing", "0 records are there, 1 should be"),
        ("later", "version 99"),
        ("undefined", "f00"),
        ("short", "1 records are there, 4 should be"),
        ("asleep", "0 records are there"),
    ] {
        match run.engine.get(&gid(id)).await {
            Err(EngineError::Parked { gid, reason: why }) => {
                assert_eq!(gid, id);
                assert!(why.contains(reason), "{id}: {why}");
            }
            other => panic!("{id}: {other:?}"),
        }
        let acted = run.engine.command(&gid(id), Command::Retry).await;
        assert!(
            matches!(acted, Err(EngineError::Parked { .. })),
            "{id}: {acted:?}"
        );
    }
    let stuck = ListFilter {
        states: vec![PublicState::Stuck],
        limit: 100,
        ..ListFilter::default()
    };
    assert_eq!(world.store.list(&stuck).await.unwrap().len(), 6);
    assert_eq!(run.engine.live_count(), 0);
    assert_eq!(world.script.keys(), ["good do a"]);
}

/// A store that cannot be read for a moment right after rows were taken over.
#[tokio::test]
async fn what_could_not_be_read_during_recovery_is_taken_up_later() {
    let world = World::new();
    world
        .script
        .rule(|asked| (asked.nth == 1).then_some(Reply::Held));
    let first = world.run("first");
    for id in ["g1", "g2"] {
        first.start(id, &chain(&["a"])).await;
        world.script.called(&format!("{id} do a"), 1).await;
    }
    drop(first);
    let second = world.store.reopen(Incarnation("second".to_owned()));
    let flaky = super::flaky::FlakyDefinitions::new(second, 2);
    let run = world.run_over(Arc::new(flaky), "second");
    run.recover().await;
    for id in ["g1", "g2"] {
        assert_eq!(run.ended(id).await, PublicState::Succeeded);
    }
}

/// A client repeats its start before recovery has come to the transaction.
#[tokio::test]
async fn a_repeated_start_does_not_hide_the_one_that_is_taken_up() {
    let world = World::new();
    world
        .script
        .rule(|asked| (asked.nth == 1).then_some(Reply::Held));
    let first = world.run("first");
    first.start("g", &chain(&["a"])).await;
    world.script.called("g do a", 1).await;
    drop(first);
    let run = world.run("second");
    let (fault, mut hold) = Fault::hang();
    world.store.faults().next_append(fault);
    let again = run.starting("g", &chain(&["a"]));
    assert!(hold.reached().await);
    run.recover().await;
    assert_eq!(world.script.count("g do a"), 1);
    hold.release();
    assert!(!again.await.unwrap().unwrap().created);
    assert_eq!(run.ended("g").await, PublicState::Succeeded);
    assert_eq!(world.script.count("g do a"), 2);
}
