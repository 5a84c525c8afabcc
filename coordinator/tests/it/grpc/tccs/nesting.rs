//! TCCs whose branches are TCCs.

use amends_proto::v1;
use amends_proto::v1::StepState::{Cancelled, Confirmed, Pending, Succeeded as Tried};
use amends_proto::v1::TransactionState::{Compensated, Prepared, Running, Succeeded};

use super::scene::{Scene, begin, held, steps, under};
use crate::grpc::api::{brief, saga, seconds, start, state};
use crate::store::place::Place;

/// Begins `child` as branch `sub` of `parent`, and has a branch of it tried.
async fn begin_under(scene: &Scene, child: &str, parent: &str) {
    let request = under(child, parent, "sub");
    let begun = scene
        .client()
        .begin_tcc(request)
        .await
        .unwrap()
        .into_inner();
    assert!(begun.created);
    let told = begun.transaction.unwrap().parent.unwrap();
    assert_eq!((told.gid.as_str(), told.branch.as_str()), (parent, "sub"));
    scene.tried(child, "part", "hold").await.unwrap();
}

pub(super) async fn a_child_ends_as_its_parent_decides(place: &Place) {
    let scene = Scene::start(place).await;
    for confirms in [true, false] {
        let (parent, child) = (format!("p-{confirms}"), format!("c-{confirms}"));
        scene.begin(&parent).await;
        begin_under(&scene, &child, &parent).await;
        scene.tried(&parent, "own", "hold").await.unwrap();
        let seen = scene.get(&parent).await;
        assert_eq!(steps(&seen), [Pending, Tried]);
        assert_eq!(seen.steps[0].child_gid, child);
        let early = brief(scene.confirm(&parent).await);
        assert_eq!(early, "FailedPrecondition TRIES_OPEN");
        // Its vote is the child's own, nobody else's.
        let guessed = brief(scene.report(&parent, "sub", held()).await);
        assert_eq!(guessed, "FailedPrecondition TRY_NOT_REPORTABLE");
        let prepared = scene.decide_confirm(&child).await.unwrap();
        assert_eq!(state(&prepared), Prepared);
        assert_eq!(steps(&scene.get(&parent).await), [Tried, Tried], "it knows");
        let too_late = brief(scene.decide_cancel(&child).await);
        assert_eq!(too_late, "FailedPrecondition DECIDED_BY_PARENT");
        let more = brief(scene.tried(&child, "more", "hold").await);
        assert_eq!(more, "FailedPrecondition DECIDED_BY_PARENT");
        let (ended, end, step, left) = match confirms {
            true => (scene.confirm(&parent).await, Succeeded, Confirmed, "taken"),
            false => (
                scene.cancel(&parent).await,
                Compensated,
                Cancelled,
                "released",
            ),
        };
        let ended = ended.unwrap();
        assert_eq!((state(&ended), steps(&ended)), (end, vec![step; 2]));
        assert_eq!(scene.api.end(&child).await, end);
        assert_eq!(scene.vault.branch(&parent, "own").state(), left);
        assert_eq!(scene.vault.branch(&child, "part").state(), left);
        let again = scene
            .client()
            .begin_tcc(under(&child, &parent, "sub"))
            .await;
        assert!(!again.unwrap().into_inner().created, "also after the end");
    }
    scene.vault.audit();
}

pub(super) async fn a_child_that_cancels_keeps_its_parent_from_confirming(place: &Place) {
    let scene = Scene::start(place).await;
    scene.begin("p").await;
    begin_under(&scene, "c", "p").await;
    assert_eq!(state(&scene.cancel("c").await.unwrap()), Compensated);
    assert_eq!(state(&scene.get("p").await), Running);
    let found = brief(scene.confirm("p").await);
    assert_eq!(found, "FailedPrecondition TRIES_OPEN");
    let found = brief(scene.confirm("c").await);
    assert_eq!(found, "FailedPrecondition ALREADY_CANCELLED");
    assert_eq!(state(&scene.cancel("p").await.unwrap()), Compensated);
    assert_eq!(scene.vault.branch("c", "part").state(), "released");
    scene.vault.audit();
}

