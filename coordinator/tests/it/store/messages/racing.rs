//! Two who want the opposite, and readers beside writers.

use std::sync::Arc;

use amends_coordinator::store::messages::{MessageStore, WaitingFilter, Written};
use amends_core::message::half::Verdict;

use super::super::place::Place;
use super::halves::{decide, prepared};
use super::samples::{
    cancel, claim, committed, given, group, load, message, publish, state, topic, write, write_all,
};

const RUNS: usize = 1_000;

/// Another coordinator on the same data where there can be one.
async fn other(place: &Place, first: &Arc<dyn MessageStore>) -> Arc<dyn MessageStore> {
    match place {
        Place::Postgres(_) => place.messages("b").await,
        Place::Memory(_) | Place::Sqlite(_) => Arc::clone(first),
    }
}

pub(super) async fn a_cancel_and_a_claim_do_not_both_win(place: &Place) {
    let store = place.messages("a").await;
    let second = other(place, &store).await;
    let all: Vec<_> = (0..RUNS).map(|i| message(&format!("m{i}"))).collect();
    for batch in all.chunks(500) {
        write_all(&*store, &batch.iter().map(committed).collect::<Vec<_>>()).await;
    }
    for (i, message) in all.iter().enumerate() {
        let text = message.id.as_str();
        let claiming = write(&*store, claim(text));
        let cancelling = write(&*second, cancel(text));
        // Each side is asked first in half of the runs.
        let (claimed, cancelled) = match i % 2 {
            0 => tokio::join!(claiming, cancelling),
            _ => {
                let (cancelled, claimed) = tokio::join!(cancelling, claiming);
                (claimed, cancelled)
            }
        };
        let won = [&claimed, &cancelled].map(|it| *it == Written::Done);
        assert!(won[0] != won[1], "{claimed:?} {cancelled:?}");
        let stored = load(&*store, text).await.unwrap();
        let expected = if won[0] {
            ("COMMITTED", 1)
        } else {
            ("ROLLED_BACK", 0)
        };
        assert_eq!((stored.state.as_str(), stored.try_count), expected);
        let published = write(&*store, publish(text, &[])).await;
        assert_eq!(published == Written::Done, won[0]);
    }
}

pub(super) async fn a_commit_and_a_rollback_do_not_both_win(place: &Place) {
    let store = place.messages("a").await;
    let second = other(place, &store).await;
    let ids: Vec<_> = (0..RUNS).map(|i| format!("m{i}")).collect();
    let all: Vec<_> = ids.iter().map(|text| prepared(text, 5_000)).collect();
    for batch in all.chunks(500) {
        write_all(&*store, batch).await;
    }
    for (i, text) in ids.iter().enumerate() {
        let (first, late) = match i % 2 {
            0 => (Verdict::Commit, Verdict::Rollback),
            _ => (Verdict::Rollback, Verdict::Commit),
        };
        let (one, two) = tokio::join!(
            write(&*store, decide(text, first, &["g"])),
            write(&*second, decide(text, late, &["g"])),
        );
        let won = [one, two].map(|it| it == Written::Done);
        assert!(won[0] != won[1], "{won:?}");
        let verdict = if won[0] { first } else { late };
        let expected = match verdict {
            Verdict::Commit => "PUBLISHED",
            Verdict::Rollback => "ROLLED_BACK",
        };
        assert_eq!(state(&*store, text).await, expected);
    }
}

/// Whoever reads on after the last place misses nothing, while several write.
pub(super) async fn places_become_visible_in_their_order(place: &Place) {
    const WRITERS: usize = 4;
    const BATCHES: usize = 40;
    const OF: usize = 5;
    let store = place.messages("a").await;
    let second = other(place, &store).await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(if writer % 2 == 0 { &store } else { &second });
        writers.spawn(async move {
            for batch in 0..BATCHES {
                let ids = (0..OF).map(|i| format!("{writer}-{batch}-{i}"));
                let all = ids.map(|text| given(&message(&text), &["g", "h"]));
                write_all(&*store, &all.collect::<Vec<_>>()).await;
            }
        });
    }
    let mut seen = Vec::new();
    let mut after = 0;
    loop {
        // In this order: what was written before they all had ended is in the page.
        let ended = loop {
            match writers.try_join_next() {
                Some(ended) => ended.unwrap(),
                None => break writers.is_empty(),
            }
        };
        let filter = WaitingFilter::Ready { after };
        let page = store.waiting(&group("g"), &topic(), &filter, 7).await;
        let page = page.unwrap();
        if page.is_empty() && ended {
            break;
        }
        after = page.last().map_or(after, |row| row.position);
        seen.extend(page.into_iter().map(|row| row.message.id.to_string()));
        tokio::task::yield_now().await;
    }
    assert_eq!(seen.len(), WRITERS * BATCHES * OF);
    // Each writer's own in the order in which it wrote them.
    for writer in 0..WRITERS {
        let own = format!("{writer}-");
        let own = seen.iter().filter(|it| it.starts_with(&own));
        let expected = (0..BATCHES).flat_map(|b| (0..OF).map(move |i| format!("{writer}-{b}-{i}")));
        assert!(own.eq(expected.collect::<Vec<_>>().iter()));
    }
}
