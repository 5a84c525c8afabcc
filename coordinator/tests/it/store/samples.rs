//! Transactions and definitions to try stores with.

use amends_coordinator::store::{
    Append, Appended, Store, Stored, StoredDefinition, Summary, SummaryCause,
};
use amends_core::id::{Generation, Gid, RecordNo};
use amends_core::public_state::{Kind, PublicState};
use amends_core::saga::DefinitionHash;
use amends_core::time::Timestamp;

pub(super) fn gid(text: &str) -> Gid {
    Gid::new(text).unwrap()
}

/// The first append of a transaction: records 1 and 2, created at 1000.
pub(super) fn begin(id: &str) -> Append {
    Append {
        gid: gid(id),
        generation: Generation::FIRST,
        previous: RecordNo(0),
        last: RecordNo(2),
        records: r#"[{"begun":1},{"called":2}]"#.to_owned(),
        summary: Summary {
            kind: Kind::Saga,
            state: PublicState::Running,
            definition: Some(DefinitionHash("hash-1".into())),
            definition_name: "shop.order".to_owned(),
            definition_version: 3,
            cause: None,
            created_at: Timestamp(1000),
            updated_at: Timestamp(1000),
            finished_at: None,
            wake_at: None,
        },
    }
}

/// The same of a TCC, which runs no definition.
pub(super) fn begin_tcc(id: &str, created_at: i64) -> Append {
    let mut item = begin_at(id, created_at);
    item.summary.kind = Kind::Tcc;
    item.summary.definition = None;
    item.summary.definition_version = 0;
    item
}

pub(super) fn begin_at(id: &str, created_at: i64) -> Append {
    let mut item = begin(id);
    item.summary.created_at = Timestamp(created_at);
    item
}

/// One more record after `before`.
pub(super) fn next(before: &Append) -> Append {
    let last = before.last.next();
    let mut item = before.clone();
    item.previous = before.last;
    item.last = last;
    item.records = format!(r#"[{{"record":{}}}]"#, last.0);
    item.summary.updated_at = Timestamp(before.summary.updated_at.0 + 1);
    item
}

/// One more record after `before`, the last one.
pub(super) fn end(before: &Append, state: PublicState, at: i64) -> Append {
    let mut item = next(before);
    item.summary.state = state;
    item.summary.finished_at = Some(Timestamp(at));
    item.summary.wake_at = None;
    item
}

/// The same, waiting until `at` outside of memory.
pub(super) fn asleep(mut item: Append, at: i64) -> Append {
    item.summary.wake_at = Some(Timestamp(at));
    item
}

pub(super) fn with_cause(mut item: Append, step: Option<&str>, message: &str) -> Append {
    item.summary.cause = Some(SummaryCause {
        step: step.map(str::to_owned),
        code: "SOLD_OUT".to_owned(),
        message: message.to_owned(),
    });
    item
}

pub(super) fn definition(hash: &str, name: &str, version: u32, at: i64) -> StoredDefinition {
    StoredDefinition {
        hash: DefinitionHash(hash.into()),
        name: name.to_owned(),
        version,
        json: format!(r#"{{"name":"{name}","hash":"{hash}"}}"#),
        created_at: Timestamp(at),
        registered_at: None,
    }
}

/// Appends and demands that everything was written.
pub(super) async fn write(store: &dyn Store, batch: &[Append]) {
    let results = store.append(batch).await.unwrap();
    assert_eq!(results, vec![Appended::Written; batch.len()], "{batch:?}");
}

/// Begins a transaction and ends it at once.
pub(super) async fn write_ended(store: &dyn Store, id: &str, state: PublicState, at: i64) {
    let begun = begin(id);
    write(store, std::slice::from_ref(&begun)).await;
    write(store, &[end(&begun, state, at)]).await;
}

pub(super) async fn load(store: &dyn Store, id: &str) -> Option<Stored> {
    let mut found = store.load(&[gid(id)]).await.unwrap();
    assert!(found.len() <= 1, "{found:?}");
    found.pop()
}

/// Ids as text.
pub(super) fn ids(gids: &[Gid]) -> Vec<&str> {
    gids.iter().map(Gid::as_str).collect()
}

/// Ids of transactions as text, sorted.
pub(super) fn sorted_ids(stored: &[Stored]) -> Vec<&str> {
    let mut ids: Vec<&str> = stored.iter().map(|row| row.gid.as_str()).collect();
    ids.sort_unstable();
    ids
}
