//! Silence: the producer is asked, and what becomes of that.

use std::time::Duration;

use amends_coordinator::clock::monotonic;
use amends_coordinator::messages::HalfOptions;
use amends_core::message::half::{AfterLastCheck, DecidedBy, HalfState, Verdict};
use amends_core::time::Millis;

use super::scene::{GROUP, Producer, half, live, live_with};
use crate::messages::place::Place;
use crate::messages::sized;
use crate::messages::world::{World, body, group, message, named, subscription};

const FIRST: Duration = Duration::from_secs(6);
const INTERVAL: Duration = Duration::from_secs(30);
const ALMOST: Duration = Duration::from_millis(1);

pub(crate) async fn a_silent_producer_is_asked(place: &Place<'_>) {
    let (world, producer) = (World::new(place), Producer::new());
    let live = live(&world, "a", &producer).await;
    let mut consumer = live.run.consumer(&subscription("g", "t"), 10).await;
    for (name, verdict) in [("kept", Verdict::Commit), ("dropped", Verdict::Rollback)] {
        producer.knows(name, verdict);
        live.prepare(name, vec![message("t", name)]).await;
    }
    live.pass(FIRST - ALMOST).await;
    assert!(consumer.has_nothing(), "prepared ones are invisible");
    assert!(producer.asked().is_empty(), "it is not time yet");
    live.pass(ALMOST).await;
    let handed = consumer.next().await;
    assert_eq!(body(&handed), "kept");
    consumer.done(&handed).await;
    for (name, state) in [
        ("kept", HalfState::Committed),
        ("dropped", HalfState::RolledBack),
    ] {
        let view = live.until(name, |view| view.half.decision.is_some()).await;
        assert_eq!(view.state(), state);
        assert_eq!(view.half.decision.unwrap().by, DecidedBy::CheckBack);
        let checks = view.half.log.checks();
        assert_eq!((checks.len(), checks[0].instance.as_str()), (1, "one"));
        assert_eq!(checks[0].verdict.map(Verdict::state), Some(state));
    }
    live.pass(INTERVAL * 3).await;
    assert_eq!(
        producer.asked().len(),
        2,
        "nobody is asked after the verdict"
    );
    assert!(consumer.has_nothing());
}

pub(crate) async fn without_a_verdict_it_is_stuck_and_stays(place: &Place<'_>) {
    let (world, producer) = (World::new(place), Producer::new());
    let live = live(&world, "a", &producer).await;
    let mut consumer = live.run.consumer(&subscription("g", "t"), 10).await;
    live.prepare("h", vec![named("m", "t", "x")]).await;
    live.pass(FIRST).await;
    for check in 1..=15 {
        let view = live.checked("h", check).await;
        assert_eq!(
            (view.half.checks, view.half.log.checks().len()),
            (check, check as usize)
        );
        live.pass(INTERVAL - ALMOST).await;
        assert_eq!(producer.asked().len(), check as usize);
        live.pass(ALMOST).await;
    }
    let stuck = live.get("h").await;
    assert_eq!(
        (stuck.state(), stuck.half.check_at),
        (HalfState::Stuck, None)
    );
    let attempts: Vec<u32> = producer.asked().into_iter().map(|(_, it)| it).collect();
    assert_eq!(attempts, (1..=15).collect::<Vec<_>>());
    live.pass(Duration::from_secs(24 * 3_600)).await;
    assert!(
        live.halves.note(&stuck).contains("decide by hand"),
        "{}",
        live.halves.note(&stuck)
    );
    // Asked once more, because a person wants it.
    live.halves.ask_now(&[half("h")]).await.unwrap();
    let view = live.checked("h", 16).await;
    assert_eq!(
        (view.state(), producer.asked().len()),
        (HalfState::Stuck, 16)
    );
    live.by_hand("h", Verdict::Commit).await;
    assert_eq!(body(&consumer.next().await), "x");
    let decision = live.get("h").await.half.decision.unwrap();
    assert_eq!(
        (decision.by, decision.reason.as_str()),
        (DecidedBy::Operator, "the bank said so")
    );
}

pub(crate) async fn what_nobody_knows_is_discarded_where_that_is_configured(place: &Place<'_>) {
    let (world, producer) = (World::new(place), Producer::new());
    let mut options = HalfOptions::default();
    options.policy.max_checks = 2;
    options.policy.after_last = AfterLastCheck::Discard;
    let live = live_with(&world, "a", &producer, options).await;
    live.prepare("h", vec![message("t", "x")]).await;
    live.pass(FIRST).await;
    live.checked("h", 1).await;
    live.pass(INTERVAL).await;
    let view = live.until("h", |view| view.half.decision.is_some()).await;
    assert_eq!(view.state(), HalfState::RolledBack);
    assert_eq!(view.half.decision.unwrap().by, DecidedBy::Discarded);
    assert_eq!(view.half.checks, 2);
}

