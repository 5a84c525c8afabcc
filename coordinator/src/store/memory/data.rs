//! What a memory store holds: rows, and the orders in which they are looked for.

use std::collections::{BTreeMap, BTreeSet};

use amends_core::id::{Gid, RecordNo};
use amends_core::saga::DefinitionHash;
use amends_core::time::Timestamp;

use crate::store::text::without_nul;
use crate::store::{
    Append, Appended, Incarnation, ListFilter, Listed, Stored, StoredDefinition, StoredParticipant,
    Summary,
};

/// Everything. Plain maps: the caller holds the lock.
#[derive(Debug, Default)]
pub(super) struct Data {
    rows: BTreeMap<Gid, Stored>,
    by_creation: BTreeSet<(Timestamp, Gid)>,
    by_end: BTreeSet<(Timestamp, Gid)>,
    by_wake: BTreeSet<(Timestamp, Gid)>,
    unfinished: BTreeSet<Gid>,
    pub(super) definitions: BTreeMap<DefinitionKey, KeptDefinition>,
    pub(super) participants: BTreeMap<(String, String), StoredParticipant>,
}

/// A definition's hash as text, which has an order.
pub(super) type DefinitionKey = String;

/// A definition and when it was last kept.
#[derive(Debug, Clone)]
pub(super) struct KeptDefinition {
    pub(super) stored: StoredDefinition,
    pub(super) kept_at: Timestamp,
}

impl Data {
    pub(super) fn row(&self, gid: &Gid) -> Option<&Stored> {
        self.rows.get(gid)
    }

    /// One item of a batch.
    pub(super) fn append(&mut self, owner: &Incarnation, item: &Append) -> Appended {
        let first = item.previous.next();
        let row = match self.rows.get(&item.gid) {
            None if item.previous == RecordNo(0) => Stored {
                gid: item.gid.clone(),
                owner: owner.clone(),
                generation: item.generation,
                last: RecordNo(0),
                summary: item.summary.clone(),
                parked: None,
                log: Vec::new(),
            },
            Some(row) if row.generation == item.generation && row.owner == *owner => {
                let written = row.log.iter().any(|r| r.0 == first && r.1 == item.records);
                if written && row.last == item.last {
                    return Appended::Written; // By an earlier try.
                }
                if item.previous == RecordNo(0) || row.last != item.previous {
                    return Appended::Conflict;
                }
                row.clone()
            }
            None | Some(_) => return Appended::Conflict,
        };
        let mut row = row;
        row.last = item.last;
        row.parked = None;
        row.summary = readable(&item.summary);
        if !item.records.is_empty() {
            row.log.push((first, item.records.clone()));
        }
        self.put(row);
        Appended::Written
    }

    /// Up to `limit` unfinished transactions of others.
    pub(super) fn unfinished_of_others(&self, me: &Incarnation, limit: usize) -> Vec<Gid> {
        let of_others = |gid: &&Gid| self.rows.get(gid).is_some_and(|row| row.owner != *me);
        let found = self.unfinished.iter().filter(of_others);
        found.take(limit).cloned().collect()
    }

    /// Changes a row, if it is there.
    pub(super) fn change(&mut self, gid: &Gid, change: impl FnOnce(&mut Stored)) {
        if let Some(mut row) = self.rows.get(gid).cloned() {
            change(&mut row);
            self.put(row);
        }
    }

    pub(super) fn due(&self, me: &Incarnation, until: Timestamp, limit: usize) -> Vec<Gid> {
        let due = self.by_wake.iter().take_while(|(at, _)| *at <= until);
        due.filter(|(_, gid)| self.rows.get(gid).is_some_and(|row| row.owner == *me))
            .take(limit)
            .map(|(_, gid)| gid.clone())
            .collect()
    }

    pub(super) fn list(&self, filter: &ListFilter, limit: usize) -> Vec<Listed> {
        let newest_first = self.by_creation.iter().rev();
        newest_first
            .filter(|key| filter.after.as_ref().is_none_or(|after| *key < after))
            .filter_map(|(_, gid)| self.rows.get(gid))
            .filter(|row| matches(filter, row))
            .take(limit)
            .map(|row| Listed {
                gid: row.gid.clone(),
                summary: row.summary.clone(),
            })
            .collect()
    }

    pub(super) fn remove_finished(&mut self, before: Timestamp, limit: usize) -> u64 {
        let ended = self.by_end.iter().take_while(|(at, _)| *at < before);
        let gone: Vec<Gid> = ended.take(limit).map(|(_, gid)| gid.clone()).collect();
        for gid in &gone {
            self.take(gid);
        }
        gone.len() as u64
    }

    pub(super) fn is_referred_to(&self, definition: &DefinitionHash) -> bool {
        let mut rows = self.rows.values();
        rows.any(|row| row.summary.definition.as_ref() == Some(definition))
    }

    fn put(&mut self, row: Stored) {
        self.take(&row.gid);
        let summary = &row.summary;
        let key = |at: Timestamp| (at, row.gid.clone());
        self.by_creation.insert(key(summary.created_at));
        self.by_end.extend(summary.finished_at.map(key));
        self.by_wake.extend(summary.wake_at.map(key));
        if summary.finished_at.is_none() {
            self.unfinished.insert(row.gid.clone());
        }
        self.rows.insert(row.gid.clone(), row);
    }

    fn take(&mut self, gid: &Gid) {
        let Some(row) = self.rows.remove(gid) else {
            return;
        };
        let Summary {
            created_at,
            finished_at,
            wake_at,
            ..
        } = row.summary;
        self.by_creation.remove(&(created_at, row.gid.clone()));
        if let Some(at) = finished_at {
            self.by_end.remove(&(at, row.gid.clone()));
        }
        if let Some(at) = wake_at {
            self.by_wake.remove(&(at, row.gid.clone()));
        }
        self.unfinished.remove(gid);
    }
}

fn matches(filter: &ListFilter, row: &Stored) -> bool {
    let Summary {
        kind,
        state,
        created_at,
        ..
    } = row.summary;
    let name = &row.summary.definition_name;
    (filter.kinds.is_empty() || filter.kinds.contains(&kind))
        && (filter.states.is_empty() || filter.states.contains(&state))
        && filter.definition_name.as_ref().is_none_or(|it| it == name)
        && filter.created_from.is_none_or(|from| created_at >= from)
        && filter
            .created_before
            .is_none_or(|before| created_at < before)
        && filter
            .gid_prefix
            .as_ref()
            .is_none_or(|prefix| row.gid.as_str().starts_with(prefix.as_str()))
}

/// The summary as every store can keep it.
fn readable(summary: &Summary) -> Summary {
    let mut summary = summary.clone();
    if let Some(cause) = &mut summary.cause {
        cause.code = without_nul(&cause.code);
        cause.message = without_nul(&cause.message);
        cause.step = cause.step.as_deref().map(without_nul);
    }
    summary
}
