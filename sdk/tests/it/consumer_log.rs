//! The consumer log under races and failures: one suite, three databases. The
//! end state is checked in the database itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use amends::conn::Dialect;
use amends::consumer_log::{UNDONE_BEFORE_DO, remove_older_than};
use amends::{Database, Seen, StepError, args, first_delivery};
use tokio::task::JoinSet;

use crate::databases::on_every_database;
use crate::shelf::{STOCK, Shelf, Taken, Then, code, failures, log_rows, moves, stock, take};

on_every_database!(
    duplicates_at_the_same_time_take_effect_once,
    an_undo_that_comes_first_bars_the_step,
    an_undo_takes_effect_once_and_after_its_step,
    an_undo_waits_for_a_step_that_is_open,
    an_undo_against_its_step_ends_consistently,
    a_failed_attempt_leaves_nothing_and_can_be_repeated,
    duplicates_of_a_failing_step_let_one_through,
    a_refusal_is_stored_and_leaves_nothing_else,
    a_panic_is_an_unknown_outcome,
    in_progress_leaves_nothing,
    an_input_that_cannot_be_decoded_is_refused_for_good,
    the_first_answer_survives_byte_for_byte,
    transactions_that_deadlock_are_run_again,
    a_delivery_is_first_once,
    old_rows_are_removed_and_young_ones_kept,
    keys_that_a_database_could_confuse_stay_apart,
);

async fn duplicates_at_the_same_time_take_effect_once(database: Database) {
    let (shelf, calls) = Shelf::stocked(&database).await;
    let calls = Arc::new(calls);
    let mut tasks = JoinSet::new();
    for _ in 0..24 {
        let calls = Arc::clone(&calls);
        tasks.spawn(async move { calls.run(Shelf::TAKE, "g", &take(3, Then::Succeed)).await });
    }
    let answers = tasks.join_all().await;
    let first = answers[0].as_ref().unwrap();
    assert_eq!(first.left, STOCK - 3);
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().unwrap() == first)
    );
    assert_eq!(shelf.watch.runs.load(Ordering::SeqCst), 1);
    assert_eq!(stock(&database, 1).await, STOCK - 3);
    assert_eq!(moves(&database, "g", "take").await, 1);
    assert_eq!(log_rows(&database, "g").await, ["do do succeeded"]);
}

async fn an_undo_that_comes_first_bars_the_step(database: Database) {
    let (shelf, calls) = Shelf::stocked(&database).await;
    let req = take(3, Then::Succeed);
    calls.undo(Shelf::TAKE, "g", &req).await.unwrap();
    assert_eq!(
        code(calls.run(Shelf::TAKE, "g", &req).await),
        UNDONE_BEFORE_DO
    );
    calls.undo(Shelf::TAKE, "g", &req).await.unwrap();
    assert_eq!(
        code(calls.run(Shelf::TAKE, "g", &req).await),
        UNDONE_BEFORE_DO
    );
    assert_eq!(shelf.watch.runs.load(Ordering::SeqCst), 0);
    assert_eq!(shelf.watch.undos.load(Ordering::SeqCst), 0);
    assert_eq!(stock(&database, 1).await, STOCK);
    assert_eq!(
        log_rows(&database, "g").await,
        ["do undo void", "undo undo succeeded"]
    );
}

async fn an_undo_takes_effect_once_and_after_its_step(database: Database) {
    let (shelf, calls) = Shelf::stocked(&database).await;
    let req = take(3, Then::Succeed);
    let first = calls.run(Shelf::TAKE, "g", &req).await.unwrap();
    calls.undo(Shelf::TAKE, "g", &req).await.unwrap();
    calls.undo(Shelf::TAKE, "g", &req).await.unwrap();
    // A late duplicate gets the first answer; nothing happens.
    assert_eq!(calls.run(Shelf::TAKE, "g", &req).await.unwrap(), first);
    assert_eq!(shelf.watch.undos.load(Ordering::SeqCst), 1);
    assert_eq!(stock(&database, 1).await, STOCK);
    assert_eq!(moves(&database, "g", "put back").await, 1);
    assert_eq!(
        log_rows(&database, "g").await,
        ["do do succeeded", "undo undo succeeded"]
    );
}

async fn an_undo_waits_for_a_step_that_is_open(database: Database) {
    let (shelf, calls) = Shelf::stocked(&database).await;
    let req = take(3, Then::Wait);
    let forward = calls.run(Shelf::TAKE, "g", &req);
    let backward = async {
        shelf.watch.arrived.acquire().await.unwrap().forget();
        let open_gate = async {
            tokio::task::yield_now().await;
            shelf.watch.gate.add_permits(1);
        };
        tokio::join!(calls.undo(Shelf::TAKE, "g", &req), open_gate).0
    };
    let (done, undone) = tokio::join!(forward, backward);
    assert_eq!(done.unwrap().left, STOCK - 3);
    undone.unwrap();
    assert_eq!(stock(&database, 1).await, STOCK);
    assert_eq!(moves(&database, "g", "take").await, 1);
    assert_eq!(moves(&database, "g", "put back").await, 1);
}

