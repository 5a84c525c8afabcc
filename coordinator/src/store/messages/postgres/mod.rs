//! Messages in PostgreSQL.

mod batch;
#[path = "../each/mod.rs"]
#[expect(
    clippy::duplicate_mod,
    reason = "the same statements, for another type of database"
)]
mod each;

use sqlx::{Connection as _, PgConnection, Postgres, Transaction};

use super::{GroupOwnership, MessageWrite, Written, plan};
use crate::store::postgres::now;
use crate::store::{Incarnation, StoreError};

type Connection = PgConnection;
/// What the shared statements speak to.
pub(super) type Db = Postgres;

/// Held until the commit: places of deliveries are given to one writer at a time.
const IN_ORDER: &str = "SELECT 1 FROM delivery_order WHERE single FOR UPDATE";

/// As transactions are adopted: `owners` walks an index from one owner to the next.
macro_rules! adopt {
    ($waits:literal) => {
        concat!(
            "WITH RECURSIVE owners AS ( \
                (SELECT owner FROM messages WHERE ",
            $waits,
            " IS NOT NULL ORDER BY owner LIMIT 1) \
                UNION ALL \
                SELECT (SELECT m.owner FROM messages m WHERE m.",
            $waits,
            " IS NOT NULL AND m.owner > o.owner ORDER BY m.owner LIMIT 1) \
                FROM owners o WHERE o.owner IS NOT NULL \
            ), gone AS ( \
                SELECT owner FROM owners o \
                WHERE owner IS NOT NULL AND owner <> $1 AND NOT EXISTS \
                    (SELECT 1 FROM coordinators c \
                     WHERE c.incarnation = o.owner AND c.lease_until > ",
            now!(),
            ") ), claimed AS ( \
                SELECT id FROM messages WHERE ",
            $waits,
            " IS NOT NULL AND owner IN (SELECT owner FROM gone) \
                LIMIT $2 FOR UPDATE SKIP LOCKED \
            ) UPDATE messages m SET owner = $1, generation = generation + 1 \
            FROM claimed WHERE m.id = claimed.id"
        )
    };
}

const ADOPT_DUE: &str = adopt!("due_at");
const ADOPT_TO_CHECK: &str = adopt!("check_at");

/// Unless the owner lives and is another.
const OWN: &str = concat!(
    "UPDATE subscriptions s \
    SET owner = $1, generation = generation + CASE WHEN owner = $1 THEN 0 ELSE 1 END \
    WHERE group_name = $2 AND topic = $3 AND (owner IS NULL OR owner = $1 OR NOT EXISTS \
        (SELECT 1 FROM coordinators c WHERE c.incarnation = s.owner AND c.lease_until > ",
    now!(),
    "))"
);

const OWNED_BY: &str = "SELECT c.address FROM subscriptions s \
    LEFT JOIN coordinators c ON c.incarnation = s.owner AND s.owner <> $1 \
    WHERE s.group_name = $2 AND s.topic = $3";

/// How often two who take over a group at once look again.
const MAX_TRIES: u32 = 3;

/// Begins to make rows wait, or to remove some that do not.
pub(super) async fn begin(
    connection: &mut Connection,
) -> Result<Transaction<'_, Postgres>, StoreError> {
    let mut transaction = connection.begin().await?;
    sqlx::query(IN_ORDER).execute(&mut *transaction).await?;
    Ok(transaction)
}

/// Begins to write a batch.
async fn begin_batch<'c>(
    connection: &'c mut Connection,
    batch: &[MessageWrite],
) -> Result<Transaction<'c, Postgres>, StoreError> {
    if batch.iter().any(plan::makes_waiting) {
        return begin(connection).await;
    }
    Ok(connection.begin().await?)
}

pub(super) async fn write(
    connection: &mut Connection,
    owner: &Incarnation,
    batch: &[MessageWrite],
) -> Result<Vec<Written>, StoreError> {
    if let Some(plan) = plan::plan(batch)?
        && let Some(written) = batch::write(connection, owner, batch, &plan).await?
    {
        return Ok(written);
    }
    let mut transaction = begin_batch(connection, batch).await?;
    let mut written = Vec::with_capacity(batch.len());
    for write in batch {
        written.push(each::write(&mut transaction, owner, write).await?);
    }
    transaction.commit().await?;
    Ok(written)
}

pub(super) async fn adopt(
    connection: &mut Connection,
    owner: &Incarnation,
    limit: u32,
) -> Result<u64, StoreError> {
    let mut adopted = 0;
    for statement in [ADOPT_DUE, ADOPT_TO_CHECK] {
        let left = i64::from(limit).saturating_sub_unsigned(adopted);
        let adopt = sqlx::query(statement).bind(&owner.0).bind(left);
        adopted += adopt.execute(&mut *connection).await?.rows_affected();
    }
    Ok(adopted)
}

pub(super) async fn own(
    connection: &mut Connection,
    owner: &Incarnation,
    group: &str,
    topic: &str,
) -> Result<GroupOwnership, StoreError> {
    for _ in 0..MAX_TRIES {
        let own = sqlx::query(OWN).bind(&owner.0).bind(group).bind(topic);
        if own.execute(&mut *connection).await?.rows_affected() == 1 {
            return Ok(GroupOwnership::Own);
        }
        let owned_by: Option<Option<String>> = sqlx::query_scalar(OWNED_BY)
            .bind(&owner.0)
            .bind(group)
            .bind(topic)
            .fetch_optional(&mut *connection)
            .await?;
        match owned_by {
            Some(Some(address)) => return Ok(GroupOwnership::Other { address }),
            // Its owner has just gone.
            Some(None) => {}
            // Nothing to deliver, and nobody to be in the way of.
            None => return Ok(GroupOwnership::Own),
        }
    }
    Err(StoreError::Unavailable(
        "the owner of a group keeps changing".into(),
    ))
}

/// A list of ids, as the shared statements take it.
pub(super) fn list(ids: Vec<&str>) -> Vec<&str> {
    ids
}
