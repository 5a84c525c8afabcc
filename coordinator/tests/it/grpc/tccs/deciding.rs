//! Confirm all or cancel all, whatever comes twice, late or at once.

use amends_proto::v1;
use amends_proto::v1::StepState::{
    Cancelled, Confirmed, Pending, Refused, Running, Succeeded as Tried, Unknown,
};
use amends_proto::v1::report_try_request::Outcome;
use amends_proto::v1::{TccDecision, TransactionState};
use futures_util::future::join_all;

use super::scene::{Scene, begin, branch, failure, held, steps};
use crate::grpc::api::{brief, seconds, state};
use crate::store::place::Place;

pub(super) async fn a_confirm_takes_what_every_branch_holds(place: &Place) {
    let scene = Scene::start(place).await;
    let begun = scene.begin("t").await;
    let summary = begun.summary.as_ref().unwrap();
    assert_eq!(summary.kind(), v1::TransactionKind::Tcc);
    assert_eq!(
        (summary.definition.as_str(), summary.version),
        ("shop.pay", 0)
    );
    assert_eq!(summary.state(), TransactionState::Running);
    let span = begun.deadline.unwrap().seconds - summary.create_time.unwrap().seconds;
    assert_eq!(span, 60, "the default");
    let balance = scene.tried("t", "balance", "hold").await.unwrap();
    assert_eq!((balance.state(), balance.attempts), (Tried, 1));
    let output = br#"{"held":"balance"}"#;
    assert_eq!(balance.output.unwrap().data.as_ref(), output);
    scene.tried("t", "points", "hold").await.unwrap();
    let own = scene.register("t", "own").await.unwrap();
    assert_eq!(own.state(), Pending);
    assert_eq!(
        brief(scene.decide_confirm("t").await),
        "FailedPrecondition TRIES_OPEN"
    );
    assert!(scene.vault.try_by_caller("t", "own"));
    assert_eq!(
        scene.report("t", "own", held()).await.unwrap().state(),
        Tried
    );
    let ended = scene.confirm("t").await.unwrap();
    assert_eq!(state(&ended), TransactionState::Succeeded);
    assert_eq!(ended.decision(), TccDecision::Confirm);
    assert_eq!(steps(&ended), [Confirmed; 3]);
    let names = ["balance", "points", "own"];
    assert_eq!(scene.vault.states("t", &names), ["taken"; 3]);
    for name in names {
        let seen = scene.vault.branch("t", name);
        assert_eq!(
            (seen.tries, seen.confirms, seen.cancels),
            (1, 1, 0),
            "{name}"
        );
    }
    assert_eq!(scene.get("t").await, scene.api.get("t").await);
    scene.vault.audit();
}

pub(super) async fn a_cancel_releases_whatever_may_be_held(place: &Place) {
    let scene = Scene::start(place).await;
    scene.begin("t").await;
    for (name, step, expected) in [
        ("held", "hold", Tried),
        ("no", "refuse", Refused),
        ("lost", "lost", Unknown),
        ("away", "away", Unknown),
    ] {
        let tried = scene.tried("t", name, step).await.unwrap();
        assert_eq!(tried.state(), expected, "{name}");
    }
    // Whoever registered this one has died before or after its try.
    scene.register("t", "own").await.unwrap();
    let ended = scene.cancel("t").await.unwrap();
    assert_eq!(state(&ended), TransactionState::Compensated);
    assert_eq!(ended.decision(), TccDecision::Cancel);
    let expected = [Cancelled, Refused, Cancelled, Cancelled, Cancelled];
    assert_eq!(steps(&ended), expected);
    let cause = ended.summary.unwrap().cause.unwrap().failure.unwrap();
    assert_eq!(
        (cause.code.as_str(), cause.message.as_str()),
        ("CANCELLED", "no longer wanted")
    );
    let names = ["held", "no", "lost", "away", "own"];
    assert_eq!(
        scene.vault.states("t", &names),
        [
            "released",
            "nothing",
            "released",
            "fenced off",
            "fenced off"
        ]
    );
    assert_eq!(scene.vault.branch("t", "no").cancels, 0, "it holds nothing");
    assert!(!scene.vault.try_by_caller("t", "own"), "too late");
    scene.vault.audit();
}

