//! Every order of try, confirm and cancel of one branch, through the consumer
//! log: one suite, three databases.

use std::sync::atomic::Ordering;

use amends::consumer_log::{
    CANCEL_AFTER_CONFIRM, CONFIRM_AFTER_CANCEL, CONFIRM_WITHOUT_TRY, TRY_AFTER_CANCEL,
};
use amends::{Database, StepError};

use super::purse::{CENTS, Freeze, Frozen, Purse, Then, effects, freeze, purse};
use crate::databases::on_every_database;
use crate::shelf::{code, failures, log_rows};

on_every_database!(
    what_is_tried_is_confirmed_once,
    what_is_tried_is_cancelled_once,
    a_cancel_without_a_try_does_nothing_and_bars_it,
    a_refused_try_holds_nothing,
    a_confirm_needs_a_try_that_succeeded,
    the_first_outcome_stands,
    a_failed_confirm_leaves_nothing_and_can_be_repeated,
    a_refused_settlement_leaves_nothing_and_can_be_repeated,
    a_panic_is_an_unknown_outcome,
    a_cancel_waits_for_a_try_that_is_open,
    a_cancel_waits_for_a_confirm_that_is_open,
    a_branch_and_a_step_of_one_name_and_id_stay_apart,
);

const FROZEN: Frozen = Frozen {
    cents: 30,
    left: CENTS - 30,
};

async fn what_is_tried_is_confirmed_once(database: Database) {
    let (purses, calls) = Purse::filled(&database).await;
    let req = freeze(30);
    for _ in 0..2 {
        let frozen = calls.try_branch(Purse::FREEZE, "g", &req).await.unwrap();
        assert_eq!(frozen, FROZEN);
    }
    assert_eq!(purse(&database).await, [CENTS - 30, 30, 0]);
    for _ in 0..2 {
        calls.confirm(Purse::FREEZE, "g", &req).await.unwrap();
    }
    // A late duplicate gets the first answer; nothing happens.
    let frozen = calls.try_branch(Purse::FREEZE, "g", &req).await.unwrap();
    assert_eq!(frozen, FROZEN);
    assert_eq!(purse(&database).await, [CENTS - 30, 0, 30]);
    assert_eq!(purses.watch.runs.load(Ordering::SeqCst), 2);
    assert_eq!(effects(&database, "g").await, ["freeze", "settle"]);
    let rows = ["settle do succeeded", "try do succeeded"];
    assert_eq!(log_rows(&database, "g").await, rows);
}

async fn what_is_tried_is_cancelled_once(database: Database) {
    let (purses, calls) = Purse::filled(&database).await;
    let req = freeze(30);
    calls.try_branch(Purse::FREEZE, "g", &req).await.unwrap();
    for _ in 0..2 {
        calls.cancel(Purse::FREEZE, "g", &req).await.unwrap();
    }
    let frozen = calls.try_branch(Purse::FREEZE, "g", &req).await.unwrap();
    assert_eq!(frozen, FROZEN);
    assert_eq!(purse(&database).await, [CENTS, 0, 0]);
    assert_eq!(purses.watch.runs.load(Ordering::SeqCst), 2);
    assert_eq!(effects(&database, "g").await, ["freeze", "unfreeze"]);
    let rows = ["settle undo succeeded", "try do succeeded"];
    assert_eq!(log_rows(&database, "g").await, rows);
}

async fn a_cancel_without_a_try_does_nothing_and_bars_it(database: Database) {
    let (purses, calls) = Purse::filled(&database).await;
    let req = freeze(30);
    for _ in 0..2 {
        calls.cancel(Purse::FREEZE, "g", &req).await.unwrap();
        let late = calls.try_branch(Purse::FREEZE, "g", &req).await;
        assert_eq!(code(late), TRY_AFTER_CANCEL);
    }
    let confirmed = calls.confirm(Purse::FREEZE, "g", &req).await;
    assert_eq!(code(confirmed), CONFIRM_AFTER_CANCEL);
    assert_eq!(purse(&database).await, [CENTS, 0, 0]);
    assert_eq!(purses.watch.runs.load(Ordering::SeqCst), 0);
    let rows = ["settle undo succeeded", "try undo void"];
    assert_eq!(log_rows(&database, "g").await, rows);
}

