//! Writing batches, and what is found afterwards.

use amends_coordinator::store::{Append, Appended, Incarnation, MAX_APPEND_BATCH};
use amends_core::id::{Generation, RecordNo};
use amends_core::saga::PublicState;
use amends_core::time::Timestamp;

use super::place::Place;
use super::samples::{asleep, begin, end, gid, load, next, with_cause, write};

pub(super) async fn new_and_next_records_are_loaded_in_order(place: &Place) {
    let store = place.open("a").await;
    let mut items = vec![begin("t")];
    for _ in 0..12 {
        items.push(next(items.last().unwrap()));
    }
    let failed = with_cause(next(items.last().unwrap()), Some("stock"), "none left");
    items.push(failed);
    items.push(end(items.last().unwrap(), PublicState::Compensated, 2000));
    for item in &items {
        write(store.as_ref(), std::slice::from_ref(item)).await;
    }

    let found = load(store.as_ref(), "t").await.unwrap();
    let last = items.last().unwrap();
    assert_eq!(found.gid, gid("t"));
    assert_eq!(found.owner, Incarnation("a".to_owned()));
    assert_eq!(found.generation, Generation::FIRST);
    assert_eq!(found.last, last.last);
    assert_eq!(found.summary, last.summary);
    assert_eq!(found.parked, None);
    let written = items.iter().map(|i| (i.previous.next(), i.records.clone()));
    assert_eq!(found.log, written.collect::<Vec<_>>());
    assert_eq!(load(store.as_ref(), "other").await, None);
}

pub(super) async fn a_wrong_record_number_is_a_conflict(place: &Place) {
    let store = place.open("a").await;
    let first = begin("t");
    write(store.as_ref(), std::slice::from_ref(&first)).await;
    let before = load(store.as_ref(), "t").await;
    for previous in [1, 3, 1_000_000] {
        let mut item = next(&first);
        item.previous = RecordNo(previous);
        item.last = RecordNo(previous + 1);
        let result = store.append(&[item]).await.unwrap();
        assert_eq!(result, [Appended::Conflict], "after {previous}");
    }
    let absent = next(&begin("absent"));
    let result = store.append(&[absent]).await.unwrap();
    assert_eq!(result, [Appended::Conflict]);
    assert_eq!(load(store.as_ref(), "t").await, before);
    assert_eq!(load(store.as_ref(), "absent").await, None);
}

pub(super) async fn a_wrong_generation_is_a_conflict(place: &Place) {
    let store = place.open("a").await;
    let first = begin("t");
    write(store.as_ref(), std::slice::from_ref(&first)).await;
    let mut item = next(&first);
    item.generation = Generation(2);
    let result = store.append(&[item]).await.unwrap();
    assert_eq!(result, [Appended::Conflict]);
}

pub(super) async fn an_id_is_given_once(place: &Place) {
    let store = place.open("a").await;
    write(store.as_ref(), &[begin("t")]).await;
    let mut other = begin("t");
    other.records = r#"["other"]"#.to_owned();
    let result = store.append(&[other]).await.unwrap();
    assert_eq!(result, [Appended::Conflict]);
    let found = load(store.as_ref(), "t").await.unwrap();
    assert_eq!(found.log, [(RecordNo(1), begin("t").records)]);
}

pub(super) async fn a_conflict_fails_its_item_only(place: &Place) {
    let store = place.open("a").await;
    let (known, late) = (begin("known"), begin("late"));
    write(
        store.as_ref(),
        &[known.clone(), late.clone(), begin("taken")],
    )
    .await;
    write(store.as_ref(), &[next(&late)]).await;

    let mut taken = begin("taken");
    taken.records = r#"["other"]"#.to_owned();
    let mut competing = next(&late);
    competing.records = r#"["competing"]"#.to_owned();
    let batch = [begin("new"), taken, next(&known), competing];
    let result = store.append(&batch).await.unwrap();
    use Appended::{Conflict, Written};
    assert_eq!(result, [Written, Conflict, Written, Conflict]);

    for (id, rows, last) in [
        ("new", 1, 2),
        ("taken", 1, 2),
        ("known", 2, 3),
        ("late", 2, 3),
    ] {
        let found = load(store.as_ref(), id).await.unwrap();
        assert_eq!(
            (found.log.len(), found.last),
            (rows, RecordNo(last)),
            "{id}"
        );
        assert!(
            !found.log.iter().any(|row| row.1.contains("compet")),
            "{id}"
        );
    }
}