pub(super) async fn every_call_can_be_repeated(place: &Place) {
    let scene = Scene::start(place).await;
    let mut gids = Vec::new();
    for (request_id, created) in [("one", true), ("one", false), ("", true), ("", true)] {
        let request = v1::BeginTccRequest {
            request_id: request_id.to_owned(),
            ..begin("")
        };
        let begun = scene
            .client()
            .begin_tcc(request)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(begun.created, created, "{request_id}");
        gids.push(begun.transaction.unwrap().summary.unwrap().gid);
    }
    assert_eq!(gids[0], gids[1]);
    gids.dedup();
    assert_eq!(gids.len(), 3, "without an id each is a new one");

    scene.begin("t").await;
    for _ in 0..3 {
        scene.tried("t", "held", "hold").await.unwrap();
        scene.tried("t", "lost", "lost").await.unwrap();
        scene.register("t", "own").await.unwrap();
    }
    // Known at last; not knowing again does not make it unknown.
    let unknown = || Outcome::Unknown(failure("TIMEOUT"));
    scene.report("t", "own", unknown()).await.unwrap();
    for outcome in [held(), held(), unknown()] {
        let own = scene.report("t", "own", outcome).await.unwrap();
        assert_eq!(own.state(), Tried);
    }
    assert_eq!(scene.vault.branch("t", "held").tries, 1);
    assert_eq!(scene.vault.branch("t", "lost").tries, 2, "its two attempts");
    for _ in 0..3 {
        let ended = scene.cancel("t").await.unwrap();
        assert_eq!(state(&ended), TransactionState::Compensated);
        let found = brief(scene.confirm("t").await);
        assert_eq!(found, "FailedPrecondition ALREADY_CANCELLED");
    }
    let again = scene.client().begin_tcc(begin("t")).await.unwrap();
    assert!(!again.into_inner().created, "also after the end");

    scene.begin("u").await;
    scene.tried("u", "held", "hold").await.unwrap();
    for _ in 0..3 {
        let ended = scene.confirm("u").await.unwrap();
        assert_eq!(state(&ended), TransactionState::Succeeded);
        let found = brief(scene.cancel("u").await);
        assert_eq!(found, "FailedPrecondition ALREADY_CONFIRMED");
    }
    let once = scene.vault.branch("u", "held");
    assert_eq!((once.tries, once.confirms, once.cancels), (1, 1, 0));
    scene.vault.audit();
}

pub(super) async fn what_is_not_confirmed_in_time_is_cancelled(place: &Place) {
    let scene = Scene::start(place).await;
    let request = v1::BeginTccRequest {
        deadline: seconds(2),
        ..begin("t")
    };
    scene.client().begin_tcc(request).await.unwrap();
    scene.tried("t", "held", "hold").await.unwrap();
    // Its answer is still to come when time is up.
    let trying = scene.tried("t", "late", "late");
    let ending = scene.api.end("t");
    let (tried, end) = tokio::join!(trying, ending);
    assert_eq!(end, TransactionState::Compensated);
    assert!(matches!(
        tried.unwrap().state(),
        Unknown | Cancelled | v1::StepState::Cancelling
    ));
    scene.vault.open();
    let seen = scene.get("t").await;
    let cause = seen.summary.unwrap().cause.unwrap().failure.unwrap();
    assert_eq!(cause.code, "DEADLINE_EXCEEDED");
    assert_eq!(scene.vault.states("t", &["held", "late"]), ["released"; 2]);
    let late = brief(scene.confirm("t").await);
    assert_eq!(late, "FailedPrecondition ALREADY_CANCELLED");
    for found in [
        brief(scene.register("t", "more").await),
        brief(scene.tried("t", "more", "hold").await),
        brief(scene.tried("t", "held", "hold").await),
    ] {
        assert_eq!(found, "FailedPrecondition TRANSACTION_ENDED");
    }
    assert_eq!(scene.vault.branch("t", "more").tries, 0);
    scene.vault.audit();
}

