//! The saga machine.
//!
//! ```text
//!                   every step succeeded
//!   RUNNING ───────────────────────────────▶ SUCCEEDED
//!      │ a step is refused or gives up, the deadline passes, someone cancels:
//!      │ nothing past the point of no return may have run
//!      ▼
//!   COMPENSATING ──────────────────────────▶ COMPENSATED
//!                   everything undone
//! ```
//!
//! From any unfinished state a branch can get stuck (`STUCK`: the others go
//! on, slow retries too), and an operator can end it (`FORCED`).
//!
//! A live saga ([`LiveStart`]) is run by the same machine: its definition grows by recorded steps.
//!
//! Guarantees: [`decide`] is pure and total; [`apply`] is total; a log cut off
//! after any record can be resumed, and whatever was called without a trace in
//! the log counts as "may have run". Not here: when records are written, who
//! calls participants, what time it is.

mod actions;
mod apply;
mod decide;
mod definition;
mod effect;
mod forward;
mod live;
mod record;
mod replay;
mod state;
mod unwind;
mod validate;

pub use crate::log::{CorruptLog, RECORD_VERSION, write_records};
pub use crate::public_state::PublicState;
pub use actions::{Action, AvailableAction, available_actions};
pub use apply::apply;
pub use decide::{Command, Decision, Rejected, begin, decide, decide_in_place};
pub use definition::{
    Body, CancelMessage, CompensateVia, CompiledCancel, CompiledSaga, CompiledStep, DefinitionHash,
    Fencing, SagaDefinition, StepDefinition, StepKind,
};
pub use effect::{Broadcast, Call, Effect, REPORT_TIMEOUT, Via, next_wake, pending_effects};
pub use live::{
    Live, LiveAbout, LiveCommand, LiveStart, LiveStep, MAX_LEASE, MIN_LEASE, begin_live,
};
pub use record::{Cause, Event, Phase, Record, Settlement};
pub use replay::{definition_of, read_log, replay, replay_live};
pub use state::{Direction, Forward, Outcome, Saga, StepRun, Undo};
pub use validate::{MAX_DEADLINE, MAX_STEPS, MAX_TIMEOUT, Violation};
