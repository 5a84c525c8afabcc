//! What the coordinator asks of a store, and nothing about how one does it.
//!
//! A store keeps, for each transaction, one row per append of its log
//! (`transaction_log`: gid, number of the first record, records) and one
//! summary row (`transactions`), which also fences: every append compares
//! owner, generation and number of the last record, so that a writer who has lost
//! the transaction changes nothing. Beside them stand the definitions, by
//! content hash, and the registered participants.
//!
//! Guarantees that every implementation gives (one conformance suite checks them):
//! - what [`Store::append`] reported as written survives `kill -9`;
//! - a batch is one database transaction, a conflict fails its item only;
//! - repeating a batch whose outcome was not seen reports what was written.
//!
//! Not here: which transaction is in memory, when to write, what records mean.

mod failure;
pub mod memory;
pub mod messages;
pub mod migrate;
pub mod open;
mod postgres;
mod rows;
mod shared;
mod sqlite;
mod text;

use amends_core::id::{Generation, Gid, RecordNo};
use amends_core::public_state::{Kind, PublicState};
use amends_core::saga::DefinitionHash;
use amends_core::time::{Millis, Timestamp};
use futures_util::future::BoxFuture;

/// Most items of one [`Store::append`].
pub const MAX_APPEND_BATCH: usize = 512;
/// Most rows of one page of a list.
pub const MAX_PAGE: u32 = 1_000;

/// A definition is safe from removal for this long after it was kept; what
/// refers to it later keeps it again first.
pub const DEFINITION_KEPT_FOR: Millis = Millis::from_secs(24 * 3_600);

/// One run of one coordinator: a text unique per process start.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Incarnation(pub String);

/// New records of one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// The transaction.
    pub gid: Gid,
    /// The generation that the writer believes in; compared.
    pub generation: Generation,
    /// Number of the last record before these; compared. Zero: the
    /// transaction is new, and this store's incarnation becomes its owner.
    pub previous: RecordNo,
    /// Number of the last of these records.
    pub last: RecordNo,
    /// The records as stored: a JSON list. Empty, with `last` equal to
    /// `previous`: no new records, only the summary row is written.
    pub records: String,
    /// The summary row from here on.
    pub summary: Summary,
}

/// What the summary row of a transaction says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// What kind of transaction it is. Never changes.
    pub kind: Kind,
    /// Its public state.
    pub state: PublicState,
    /// What it runs, where that is a definition: of a saga, and of no other kind.
    pub definition: Option<DefinitionHash>,
    /// Name of that, or of the transaction itself.
    pub definition_name: String,
    /// Version of that, or zero.
    pub definition_version: u32,
    /// Why it turned back, if it did.
    pub cause: Option<SummaryCause>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it ended, if it has.
    pub finished_at: Option<Timestamp>,
    /// When it has to be loaded again, if it is not in memory.
    pub wake_at: Option<Timestamp>,
}

/// The first failure of a transaction, for lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryCause {
    /// The step that failed, if one did.
    pub step: Option<String>,
    /// Stable code.
    pub code: String,
    /// For people.
    pub message: String,
}

/// What became of one item of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is durable (now, or since an earlier try of the same write).
    Written,
    /// Generation or record number differ, or the id exists already: nothing was changed.
    Conflict,
}

/// A transaction as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The transaction.
    pub gid: Gid,
    /// Who owns it.
    pub owner: Incarnation,
    /// How often it was taken over, plus one.
    pub generation: Generation,
    /// Number of its last record.
    pub last: RecordNo,
    /// Its summary.
    pub summary: Summary,
    /// Why its log cannot be replayed, if that was found out.
    pub parked: Option<String>,
    /// The rows of its log, oldest first: number of the first record, records.
    pub log: Vec<(RecordNo, String)>,
}

/// One line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The transaction.
    pub gid: Gid,
    /// Its summary.
    pub summary: Summary,
}

/// Which transactions to list, newest first. Everything that is set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// Only these kinds; empty means all.
    pub kinds: Vec<Kind>,
    /// Only these states; empty means all.
    pub states: Vec<PublicState>,
    /// Only this definition name.
    pub definition_name: Option<String>,
    /// Only those created at or after.
    pub created_from: Option<Timestamp>,
    /// Only those created before.
    pub created_before: Option<Timestamp>,
    /// Only ids that begin with this.
    pub gid_prefix: Option<String>,
    /// Only those after this one in the order of the list (keyset paging).
    pub after: Option<(Timestamp, Gid)>,
    /// Most rows.
    pub limit: u32,
}

/// A definition as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDefinition {
    /// Its identity.
    pub hash: DefinitionHash,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// Its content.
    pub json: String,
    /// When it was first stored.
    pub created_at: Timestamp,
    /// When it was registered under its name and version; none: it only came
    /// along with transactions.
    pub registered_at: Option<Timestamp>,
}

/// What became of a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registered {
    /// It is new.
    Created(StoredDefinition),
    /// The same content was registered before.
    Existed(StoredDefinition),
    /// Other content is registered under this name and version.
    Different(StoredDefinition),
}

impl Registered {
    /// What it means for `wanted` that `stored` is registered under its name and version.
    fn of(stored: StoredDefinition, wanted: &StoredDefinition) -> Self {
        if stored.hash == wanted.hash {
            Self::Existed(stored)
        } else {
            Self::Different(stored)
        }
    }
}

