//! The shop's processes: a service with its database, and the front.
//!
//! A process says on standard output, in one line, when it is ready and
//! where it listens; whoever started it need not wait any longer. It ends on
//! Ctrl-C and SIGTERM, and with `--until-stdin-ends` when its standard input
//! does, so that it cannot outlive the process that started it.

mod buy;
mod coordinator;
mod end;
mod front;
mod pay;
mod probe;
mod provider;
mod rabbitmq;
pub mod reconcile;
mod resend;
mod samples;
mod service;

use std::io::Write;
use std::path::PathBuf;

pub use buy::{BuyArgs, run_buy};
pub use coordinator::CoordinatorAt;
pub use end::{exit_with_stdin, the_end};
pub use front::{FrontArgs, run_front};
pub use pay::PayArgs;
pub use probe::{ProbeArgs, ProbeError, run_probe};
pub use provider::{KeyAt, ProviderArgs, run_provider};
pub use rabbitmq::{RabbitMqArgs, RabbitMqServer, ServerCommand, run_rabbitmq};
pub use reconcile::{ReconcileArgs, run_reconcile};
pub use resend::{ResendArgs, resend, run_resend};
pub use samples::{SamplesArgs, run_samples};
pub use service::{Role, ServiceArgs, run_service};

/// Why a process ended with an error.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// The database cannot be used.
    #[error("the database cannot be used")]
    Database(#[from] amends::DatabaseError),
    /// The service cannot be offered to the coordinator.
    #[error("the service cannot be offered")]
    Participant(#[from] amends::ParticipantError),
    /// The coordinator's address is none.
    #[error("the coordinator's address cannot be used")]
    Coordinator(#[from] amends::ClientError),
    /// The front cannot work like that.
    #[error(transparent)]
    Front(#[from] crate::front::FrontError),
    /// The file with the token cannot be read.
    #[error("cannot read the token in {}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The provider's key cannot be had.
    #[error(transparent)]
    Key(#[from] crate::provider::KeyError),
    /// The address of another service is none.
    #[error("`{0}` is no address of a service")]
    Address(String),
    /// The pay service does not answer.
    #[error("the pay service does not answer")]
    Pay(#[source] Box<tonic::Status>),
    /// An address cannot be listened on.
    #[error("cannot listen")]
    Listen(#[from] std::io::Error),
    /// The queries cannot be served any more.
    #[error("the queries cannot be served")]
    Queries(#[from] tonic::transport::Error),
}

/// The line that says that a process is ready. A reader that went away is no
/// reason to end.
fn announce(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).ok();
}
