//! The TCC machine: try, then confirm all or cancel all.
//!
//! ```text
//!              the caller confirms:
//!              every try is known to have succeeded
//!   RUNNING ───────────────┬────────────────▶ CONFIRMING ────▶ SUCCEEDED
//!      │                   │ begun under a parent  ▲
//!      │                   └────▶ PREPARED ────────┤ the parent decides
//!      │ the deadline passes, someone cancels      ▼
//!      └─────────────────────────────────▶ COMPENSATING ──▶ COMPENSATED
//! ```
//!
//! From any unfinished state a branch can get stuck (`STUCK`: the others go
//! on), and an operator can end it (`FORCED`).
//!
//! # Rules
//! - A branch is registered before its try is called, by the coordinator or by
//!   the caller itself, and the call waits until the registration is durable:
//!   what is not in the log holds nothing.
//! - The decision is the first record of its kind: a confirm and a deadline
//!   that meet are settled by which of them is recorded first; the other is
//!   told. After it nothing is registered and no try is heard any more.
//! - Confirming calls every branch, cancelling every one whose try is not known
//!   to have been refused: a try that is unknown, under way or was perhaps
//!   never called is cancelled like one that succeeded. So a participant has to
//!   keep a consumer log: it takes a cancel without a try, refuses a try
//!   after its cancel, and answers a repeated call as the first time.
//! - Confirm and cancel are never given up. What proves nothing is retried with
//!   capped backoff; after the budget the branch is stuck, and slow retries
//!   go on. A refusal there makes it stuck at once, and only an operator's retry
//!   calls again.
//!
//! # Nesting
//! A branch may itself be a TCC, the child, begun under this one, the parent.
//! 1. The parent registers the branch with the child's id, durably.
//! 2. The child runs like any other. Until its caller confirms, it may also cancel,
//!    on its own deadline or on command.
//! 3. Its caller's confirm does not decide: it records `Prepared`. From then on only
//!    the parent decides; the child's own deadline counts no more, the parent's does.
//! 4. Once that is durable the child asks its parent, which takes the
//!    question for the child's vote ([`Command::Vote`]): the only way in which the try of
//!    a nested branch succeeds. It asks again, slowly, until it knows.
//! 5. The parent's confirm or cancel of the branch goes to the child
//!    ([`Effect::Tell`]), again and again until [`Tcc::answer_to_parent`] says that
//!    the child has ended that way, durably.
//!
//! Telling makes it fast, asking makes it end: also when the parent was ended
//! by hand, or is not known at all, which counts as cancelled. A child that was
//! cancelled before it began is put in place as such ([`begin_cancelled`]), so that it
//! cannot begin later. No vote, no confirm: whatever order messages come in, a
//! parent confirms only children that can no longer cancel by themselves.
//!
//! Guarantees: [`decide`] is pure and total; [`apply`] is total; a log cut off
//! after any record can be resumed. Not here: when records are written, who
//! calls participants, what time it is.

mod actions;
mod apply;
mod begin;
mod decide;
mod effect;
mod nested;
mod record;
mod registration;
mod replay;
mod settling;
mod state;
mod trying;

pub use crate::log::{CorruptLog, RECORD_VERSION, Settlement, write_records};
pub use actions::{Action, AvailableAction, available_actions};
pub use apply::apply;
pub use begin::{Start, begin, begin_cancelled, difference};
pub use decide::{Command, Decision, Rejected, decide, decide_in_place};
pub use effect::{Call, Effect, Tell, next_wake, pending_effects};
pub use nested::Standing;
pub use record::{Event, Parent, Phase, Record, Verdict};
pub use registration::{MAX_BRANCHES, Registration, TriedBy, Work};
pub use replay::{read_log, replay};
pub use state::{Ask, Branch, BranchIx, Decided, Outcome, Settle, Stage, Tcc, Tried};
