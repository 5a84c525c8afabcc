//! The test kit for services and sagas.
//!
//! - [`fence`] runs every order of calls, failures and concurrent pairs
//!   against a step of yours, or a branch of TCCs, and says in which one it breaks its promise;
//! - [`direct`] calls the steps of a service through the consumer log, as a
//!   coordinator would, without any server;
//! - [`messages`] hands messages to the handlers of a service: twice, at once,
//!   failing, in any order;
//! - [`saga`] runs a saga's definition without any server or service.

mod direct;
mod fence;
mod fence_tcc;
mod messages;
mod orders;
mod saga;

pub use direct::{Direct, direct};
pub use fence::{Fence, FenceCheck, FenceFailure, FenceReport, FenceStep, fence};
pub use fence_tcc::{FenceBranch, FenceBranchCheck};
pub use messages::{Handled, Messages, MessagesFailure, messages};
pub use saga::{Call, SagaReport, SagaTest, saga};
