//! Live sagas through the engine: callers that ask, repeat, fall silent and come back.

use std::time::Duration;

use amends_coordinator::clock::runtime_now;
use amends_coordinator::engine::{Command, EngineError, View};
use amends_core::answer::{Answer, Failure};
use amends_core::id::StepName;
use amends_core::payload::Payload;
use amends_core::public_state::{Kind, PublicState};
use amends_core::retry::RetryPolicy;
use amends_core::saga::{CompensateVia, Fencing, Forward, LiveCommand, LiveStart, LiveStep, Saga};
use amends_core::target::Target;
use amends_core::time::Millis;

use super::script::{PATIENCE, Reply, no, unknown};
use super::world::{Run, World, gid};

const LEASE: Duration = Duration::from_secs(30);

fn begin(id: &str) -> LiveStart {
    LiveStart {
        gid: gid(id),
        name: "order".to_owned(),
        key: id.to_owned(),
        caller: "one".to_owned(),
        lease: Millis::from(LEASE),
        deadline: None,
    }
}

fn step(name: &str) -> LiveStep {
    let target = Target::parse(&format!("shop/{name}")).unwrap();
    let retry = RetryPolicy {
        max_attempts: 2,
        initial_backoff: Millis(1),
        max_backoff: Millis(1),
        multiplier: 1.0,
    };
    LiveStep {
        target: target.clone(),
        compensation: Some(target),
        input: Payload::null(),
        timeout: Millis(1_000),
        retry,
        undo_retry: retry,
        fencing: Fencing::ConsumerLog,
        compensate_via: CompensateVia::Queue,
    }
}

async fn asked(run: &Run, id: &str, name: &str) -> Result<View, EngineError> {
    asked_for(run, id, name, step(name)).await
}

async fn asked_for(run: &Run, id: &str, name: &str, step: LiveStep) -> Result<View, EngineError> {
    let name = StepName::new(name).unwrap();
    let until = runtime_now() + PATIENCE;
    run.engine.run_live_step(&gid(id), name, step, until).await
}

async fn completed(run: &Run, id: &str, output: &str) -> Result<View, EngineError> {
    let output = Payload::json(&serde_json::json!(output));
    let until = runtime_now() + PATIENCE;
    run.engine.complete_live(&gid(id), output, until).await
}

async fn failed(run: &Run, id: &str) -> Result<View, EngineError> {
    let fail = LiveCommand::Fail {
        step: None,
        failure: Failure::new("TOO_DEAR", "no"),
    };
    run.engine.live(&gid(id), fail).await
}

fn saga(view: &View) -> &Saga {
    view.transaction.saga().unwrap()
}

fn forward<'v>(view: &'v View, name: &str) -> &'v Forward {
    let saga = saga(view);
    let ix = saga.definition().position(name).unwrap();
    &saga.steps()[ix].forward
}

fn code(outcome: Result<View, EngineError>) -> String {
    match outcome {
        Ok(view) => view.transaction.public_state().as_str().to_owned(),
        Err(error) => error.code().to_owned(),
    }
}

fn cause(view: &View) -> &str {
    &saga(view).cause().unwrap().failure.code
}

#[tokio::test]
async fn steps_are_called_one_by_one_and_the_result_is_kept() {
    let world = World::new();
    let run = world.run("a");
    assert!(run.engine.begin_live(begin("g")).await.unwrap().created);
    let view = asked(&run, "g", "stock").await.unwrap();
    assert!(matches!(forward(&view, "stock"), Forward::Succeeded { .. }));
    asked(&run, "g", "money").await.unwrap();
    let again = asked(&run, "g", "stock").await.unwrap();
    assert!(matches!(
        forward(&again, "stock"),
        Forward::Succeeded { .. }
    ));
    let differs = LiveStep {
        timeout: Millis(7),
        ..step("stock")
    };
    let differs = asked_for(&run, "g", "stock", differs).await;
    assert_eq!(code(differs), "STEP_DIFFERS");
    completed(&run, "g", "paid").await.unwrap();
    assert_eq!(world.script.keys(), ["g do stock", "g do money"]);
    assert_eq!(run.engine.live_count(), 0);
    let stored = world.stored("g").await;
    assert_eq!(stored.summary.kind, Kind::Live);
    assert_eq!(stored.summary.definition, None);
    assert_eq!(stored.summary.definition_name, "order");

    assert_eq!(code(completed(&run, "g", "other").await), "SUCCEEDED");
    assert_eq!(code(failed(&run, "g").await), "TRANSACTION_ENDED");
    assert_eq!(code(asked(&run, "g", "late").await), "TRANSACTION_ENDED");
    let repeated = LiveStart {
        caller: "two".to_owned(),
        ..begin("g")
    };
    let repeated = run.engine.begin_live(repeated).await.unwrap();
    assert!(!repeated.created);
    let amends_core::saga::Direction::Ended { outcome, .. } = saga(&repeated.view).direction()
    else {
        panic!("{:?}", repeated.view);
    };
    let output = Payload::json(&serde_json::json!("paid"));
    assert_eq!(*outcome, amends_core::saga::Outcome::Succeeded { output });
}

