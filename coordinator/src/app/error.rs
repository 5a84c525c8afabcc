//! Why a coordinator did not start, or ended.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::broker::BrokerError;
use crate::messages::MessagesError;
use crate::store::StoreError;

/// By what a person can do about it.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The store cannot be opened.
    #[error("cannot open the store {url}")]
    Open {
        /// Where it is, without its password.
        url: String,
        /// Why.
        source: StoreError,
    },
    /// The store failed after it was opened.
    #[error("cannot use the store")]
    Store(#[from] StoreError),
    /// The broker cannot be used as it is configured.
    #[error("cannot use the broker")]
    Broker(#[from] BrokerError),
    /// Messages cannot be handled.
    #[error("cannot start handling messages")]
    Messages(#[from] MessagesError),
    /// Nobody can listen there.
    #[error("cannot listen on {address}{}", hint(.source))]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A file that the configuration names cannot be read.
    #[error("cannot read {key} from {}", path.display())]
    File {
        /// The key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something in the configuration is not usable.
    #[error("{0}")]
    Config(String),
    /// TLS cannot be set up.
    #[error("cannot set up TLS or serve")]
    Transport(#[from] tonic::transport::Error),
    /// The operating system gave no threads or signals.
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    /// A part that must not end has ended; the process must be started anew.
    #[error("{0} ended unexpectedly")]
    Ended(&'static str),
}

fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => ": the port is taken; choose another with --listen HOST:PORT",
        _ => "",
    }
}
