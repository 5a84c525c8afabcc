//! The gRPC server: its layers, TLS, and a bounded stop. One on each core; they
//! are given connections in turn.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use crate::config;
use crate::cores::{Dealt, deal};

use super::error::ServeError;

/// Calls under way on one connection; each waiting client holds one.
const MAX_STREAMS: u32 = 16_384;
/// How often an idle connection is asked whether it lives, and how long it may take to say so.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// Binds the configured address.
pub(super) async fn listen(
    server: &config::Server,
) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Listen {
        address: server.listen,
        source,
    };
    let listener = TcpListener::bind(server.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Serves on all cores until the token is cancelled, then lets calls under way end.
pub(super) fn start(
    listener: TcpListener,
    routes: &Routes,
    tls: Option<&ServerTlsConfig>,
    stop: &CancellationToken,
    cores: &[Handle],
) -> JoinSet<Result<(), ServeError>> {
    let mut servers = JoinSet::new();
    let (places, dealing) = deal(listener, cores.len());
    for (connections, core) in places.into_iter().zip(cores) {
        let (routes, tls, stop) = (routes.clone(), tls.cloned(), stop.clone());
        servers.spawn_on(serve(connections, routes, tls, stop), core);
    }
    let stopped = stop.clone().cancelled_owned();
    servers.spawn(async move {
        tokio::select! {
            () = dealing => {}
            () = stopped => {}
        }
        Ok(())
    });
    servers
}

async fn serve(
    connections: Dealt,
    routes: Routes,
    tls: Option<ServerTlsConfig>,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let mut builder = Server::builder()
        .tcp_nodelay(true)
        .max_concurrent_streams(MAX_STREAMS)
        .http2_keepalive_interval(Some(KEEP_ALIVE.0))
        .http2_keepalive_timeout(Some(KEEP_ALIVE.1));
    if let Some(tls) = tls {
        builder = builder.tls_config(tls)?;
    }
    builder
        .add_routes(routes)
        .serve_with_incoming_shutdown(connections, stop.cancelled_owned())
        .await?;
    Ok(())
}

/// TLS as configured; none without a certificate.
pub(super) fn tls(server: &config::Server) -> Result<Option<ServerTlsConfig>, ServeError> {
    let (Some(cert), Some(key)) = (&server.tls_cert, &server.tls_key) else {
        return Ok(None);
    };
    let read = |name, path: &std::path::PathBuf| {
        std::fs::read(path).map_err(|source| ServeError::File {
            key: name,
            path: path.clone(),
            source,
        })
    };
    let identity = Identity::from_pem(read("server.tls_cert", cert)?, read("server.tls_key", key)?);
    let mut tls = ServerTlsConfig::new().identity(identity);
    if let Some(ca) = &server.tls_client_ca {
        tls = tls.client_ca_root(Certificate::from_pem(read("server.tls_client_ca", ca)?));
    }
    Ok(Some(tls))
}