/// A registered instance of a participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredParticipant {
    /// The service.
    pub service: String,
    /// The instance.
    pub instance_id: String,
    /// `host:port`.
    pub address: String,
    /// What it offers, JSON; opaque to the store.
    pub offers: String,
    /// When it registered.
    pub registered_at: Timestamp,
}

/// Why a store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It may work later: not reachable, busy, disk full. Whether a write took
    /// place is unknown; repeating it is safe.
    #[error("the store is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It will not work without a person: read-only, wrong credentials, wrong
    /// schema, a second coordinator on the same file.
    #[error("{message}")]
    Unusable {
        /// Stable code, for example `SCHEMA_TOO_NEW`.
        code: &'static str,
        /// What is wrong and what helps.
        message: String,
    },
    /// Something stored cannot be read.
    #[error("stored data cannot be read: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "STORE_UNAVAILABLE",
            Self::Unusable { code, .. } => code,
            Self::Corrupt(_) => "STORE_CORRUPT",
        }
    }
}

/// Result of a store operation.
pub type StoreResult<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// A store. All methods may be dropped at any await point: a write then took
/// place or not, and repeating it is safe.
pub trait Store: Send + Sync + 'static {
    /// What it is, for people, without credentials: `sqlite`, `postgres`, `memory`.
    fn kind(&self) -> &'static str;

    /// Writes up to [`MAX_APPEND_BATCH`] appends, each of another transaction,
    /// in one database transaction; one result per item, in order.
    fn append<'a>(&'a self, batch: &'a [Append]) -> StoreResult<'a, Vec<Appended>>;

    /// Loads transactions with their logs; ids that do not exist are left out.
    fn load<'a>(&'a self, gids: &'a [Gid]) -> StoreResult<'a, Vec<Stored>>;

    /// Takes over up to `limit` unfinished transactions whose owner is gone,
    /// raising their generation, and returns those that are due to be in
    /// memory (no `wake_at`, or one not after `due`); the second number tells
    /// how many were taken over in all. Zero means there are no others. Called
    /// again after an error, it returns what the failed call has taken over.
    fn adopt(&self, due: Timestamp, limit: u32) -> StoreResult<'_, (Vec<Stored>, usize)>;

    /// Ids of own unfinished transactions with `wake_at` not after `until`, earliest first.
    fn due(&self, until: Timestamp, limit: u32) -> StoreResult<'_, Vec<Gid>>;

    /// Marks a transaction whose log cannot be replayed: state STUCK, with the
    /// reason, no `wake_at`. Compares the generation; false when it differs or
    /// the transaction has ended. The next append, by whoever could replay the
    /// log after all, takes the mark away.
    fn park<'a>(
        &'a self,
        gid: &'a Gid,
        generation: Generation,
        reason: &'a str,
        now: Timestamp,
    ) -> StoreResult<'a, bool>;

    /// One page of transactions, by creation time and id, newest first.
    fn list<'a>(&'a self, filter: &'a ListFilter) -> StoreResult<'a, Vec<Listed>>;

    /// Removes up to `limit` transactions that ended before `before`, logs included.
    fn remove_finished(&self, before: Timestamp, limit: u32) -> StoreResult<'_, u64>;

    /// Keeps a definition that comes along with a transaction, if it is not
    /// there yet; from `created_at` on it is safe from removal for a while.
    fn keep_definition<'a>(&'a self, definition: &'a StoredDefinition) -> StoreResult<'a, ()>;

    /// Registers a definition under its name and version.
    fn register_definition<'a>(
        &'a self,
        definition: &'a StoredDefinition,
    ) -> StoreResult<'a, Registered>;

    /// A definition by its hash.
    fn definition<'a>(
        &'a self,
        hash: &'a DefinitionHash,
    ) -> StoreResult<'a, Option<StoredDefinition>>;

    /// A registered definition by name and version; version 0 means the highest.
    fn registered_definition<'a>(
        &'a self,
        name: &'a str,
        version: u32,
    ) -> StoreResult<'a, Option<StoredDefinition>>;

    /// Registered definitions whose name begins with `prefix`, by name and
    /// version, after the given one.
    fn list_definitions<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<(&'a str, u32)>,
        limit: u32,
    ) -> StoreResult<'a, Vec<StoredDefinition>>;

    /// Removes up to `limit` unregistered definitions, last kept before
    /// `before`, that no transaction refers to. Only those transactions count
    /// that were created up to [`DEFINITION_KEPT_FOR`] after it was last kept.
    fn remove_definitions(&self, before: Timestamp, limit: u32) -> StoreResult<'_, u64>;

    /// Keeps the registration of a participant, replacing one of the same instance.
    fn put_participant<'a>(&'a self, participant: &'a StoredParticipant) -> StoreResult<'a, ()>;

    /// Forgets an instance.
    fn remove_participant<'a>(
        &'a self,
        service: &'a str,
        instance_id: &'a str,
    ) -> StoreResult<'a, ()>;

    /// Every registered instance.
    fn participants(&self) -> StoreResult<'_, Vec<StoredParticipant>>;

    /// Renews this incarnation's lease, by database time, for `lease` from
    /// now. A store that only one coordinator can use has nothing to renew.
    fn renew_lease<'a>(&'a self, address: &'a str, lease: Millis) -> StoreResult<'a, ()>;

    /// Gives up the lease, so that others may adopt at once. Called at a clean stop.
    fn release_lease(&self) -> StoreResult<'_, ()>;
}
