//! Definitions compiled once, by content hash.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use amends_core::saga::{CompiledSaga, DefinitionHash};
use amends_core::time::{Millis, Timestamp};

use crate::store::{Store, StoreError, StoredDefinition};

/// Most definitions kept compiled; over it, all are forgotten and come back as needed.
const MAX_CACHED: usize = 4_096;
/// After this time a definition is written again, so that the cleaner, which
/// goes by age, never takes one that is in use. Much less than
/// [`DEFINITION_KEPT_FOR`](crate::store::DEFINITION_KEPT_FOR): clocks of several
/// coordinators differ.
const REFRESH_AFTER: Millis = Millis::from_secs(3_600);

/// A cache in front of the store's definitions.
pub struct Definitions {
    store: Arc<dyn Store>,
    cached: Mutex<HashMap<DefinitionHash, Cached>>,
    /// By name and version. A registration never changes and is never removed.
    registered: Mutex<HashMap<(String, u32), Arc<CompiledSaga>>>,
}

#[derive(Clone)]
struct Cached {
    compiled: Arc<CompiledSaga>,
    /// When it was last known to be in the store.
    stored_at: Timestamp,
}

impl Definitions {
    /// An empty cache.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            cached: Mutex::default(),
            registered: Mutex::default(),
        }
    }

    /// Makes sure that a definition is in the store before a transaction refers to it.
    ///
    /// # Errors
    /// The store's.
    pub async fn keep(
        &self,
        compiled: &Arc<CompiledSaga>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let fresh = |cached: &Cached| now.since(cached.stored_at) < REFRESH_AFTER;
        if self
            .look_up(compiled.hash())
            .is_some_and(|cached| fresh(&cached))
        {
            return Ok(());
        }
        self.store
            .keep_definition(&to_stored(compiled, now))
            .await?;
        self.remember(compiled.clone(), now);
        Ok(())
    }

    /// The definition of a hash; `None` when the store does not have it.
    ///
    /// # Errors
    /// The store's, and [`StoreError::Corrupt`] when the stored text does not compile.
    pub async fn get(
        &self,
        hash: &DefinitionHash,
    ) -> Result<Option<Arc<CompiledSaga>>, StoreError> {
        if let Some(cached) = self.look_up(hash) {
            return Ok(Some(cached.compiled));
        }
        let Some(stored) = self.store.definition(hash).await? else {
            return Ok(None);
        };
        let compiled = compile(&stored)?;
        self.remember(compiled.clone(), Timestamp::default());
        Ok(Some(compiled))
    }

    /// A registered definition by name and version; 0 means the highest.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub async fn registered(
        &self,
        name: &str,
        version: u32,
    ) -> Result<Option<Arc<CompiledSaga>>, StoreError> {
        // Version 0 stands for the highest one, which can change.
        let key = (version > 0).then(|| (name.to_owned(), version));
        if let Some(known) = key
            .as_ref()
            .and_then(|key| locked(&self.registered).get(key).cloned())
        {
            return Ok(Some(known));
        }
        let Some(stored) = self.store.registered_definition(name, version).await? else {
            return Ok(None);
        };
        let compiled = match self.look_up(&stored.hash) {
            Some(cached) => cached.compiled,
            None => compile(&stored)?,
        };
        if let Some(key) = key {
            let mut registered = locked(&self.registered);
            if registered.len() >= MAX_CACHED {
                registered.clear();
            }
            registered.insert(key, compiled.clone());
        }
        Ok(Some(compiled))
    }

    fn look_up(&self, hash: &DefinitionHash) -> Option<Cached> {
        locked(&self.cached).get(hash).cloned()
    }

    fn remember(&self, compiled: Arc<CompiledSaga>, stored_at: Timestamp) {
        let mut cached = locked(&self.cached);
        if cached.len() >= MAX_CACHED {
            cached.clear();
        }
        cached.insert(
            compiled.hash().clone(),
            Cached {
                compiled,
                stored_at,
            },
        );
    }
}

/// A definition in its stored form, not registered.
#[must_use]
pub fn to_stored(compiled: &CompiledSaga, now: Timestamp) -> StoredDefinition {
    let definition = compiled.definition();
    StoredDefinition {
        hash: compiled.hash().clone(),
        name: definition.name.clone(),
        version: definition.version,
        json: compiled.json().to_owned(),
        created_at: now,
        registered_at: None,
    }
}

/// A panic elsewhere leaves a cache as good as it was.
fn locked<T>(cache: &Mutex<T>) -> MutexGuard<'_, T> {
    cache.lock().unwrap_or_else(PoisonError::into_inner)
}

fn compile(stored: &StoredDefinition) -> Result<Arc<CompiledSaga>, StoreError> {
    let compiled = CompiledSaga::from_json(&stored.json);
    compiled
        .map(Arc::new)
        .map_err(|problem| StoreError::Corrupt(format!("definition {}: {problem}", stored.hash.0)))
}