pub(super) async fn a_confirm_waits_for_tries_that_are_under_way(place: &Place) {
    let scene = Scene::start(place).await;
    scene.begin("t").await;
    let at_once = v1::TryBranchRequest {
        gid: "t".to_owned(),
        branch: Some(branch("late", "late")),
        wait: Some(prost_types::Duration {
            seconds: 0,
            nanos: 1_000_000,
        }),
    };
    let tried = scene
        .client()
        .try_branch(at_once)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(tried.state(), TransactionState::Running);
    assert_eq!(tried.branch.unwrap().state(), Running);
    scene.vault.called(1).await;
    let confirming = scene.confirm("t");
    let opening = async {
        // Until the confirm is there it is refused at once or waits; either is right.
        scene.vault.open();
    };
    let (confirmed, ()) = tokio::join!(confirming, opening);
    assert_eq!(state(&confirmed.unwrap()), TransactionState::Succeeded);
    assert_eq!(scene.vault.branch("t", "late").state(), "taken");

    // What will not become known is not waited for.
    scene.begin("u").await;
    scene.tried("u", "lost", "lost").await.unwrap();
    let found = brief(scene.confirm("u").await);
    assert_eq!(found, "FailedPrecondition TRIES_OPEN");
    assert_eq!(state(&scene.get("u").await), TransactionState::Running);
    scene.vault.audit();
}

pub(super) async fn of_confirm_and_cancel_at_once_one_counts(place: &Place) {
    const ROUNDS: usize = 20;
    let scene = Scene::start(place).await;
    let mut ends = [0, 0];
    for round in 0..ROUNDS {
        let gid = format!("t{round}");
        scene.begin(&gid).await;
        scene.tried(&gid, "held", "hold").await.unwrap();
        let calls = (0..8).map(|n| {
            let (scene, gid) = (&scene, &gid);
            async move {
                match (n + round) % 2 {
                    0 => scene.confirm(gid).await,
                    _ => scene.cancel(gid).await,
                }
            }
        });
        let answers = join_all(calls).await;
        let end = state(&scene.get(&gid).await);
        let confirmed = end == TransactionState::Succeeded;
        ends[usize::from(confirmed)] += 1;
        let (lost, left) = match confirmed {
            true => ("FailedPrecondition ALREADY_CONFIRMED", "taken"),
            false => ("FailedPrecondition ALREADY_CANCELLED", "released"),
        };
        for (n, answer) in answers.into_iter().enumerate() {
            if ((n + round) % 2 == 0) == confirmed {
                assert_eq!(state(&answer.unwrap()), end);
            } else {
                assert_eq!(brief(answer), lost);
            }
        }
        assert_eq!(scene.vault.branch(&gid, "held").state(), left);
    }
    assert_eq!(ends[0] + ends[1], ROUNDS);
    scene.vault.audit();
}

pub(super) async fn it_goes_on_after_a_restart(place: &Place) {
    let mut scene = Scene::start(place).await;
    if !scene.is_durable() {
        // What is in memory ends with its coordinator, and says so.
        scene.begin("t").await;
        scene = scene.restart().await;
        let get = v1::GetTccRequest {
            gid: "t".to_owned(),
        };
        let found = brief(scene.client().get_tcc(get).await);
        assert_eq!(found, "NotFound TRANSACTION_NOT_FOUND");
        return;
    }
    for gid in ["t", "u"] {
        scene.begin(gid).await;
        scene.tried(gid, "held", "hold").await.unwrap();
        scene.register(gid, "own").await.unwrap();
    }
    scene = scene.restart().await;
    assert!(scene.vault.try_by_caller("t", "own"));
    scene.report("t", "own", held()).await.unwrap();
    scene.tried("t", "more", "hold").await.unwrap();
    let ended = scene.confirm("t").await.unwrap();
    assert_eq!(state(&ended), TransactionState::Succeeded);
    let cancelled = scene.cancel("u").await.unwrap();
    assert_eq!(state(&cancelled), TransactionState::Compensated);
    scene = scene.restart().await;
    assert_eq!(
        state(&scene.confirm("t").await.unwrap()),
        TransactionState::Succeeded
    );
    let late = scene.report("u", "own", held()).await;
    assert_eq!(brief(late), "FailedPrecondition TRANSACTION_ENDED");
    assert_eq!(
        scene.vault.states("t", &["held", "own", "more"]),
        ["taken"; 3]
    );
    assert_eq!(
        scene.vault.states("u", &["held", "own"]),
        ["released", "fenced off"]
    );
    scene.vault.audit();
}