async fn an_undo_against_its_step_ends_consistently(database: Database) {
    let (_, calls) = Shelf::stocked(&database).await;
    let calls = Arc::new(calls);
    let mut tasks = JoinSet::new();
    for round in 0..30 {
        for phase in 0..3 {
            let calls = Arc::clone(&calls);
            tasks.spawn(async move {
                let (gid, req) = (format!("g{round}"), take(1, Then::Succeed));
                match phase {
                    // The undo is spawned first in every other round.
                    phase if phase == round % 2 => {
                        calls.undo(Shelf::TAKE, &gid, &req).await.unwrap();
                    }
                    _ => {
                        let answer = calls.run(Shelf::TAKE, &gid, &req).await;
                        assert!(answer.is_ok() || code(answer) == UNDONE_BEFORE_DO);
                    }
                }
            });
        }
    }
    tasks.join_all().await;
    assert_eq!(stock(&database, 1).await, STOCK);
    for round in 0..30 {
        let gid = format!("g{round}");
        let taken = moves(&database, &gid, "take").await;
        assert_eq!(moves(&database, &gid, "put back").await, taken, "{gid}");
        let expected = if taken == 1 {
            "do do succeeded"
        } else {
            "do undo void"
        };
        assert_eq!(
            log_rows(&database, &gid).await,
            [expected, "undo undo succeeded"]
        );
    }
}

async fn a_failed_attempt_leaves_nothing_and_can_be_repeated(database: Database) {
    let (shelf, calls) = Shelf::stocked(&database).await;
    let req = take(3, Then::FailOnce);
    assert_eq!(
        code(calls.run(Shelf::TAKE, "g", &req).await),
        "the lamp went out"
    );
    assert_eq!(stock(&database, 1).await, STOCK);
    assert_eq!(log_rows(&database, "g").await, [""; 0]);
    assert_eq!(failures(&database, "g").await, 1);

    let lost = calls.run_failing(Shelf::TAKE, "g", &req).await;
    assert_eq!(code(lost), "this attempt was made to fail");
    assert_eq!(stock(&database, 1).await, STOCK);
    assert_eq!(failures(&database, "g").await, 2);

    assert_eq!(
        calls.run(Shelf::TAKE, "g", &req).await.unwrap().left,
        STOCK - 3
    );
    assert_eq!(shelf.watch.runs.load(Ordering::SeqCst), 3);
    assert_eq!(moves(&database, "g", "take").await, 1);
}

async fn duplicates_of_a_failing_step_let_one_through(database: Database) {
    let (_, calls) = Shelf::stocked(&database).await;
    let calls = Arc::new(calls);
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        let calls = Arc::clone(&calls);
        tasks.spawn(async move { calls.run(Shelf::TAKE, "g", &take(3, Then::FailOnce)).await });
    }
    let answers = tasks.join_all().await;
    let failed: Vec<_> = answers
        .into_iter()
        .filter(Result::is_err)
        .map(code)
        .collect();
    assert_eq!(failed, ["the lamp went out"]);
    assert_eq!(moves(&database, "g", "take").await, 1);
    assert_eq!(stock(&database, 1).await, STOCK - 3);
}

async fn a_refusal_is_stored_and_leaves_nothing_else(database: Database) {
    let (shelf, calls) = Shelf::stocked(&database).await;
    let req = take(3, Then::Refuse);
    for _ in 0..2 {
        let answer = calls
            .run(Shelf::TAKE, "g", &req)
            .await
            .unwrap_err()
            .to_string();
        assert_eq!(answer, "refused: NOT_TODAY: the shelf is being cleaned");
    }
    assert_eq!(shelf.watch.runs.load(Ordering::SeqCst), 1);
    calls.undo(Shelf::TAKE, "g", &req).await.unwrap();
    assert_eq!(shelf.watch.undos.load(Ordering::SeqCst), 0);
    assert_eq!(stock(&database, 1).await, STOCK);
    assert_eq!(moves(&database, "g", "take").await, 0);
    assert_eq!(failures(&database, "g").await, 0);
    assert_eq!(
        log_rows(&database, "g").await,
        ["do do refused", "undo undo succeeded"]
    );
}

async fn a_panic_is_an_unknown_outcome(database: Database) {
    let (_, calls) = Shelf::stocked(&database).await;
    let answer = calls.run(Shelf::TAKE, "g", &take(3, Then::Panic)).await;
    assert_eq!(code(answer), "the step panicked: the shelf fell over");
    assert_eq!(stock(&database, 1).await, STOCK);
    assert_eq!(log_rows(&database, "g").await, [""; 0]);
    assert_eq!(failures(&database, "g").await, 1);
    calls
        .run(Shelf::TAKE, "g", &take(3, Then::Succeed))
        .await
        .unwrap();
}

