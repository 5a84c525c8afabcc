//! Which store keeps messages with which database.

use amends_core::message::half::HalfId;
use amends_core::message::{GroupName, MessageId, MessageState, Topic};
use amends_core::time::Timestamp;

use super::shared::{
    MAX_COUNTED, REMOVE_CHUNK, group_methods, half_methods, is_over, letter_methods,
    message_methods,
};
use super::{
    Backlog, Bodies, ChecksDue, DeadLetter, DeadLetterFilter, DeadLetterId, DeliveryFilter,
    GroupOwnership, HalfFilter, MessageFilter, MessageStore, MessageWrite, ProducerBacklog,
    StoredDelivery, StoredMessage, StoredSubscription, Waiting, WaitingFilter, Written, half,
    postgres, rows, sqlite,
};
use crate::store::memory::MemoryMessages;
use crate::store::postgres::PostgresStore;
use crate::store::rows::unsigned;
use crate::store::sqlite::SqliteStore;
use crate::store::text::without_nul;
use crate::store::{MAX_PAGE, StoreResult};

impl MessageStore for SqliteStore {
    fn write<'a>(&'a self, batch: &'a [MessageWrite]) -> StoreResult<'a, Vec<Written>> {
        Box::pin(async move {
            let mut connection = self.write().await?;
            sqlite::write(&mut connection, &self.incarnation, batch).await
        })
    }

    message_methods!(sqlite, "IN (SELECT value FROM json_each($1))", "x''");
    group_methods!(sqlite);
    half_methods!(sqlite, "IN (SELECT value FROM json_each($1))", "x''");
    letter_methods!(sqlite, "IN (SELECT value FROM json_each($1))", "x''");
}

impl MessageStore for PostgresStore {
    fn write<'a>(&'a self, batch: &'a [MessageWrite]) -> StoreResult<'a, Vec<Written>> {
        Box::pin(async move {
            let mut connection = self.write().await?;
            postgres::write(&mut connection, &self.incarnation, batch).await
        })
    }

    message_methods!(postgres, "= ANY($1)", "''::bytea");
    group_methods!(postgres);
    half_methods!(postgres, "= ANY($1)", "''::bytea");
    letter_methods!(postgres, "= ANY($1)", "''::bytea");
}

impl MessageStore for MemoryMessages {
    fn write<'a>(&'a self, batch: &'a [MessageWrite]) -> StoreResult<'a, Vec<Written>> {
        Box::pin(async move {
            let then = self.faults().before_write().await?;
            let mut connection = self.write().await?;
            let written = sqlite::write(&mut connection, &self.incarnation, batch).await?;
            then.map_or(Ok(written), Err)
        })
    }

    message_methods!(sqlite, "IN (SELECT value FROM json_each($1))", "x''");
    group_methods!(sqlite);
    half_methods!(sqlite, "IN (SELECT value FROM json_each($1))", "x''");
    letter_methods!(sqlite, "IN (SELECT value FROM json_each($1))", "x''");
}
