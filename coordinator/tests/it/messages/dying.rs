//! Retries, and what becomes of messages that nobody can handle.

use std::time::Duration;

use amends_coordinator::messages::{
    DeadSelection, Edit, ItemOutcome, ItemResult, MessagesError, Resend, Verdict,
};
use amends_coordinator::store::messages::{
    DeadLetter, DeadLetterFilter, DeadLetterId, DeadLetterState,
};
use amends_core::message::{DeliveryState, Headers, RetrySchedule, Subscription};
use amends_core::payload::Payload;
use amends_core::time::Millis;

use super::place::Place;
use super::world::{Consumer, Run, World, body, group, message, named, subscription};

fn open(name: &str) -> DeadLetterFilter {
    DeadLetterFilter {
        group: Some(group(name)),
        state: Some(DeadLetterState::Open),
        limit: 100,
        ..DeadLetterFilter::default()
    }
}

fn resend(selection: DeadSelection) -> Resend {
    Resend {
        selection,
        edited: None,
        per_second: 0,
        actor: "eve".to_owned(),
        reason: "repaired".to_owned(),
    }
}

/// Publishes a message and lets it become a dead letter.
async fn dead(run: &Run, consumer: &mut Consumer, name: &str) -> DeadLetter {
    let id = run.publish(named(name, "t", name)).await;
    let handed = consumer.next().await;
    let never = Verdict::Dead {
        error: "cannot be read".to_owned(),
    };
    consumer.settle(&handed, never).await;
    let found = run.messages.dead_letters(&open("g")).await.unwrap();
    let dead = found
        .into_iter()
        .find(|dead| dead.message.id == id)
        .unwrap();
    run.messages.dead_letter(&dead.id).await.unwrap()
}

pub(super) async fn a_failing_message_is_retried_by_the_schedule_and_then_dead(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    let mut consumer = run.consumer(&subscription("g", "t"), 10).await;
    let id = run.publish(message("t", "x")).await;
    for (attempt, wait) in [(1, 1_000), (2, 2_000)] {
        let handed = consumer.next().await;
        assert_eq!(handed.attempt, attempt);
        consumer.again(&handed, &format!("failure {attempt}")).await;
        let row = run.delivery(&id, "g").await.unwrap();
        assert_eq!(
            (row.state, row.attempts),
            (DeliveryState::Retrying, attempt)
        );
        run.pass(Duration::from_millis(wait - 1)).await;
        consumer.handle.add_credit(1).await.unwrap();
        assert!(consumer.has_nothing(), "it is not time yet");
        run.pass(Duration::from_millis(1)).await;
    }
    let third = consumer.next().await;
    assert_eq!(third.attempt, 3);
    consumer.again(&third, "failure 3").await;
    let row = run.delivery(&id, "g").await.unwrap();
    assert_eq!((row.state, row.attempts), (DeliveryState::Dead, 3));
    let dead = run.messages.dead_letters(&open("g")).await.unwrap();
    assert_eq!(dead.len(), 1);
    let dead = run.messages.dead_letter(&dead[0].id).await.unwrap();
    assert_eq!(dead.attempts, 3);
    assert_eq!(
        (dead.first_error.as_str(), dead.last_error.as_str()),
        ("failure 1", "failure 3")
    );
    assert_eq!(dead.message.payload.data().as_ref(), b"x");
    run.pass(Duration::from_secs(60)).await;
    assert!(consumer.has_nothing());
}

