//! Taking over from incarnations that are gone, and waking.

use amends_coordinator::store::{Appended, Incarnation};
use amends_core::id::Generation;
use amends_core::saga::PublicState;
use amends_core::time::Timestamp;

use super::place::Place;
use super::samples::{
    asleep, begin, gid, ids, load, next, sorted_ids, with_cause, write, write_ended,
};

pub(super) async fn adoption_raises_the_generation_and_fences(place: &Place) {
    let first = begin("t");
    let old = place.open("a").await;
    write(old.as_ref(), std::slice::from_ref(&first)).await;
    assert_eq!(old.adopt(Timestamp(0), 10).await.unwrap(), (vec![], 0));
    drop(old);

    let store = place.open("b").await;
    let (adopted, count) = store.adopt(Timestamp(0), 10).await.unwrap();
    assert_eq!((sorted_ids(&adopted), count), (vec!["t"], 1));
    assert_eq!(adopted[0].owner, Incarnation("b".to_owned()));
    assert_eq!(adopted[0].generation, Generation(2));
    assert_eq!(adopted[0].summary, first.summary);
    assert_eq!(adopted[0].log.len(), 1);
    assert_eq!(store.adopt(Timestamp(0), 10).await.unwrap(), (vec![], 0));

    // Neither a new write nor a repeated one of the old generation counts.
    for late in [next(&first), first.clone()] {
        let result = store.append(&[late]).await.unwrap();
        assert_eq!(result, [Appended::Conflict]);
    }
    let mut own = next(&first);
    own.generation = Generation(2);
    write(store.as_ref(), &[own.clone()]).await;
    drop(store);

    // Even one that has guessed the generation, but is not the owner.
    let stranger = place.open("c").await;
    for late in [own.clone(), next(&own)] {
        let result = stranger.append(&[late]).await.unwrap();
        assert_eq!(result, [Appended::Conflict]);
    }
}

pub(super) async fn sleeping_ones_are_adopted_but_not_loaded(place: &Place) {
    let old = place.open("a").await;
    let batch = [
        begin("awake"),
        asleep(begin("due"), 100),
        asleep(begin("asleep"), 101),
    ];
    write(old.as_ref(), &batch).await;
    drop(old);
    let store = place.open("b").await;
    let (adopted, count) = store.adopt(Timestamp(100), 10).await.unwrap();
    assert_eq!((sorted_ids(&adopted), count), (vec!["awake", "due"], 3));
    let asleep = load(store.as_ref(), "asleep").await.unwrap();
    assert_eq!(asleep.generation, Generation(2));
    let due = store.due(Timestamp(101), 10).await.unwrap();
    assert_eq!(ids(&due), ["due", "asleep"]);
}

pub(super) async fn adoption_goes_in_portions_to_the_end(place: &Place) {
    let old = place.open("b").await;
    let batch: Vec<_> = (0..25).map(|n| begin(&format!("t{n}"))).collect();
    write(old.as_ref(), &batch).await;
    drop(old);
    // Names before and after the old one.
    let store = place.open("a").await;
    let (_, count) = store.adopt(Timestamp(0), 5).await.unwrap();
    assert_eq!(count, 5);
    write(store.as_ref(), &[begin("own")]).await;
    drop(store);

    let store = place.open("c").await;
    let mut all = Vec::new();
    loop {
        let (adopted, count) = store.adopt(Timestamp(0), 10).await.unwrap();
        assert_eq!(adopted.len(), count);
        if count == 0 {
            break;
        }
        assert!(count <= 10);
        all.extend(adopted);
    }
    assert_eq!(all.len(), 26);
    let twice = all.iter().filter(|row| row.generation == Generation(3));
    assert_eq!(twice.count(), 5);
    all.sort_by(|a, b| a.gid.cmp(&b.gid));
    all.dedup_by(|a, b| a.gid == b.gid);
    assert_eq!(all.len(), 26);
}

pub(super) async fn ended_ones_are_not_adopted(place: &Place) {
    let old = place.open("a").await;
    write_ended(old.as_ref(), "ended", PublicState::Succeeded, 2000).await;
    let mut stuck = with_cause(begin("stuck"), None, "needs a person");
    stuck.summary.state = PublicState::Stuck;
    write(old.as_ref(), &[stuck]).await;
    drop(old);
    let store = place.open("b").await;
    let (adopted, count) = store.adopt(Timestamp(0), 10).await.unwrap();
    assert_eq!((sorted_ids(&adopted), count), (vec!["stuck"], 1));
    let ended = load(store.as_ref(), "ended").await.unwrap();
    assert_eq!(ended.owner, Incarnation("a".to_owned()));
}

pub(super) async fn due_ones_are_found_in_their_order(place: &Place) {
    let other = place.open("other").await;
    write(other.as_ref(), &[asleep(begin("of-another"), 1)]).await;
    drop(other);
    let store = place.open("a").await;
    let batch = [
        asleep(begin("third"), 30),
        asleep(begin("first"), 10),
        asleep(begin("second"), 20),
        begin("never"),
    ];
    write(store.as_ref(), &batch).await;
    let check = async |until, limit, expected: &[&str]| {
        let due = store.due(Timestamp(until), limit).await.unwrap();
        assert_eq!(ids(&due), expected, "until {until}, {limit} at most");
    };
    check(9, 10, &[]).await;
    check(20, 10, &["first", "second"]).await;
    check(99, 2, &["first", "second"]).await;
    check(99, 10, &["first", "second", "third"]).await;
    // Awake again.
    let mut awake = next(&batch[1]);
    awake.summary.wake_at = None;
    write(store.as_ref(), &[awake]).await;
    check(99, 10, &["second", "third"]).await;
}

pub(super) async fn parking_marks_and_fences(place: &Place) {
    let store = place.open("a").await;
    let first = asleep(begin("t"), 10);
    write(store.as_ref(), std::slice::from_ref(&first)).await;
    write_ended(store.as_ref(), "ended", PublicState::Succeeded, 2000).await;
    let now = Timestamp(7000);
    let park = async |id, generation, reason: &str| {
        let generation = Generation(generation);
        store.park(&gid(id), generation, reason, now).await.unwrap()
    };
    assert!(!park("t", 2, "no").await);
    assert!(!park("absent", 1, "no").await);
    assert!(!park("ended", 1, "no").await);
    assert_eq!(load(store.as_ref(), "t").await.unwrap().parked, None);
    assert!(park("t", 1, "record 2 is \"nonsense\"\0").await);
    let found = load(store.as_ref(), "t").await.unwrap();
    assert_eq!(found.parked.unwrap(), "record 2 is \"nonsense\"\u{FFFD}");
    assert_eq!(found.summary.state, PublicState::Stuck);
    assert_eq!(found.summary.wake_at, None);
    assert_eq!(found.summary.updated_at, now);
    assert_eq!(store.due(Timestamp(99), 10).await.unwrap(), []);
    // A program that can read it goes on with it.
    write(store.as_ref(), &[next(&first)]).await;
    assert_eq!(load(store.as_ref(), "t").await.unwrap().parked, None);
}
