//! A server of a bench in a process of its own, on all cores like the coordinator.

use std::io;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tonic::service::Routes;
use tonic::transport::Server;

use crate::admin::error::CommandError;
use crate::admin::exit::Exit;
use crate::admin::output::print_line;
use crate::cores::deal;

/// Calls under way on one connection; more than any load asks for.
const MAX_STREAMS: u32 = 65_536;

/// Serves until standard input ends, as it does when the bench ends.
pub(super) async fn serve(
    name: &str,
    routes: Routes,
    cores: &[Handle],
) -> Result<Exit, CommandError> {
    let failed = |error: &dyn std::error::Error| CommandError::Failed(error.to_string());
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(|error| failed(&error))?;
    let address = listener.local_addr().map_err(|error| failed(&error))?;
    let (places, dealing) = deal(listener, cores.len());
    let mut servers = JoinSet::new();
    for (connections, core) in places.into_iter().zip(cores) {
        let server = Server::builder()
            .max_concurrent_streams(MAX_STREAMS)
            .add_routes(routes.clone())
            .serve_with_incoming(connections);
        servers.spawn_on(server, core);
    }
    print_line(&format!("amends bench {name} listening on {address}"))?;
    tokio::select! {
        ended = servers.join_next() => if let Some(ended) = ended {
            ended.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        },
        () = dealing => {}
        () = end_of_input() => {}
    }
    Ok(Exit::Done)
}

async fn end_of_input() {
    let read = || io::copy(&mut io::stdin().lock(), &mut io::sink());
    // However it ends, nobody is there any more.
    let _ = tokio::task::spawn_blocking(read).await;
}
