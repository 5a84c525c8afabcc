//! The payment log: one row for each payment that was made, and one for each
//! that was paid back.
//!
//! As with mails, nothing in its table keeps a second row out: that is what the
//! consumer log is for, and what the invariants look at.

mod handlers;
pub mod table;

/// The service.
#[derive(Clone, Debug, Default)]
pub struct PayLog;