pub(crate) async fn no_producer_for_an_hour_costs_no_check(place: &Place<'_>) {
    let (world, producer) = (World::new(place), Producer::new());
    let live = live(&world, "a", &producer).await;
    live.prepare("h", vec![message("t", "x")]).await;
    producer.live(false);
    producer.knows("h", Verdict::Commit);
    let mut silent = live.halves.silent_producers();
    for _ in 0..120 {
        live.pass(INTERVAL).await;
    }
    let alarm = crate::messages::world::patiently(silent.wait_for(|it| !it.is_empty())).await;
    assert_eq!(*alarm.unwrap(), [group(GROUP)]);
    let view = live.get("h").await;
    assert_eq!((view.state(), view.half.checks), (HalfState::Prepared, 0));
    assert!(
        live.halves.note(&view).contains("no live instance"),
        "{}",
        live.halves.note(&view)
    );
    producer.live(true);
    live.halves.look();
    let view = live.until("h", |view| view.half.decision.is_some()).await;
    assert_eq!((view.state(), view.half.checks), (HalfState::Committed, 1));
    live.halves.look();
    crate::messages::world::patiently(silent.wait_for(Vec::is_empty))
        .await
        .unwrap();
}

pub(crate) async fn a_late_first_check_has_all_its_attempts(place: &Place<'_>) {
    let (world, producer) = (World::new(place), Producer::new());
    let live = live(&world, "a", &producer).await;
    live.prepare_to_check("h", message("t", "x"), Millis::from_secs(3_600))
        .await;
    for _ in 0..60 {
        live.pass(Duration::from_secs(59)).await;
    }
    assert!(producer.asked().is_empty());
    live.pass(Duration::from_secs(60)).await;
    let view = live.checked("h", 1).await;
    assert_eq!((view.state(), view.half.checks), (HalfState::Prepared, 1));
    producer.knows("h", Verdict::Rollback);
    live.pass(INTERVAL).await;
    live.until("h", |view| view.state() == HalfState::RolledBack)
        .await;
}

pub(crate) async fn a_restart_forgets_no_check(place: &Place<'_>) {
    let (world, producer) = (World::new(place), Producer::new());
    let first = live(&world, "a", &producer).await;
    first
        .prepare("h", vec![named("m", "t", "x"), named("n", "t", "y")])
        .await;
    first.pass(FIRST).await;
    first.checked("h", 1).await;
    first.crash().await;
    let second = live(&world, "b", &producer).await;
    second.pass(INTERVAL).await;
    second.checked("h", 2).await;
    assert_eq!(producer.asked().last().unwrap().1, 2);
    second.crash().await;
    // The commit comes ten minutes late, at a coordinator that has not prepared it.
    let third = live(&world, "c", &producer).await;
    let mut consumer = third.run.consumer(&subscription("g", "t"), 10).await;
    third.pass(Duration::from_secs(600)).await;
    let told = third.decide("h", Verdict::Commit).await.unwrap();
    assert_eq!(told, (HalfState::Committed, true));
    let mut came: Vec<_> = consumer.drain(2).await.iter().map(body).collect();
    came.sort_unstable();
    assert_eq!(came, ["x", "y"]);
    let asked = producer.asked().len();
    third.pass(Duration::from_secs(3_600)).await;
    assert!(
        producer.asked().len() <= asked + 1,
        "one may have been under way"
    );
    assert!(third.get("h").await.half.checks <= 3);
    assert!(consumer.has_nothing());
}

/// Many wait for a group that answers nothing; another one is asked in time.
#[expect(clippy::print_stdout, reason = "for whoever measures")]
pub(crate) async fn a_slow_group_delays_nobody(place: &Place<'_>) {
    const AT_ONCE: usize = 100;
    let many = sized(1_000, 10_000);
    let (world, producer) = (World::new(place), Producer::new());
    let live = live(&world, "a", &producer).await;
    let begun = monotonic();
    let calls = (0..AT_ONCE).map(|call| {
        let live = &live;
        async move {
            for n in 0..many / AT_ONCE {
                let name = format!("s{call}-{n}");
                live.prepare_for("slow", &name, vec![message("t", "slow")])
                    .await;
            }
        }
    });
    futures_util::future::join_all(calls).await;
    println!("{many} prepared in {:?}", begun.elapsed());
    live.prepare("h", vec![message("t", "x")]).await;
    producer.knows("h", Verdict::Rollback);
    live.pass(FIRST).await;
    live.until("h", |view| view.state() == HalfState::RolledBack)
        .await;
    let in_flight = HalfOptions::default().checks_in_flight;
    assert!(producer.most_at_once() <= in_flight + 1);
    producer.open();
    let begun = monotonic();
    let all = producer.was_asked(many + 1).await;
    println!("all asked in {:?} more", begun.elapsed());
    let mut halves: Vec<&str> = all.iter().map(|(half, _)| half.as_str()).collect();
    halves.sort_unstable();
    halves.dedup();
    assert_eq!(halves.len(), many + 1, "each was asked once");
    assert!(producer.most_at_once() <= in_flight + 1);
}