async fn a_refused_try_holds_nothing(database: Database) {
    let (purses, calls) = Purse::filled(&database).await;
    let req = Freeze {
        hold: Then::Refuse,
        ..freeze(30)
    };
    for _ in 0..2 {
        let refused = calls.try_branch(Purse::FREEZE, "g", &req).await;
        assert_eq!(code(refused), "NOT_TODAY");
    }
    let confirmed = calls.confirm(Purse::FREEZE, "g", &req).await;
    assert_eq!(code(confirmed), CONFIRM_WITHOUT_TRY);
    calls.cancel(Purse::FREEZE, "g", &req).await.unwrap();
    assert_eq!(purse(&database).await, [CENTS, 0, 0]);
    assert_eq!(purses.watch.runs.load(Ordering::SeqCst), 1);
    assert_eq!(effects(&database, "g").await, [""; 0]);
    let rows = ["settle undo succeeded", "try do refused"];
    assert_eq!(log_rows(&database, "g").await, rows);
}

async fn a_confirm_needs_a_try_that_succeeded(database: Database) {
    let (_, calls) = Purse::filled(&database).await;
    let req = freeze(30);
    let confirmed = calls.confirm(Purse::FREEZE, "g", &req).await;
    assert_eq!(code(confirmed), CONFIRM_WITHOUT_TRY);
    // It left nothing, so that it does not stand in the way of what is right.
    assert_eq!(log_rows(&database, "g").await, [""; 0]);
    calls.try_branch(Purse::FREEZE, "g", &req).await.unwrap();
    calls.confirm(Purse::FREEZE, "g", &req).await.unwrap();
    assert_eq!(purse(&database).await, [CENTS - 30, 0, 30]);
}

async fn the_first_outcome_stands(database: Database) {
    let (_, calls) = Purse::filled(&database).await;
    let req = freeze(30);
    for gid in ["confirmed", "cancelled"] {
        calls.try_branch(Purse::FREEZE, gid, &req).await.unwrap();
    }
    calls
        .confirm(Purse::FREEZE, "confirmed", &req)
        .await
        .unwrap();
    calls
        .cancel(Purse::FREEZE, "cancelled", &req)
        .await
        .unwrap();
    for _ in 0..2 {
        let cancelled = calls.cancel(Purse::FREEZE, "confirmed", &req).await;
        assert_eq!(code(cancelled), CANCEL_AFTER_CONFIRM);
        let confirmed = calls.confirm(Purse::FREEZE, "cancelled", &req).await;
        assert_eq!(code(confirmed), CONFIRM_AFTER_CANCEL);
    }
    assert_eq!(purse(&database).await, [CENTS - 30, 0, 30]);
}

async fn a_failed_confirm_leaves_nothing_and_can_be_repeated(database: Database) {
    let (_, calls) = Purse::filled(&database).await;
    let tried = freeze(30);
    calls.try_branch(Purse::FREEZE, "g", &tried).await.unwrap();
    // Another instance, whose first run fails.
    let again = Purse::new();
    let calls = amends::testing::direct(&database, again.clone());
    let req = Freeze {
        settle: Then::FailOnce,
        ..tried
    };
    let failed = calls.confirm(Purse::FREEZE, "g", &req).await;
    assert_eq!(code(failed), "the lamp went out");
    assert_eq!(purse(&database).await, [CENTS - 30, 30, 0]);
    assert_eq!(log_rows(&database, "g").await, ["try do succeeded"]);
    assert_eq!(failures(&database, "g").await, 1);
    calls.confirm(Purse::FREEZE, "g", &req).await.unwrap();
    assert_eq!(again.watch.runs.load(Ordering::SeqCst), 2);
    assert_eq!(purse(&database).await, [CENTS - 30, 0, 30]);
}

