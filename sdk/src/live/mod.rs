//! Live sagas: ordinary async Rust decides, while it runs, which step comes next.
//!
//! ```no_run
//! # use amends::{Client, ClientError, Outcome, StepRef, StepError, reject};
//! # use std::time::Duration;
//! # const RESERVE: StepRef<u32, i64> = StepRef::new("stock", "reserve");
//! # const PAY: StepRef<i64, String> = StepRef::new("accounts", "pay");
//! # const USE: StepRef<String, i64> = StepRef::new("coupons", "use");
//! # async fn run(client: Client, order: &str) -> Result<(), ClientError> {
//! let outcome: Outcome<String> = client
//!     .saga("shop.confirm-order")
//!     .key(order)
//!     .deadline(Duration::from_secs(60))
//!     .run(async |tx| {
//!         let (price, off) = tokio::try_join!(tx.step(RESERVE, 2), tx.step(USE, "spring".to_owned()))?;
//!         if price - off > 10_000 {
//!             reject!("TOO_DEAR", "{price} less {off}"); // undoes both
//!         }
//!         tx.step(PAY, price - off).await
//!     })
//!     .await?;
//! # let _ = outcome; Ok(()) }
//! ```
//!
//! Each step is recorded before it is called. `Err`, a panic, a dropped future, a lost
//! heartbeat and the deadline undo what was done, in the reverse order of what happened, also when this
//! process is gone. The result is stored with the saga: the same key again gives it back and
//! does not run the code.
//!
//! A refused step is [`StepError::Refused`](crate::StepError): pass it on with `?`, or deal with it and go on. Any other
//! error of a step means that the saga has turned back, or that the coordinator could not be reached.
//!
//! What the code does besides its steps is not undone and not kept: leave effects to steps.

mod api;
mod guard;
mod heart;
mod run;
mod tx;

pub use run::NewLiveSaga;
pub use tx::{LiveTx, NextLiveStep};
