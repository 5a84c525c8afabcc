//! Steps with external effects: the log runs ahead of them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use amends::consumer_log::UNDONE_BEFORE_DO;
use amends::{Database, StepError};

use crate::databases::on_every_database;
use crate::shelf::{Shelf, Then, code, failures, log_rows, take};

on_every_database!(
    an_answered_step_runs_once_and_is_undone_with_its_output,
    a_step_without_an_answer_runs_again,
    a_step_without_an_answer_is_undone_without_output_and_never_runs_again,
    a_refused_step_is_not_undone,
    an_undo_that_comes_first_bars_the_step,
    who_comes_while_an_attempt_is_under_way_asks_again,
    an_attempt_that_died_is_taken_over_when_its_time_is_up,
);

async fn an_answered_step_runs_once_and_is_undone_with_its_output(database: Database) {
    let (shelf, calls) = Shelf::stocked(&database).await;
    let req = take(3, Then::Succeed);
    let first = calls.run(Shelf::CHARGE, "g", &req).await.unwrap();
    assert_eq!(calls.run(Shelf::CHARGE, "g", &req).await.unwrap(), first);
    assert_eq!(shelf.watch.runs.load(Ordering::SeqCst), 1);
    calls.undo(Shelf::CHARGE, "g", &req).await.unwrap();
    calls.undo(Shelf::CHARGE, "g", &req).await.unwrap();
    assert_eq!(shelf.watch.undos.load(Ordering::SeqCst), 1);
    assert_eq!(shelf.watch.undone_with_output.load(Ordering::SeqCst), 1);
    assert_eq!(
        log_rows(&database, "g").await,
        ["do do succeeded", "undo undo succeeded"]
    );
}

async fn a_step_without_an_answer_runs_again(database: Database) {
    let (shelf, calls) = Shelf::stocked(&database).await;
    let req = take(3, Then::FailOnce);
    assert_eq!(
        code(calls.run(Shelf::CHARGE, "g", &req).await),
        "the lamp went out"
    );
    assert_eq!(log_rows(&database, "g").await, ["do do started"]);
    assert_eq!(failures(&database, "g").await, 1);
    calls.run(Shelf::CHARGE, "g", &req).await.unwrap();
    assert_eq!(shelf.watch.runs.load(Ordering::SeqCst), 2);
    assert_eq!(log_rows(&database, "g").await, ["do do succeeded"]);
}

async fn a_step_without_an_answer_is_undone_without_output_and_never_runs_again(
    database: Database,
) {
    let (shelf, calls) = Shelf::stocked(&database).await;
    for (gid, then) in [
        ("fail", Then::Fail),
        ("panic", Then::Panic),
        ("ask", Then::AskAgain),
    ] {
        let req = take(3, then);
        calls.run(Shelf::CHARGE, gid, &req).await.unwrap_err();
        calls.undo(Shelf::CHARGE, gid, &req).await.unwrap();
        assert_eq!(shelf.watch.undone_with_output.load(Ordering::SeqCst), 0);
        assert_eq!(
            code(calls.run(Shelf::CHARGE, gid, &req).await),
            UNDONE_BEFORE_DO
        );
        calls.undo(Shelf::CHARGE, gid, &req).await.unwrap();
        assert_eq!(
            log_rows(&database, gid).await,
            ["do undo void", "undo undo succeeded"]
        );
    }
    assert_eq!(shelf.watch.runs.load(Ordering::SeqCst), 3);
    assert_eq!(shelf.watch.undos.load(Ordering::SeqCst), 3);
}

async fn a_refused_step_is_not_undone(database: Database) {
    let (shelf, calls) = Shelf::stocked(&database).await;
    let req = take(3, Then::Refuse);
    for _ in 0..2 {
        assert_eq!(code(calls.run(Shelf::CHARGE, "g", &req).await), "NOT_TODAY");
    }
    calls.undo(Shelf::CHARGE, "g", &req).await.unwrap();
    assert_eq!(shelf.watch.runs.load(Ordering::SeqCst), 1);
    assert_eq!(shelf.watch.undos.load(Ordering::SeqCst), 0);
}

async fn an_undo_that_comes_first_bars_the_step(database: Database) {
    let (shelf, calls) = Shelf::stocked(&database).await;
    let req = take(3, Then::Succeed);
    calls.undo(Shelf::CHARGE, "g", &req).await.unwrap();
    assert_eq!(
        code(calls.run(Shelf::CHARGE, "g", &req).await),
        UNDONE_BEFORE_DO
    );
    assert_eq!(shelf.watch.runs.load(Ordering::SeqCst), 0);
    assert_eq!(shelf.watch.undos.load(Ordering::SeqCst), 0);
}

async fn who_comes_while_an_attempt_is_under_way_asks_again(database: Database) {
    let (shelf, calls) = Shelf::stocked(&database).await;
    let req = take(3, Then::Wait);
    let others = async {
        shelf.watch.arrived.acquire().await.unwrap().forget();
        let again = calls.run(Shelf::CHARGE, "g", &req).await.unwrap_err();
        assert!(
            matches!(
                again,
                StepError::InProgress {
                    retry_after: Some(_)
                }
            ),
            "{again}"
        );
        let undo = calls.undo(Shelf::CHARGE, "g", &req).await.unwrap_err();
        assert!(
            matches!(
                undo,
                StepError::InProgress {
                    retry_after: Some(_)
                }
            ),
            "{undo}"
        );
        shelf.watch.gate.add_permits(1);
    };
    let (first, ()) = tokio::join!(calls.run(Shelf::CHARGE, "g", &req), others);
    first.unwrap();
    assert_eq!(shelf.watch.runs.load(Ordering::SeqCst), 1);
    calls.undo(Shelf::CHARGE, "g", &req).await.unwrap();
    assert_eq!(shelf.watch.undone_with_output.load(Ordering::SeqCst), 1);
}

async fn an_attempt_that_died_is_taken_over_when_its_time_is_up(database: Database) {
    let (shelf, calls) = Shelf::stocked(&database).await;
    let req = take(3, Then::Wait);
    for gid in ["again", "undo"] {
        // The attempt is dropped half way, as by a crash.
        tokio::select! {
            answer = calls.run(Shelf::CHARGE, gid, &req) => panic!("{}", code(answer)),
            arrived = shelf.watch.arrived.acquire() => arrived.unwrap().forget(),
        }
        assert_eq!(log_rows(&database, gid).await, ["do do running"]);
        let still = calls.undo(Shelf::CHARGE, gid, &req).await.unwrap_err();
        let StepError::InProgress {
            retry_after: Some(after),
        } = still
        else {
            panic!("{still}")
        };
        assert!(after > Duration::ZERO);
    }
    let mut conn = database.begin().await.unwrap();
    conn.execute_text("update consumer_log set updated_at = '2001-01-01 00:00:00'")
        .await
        .unwrap();
    conn.commit().await.unwrap();

    shelf.watch.gate.add_permits(1);
    calls.run(Shelf::CHARGE, "again", &req).await.unwrap();
    calls.undo(Shelf::CHARGE, "undo", &req).await.unwrap();
    assert_eq!(shelf.watch.undone_with_output.load(Ordering::SeqCst), 0);
    assert_eq!(
        code(calls.run(Shelf::CHARGE, "undo", &req).await),
        UNDONE_BEFORE_DO
    );
}
