//! What is refused, and with which code.

use amends_proto::v1;
use amends_proto::v1::TransactionState;
use amends_proto::v1::report_try_request::Outcome;

use super::scene::{Scene, begin, branch, failure, held};
use crate::grpc::api::{BODY_LIMIT, brief, json, saga, seconds, start, state};
use crate::store::place::Place;

const DEFAULT: fn(&mut v1::TccBranch) = |_| {};

pub(super) async fn what_is_wrong_with_a_request(place: &Place) {
    let scene = Scene::start(place).await;
    scene.begin("t").await;
    let begun = async |change: fn(&mut v1::BeginTccRequest)| {
        let mut request = begin("new");
        change(&mut request);
        brief(scene.client().begin_tcc(request).await)
    };
    for (found, expected) in [
        (begun(|it| it.gid = "a b".into()).await, "GID_INVALID gid"),
        (
            begun(|it| it.gid = "g".repeat(129)).await,
            "GID_INVALID gid",
        ),
        (
            begun(|it| it.name = String::new()).await,
            "NAME_INVALID name",
        ),
        (
            begun(|it| it.name = "No Name".into()).await,
            "NAME_INVALID name",
        ),
        (
            begun(|it| it.deadline = seconds(0)).await,
            "DURATION_INVALID deadline",
        ),
        (
            begun(|it| it.deadline = seconds(-1)).await,
            "DURATION_INVALID deadline",
        ),
        (
            begun(|it| it.deadline = seconds(i64::MAX)).await,
            "DURATION_INVALID deadline",
        ),
        (
            begun(|it| (it.gid, it.request_id) = (String::new(), "r".repeat(129))).await,
            "REQUEST_ID_INVALID request_id",
        ),
    ] {
        assert_eq!(found, format!("InvalidArgument {expected}"));
    }
    for (change, expected) in wrong_branches() {
        let mut wrong = branch("new", "hold");
        change(&mut wrong);
        let tried = v1::TryBranchRequest {
            gid: "t".to_owned(),
            branch: Some(wrong.clone()),
            wait: None,
        };
        let registered = v1::RegisterBranchRequest {
            gid: "t".to_owned(),
            branch: Some(wrong),
        };
        for found in [
            brief(scene.client().try_branch(tried).await),
            brief(scene.client().register_branch(registered).await),
        ] {
            assert_eq!(found, format!("InvalidArgument {expected}"));
        }
    }
    rest_of_requests(&scene).await;
    assert!(scene.get("t").await.steps.is_empty(), "nothing came of it");
}