#[tokio::test]
async fn a_second_caller_is_told_that_it_runs_and_other_content_what_differs() {
    let world = World::new();
    let run = world.run("a");
    run.engine.begin_live(begin("g")).await.unwrap();
    assert!(!run.engine.begin_live(begin("g")).await.unwrap().created);
    let second = LiveStart {
        caller: "two".to_owned(),
        ..begin("g")
    };
    let refused = run.engine.begin_live(second).await.unwrap_err();
    assert_eq!(refused.code(), "ALREADY_RUNNING");
    // Nor are two callers one that say no name.
    let unnamed = || LiveStart {
        caller: String::new(),
        ..begin("unnamed")
    };
    assert!(run.engine.begin_live(unnamed()).await.unwrap().created);
    let refused = run.engine.begin_live(unnamed()).await.unwrap_err();
    assert_eq!(refused.code(), "ALREADY_RUNNING");
    let other = LiveStart {
        key: "other".to_owned(),
        ..begin("g")
    };
    let refused = run.engine.begin_live(other).await.unwrap_err();
    assert_eq!(refused.code(), "GID_REUSED");
    let saga = super::world::chain(&["a"]);
    let refused = run.engine.start(super::world::start("g", &saga)).await;
    assert_eq!(refused.unwrap_err().code(), "GID_REUSED");
    run.start("s", &saga).await;
    assert_eq!(run.ended("s").await, PublicState::Succeeded);
    assert_eq!(code(completed(&run, "s", "").await), "NOT_A_LIVE_SAGA");
    let none = asked(&run, "nobody", "a").await;
    assert_eq!(code(none), "TRANSACTION_NOT_FOUND");
}

#[tokio::test]
async fn of_parallel_steps_one_is_refused_and_the_caller_gives_up() {
    let world = World::new();
    let run = world.run("a");
    world.script.rule(|asked| match asked.key {
        "g do coupon" => Some(Reply::Now(no())),
        "g do money" => Some(Reply::Held),
        _ => None,
    });
    run.engine.begin_live(begin("g")).await.unwrap();
    asked(&run, "g", "stock").await.unwrap();
    let (money, coupon) = tokio::join!(asked(&run, "g", "money"), async {
        let coupon = asked(&run, "g", "coupon").await.unwrap();
        assert!(matches!(forward(&coupon, "coupon"), Forward::Refused));
        assert_eq!(coupon.transaction.public_state(), PublicState::Running);
        world.script.called("g do money", 1).await;
        failed(&run, "g").await.unwrap()
    });
    assert_eq!(code(money), "LIVE_SAGA_TURNED_BACK");
    assert_eq!(cause(&coupon), "TOO_DEAR");
    assert_eq!(run.ended("g").await, PublicState::Compensated);
    let mut undone = world.script.keys();
    undone.retain(|key| key.contains("undo"));
    assert_eq!(undone, ["g undo money", "g undo stock"]);
    assert_eq!(code(failed(&run, "g").await), "COMPENSATED");
}

