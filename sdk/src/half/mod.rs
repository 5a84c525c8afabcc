//! Half messages: delivered if and only if a local transaction commits.
//!
//! ```
//! # use amends::{args, Client, Database, HalfError, NewMessage};
//! # use std::time::Duration;
//! # #[derive(serde::Serialize)]
//! # struct OrderPaid { order: String }
//! async fn pay(client: &Client, database: &Database, order: &str) -> Result<(), HalfError> {
//!     client
//!         .half("payTopic", OrderPaid { order: order.to_owned() })
//!         .tag("pay_success")
//!         .key(order)
//!         .and(NewMessage::new("ledgerTopic", order).order_key(order))
//!         .check_after(Duration::from_secs(30))
//!         .in_tx(database, async |conn| {
//!             conn.execute("UPDATE orders SET paid = 1 WHERE id = ?", args![order]).await?;
//!             Ok(())
//!         })
//!         .await
//! }
//! ```
//!
//! The messages are durable at the coordinator before the local transaction
//! begins, and visible to nobody. When it has committed, the coordinator is
//! told so and delivers them. When nobody tells it, because the process died
//! or the network did, it asks an instance of the *producer group*, and that
//! answers from the consumer log, see the next paragraph. So a producer that
//! stops at once after its local commit loses nothing, and one that stops
//! before it delivers nothing.
//!
//! The local transaction holds a row of the consumer log (group = producer
//! group, tag = `half`, key = half id). A check finds it, or leaves a tombstone
//! on which a local transaction that comes later fails: there is one truth.
//! While the local transaction is open a check waits for it, at most
//! [`LOCK_WAIT`](crate::conn::LOCK_WAIT), and is asked again later.
//!
//! Who answers the checks:
//! - a [`Participant`](crate::Participant), for each of its services, and for
//!   the groups it was given with
//!   [`producer`](crate::participant::ParticipantBuilder::producer);
//! - a [`Producer`], for processes that nobody can call: it opens a stream.
//!
//! All instances of a group share the database of its local transactions: one
//! that answered from another would find nothing there, and say rollback.
//! Where the effects lie in none that the SDK knows, see [`NewHalf::run`].

mod checks;
mod error;
mod local;
mod new;
mod service;
mod stream;

pub(crate) use checks::{CheckDef, Checks};
pub use checks::{HalfCheck, HalfCx, HalfVerdict};
pub use error::HalfError;
pub use new::NewHalf;
pub use service::{ExternalCall, ExternalHalf, ExternalHalfRef, HalfRef, LocalCall, LocalHalf};
pub use stream::{Producer, RunningProducer};
