//! The consumer log.
use crate::{Conn, StepResult};

/// Whether a delivery was seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It was not: do the work in this transaction.
    First,
    /// It was, and its work is committed.
    Before,
}

/// Notes a delivery.
pub async fn first_delivery(_conn: &mut Conn, _group: &str, _id: &str) -> StepResult<Seen> {
    Err(crate::StepError::unknown("not yet"))
}
