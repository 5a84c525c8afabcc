//! A store in memory, for tests and for trying things out.
//!
//! It keeps every rule of a store but one: nothing survives the process. What
//! the other stores get from crashes and broken connections, this one does on
//! order ([`Faults`]). Several incarnations can be opened over the same data
//! ([`MemoryStore::reopen`]), as after a restart. Leases do nothing: every other
//! incarnation counts as gone.

mod data;
mod faults;
mod messages;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amends_core::id::{Generation, Gid};
use amends_core::public_state::PublicState;
use amends_core::saga::DefinitionHash;
use amends_core::time::{Millis, Timestamp};

use self::data::{Data, KeptDefinition};
pub use self::faults::{Fault, Faults, Hanging, Hold};
pub use self::messages::MemoryMessages;
use self::messages::SharedMessages;
use super::text::without_nul;
use super::{
    Append, Appended, Incarnation, ListFilter, Listed, MAX_PAGE, Registered, Store, StoreResult,
    Stored, StoredDefinition, StoredParticipant,
};

/// A store in memory. Cloning is not offered: see [`MemoryStore::reopen`].
#[derive(Debug)]
pub struct MemoryStore {
    incarnation: Incarnation,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    data: Mutex<Data>,
    messages: Arc<SharedMessages>,
    faults: Faults,
    batches: AtomicU64,
    items: AtomicU64,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            shared: Arc::default(),
        }
    }

    /// The same data and faults for another incarnation, as after a restart.
    #[must_use]
    pub fn reopen(&self, incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            shared: Arc::clone(&self.shared),
        }
    }

    /// What is to go wrong.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// How many batches and items were written by all incarnations together.
    #[must_use]
    pub fn written(&self) -> (u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.shared.batches), read(&self.shared.items))
    }

    fn data(&self) -> MutexGuard<'_, Data> {
        let data = self.shared.data.lock();
        data.unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, batch: &[Append]) -> Vec<Appended> {
        self.shared.batches.fetch_add(1, Ordering::Relaxed);
        let items = batch.len() as u64;
        self.shared.items.fetch_add(items, Ordering::Relaxed);
        let mut data = self.data();
        let items = batch.iter();
        items
            .map(|item| data.append(&self.incarnation, item))
            .collect()
    }

    fn register(&self, definition: &StoredDefinition) -> Registered {
        let mut data = self.data();
        let same_place = |kept: &&mut KeptDefinition| {
            kept.stored.registered_at.is_some()
                && (&kept.stored.name, kept.stored.version)
                    == (&definition.name, definition.version)
        };
        if let Some(kept) = data.definitions.values_mut().find(same_place) {
            let stored = kept.stored.clone();
            return Registered::of(stored, definition);
        }
        let entry = data.definitions.entry(definition.hash.0.to_string());
        let kept = entry.or_insert_with(|| KeptDefinition {
            stored: definition.clone(),
            kept_at: definition.created_at,
        });
        kept.stored.registered_at = definition.registered_at.or(Some(definition.created_at));
        Registered::Created(kept.stored.clone())
    }
}

/// An answer that is there at once.
fn ready<'a, T: Send + 'a>(value: T) -> StoreResult<'a, T> {
    Box::pin(std::future::ready(Ok(value)))
}

impl Store for MemoryStore {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn append<'a>(&'a self, batch: &'a [Append]) -> StoreResult<'a, Vec<Appended>> {
        Box::pin(async move {
            let then = self.shared.faults.before_write().await?;
            let written = self.write(batch);
            then.map_or(Ok(written), Err)
        })
    }

    fn load<'a>(&'a self, gids: &'a [Gid]) -> StoreResult<'a, Vec<Stored>> {
        let data = self.data();
        ready(
            gids.iter()
                .filter_map(|gid| data.row(gid).cloned())
                .collect(),
        )
    }