pub(super) async fn what_fails_three_times_and_then_works_is_done(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    let patient = Subscription {
        retry: RetrySchedule::new(5, vec![Millis(1_000)]).unwrap(),
        ..subscription("g", "t")
    };
    let mut consumer = run.consumer(&patient, 10).await;
    let id = run.publish(message("t", "x")).await;
    for attempt in 1..=3 {
        let handed = consumer.next().await;
        assert_eq!(handed.attempt, attempt);
        consumer.again(&handed, &format!("failure {attempt}")).await;
        run.pass(Duration::from_secs(1)).await;
    }
    let fourth = consumer.next().await;
    assert_eq!(fourth.attempt, 4);
    consumer.done(&fourth).await;
    let row = run.until(&id, "g", |row| row.state == DeliveryState::Done);
    assert_eq!(row.await.attempts, 4);
    assert!(
        run.messages
            .dead_letters(&open("g"))
            .await
            .unwrap()
            .is_empty()
    );
}

pub(super) async fn an_explicit_verdict_is_dead_at_once(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    let mut consumer = run.consumer(&subscription("g", "t"), 10).await;
    let dead = dead(&run, &mut consumer, "m").await;
    assert_eq!(
        (dead.attempts, dead.last_error.as_str()),
        (1, "cannot be read")
    );
    let gone = run
        .messages
        .dead_letter(&DeadLetterId("none".to_owned()))
        .await;
    assert!(matches!(gone, Err(MessagesError::NoDeadLetter(_))));
}

pub(super) async fn a_restart_does_not_forget_attempts(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    let mut consumer = run.consumer(&subscription("g", "t"), 10).await;
    let id = run.publish(message("t", "x")).await;
    let handed = consumer.next().await;
    consumer.again(&handed, "first").await;
    run.crash().await;
    let next = world.run("b").await;
    let mut consumer = next.consumer(&subscription("g", "t"), 10).await;
    assert!(consumer.has_nothing());
    next.pass(Duration::from_secs(1)).await;
    let handed = consumer.next().await;
    assert_eq!((handed.attempt, &handed.message.id), (2, &id));
    consumer.again(&handed, "second").await;
    let row = next.delivery(&id, "g").await.unwrap();
    assert_eq!(row.first_error.as_deref(), Some("first"));
    assert_eq!(row.last_error.as_deref(), Some("second"));
    // Handed out, and lost with the coordinator: that costs no attempt.
    next.pass(Duration::from_secs(2)).await;
    assert_eq!(consumer.next().await.attempt, 3);
    next.crash().await;
    let last = world.run("c").await;
    let mut consumer = last.consumer(&subscription("g", "t"), 10).await;
    assert_eq!(consumer.next().await.attempt, 3);
}

pub(super) async fn two_that_resend_at_once_deliver_it_once(place: &Place<'_>) {
    const LETTERS: usize = 20;
    let world = World::new(place);
    let run = world.run("a").await;
    let mut consumer = run.consumer(&subscription("g", "t"), 10).await;
    let mut ids = Vec::new();
    for n in 0..LETTERS {
        ids.push(dead(&run, &mut consumer, &format!("m{n}")).await.id);
    }
    let again = |actor: &str| {
        run.messages.resend(Resend {
            actor: actor.to_owned(),
            ..resend(DeadSelection::Ids(ids.clone()))
        })
    };
    let (one, two) = tokio::join!(again("eve"), again("adam"));
    let done = |results: Vec<ItemResult>| {
        let outcomes = results.into_iter().map(|it| it.outcome);
        outcomes
            .filter(|it| *it == ItemOutcome::Done { new_id: None })
            .count()
    };
    assert_eq!(done(one.unwrap()) + done(two.unwrap()), LETTERS);
    let delivered = consumer.drain(LETTERS).await;
    assert!(delivered.iter().all(|handed| handed.attempt == 1));
    let last = run.publish(message("t", "last")).await;
    assert_eq!(consumer.next().await.message.id, last, "nothing came twice");
    let letter = run.messages.dead_letter(&ids[0]).await.unwrap();
    assert_eq!(letter.state, DeadLetterState::Resent);
    assert!(matches!(letter.actor.as_deref(), Some("eve" | "adam")));
    let late = again("late").await.unwrap();
    assert!(matches!(
        late[0].outcome,
        ItemOutcome::Refused {
            code: "DEAD_LETTER_RESOLVED",
            ..
        }
    ));
}