pub(super) async fn the_deadline_of_the_parent_counts_for_a_prepared_child(place: &Place) {
    let scene = Scene::start(place).await;
    let request = v1::BeginTccRequest {
        deadline: seconds(3),
        ..begin("p")
    };
    scene.client().begin_tcc(request).await.unwrap();
    begin_under(&scene, "c", "p").await;
    assert_eq!(state(&scene.decide_confirm("c").await.unwrap()), Prepared);
    for gid in ["p", "c"] {
        assert_eq!(scene.api.end(gid).await, Compensated, "{gid}");
    }
    let cause = |seen: v1::Transaction| seen.summary.unwrap().cause.unwrap().failure.unwrap().code;
    assert_eq!(cause(scene.get("p").await), "DEADLINE_EXCEEDED");
    assert_eq!(cause(scene.get("c").await), "PARENT_CANCELLED");
    assert_eq!(scene.vault.branch("c", "part").state(), "released");
    scene.vault.audit();
}

pub(super) async fn three_generations_end_together(place: &Place) {
    let mut scene = Scene::start(place).await;
    scene.begin("p").await;
    begin_under(&scene, "c", "p").await;
    begin_under(&scene, "g", "c").await;
    let early = brief(scene.confirm("c").await);
    assert_eq!(early, "FailedPrecondition TRIES_OPEN");
    for gid in ["g", "c"] {
        assert_eq!(state(&scene.decide_confirm(gid).await.unwrap()), Prepared);
    }
    if scene.is_durable() {
        scene = scene.restart().await;
    }
    assert_eq!(state(&scene.confirm("p").await.unwrap()), Succeeded);
    for gid in ["c", "g"] {
        assert_eq!(scene.api.end(gid).await, Succeeded, "{gid}");
        assert_eq!(scene.vault.branch(gid, "part").state(), "taken");
    }
    scene.vault.audit();
}

pub(super) async fn who_cannot_be_a_parent(place: &Place) {
    let scene = Scene::start(place).await;
    let refused = async |request| brief(scene.client().begin_tcc(request).await);
    let started = start("saga", saga("order"));
    scene.api.sagas().start_saga(started).await.unwrap();
    for gid in ["p", "ended"] {
        scene.begin(gid).await;
    }
    scene.cancel("ended").await.unwrap();
    begin_under(&scene, "c", "p").await;
    scene.tried("p", "own", "hold").await.unwrap();
    for (request, expected) in [
        (
            under("x", "absent", "sub"),
            "NotFound TRANSACTION_NOT_FOUND",
        ),
        (under("x", "saga", "sub"), "FailedPrecondition NOT_A_TCC"),
        (
            under("x", "ended", "sub"),
            "FailedPrecondition TRANSACTION_ENDED",
        ),
        (
            under("x", "x", "sub"),
            "InvalidArgument PARENT_IS_ITSELF parent.gid",
        ),
        (
            under("x", "", "sub"),
            "InvalidArgument GID_INVALID parent.gid",
        ),
        (
            under("x", "p", "No Name"),
            "InvalidArgument NAME_INVALID parent.branch",
        ),
        // The name is that of another child, or of a branch that is none.
        (under("x", "p", "sub"), "FailedPrecondition BRANCH_DIFFERS"),
        (under("x", "p", "own"), "FailedPrecondition BRANCH_DIFFERS"),
        // The child was begun as another branch, or under nobody.
        (under("c", "p", "other"), "AlreadyExists GID_REUSED"),
        (begin("c"), "AlreadyExists GID_REUSED"),
    ] {
        assert_eq!(refused(request.clone()).await, expected, "{request:?}");
    }
    let get = v1::GetTccRequest {
        gid: "x".to_owned(),
    };
    let found = brief(scene.client().get_tcc(get).await);
    assert_eq!(found, "NotFound TRANSACTION_NOT_FOUND", "nothing was begun");
}
