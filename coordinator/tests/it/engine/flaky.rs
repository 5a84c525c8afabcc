//! A store whose definitions cannot be read for a while; all else is passed on.

use std::sync::atomic::{AtomicUsize, Ordering};

use amends_coordinator::store::memory::MemoryStore;
use amends_coordinator::store::{
    Append, Appended, ListFilter, Listed, Registered, Store, StoreError, StoreResult, Stored,
    StoredDefinition, StoredParticipant,
};
use amends_core::id::{Generation, Gid};
use amends_core::saga::DefinitionHash;
use amends_core::time::{Millis, Timestamp};

pub(super) struct FlakyDefinitions {
    inner: MemoryStore,
    failures: AtomicUsize,
}

impl FlakyDefinitions {
    /// The first `failures` reads fail.
    pub(super) fn new(inner: MemoryStore, failures: usize) -> Self {
        Self {
            inner,
            failures: AtomicUsize::new(failures),
        }
    }
}

macro_rules! passed_on {
    ($($name:ident($($arg:ident: $Type:ty),*) -> $Out:ty;)*) => {
        $(fn $name<'a>(&'a self, $($arg: $Type),*) -> StoreResult<'a, $Out> {
            self.inner.$name($($arg),*)
        })*
    };
}

impl Store for FlakyDefinitions {
    fn kind(&self) -> &'static str {
        "flaky"
    }

    fn definition<'a>(
        &'a self,
        hash: &'a DefinitionHash,
    ) -> StoreResult<'a, Option<StoredDefinition>> {
        let take = |left: usize| left.checked_sub(1);
        let order = Ordering::SeqCst;
        if self.failures.fetch_update(order, order, take).is_ok() {
            return Box::pin(async { Err(StoreError::Unavailable("on order".into())) });
        }
        self.inner.definition(hash)
    }

    fn adopt(&self, due: Timestamp, limit: u32) -> StoreResult<'_, (Vec<Stored>, usize)> {
        self.inner.adopt(due, limit)
    }

    fn due(&self, until: Timestamp, limit: u32) -> StoreResult<'_, Vec<Gid>> {
        self.inner.due(until, limit)
    }

    fn remove_finished(&self, before: Timestamp, limit: u32) -> StoreResult<'_, u64> {
        self.inner.remove_finished(before, limit)
    }

    fn remove_definitions(&self, before: Timestamp, limit: u32) -> StoreResult<'_, u64> {
        self.inner.remove_definitions(before, limit)
    }

    fn participants(&self) -> StoreResult<'_, Vec<StoredParticipant>> {
        self.inner.participants()
    }

    fn release_lease(&self) -> StoreResult<'_, ()> {
        self.inner.release_lease()
    }

    passed_on! {
        append(batch: &'a [Append]) -> Vec<Appended>;
        load(gids: &'a [Gid]) -> Vec<Stored>;
        park(gid: &'a Gid, generation: Generation, reason: &'a str, now: Timestamp) -> bool;
        list(filter: &'a ListFilter) -> Vec<Listed>;
        keep_definition(definition: &'a StoredDefinition) -> ();
        register_definition(definition: &'a StoredDefinition) -> Registered;
        registered_definition(name: &'a str, version: u32) -> Option<StoredDefinition>;
        list_definitions(prefix: &'a str, after: Option<(&'a str, u32)>, limit: u32) -> Vec<StoredDefinition>;
        put_participant(participant: &'a StoredParticipant) -> ();
        remove_participant(service: &'a str, instance_id: &'a str) -> ();
        renew_lease(address: &'a str, lease: Millis) -> ();
    }
}