pub(super) async fn a_resent_filter_is_spread_over_time(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    let mut consumer = run.consumer(&subscription("g", "t"), 10).await;
    for n in 0..4 {
        dead(&run, &mut consumer, &format!("m{n}")).await;
        run.pass(Duration::from_millis(10)).await;
    }
    let by_filter = Resend {
        per_second: 2,
        ..resend(DeadSelection::Filter(DeadLetterFilter {
            limit: 3,
            ..open("g")
        }))
    };
    let results = run.messages.resend(by_filter).await.unwrap();
    assert_eq!(results.len(), 3);
    let mut came = Vec::new();
    for _ in 0..3 {
        came.push(body(&consumer.next().await));
        consumer.handle.add_credit(1).await.unwrap();
        assert!(consumer.has_nothing());
        run.pass(Duration::from_millis(500)).await;
    }
    assert_eq!(came, ["m1", "m2", "m3"], "the newest three, oldest first");
    assert_eq!(
        run.messages.dead_letters(&open("g")).await.unwrap().len(),
        1
    );
    let none = resend(DeadSelection::Filter(open("nobody")));
    assert!(run.messages.resend(none).await.unwrap().is_empty());
}

pub(super) async fn an_edited_letter_is_another_message(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    let mut consumer = run.consumer(&subscription("g", "t"), 10).await;
    let mut other = run.consumer(&subscription("other", "t"), 10).await;
    let letter = dead(&run, &mut consumer, "m").await;
    assert_eq!(body(&other.drain(1).await[0]), "m");
    let edited = Resend {
        edited: Some(Edit {
            headers: Headers::default(),
            payload: Payload::new("text/plain", "repaired".into()),
        }),
        ..resend(DeadSelection::Ids(vec![letter.id.clone()]))
    };
    let results = run.messages.resend(edited).await.unwrap();
    let ItemOutcome::Done {
        new_id: Some(new_id),
    } = &results[0].outcome
    else {
        panic!("{results:?}");
    };
    let handed = consumer.next().await;
    assert_eq!((&handed.message.id, handed.attempt), (new_id, 1));
    assert_eq!(body(&handed), "repaired");
    consumer.done(&handed).await;
    let letter = run.messages.dead_letter(&letter.id).await.unwrap();
    assert_eq!(letter.resent_as.as_ref(), Some(new_id));
    assert!(other.has_nothing(), "it goes to its own group only");
}

pub(super) async fn giving_up_needs_a_reason_and_happens_once(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    let mut consumer = run.consumer(&subscription("g", "t"), 10).await;
    let letter = dead(&run, &mut consumer, "m").await;
    let ids = || DeadSelection::Ids(vec![letter.id.clone(), DeadLetterId("none".to_owned())]);
    let refused = run.messages.discard(ids(), "eve", " ").await.unwrap_err();
    assert_eq!(refused.code(), "INVALID_MESSAGE");
    let results = run.messages.discard(ids(), "eve", "a test").await.unwrap();
    let of = |id: &str| {
        results
            .iter()
            .find(|it| it.id == id)
            .unwrap()
            .outcome
            .clone()
    };
    assert_eq!(of(&letter.id.0), ItemOutcome::Done { new_id: None });
    assert!(matches!(
        of("none"),
        ItemOutcome::Refused {
            code: "DEAD_LETTER_NOT_FOUND",
            ..
        }
    ));
    let again = run.messages.resend(resend(ids())).await.unwrap();
    assert!(
        again
            .iter()
            .all(|it| matches!(it.outcome, ItemOutcome::Refused { .. }))
    );
    let found = run.messages.dead_letter(&letter.id).await.unwrap();
    assert_eq!(found.state, DeadLetterState::Discarded);
    assert_eq!(found.reason.as_deref(), Some("a test"));
    assert!(consumer.has_nothing());
}
