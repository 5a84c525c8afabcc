//! The methods of [`super::MessageStore`], for every SQL database.
//!
//! As `store::shared`: macros, each used once for each store. The store offers
//! `read()` and `write()`, which hand out a connection, `incarnation` and
//! `swept`; `$db` is the module of its database, `$any` compares with a list of
//! ids, `$empty` are no bytes.

mod groups;
mod halves;
mod letters;
mod messages;

pub(super) use groups::group_methods;
pub(super) use halves::half_methods;
pub(super) use letters::letter_methods;
pub(super) use messages::{is_over, message_methods};

/// Most rows that one statement removes.
pub(super) const REMOVE_CHUNK: u32 = 1_000;
/// How far a backlog is counted.
pub(super) const MAX_COUNTED: u32 = 10_000;

/// How far the search for messages to remove has come: those before have to stay
/// for now. Starts anew from the oldest one when it has come to the end.
pub(in crate::store) type Swept = tokio::sync::Mutex<(i64, String)>;