#[tokio::test]
async fn an_operator_cancels_during_a_step_and_the_caller_hears_of_it() {
    let world = World::new();
    let run = world.run("a");
    world.script.rule(|asked| match asked.key {
        "g do stock" => Some(Reply::Held),
        _ => None,
    });
    run.engine.begin_live(begin("g")).await.unwrap();
    let (stock, _) = tokio::join!(asked(&run, "g", "stock"), async {
        world.script.called("g do stock", 1).await;
        let reason = "the customer called".to_owned();
        let cancel = Command::Cancel { reason };
        run.engine.command(&gid("g"), cancel).await.unwrap();
    });
    let error = stock.unwrap_err();
    assert_eq!(error.code(), "LIVE_SAGA_TURNED_BACK");
    assert!(
        error.to_string().contains("CANCELLED the customer called"),
        "{error}"
    );
    assert_eq!(run.ended("g").await, PublicState::Compensated);
    let beat = run.engine.heartbeat_live(&gid("g")).await;
    assert_eq!(code(beat), "LIVE_SAGA_TURNED_BACK");
}

#[tokio::test]
async fn a_silent_caller_is_given_up_but_not_before_its_lease_is_over() {
    let mut world = World::new();
    world.options.evict_after = Millis(10);
    let run = world.run("a");
    run.engine.begin_live(begin("g")).await.unwrap();
    asked(&run, "g", "stock").await.unwrap();
    for _ in 0..5 {
        world.pass(LEASE - Duration::from_secs(1), &run).await;
        run.engine.heartbeat_live(&gid("g")).await.unwrap();
        assert_eq!(
            run.engine.live_count(),
            1,
            "its heartbeats are known in memory only"
        );
    }
    world.pass(LEASE, &run).await;
    assert_eq!(run.ended("g").await, PublicState::Compensated);
    let view = run.engine.get(&gid("g")).await.unwrap();
    assert_eq!(cause(&view), "CALLER_LOST");
    assert_eq!(world.script.count("g undo stock"), 1);
}

#[tokio::test]
async fn a_caller_that_waits_for_a_step_counts_as_heard() {
    let world = World::new();
    let run = world.run("a");
    world.script.rule(|asked| match asked.key {
        "g do stock" => Some(Reply::Held),
        _ => None,
    });
    let lease = Duration::from_millis(300);
    let start = LiveStart {
        lease: Millis::from(lease),
        ..begin("g")
    };
    run.engine.begin_live(start).await.unwrap();
    let (stock, ()) = tokio::join!(asked(&run, "g", "stock"), async {
        world.script.called("g do stock", 1).await;
        for _ in 0..3 {
            world.pass(lease / 3 * 2, &run).await;
            let now = run.engine.clock().now();
            let heard =
                |view: &View| saga(view).live().unwrap().lease_until() >= now + Millis::from(lease);
            let until = runtime_now() + PATIENCE;
            let view = run
                .engine
                .wait_until(&gid("g"), until, heard)
                .await
                .unwrap();
            assert!(heard(&view), "it waits, but is not heard");
        }
        world.script.release("g do stock", super::script::ok());
    });
    assert!(matches!(
        forward(&stock.unwrap(), "stock"),
        Forward::Succeeded { .. }
    ));
}

#[tokio::test]
async fn it_completes_when_the_steps_that_are_open_have_ended() {
    let world = World::new();
    let run = world.run("a");
    world.script.rule(|asked| match asked.key {
        "g do mail" => Some(Reply::Held),
        "b do mail" => Some(Reply::Now(unknown())),
        _ => None,
    });
    run.engine.begin_live(begin("g")).await.unwrap();
    let mail = StepName::new("mail").unwrap();
    // The caller does not wait for it.
    let at_once = runtime_now();
    let (g, b) = (gid("g"), gid("b"));
    let dropped = run
        .engine
        .run_live_step(&g, mail.clone(), step("mail"), at_once);
    let open = dropped.await.unwrap();
    assert!(matches!(forward(&open, "mail"), Forward::Calling));
    let early = run.engine.complete_live(&g, Payload::null(), runtime_now());
    assert_eq!(code(early.await), "STEPS_OPEN");
    let (done, ()) = tokio::join!(completed(&run, "g", "sent"), async {
        world.script.called("g do mail", 1).await;
        world.script.release("g do mail", super::script::ok());
    });
    assert_eq!(code(done), "SUCCEEDED");
    run.engine.begin_live(begin("b")).await.unwrap();
    let dropped = run
        .engine
        .run_live_step(&b, mail, step("mail"), runtime_now());
    let _ = dropped.await;
    let (done, ()) = tokio::join!(completed(&run, "b", "sent"), async {
        world.script.called("b do mail", 1).await;
        world.pass(Duration::from_millis(5), &run).await;
        world.script.called("b undo mail", 1).await;
    });
    assert_eq!(code(done), "LIVE_SAGA_TURNED_BACK", "it proved nothing");
}

