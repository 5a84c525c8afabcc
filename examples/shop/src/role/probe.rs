//! Asks a process of the shop how it is, for whoever starts and restarts it.
//!
//! It asks once, and does not wait for one that is not ready yet.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::Method;
use clap::Args;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::http::{HttpError, send};

/// Who has not answered by then is not well.
const MAX_ANSWER: Duration = Duration::from_secs(3);

/// Arguments of `shop probe`.
#[derive(Clone, Debug, Args)]
pub struct ProbeArgs {
    /// Where a service answers queries; IP address and port.
    pub address: SocketAddr,
    /// The address is the front's
    #[arg(long)]
    pub front: bool,
}

/// Why a process is not well.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The service cannot be reached.
    #[error("the service cannot be reached")]
    Unreachable(#[from] tonic::transport::Error),
    /// The service does not say how it is.
    #[error("the service does not say how it is")]
    NoAnswer(#[from] Box<tonic::Status>),
    /// The service is there and does not serve.
    #[error("the service does not serve")]
    NotServing,
    /// The front does not answer.
    #[error(transparent)]
    Front(#[from] HttpError),
    /// The front answers that something is wrong.
    #[error("the front answers {0}")]
    Status(u16),
    /// There was no answer in time.
    #[error("no answer within {MAX_ANSWER:?}")]
    Late,
}

/// Succeeds when the process is well.
///
/// # Errors
/// Says why it is not.
pub async fn run_probe(args: &ProbeArgs) -> Result<(), ProbeError> {
    let asked = async {
        if args.front {
            front(args.address).await
        } else {
            service(args.address).await
        }
    };
    let in_time = tokio::time::timeout(MAX_ANSWER, asked).await;
    in_time.unwrap_or(Err(ProbeError::Late))
}

async fn front(address: SocketAddr) -> Result<(), ProbeError> {
    match send(address, Method::GET, "/", None).await?.status {
        200 => Ok(()),
        other => Err(ProbeError::Status(other)),
    }
}

async fn service(address: SocketAddr) -> Result<(), ProbeError> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    let mut health = HealthClient::new(endpoint.connect().await?);
    // No name: the process as a whole.
    let answer = health.check(HealthCheckRequest::default()).await;
    let answer = answer.map_err(Box::new)?.into_inner();
    if answer.status() == ServingStatus::Serving {
        Ok(())
    } else {
        Err(ProbeError::NotServing)
    }
}