pub(super) async fn a_batch_may_be_repeated(place: &Place) {
    let store = place.open("a").await;
    let (old, last) = (begin("old"), begin("last"));
    write(store.as_ref(), &[old.clone(), last.clone()]).await;
    let batch = [
        begin("new"),
        next(&old),
        end(&last, PublicState::Succeeded, 1500),
    ];
    write(store.as_ref(), &batch).await;
    let ids = [gid("new"), gid("old"), gid("last")];
    let mut before = store.load(&ids).await.unwrap();
    write(store.as_ref(), &batch).await;
    // Partly: one of the three is new.
    let [a, b, c] = batch;
    write(store.as_ref(), &[a, begin("newer"), b, c]).await;
    let mut after = store.load(&ids).await.unwrap();
    before.sort_by(|a, b| a.gid.cmp(&b.gid));
    after.sort_by(|a, b| a.gid.cmp(&b.gid));
    assert_eq!(before, after);
    assert!(load(store.as_ref(), "newer").await.is_some());
}

pub(super) async fn another_write_with_the_same_numbers_is_no_repetition(place: &Place) {
    let store = place.open("a").await;
    let first = begin("t");
    write(store.as_ref(), std::slice::from_ref(&first)).await;
    write(store.as_ref(), &[next(&first)]).await;
    let mut other_content = next(&first);
    other_content.records.push(' ');
    let mut other_generation = next(&first);
    other_generation.generation = Generation(2);
    for item in [other_content, other_generation] {
        let result = store.append(&[item]).await.unwrap();
        assert_eq!(result, [Appended::Conflict]);
    }
}

/// A second start of the same id in the same millisecond looks like the first.
pub(super) async fn a_write_that_others_followed_is_no_repetition(place: &Place) {
    let store = place.open("a").await;
    let first = begin("t");
    write(store.as_ref(), std::slice::from_ref(&first)).await;
    write(store.as_ref(), &[next(&first)]).await;
    let result = store.append(&[first]).await.unwrap();
    assert_eq!(result, [Appended::Conflict]);
}

/// As when a transaction leaves memory without new records.
pub(super) async fn a_summary_may_be_written_alone(place: &Place) {
    let store = place.open("a").await;
    let first = begin("t");
    write(store.as_ref(), &[first.clone(), begin("other")]).await;
    let mut alone = asleep(first.clone(), 5000);
    alone.previous = first.last;
    alone.records = String::new();
    for _ in 0..2 {
        // Beside one with records; the second time, as a repetition.
        write(store.as_ref(), &[alone.clone(), next(&begin("other"))]).await;
        let found = load(store.as_ref(), "t").await.unwrap();
        assert_eq!(found.summary.wake_at, Some(Timestamp(5000)));
        assert_eq!(found.last, first.last);
        assert_eq!(found.log, [(RecordNo(1), first.records.clone())]);
    }
    let mut late = alone.clone();
    late.previous = RecordNo(1);
    late.last = RecordNo(1);
    assert_eq!(store.append(&[late]).await.unwrap(), [Appended::Conflict]);
    write(store.as_ref(), &[next(&alone)]).await;
    let found = load(store.as_ref(), "t").await.unwrap();
    assert_eq!((found.log.len(), found.last), (2, first.last.next()));
}

pub(super) async fn a_full_batch_is_written(place: &Place) {
    let store = place.open("a").await;
    let batch: Vec<_> = (0..MAX_APPEND_BATCH)
        .map(|n| begin(&format!("t{n}")))
        .collect();
    write(store.as_ref(), &batch).await;
    let nexts: Vec<_> = batch.iter().map(next).collect();
    write(store.as_ref(), &nexts).await;
    let gids: Vec<_> = batch.iter().map(|item| item.gid.clone()).collect();
    let found = store.load(&gids).await.unwrap();
    assert_eq!(found.len(), MAX_APPEND_BATCH);
    assert!(
        found
            .iter()
            .all(|row| row.log.len() == 2 && row.last == RecordNo(3))
    );
}