    fn adopt(&self, due: Timestamp, limit: u32) -> StoreResult<'_, (Vec<Stored>, usize)> {
        let mut data = self.data();
        let adopted = data.unfinished_of_others(&self.incarnation, limit as usize);
        let mut in_memory = Vec::new();
        for gid in &adopted {
            data.change(gid, |row| {
                row.owner = self.incarnation.clone();
                row.generation = Generation(row.generation.0 + 1);
            });
            let row = data.row(gid).cloned();
            in_memory.extend(row.filter(|row| row.summary.wake_at.is_none_or(|at| at <= due)));
        }
        ready((in_memory, adopted.len()))
    }

    fn due(&self, until: Timestamp, limit: u32) -> StoreResult<'_, Vec<Gid>> {
        ready(self.data().due(&self.incarnation, until, limit as usize))
    }

    fn park<'a>(
        &'a self,
        gid: &'a Gid,
        generation: Generation,
        reason: &'a str,
        now: Timestamp,
    ) -> StoreResult<'a, bool> {
        let mut parked = false;
        self.data().change(gid, |row| {
            if row.generation == generation && row.summary.finished_at.is_none() {
                row.parked = Some(without_nul(reason));
                row.summary.state = PublicState::Stuck;
                row.summary.wake_at = None;
                row.summary.updated_at = now;
                parked = true;
            }
        });
        ready(parked)
    }

    fn list<'a>(&'a self, filter: &'a ListFilter) -> StoreResult<'a, Vec<Listed>> {
        let limit = filter.limit.min(MAX_PAGE);
        ready(self.data().list(filter, limit as usize))
    }

    fn remove_finished(&self, before: Timestamp, limit: u32) -> StoreResult<'_, u64> {
        ready(self.data().remove_finished(before, limit as usize))
    }

    fn keep_definition<'a>(&'a self, definition: &'a StoredDefinition) -> StoreResult<'a, ()> {
        let mut data = self.data();
        let entry = data.definitions.entry(definition.hash.0.to_string());
        let kept = entry.or_insert_with(|| KeptDefinition {
            stored: StoredDefinition {
                registered_at: None,
                ..definition.clone()
            },
            kept_at: definition.created_at,
        });
        kept.kept_at = kept.kept_at.max(definition.created_at);
        ready(())
    }

    fn register_definition<'a>(
        &'a self,
        definition: &'a StoredDefinition,
    ) -> StoreResult<'a, Registered> {
        ready(self.register(definition))
    }

    fn definition<'a>(
        &'a self,
        hash: &'a DefinitionHash,
    ) -> StoreResult<'a, Option<StoredDefinition>> {
        let data = self.data();
        let kept = data.definitions.get(hash.0.as_ref());
        ready(kept.map(|kept| kept.stored.clone()))
    }

    fn registered_definition<'a>(
        &'a self,
        name: &'a str,
        version: u32,
    ) -> StoreResult<'a, Option<StoredDefinition>> {
        let data = self.data();
        let all = data.definitions.values().map(|kept| &kept.stored);
        let found = all
            .filter(|it| it.registered_at.is_some() && it.name == name)
            .filter(|it| version == 0 || it.version == version)
            .max_by_key(|it| it.version);
        ready(found.cloned())
    }

    fn list_definitions<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<(&'a str, u32)>,
        limit: u32,
    ) -> StoreResult<'a, Vec<StoredDefinition>> {
        let data = self.data();
        let all = data.definitions.values().map(|kept| &kept.stored);
        let mut found: Vec<_> = all
            .filter(|it| it.registered_at.is_some() && it.name.starts_with(prefix))
            .filter(|it| after.is_none_or(|after| (it.name.as_str(), it.version) > after))
            .cloned()
            .collect();
        found.sort_by(|a, b| (&a.name, a.version).cmp(&(&b.name, b.version)));
        found.truncate(limit.min(MAX_PAGE) as usize);
        ready(found)
    }

    fn remove_definitions(&self, before: Timestamp, limit: u32) -> StoreResult<'_, u64> {
        let mut data = self.data();
        let all = data.definitions.iter();
        let mut gone: Vec<_> = all
            .filter(|(_, kept)| kept.stored.registered_at.is_none() && kept.kept_at < before)
            .filter(|(_, kept)| !data.is_referred_to(&kept.stored.hash))
            .map(|(hash, kept)| (kept.kept_at, hash.clone()))
            .collect();
        gone.sort_unstable();
        gone.truncate(limit as usize);
        for (_, hash) in &gone {
            data.definitions.remove(hash);
        }
        ready(gone.len() as u64)
    }

    fn put_participant<'a>(&'a self, participant: &'a StoredParticipant) -> StoreResult<'a, ()> {
        let key = (participant.service.clone(), participant.instance_id.clone());
        self.data().participants.insert(key, participant.clone());
        ready(())
    }

    fn remove_participant<'a>(
        &'a self,
        service: &'a str,
        instance_id: &'a str,
    ) -> StoreResult<'a, ()> {
        let key = (service.to_owned(), instance_id.to_owned());
        self.data().participants.remove(&key);
        ready(())
    }

    fn participants(&self) -> StoreResult<'_, Vec<StoredParticipant>> {
        ready(self.data().participants.values().cloned().collect())
    }

    fn renew_lease<'a>(&'a self, _address: &'a str, _lease: Millis) -> StoreResult<'a, ()> {
        ready(())
    }

    fn release_lease(&self) -> StoreResult<'_, ()> {
        ready(())
    }
}