async fn in_progress_leaves_nothing(database: Database) {
    let (_, calls) = Shelf::stocked(&database).await;
    let answer = calls
        .run(Shelf::TAKE, "g", &take(3, Then::AskAgain))
        .await
        .unwrap_err();
    let expected = Some(Duration::from_secs(7));
    assert!(matches!(answer, StepError::InProgress { retry_after } if retry_after == expected));
    assert_eq!(stock(&database, 1).await, STOCK);
    assert_eq!(log_rows(&database, "g").await, [""; 0]);
    assert_eq!(failures(&database, "g").await, 0);
}

async fn an_input_that_cannot_be_decoded_is_refused_for_good(database: Database) {
    let (shelf, calls) = Shelf::stocked(&database).await;
    let garbled: amends::StepRef<String, Taken> = amends::StepRef::new("shelf", "take");
    let answer = calls.run(garbled, "g", &"nonsense".to_owned()).await;
    assert_eq!(code(answer), "INPUT_INVALID");
    // Stored: the same call with a good input is a duplicate of the bad one.
    let req = take(3, Then::Succeed);
    assert_eq!(
        code(calls.run(Shelf::TAKE, "g", &req).await),
        "INPUT_INVALID"
    );
    calls.undo(Shelf::TAKE, "g", &req).await.unwrap();
    assert_eq!(shelf.watch.runs.load(Ordering::SeqCst), 0);
    assert_eq!(stock(&database, 1).await, STOCK);
}

async fn the_first_answer_survives_byte_for_byte(database: Database) {
    let (_, calls) = Shelf::stocked(&database).await;
    let first = calls
        .run(Shelf::TAKE, "g", &take(3, Then::Succeed))
        .await
        .unwrap();
    let mut conn = database.begin().await.unwrap();
    let row = conn
        .fetch_one("select result from consumer_log", args![])
        .await
        .unwrap();
    assert_eq!(
        row.at::<Vec<u8>>(0).unwrap(),
        serde_json::to_vec(&first).unwrap()
    );
}

async fn transactions_that_deadlock_are_run_again(database: Database) {
    let (shelf, calls) = Shelf::stocked(&database).await;
    let (there, back) = tokio::join!(
        calls.run(Shelf::MOVE, "there", &(1, 2)),
        calls.run(Shelf::MOVE, "back", &(2, 1)),
    );
    there.unwrap();
    back.unwrap();
    let deadlocks = u32::from(database.dialect() != Dialect::Sqlite);
    assert_eq!(shelf.watch.runs.load(Ordering::SeqCst), 2 + deadlocks);
    assert_eq!(
        [stock(&database, 1).await, stock(&database, 2).await],
        [STOCK, STOCK]
    );
    for gid in ["there", "back"] {
        assert_eq!(moves(&database, gid, "move").await, 1);
        assert_eq!(failures(&database, gid).await, 0);
    }
}

async fn a_delivery_is_first_once(database: Database) {
    let seen = async |id: &str| {
        let mut conn = database.begin().await.unwrap();
        let seen = first_delivery(&mut conn, "points", id).await.unwrap();
        conn.commit().await.unwrap();
        seen
    };
    assert_eq!(seen("m1").await, Seen::First);
    assert_eq!(seen("m1").await, Seen::Before);
    assert_eq!(seen("m2").await, Seen::First);
    // Rolled back is not seen.
    let mut conn = database.begin().await.unwrap();
    assert_eq!(
        first_delivery(&mut conn, "points", "m3").await.unwrap(),
        Seen::First
    );
    conn.rollback().await.unwrap();
    assert_eq!(seen("m3").await, Seen::First);
    let mut conn = database.begin().await.unwrap();
    for id in ["", " m", "m ", &"x".repeat(256)] {
        assert!(
            first_delivery(&mut conn, "points", id).await.is_err(),
            "{id:?}"
        );
    }
}

async fn old_rows_are_removed_and_young_ones_kept(database: Database) {
    let (_, calls) = Shelf::stocked(&database).await;
    for gid in ["old", "started", "young"] {
        calls
            .run(Shelf::TAKE, gid, &take(1, Then::Succeed))
            .await
            .unwrap();
    }
    let mut conn = database.begin().await.unwrap();
    conn.execute_text(
        "update consumer_log set updated_at = '2001-01-01 00:00:00' where msg_key not like 'young%'",
    )
    .await
    .unwrap();
    conn.execute_text("update consumer_log set status = 'started' where msg_key like 'started%'")
        .await
        .unwrap();
    conn.commit().await.unwrap();
    assert_eq!(
        remove_older_than(&database, Duration::from_secs(3600))
            .await
            .unwrap(),
        1
    );
    assert_eq!(log_rows(&database, "old").await, [""; 0]);
    assert_eq!(log_rows(&database, "started").await, ["do do started"]);
    assert_eq!(log_rows(&database, "young").await, ["do do succeeded"]);
}

async fn keys_that_a_database_could_confuse_stay_apart(database: Database) {
    let (_, calls) = Shelf::stocked(&database).await;
    for gid in ["order", "ORDER", "örder", "order."] {
        calls
            .run(Shelf::TAKE, gid, &take(1, Then::Succeed))
            .await
            .unwrap();
    }
    assert_eq!(stock(&database, 1).await, STOCK - 4);
}