/// More than one statement takes, of every kind, with one conflict at the end.
pub(super) async fn a_conflict_fails_its_item_only_in_a_large_batch(place: &Place) {
    let store = place.open("a").await;
    let known: Vec<_> = (0..70).map(|n| begin(&format!("known{n}"))).collect();
    write(store.as_ref(), &known).await;
    let mut batch: Vec<_> = known.iter().map(next).collect();
    batch.extend((0..70).map(|n| begin(&format!("new{n}"))));
    let mut taken = begin("known7");
    taken.records = r#"["other"]"#.to_owned();
    let result = store
        .append(&[&batch[71..], &[taken]].concat())
        .await
        .unwrap();
    assert_eq!(result.last(), Some(&Appended::Conflict));
    assert!(result[..69].iter().all(|one| *one == Appended::Written));
    // The rest, beside a repetition.
    write(store.as_ref(), &batch).await;
    for item in &batch {
        let found = load(store.as_ref(), item.gid.as_str()).await.unwrap();
        let written = found.log.last().unwrap();
        assert_eq!((found.last, &written.1), (item.last, &item.records));
    }
}

pub(super) async fn a_batch_of_any_size_is_written(place: &Place) {
    let store = place.open("a").await;
    let mut known: Vec<Append> = Vec::new();
    for new in [1, 2, 3, 5, 0, 8, 33] {
        let begun = (0..new).map(|n| begin(&format!("t{new}-{n}")));
        let batch: Vec<_> = known.iter().map(next).chain(begun).collect();
        write(store.as_ref(), &batch).await;
        known = batch;
    }
    for item in &known {
        let found = load(store.as_ref(), item.gid.as_str()).await.unwrap();
        assert_eq!(
            (found.last, found.summary),
            (item.last, item.summary.clone())
        );
    }
}

pub(super) async fn an_empty_batch_is_fine(place: &Place) {
    let store = place.open("a").await;
    assert_eq!(store.append(&[]).await.unwrap(), []);
    assert_eq!(store.load(&[]).await.unwrap(), []);
}

pub(super) async fn odd_texts_come_back_as_they_were(place: &Place) {
    let store = place.open("a").await;
    let odd = r#"'); -- "\ %_ ü 漢 🦀 $1 ?1 {} line
break"#;
    let longest = "~".repeat(128);
    for id in [
        "'", "\"", "\\", "%_", "{1,2}", "$1", "NULL", "null", "0", &longest,
    ] {
        let mut item = with_cause(begin(id), Some(odd), odd);
        item.summary.definition_name = odd.to_owned();
        item.records = format!("[{odd:?}]");
        write(store.as_ref(), std::slice::from_ref(&item)).await;
        write(store.as_ref(), &[next(&item)]).await;
        let found = load(store.as_ref(), id).await.unwrap();
        assert_eq!(found.gid.as_str(), id);
        assert_eq!(found.summary, next(&item).summary);
        assert_eq!(found.log[0].1, item.records);
    }
    write(store.as_ref(), &[with_cause(begin("nul"), None, "a\0b")]).await;
    let cause = load(store.as_ref(), "nul").await.unwrap().summary.cause;
    let cause = cause.unwrap();
    assert_eq!((cause.step, cause.message.as_str()), (None, "a\u{FFFD}b"));
}

pub(super) async fn long_records_come_back_as_they_were(place: &Place) {
    let store = place.open("a").await;
    let mut item = begin("t");
    item.records = format!("[\"{}\"]", "a\\\"é".repeat(300_000));
    write(store.as_ref(), std::slice::from_ref(&item)).await;
    let found = load(store.as_ref(), "t").await.unwrap();
    assert!(found.log == [(RecordNo(1), item.records)]);
}

pub(super) async fn everything_is_there_after_reopening(place: &Place) {
    let store = place.open("a").await;
    let first = asleep(begin("t"), 5000);
    write(store.as_ref(), std::slice::from_ref(&first)).await;
    write(store.as_ref(), &[next(&first)]).await;
    let before = load(store.as_ref(), "t").await.unwrap();
    drop(store);
    let store = place.open("b").await;
    assert_eq!(load(store.as_ref(), "t").await.unwrap(), before);
    assert_eq!(before.summary.wake_at, Some(Timestamp(5000)));
}
