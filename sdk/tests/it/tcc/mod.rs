//! TCC: the participant's side, and the caller's.

mod branches;
mod fence;
#[cfg(feature = "macros")]
mod macros;
pub(crate) mod purse;
mod racing;
mod served;
