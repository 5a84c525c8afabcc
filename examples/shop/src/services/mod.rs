//! The services: each owns its tables, and nobody else writes them.
//!
//! In each folder: `mod` says what the service offers, `table` has its SQL,
//! `steps` what it does for a saga, `handlers` what it does with messages, `query`
//! what it tells the front.

pub mod coupon;
pub mod goods;
pub mod mail;
pub mod order;
pub mod pay;
pub mod paylog;
pub mod user;

use tonic::Status;

/// An error of the database as the front sees it: it may ask again.
fn unavailable(error: &amends::DatabaseError) -> Status {
    tracing::warn!(%error, "the database did not answer a query");
    Status::unavailable("the database did not answer")
}