async fn a_refused_settlement_leaves_nothing_and_can_be_repeated(database: Database) {
    let (purses, calls) = Purse::filled(&database).await;
    let req = Freeze {
        settle: Then::RefuseUntilMended,
        ..freeze(30)
    };
    for gid in ["confirmed", "cancelled"] {
        calls.try_branch(Purse::FREEZE, gid, &req).await.unwrap();
    }
    let confirmed = calls.confirm(Purse::FREEZE, "confirmed", &req).await;
    assert_eq!(code(confirmed), "NOT_TODAY");
    let cancelled = calls.cancel(Purse::FREEZE, "cancelled", &req).await;
    assert_eq!(code(cancelled), "NOT_TODAY");
    assert_eq!(purse(&database).await, [CENTS - 60, 60, 0]);
    assert_eq!(log_rows(&database, "confirmed").await, ["try do succeeded"]);

    purses.watch.mended.store(true, Ordering::SeqCst);
    calls
        .confirm(Purse::FREEZE, "confirmed", &req)
        .await
        .unwrap();
    calls
        .cancel(Purse::FREEZE, "cancelled", &req)
        .await
        .unwrap();
    assert_eq!(purse(&database).await, [CENTS - 30, 0, 30]);
}

async fn a_panic_is_an_unknown_outcome(database: Database) {
    let (_, calls) = Purse::filled(&database).await;
    let req = Freeze {
        settle: Then::Panic,
        ..freeze(30)
    };
    calls.try_branch(Purse::FREEZE, "g", &req).await.unwrap();
    let answer = calls.cancel(Purse::FREEZE, "g", &req).await.unwrap_err();
    assert!(matches!(answer, StepError::Unknown(_)), "{answer}");
    assert_eq!(purse(&database).await, [CENTS - 30, 30, 0]);
    calls.cancel(Purse::FREEZE, "g", &freeze(30)).await.unwrap();
    assert_eq!(purse(&database).await, [CENTS, 0, 0]);
}

async fn a_cancel_waits_for_a_try_that_is_open(database: Database) {
    let (purses, calls) = Purse::filled(&database).await;
    let req = Freeze {
        hold: Then::Wait,
        ..freeze(30)
    };
    let tried = calls.try_branch(Purse::FREEZE, "g", &req);
    let cancelled = async {
        purses.watch.arrived.acquire().await.unwrap().forget();
        let open_gate = async {
            tokio::task::yield_now().await;
            purses.watch.gate.add_permits(1);
        };
        tokio::join!(calls.cancel(Purse::FREEZE, "g", &req), open_gate).0
    };
    let (tried, cancelled) = tokio::join!(tried, cancelled);
    assert_eq!(tried.unwrap(), FROZEN);
    cancelled.unwrap();
    assert_eq!(purse(&database).await, [CENTS, 0, 0]);
    assert_eq!(effects(&database, "g").await, ["freeze", "unfreeze"]);
}

async fn a_cancel_waits_for_a_confirm_that_is_open(database: Database) {
    let (purses, calls) = Purse::filled(&database).await;
    let req = Freeze {
        settle: Then::Wait,
        ..freeze(30)
    };
    calls.try_branch(Purse::FREEZE, "g", &req).await.unwrap();
    let confirmed = calls.confirm(Purse::FREEZE, "g", &req);
    let cancelled = async {
        purses.watch.arrived.acquire().await.unwrap().forget();
        let open_gate = async {
            tokio::task::yield_now().await;
            purses.watch.gate.add_permits(1);
        };
        tokio::join!(calls.cancel(Purse::FREEZE, "g", &req), open_gate).0
    };
    let (confirmed, cancelled) = tokio::join!(confirmed, cancelled);
    confirmed.unwrap();
    assert_eq!(code(cancelled), CANCEL_AFTER_CONFIRM);
    assert_eq!(purse(&database).await, [CENTS - 30, 0, 30]);
    assert_eq!(effects(&database, "g").await, ["freeze", "settle"]);
}

async fn a_branch_and_a_step_of_one_name_and_id_stay_apart(database: Database) {
    let (_, calls) = Purse::filled(&database).await;
    let step: amends::StepRef<Freeze, Frozen> = amends::StepRef::new("purse", "freeze");
    let answer = calls.run(step, "g", &freeze(30)).await.unwrap_err();
    assert!(matches!(answer, StepError::Unknown(_)), "{answer}");
    let branch: amends::TccRef<(), i64> = amends::TccRef::new("purse", "look");
    let answer = calls.try_branch(branch, "g", &()).await.unwrap_err();
    assert!(matches!(answer, StepError::Unknown(_)), "{answer}");
    assert_eq!(purse(&database).await, [CENTS, 0, 0]);
    assert_eq!(log_rows(&database, "g").await, [""; 0]);
}