#[tokio::test]
async fn after_a_crash_anywhere_the_caller_goes_on_where_it_was() {
    for begun in [0, 1, 2, 3] {
        let world = World::new();
        let first = world.run("a");
        let names = ["stock", "coupon", "money"];
        first.engine.begin_live(begin("g")).await.unwrap();
        for name in &names[..begun] {
            asked(&first, "g", name).await.unwrap();
        }
        drop(first);
        // Longer than the lease: nobody could hear the caller.
        let run = world.run("b");
        world.pass(LEASE * 3, &run).await;
        run.recover().await;
        assert!(!run.engine.begin_live(begin("g")).await.unwrap().created);
        for name in names {
            let view = asked(&run, "g", name).await.unwrap();
            assert!(matches!(forward(&view, name), Forward::Succeeded { .. }));
        }
        completed(&run, "g", "paid").await.unwrap();
        assert_eq!(
            world.stored("g").await.summary.state,
            PublicState::Succeeded
        );
    }
}

#[tokio::test]
async fn after_a_crash_a_caller_that_is_gone_is_given_up_in_the_end() {
    let world = World::new();
    let first = world.run("a");
    world.script.rule(|asked| match asked.key {
        "g do money" => Some(Reply::Held),
        _ => None,
    });
    first.engine.begin_live(begin("g")).await.unwrap();
    asked(&first, "g", "stock").await.unwrap();
    tokio::select! {
        _ = asked(&first, "g", "money") => panic!("it is held"),
        () = world.script.called("g do money", 1) => {}
    }
    drop(first);
    let run = world.recovered("b").await;
    world.script.called("g do money", 2).await;
    world.pass(LEASE, &run).await;
    assert_eq!(run.ended("g").await, PublicState::Compensated);
    let mut undone = world.script.keys();
    undone.retain(|key| key.contains("undo"));
    assert_eq!(undone, ["g undo money", "g undo stock"]);
}

#[tokio::test]
async fn without_a_consumer_log_an_answer_is_told_when_it_is_durable() {
    let world = World::new();
    let run = world.run("a");
    run.engine.begin_live(begin("g")).await.unwrap();
    let logged = asked(&run, "g", "logged").await.unwrap();
    let recorded = |view: &View, name: &str| {
        let ix = saga(view).definition().position(name).unwrap();
        saga(view).steps()[ix].recorded
    };
    assert!(recorded(&logged, "logged") > logged.durable);
    let plain = LiveStep {
        fencing: Fencing::None,
        ..step("plain")
    };
    let plain = asked_for(&run, "g", "plain", plain).await.unwrap();
    assert!(recorded(&plain, "plain") <= plain.durable);
}

#[tokio::test]
async fn one_that_is_stuck_in_its_compensation_sleeps_and_is_helped_by_an_operator() {
    let mut world = World::new();
    world.options.evict_after = Millis(10);
    let run = world.run("a");
    world.script.rule(|asked| match (asked.key, asked.nth) {
        ("g undo stock", 1) => Some(Reply::Now(Answer::Refused(Failure::new("NO", "later")))),
        _ => None,
    });
    run.engine.begin_live(begin("g")).await.unwrap();
    let hour = Millis::from_secs(3_600);
    let stock = LiveStep {
        undo_retry: RetryPolicy {
            initial_backoff: hour,
            max_backoff: hour,
            ..step("stock").undo_retry
        },
        ..step("stock")
    };
    asked_for(&run, "g", "stock", stock).await.unwrap();
    failed(&run, "g").await.unwrap();
    let second = LiveStart {
        caller: "two".to_owned(),
        ..begin("g")
    };
    let second = run.engine.begin_live(second).await.unwrap();
    assert_eq!(cause(&second.view), "TOO_DEAR", "nobody runs it any more");
    run.asleep("g").await;
    assert_eq!(world.stored("g").await.summary.state, PublicState::Stuck);
    assert_eq!(
        code(asked(&run, "g", "more").await),
        "LIVE_SAGA_TURNED_BACK"
    );
    run.engine.command(&gid("g"), Command::Retry).await.unwrap();
    assert_eq!(run.ended("g").await, PublicState::Compensated);
}
