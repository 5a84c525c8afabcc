//! TCC: hold what is needed everywhere, then confirm it all or release it all.
//!
//! A *branch* has three methods. The *try* checks and holds: it freezes money,
//! sets goods aside. Then either the *confirm* makes that final, or the
//! *cancel* lets it go. A service describes branches with `#[tcc]`, or with
//! [`ServiceBuilder::tcc`](crate::ServiceBuilder::tcc); their consumer log makes
//! each of them take effect once, bars a try that comes after its cancel, and
//! keeps confirm and cancel apart.
//!
//! The caller begins a TCC with a deadline, tries branches, and confirms:
//!
//! ```no_run
//! # use amends::{Client, TccError, TccRef};
//! # use std::time::Duration;
//! # struct Wallet;
//! # impl Wallet { const FREEZE: TccRef<i64, i64> = TccRef::new("wallet", "freeze"); }
//! # struct Points;
//! # impl Points { const HOLD: TccRef<i64, ()> = TccRef::new("points", "hold"); }
//! # async fn run(client: Client, order: &str) -> Result<i64, TccError> {
//! client
//!     .tcc("shop.pay")
//!     .key(order)
//!     .deadline(Duration::from_secs(20))
//!     .run(async |tx| {
//!         let tries = tokio::try_join!(
//!             tx.try_branch(Wallet::FREEZE, 500),
//!             tx.try_branch(Points::HOLD, 10),
//!         );
//!         Ok(tries?.0)
//!     })
//!     .await
//! # }
//! ```
//!
//! The first decision counts: the confirm, a cancel (by an `Err`, a panic, a
//! dropped future, an operator) or the deadline, which also covers a process
//! that died. What was decided is carried out to the end, by the coordinator.
//! Without a closure: [`NewTcc::begin`], [`Tcc::confirm`], [`Tcc::cancel`]; with
//! tries of one's own: [`Tcc::try_own`]; within another TCC: [`Tcc::child`].

mod begin;
mod branch_ref;
mod define;
mod error;
mod outcome;
mod own;
mod tx;

pub(crate) use define::TccCode;

pub use begin::NewTcc;
pub use branch_ref::TccRef;
pub use error::TccError;
pub use outcome::TccOutcome;
pub use own::OwnBranch;
pub use tx::Tcc;