type Wrong = (fn(&mut v1::TccBranch), &'static str);

fn wrong_branches() -> Vec<Wrong> {
    vec![
        (|it| it.name = String::new(), "NAME_INVALID branch.name"),
        (|it| it.name = "No Name".into(), "NAME_INVALID branch.name"),
        (
            |it| it.target = String::new(),
            "TARGET_INVALID branch.target",
        ),
        (
            |it| it.target = "nowhere".into(),
            "TARGET_INVALID branch.target",
        ),
        (
            |it| it.confirm_target = "nowhere".into(),
            "TARGET_INVALID branch.confirm_target",
        ),
        (
            |it| it.cancel_target = "nowhere".into(),
            "TARGET_INVALID branch.cancel_target",
        ),
        (
            |it| it.cancel_target = "grpc://10.1.2.3:80/a.B/C".into(),
            "ADDRESS_NOT_ALLOWED branch.cancel_target",
        ),
        (|it| it.input = json("{"), "BODY_INVALID branch.input"),
        (
            |it| it.input = json(&format!("\"{}\"", "a".repeat(BODY_LIMIT))),
            "BODY_TOO_LARGE branch.input",
        ),
        (
            |it| it.timeout = seconds(0),
            "DURATION_INVALID branch.timeout",
        ),
        (
            |it| it.timeout = seconds(-1),
            "DURATION_INVALID branch.timeout",
        ),
        (
            |it| it.retry.as_mut().unwrap().multiplier = -1.0,
            "RETRY_INVALID branch.retry.multiplier",
        ),
        (
            |it| it.settle_retry.as_mut().unwrap().multiplier = 0.5,
            "RETRY_INVALID branch.settle_retry.multiplier",
        ),
    ]
}

async fn rest_of_requests(scene: &Scene) {
    let mut client = scene.client();
    let report = v1::ReportTryRequest {
        gid: "t".to_owned(),
        branch: "new".to_owned(),
        outcome: None,
    };
    let nothing = v1::RegisterBranchRequest {
        gid: "t".to_owned(),
        branch: None,
    };
    for (found, expected) in [
        (
            brief(client.register_branch(nothing).await),
            "InvalidArgument MISSING branch",
        ),
        (
            brief(client.report_try(report).await),
            "InvalidArgument MISSING outcome",
        ),
        (
            brief(client.confirm_tcc(confirm("t", seconds(-1))).await),
            "InvalidArgument DURATION_INVALID wait",
        ),
        (
            brief(client.cancel_tcc(cancel("t", &"r".repeat(3_000))).await),
            "InvalidArgument TOO_LONG reason",
        ),
        (
            brief(client.get_tcc(get("")).await),
            "InvalidArgument GID_INVALID gid",
        ),
    ] {
        assert_eq!(found, expected);
    }
    ids_of_something_else(scene).await;
}

fn confirm(gid: &str, wait: Option<prost_types::Duration>) -> v1::ConfirmTccRequest {
    v1::ConfirmTccRequest {
        gid: gid.to_owned(),
        wait,
    }
}

fn cancel(gid: &str, reason: &str) -> v1::CancelTccRequest {
    v1::CancelTccRequest {
        gid: gid.to_owned(),
        reason: reason.to_owned(),
        wait: None,
    }
}

fn get(gid: &str) -> v1::GetTccRequest {
    v1::GetTccRequest {
        gid: gid.to_owned(),
    }
}

async fn ids_of_something_else(scene: &Scene) {
    let started = start("saga", saga("order"));
    scene.api.sagas().start_saga(started).await.unwrap();
    let mut client = scene.client();
    let not_found = "NotFound TRANSACTION_NOT_FOUND";
    let not_a_tcc = "FailedPrecondition NOT_A_TCC";
    for (found, expected) in [
        (brief(client.get_tcc(get("absent")).await), not_found),
        (
            brief(client.confirm_tcc(confirm("absent", None)).await),
            not_found,
        ),
        (
            brief(client.cancel_tcc(cancel("absent", "")).await),
            not_found,
        ),
        (brief(scene.tried("absent", "new", "hold").await), not_found),
        (brief(scene.register("absent", "new").await), not_found),
        (
            brief(scene.report("absent", "new", held()).await),
            not_found,
        ),
        (brief(client.get_tcc(get("saga")).await), not_a_tcc),
        (
            brief(client.confirm_tcc(confirm("saga", None)).await),
            not_a_tcc,
        ),
        (
            brief(client.cancel_tcc(cancel("saga", "")).await),
            not_a_tcc,
        ),
        (brief(scene.tried("saga", "new", "hold").await), not_a_tcc),
    ] {
        assert_eq!(found, expected);
    }
}

pub(super) async fn what_is_taken_with_other_content(place: &Place) {
    let scene = Scene::start(place).await;
    scene.begin("t").await;
    let other_begin: [fn(&mut v1::BeginTccRequest); 3] = [
        |it| it.name = "other".into(),
        |it| it.deadline = seconds(59),
        |it| it.gid = "saga".into(),
    ];
    let started = start("saga", saga("order"));
    scene.api.sagas().start_saga(started).await.unwrap();
    for change in other_begin {
        let mut request = begin("t");
        change(&mut request);
        let found = brief(scene.client().begin_tcc(request).await);
        assert_eq!(found, "AlreadyExists GID_REUSED");
    }
    let found = brief(
        scene
            .api
            .sagas()
            .start_saga(start("t", saga("order")))
            .await,
    );
    assert_eq!(found, "AlreadyExists GID_REUSED");

    scene.tried("t", "held", "hold").await.unwrap();
    scene.register("t", "own").await.unwrap();
    let others: [fn(&mut v1::TccBranch); 6] = [
        |it| it.target = "bank/refuse".into(),
        |it| it.confirm_target = "bank/refuse".into(),
        |it| it.cancel_target = "bank/refuse".into(),
        |it| it.input = json("8"),
        |it| it.timeout = seconds(1),
        |it| it.settle_retry = None,
    ];
    for (name, change) in others
        .map(|it| ("held", it))
        .into_iter()
        .chain([("own", DEFAULT)])
    {
        let mut other = branch(name, "hold");
        change(&mut other);
        let request = v1::TryBranchRequest {
            gid: "t".to_owned(),
            branch: Some(other),
            wait: None,
        };
        let found = brief(scene.client().try_branch(request).await);
        assert_eq!(found, "FailedPrecondition BRANCH_DIFFERS", "{name}");
    }
    let refused = || Outcome::Refused(failure("NO_FUNDS"));
    for (name, outcome, expected) in [
        ("none", held(), "BRANCH_UNKNOWN"),
        ("held", held(), "TRY_NOT_REPORTABLE"),
        ("own", held(), ""),
        ("own", refused(), "TRY_KNOWN"),
        ("own", Outcome::Succeeded(json("2").unwrap()), "TRY_KNOWN"),
    ] {
        let reported = scene.report("t", name, outcome).await;
        match expected {
            "" => drop(reported.unwrap()),
            code => assert_eq!(brief(reported), format!("FailedPrecondition {code}")),
        }
    }
    assert_eq!(
        scene.vault.branch("t", "held").tries,
        1,
        "no other was called"
    );
    scene.vault.audit();
}

pub(super) async fn nothing_is_registered_after_the_decision(place: &Place) {
    let scene = Scene::start(place).await;
    for (gid, code) in [("t", "ALREADY_CONFIRMED"), ("u", "ALREADY_CANCELLED")] {
        scene.begin(gid).await;
        scene.tried(gid, "strict", "strict").await.unwrap();
        match gid {
            "t" => scene.decide_confirm(gid).await.unwrap(),
            _ => scene.decide_cancel(gid).await.unwrap(),
        };
        // While it is carried out; it cannot end, as its branch refuses.
        for round in 0..2 {
            for found in [
                brief(scene.tried(gid, "late", "hold").await),
                brief(scene.register(gid, "late").await),
                // The same as before: its try must not be called any more.
                brief(scene.tried(gid, "strict", "strict").await),
            ] {
                assert_eq!(found, format!("FailedPrecondition {code}"), "{round}");
            }
            scene.reaches(gid, TransactionState::Stuck).await;
        }
        assert_eq!(scene.vault.branch(gid, "late").tries, 0);
        assert_eq!(scene.vault.branch(gid, "strict").tries, 1);
    }
    scene.vault.audit();
}

pub(super) async fn there_is_a_most_of_branches(place: &Place) {
    const MOST: usize = 256;
    let scene = Scene::start(place).await;
    scene.begin("t").await;
    for n in 0..MOST {
        scene.register("t", &format!("b{n}")).await.unwrap();
    }
    let found = brief(scene.register("t", "more").await);
    assert_eq!(found, "FailedPrecondition TOO_MANY_BRANCHES");
    let ended = scene.cancel("t").await.unwrap();
    assert_eq!(
        (state(&ended), ended.steps.len()),
        (TransactionState::Compensated, MOST)
    );
    assert_eq!(scene.vault.branch("t", "b255").state(), "fenced off");
}

pub(super) async fn too_many_at_once(place: &Place) {
    let scene = Scene::start_with(place, &[("engine.max_live", "1")]).await;
    scene.begin("t").await;
    let found = brief(scene.client().begin_tcc(begin("u")).await);
    assert_eq!(found, "ResourceExhausted OVERLOADED");
    scene.cancel("t").await.unwrap();
    scene.begin("u").await;
}
