//! Looking at transactions and acting on them, wherever they are.

use amends_coordinator::clock::runtime_now;
use amends_coordinator::engine::{Command, EngineError};
use amends_core::saga::PublicState;

use super::script::{Reply, later, no, ok, unknown};
use super::world::{LONG, Run, World, chain, gid};

fn cancel() -> Command {
    Command::Cancel {
        reason: "changed my mind".to_owned(),
    }
}

fn force() -> Command {
    Command::Force {
        operator: "olga".to_owned(),
        reason: "a mistake".to_owned(),
    }
}

fn undone(step: &str) -> Command {
    Command::MarkDone {
        branch: step.to_owned(),
        operator: "olga".to_owned(),
        reason: "by phone".to_owned(),
    }
}

/// What the engine says to a command: the state, or the code of the error.
async fn act(run: &Run, id: &str, command: Command) -> String {
    match run.engine.command(&gid(id), command).await {
        Ok(view) => view.transaction.public_state().as_str().to_owned(),
        Err(error) => error.code().to_owned(),
    }
}

#[tokio::test]
async fn every_action_is_answered_by_the_state_it_meets() {
    let mut world = World::new();
    world.options.evict_after = amends_core::time::Millis(60_000);
    world.script.rule(|asked| match asked.key {
        "live do b" => Some(Reply::Held),
        "undoing undo a" => Some(Reply::Held),
        "undoing do b" => Some(Reply::Now(no())),
        key if key.starts_with("asleep") && asked.nth == 1 && key.ends_with(" do b") => {
            Some(Reply::Now(later(LONG)))
        }
        "asleep-1 do b" => Some(Reply::Held),
        _ => None,
    });
    let run = world.run("a");
    let saga = chain(&["a", "b"]);
    for id in [
        "live", "undoing", "ended", "asleep-1", "asleep-2", "asleep-3",
    ] {
        run.start(id, &saga).await;
    }
    run.ended("ended").await;
    world.script.called("live do b", 1).await;
    world.script.called("undoing undo a", 1).await;
    for id in ["asleep-1", "asleep-2", "asleep-3"] {
        run.asleep(id).await;
    }
    for (id, command, expected) in [
        ("unknown", cancel(), "TRANSACTION_NOT_FOUND"),
        ("unknown", Command::Retry, "TRANSACTION_NOT_FOUND"),
        ("ended", cancel(), "TRANSACTION_ENDED"),
        ("ended", force(), "TRANSACTION_ENDED"),
        ("live", Command::Retry, "NOTHING_WAITS"),
        ("live", undone("nonsense"), "STEP_UNKNOWN"),
        ("live", undone("a"), "STEP_NOT_BEING_UNDONE"),
        ("undoing", cancel(), "ALREADY_COMPENSATING"),
        ("asleep-1", undone("a"), "STEP_NOT_BEING_UNDONE"),
        ("asleep-1", Command::Retry, "RUNNING"),
        ("asleep-2", cancel(), "COMPENSATING"),
        ("asleep-3", force(), "FORCED"),
        ("undoing", undone("a"), "COMPENSATED"),
        ("live", force(), "FORCED"),
    ] {
        let what = format!("{command:?} on {id}");
        assert_eq!(act(&run, id, command).await, expected, "{what}");
    }
    world.script.release("asleep-1 do b", ok());
    for (id, state) in [
        ("asleep-1", PublicState::Succeeded),
        ("asleep-2", PublicState::Compensated),
        ("asleep-3", PublicState::Forced),
        ("undoing", PublicState::Compensated),
        ("live", PublicState::Forced),
    ] {
        assert_eq!(run.ended(id).await, state, "{id}");
    }
    assert_eq!(run.engine.live_count(), 0);
}

#[tokio::test]
async fn what_another_has_is_shown_but_not_touched() {
    let world = World::new();
    world.script.rule(|_| Some(Reply::Held));
    let first = world.run("a");
    first.start("g", &chain(&["a"])).await;
    let other = world.run("b");
    assert_eq!(act(&other, "g", cancel()).await, "NOT_OWNED");
    let view = other.engine.get(&gid("g")).await.unwrap();
    assert_eq!(view.foreign_owner.unwrap().0, "a");
    let waited = other.engine.wait(&gid("g"), runtime_now()).await.unwrap();
    assert_eq!(waited.transaction.public_state(), PublicState::Running);
}

#[tokio::test]
async fn watching_shows_changes_up_to_the_end() {
    let world = World::new();
    world.script.rule(|_| Some(Reply::Held));
    let run = world.run("a");
    run.start("g", &chain(&["a", "b"])).await;
    let mut view = run.change("g", 0).await.unwrap();
    let mut seen = vec![view.changes];
    for key in ["g do a", "g do b"] {
        world.script.called(key, 1).await;
        let id = gid("g");
        let next = run.engine.next_change(&id, view.changes);
        world.script.release(key, ok());
        view = next.await.unwrap().unwrap();
        seen.push(view.changes);
    }
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
    assert_eq!(view.transaction.public_state(), PublicState::Succeeded);
    assert!(
        run.change("g", view.changes).await.is_none(),
        "it has left memory"
    );
    for result in [
        run.engine.get(&gid("unknown")).await,
        run.engine.wait(&gid("unknown"), runtime_now() + LONG).await,
    ] {
        assert!(
            matches!(result, Err(EngineError::NotFound(_))),
            "{result:?}"
        );
    }
}

/// A branch that is stuck does not keep an operator from helping.
#[tokio::test]
async fn a_stuck_undo_goes_on_after_retry_or_is_declared_done() {
    let world = World::new();
    world.script.rule(|asked| match asked.key {
        "retried do b" | "declared do b" => Some(Reply::Now(no())),
        "retried undo a" if asked.nth == 1 => Some(Reply::Now(no())),
        "declared undo a" => Some(Reply::Now(if asked.nth == 1 { no() } else { unknown() })),
        _ => None,
    });
    let run = world.run("a");
    for (id, command) in [("retried", Command::Retry), ("declared", undone("a"))] {
        let mut view = run.start(id, &chain(&["a", "b"])).await.view;
        while view.transaction.public_state() != PublicState::Stuck {
            view = run.change(id, view.changes).await.unwrap();
        }
        // Its slow retries may be quicker than the operator: either way it ends.
        let _ = run.engine.command(&gid(id), command).await;
        assert_eq!(run.ended(id).await, PublicState::Compensated);
    }
}
