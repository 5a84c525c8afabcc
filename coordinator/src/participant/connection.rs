//! HTTP/2 connections to one address, made when first needed and again when lost.
//!
//! They speak to `h2` itself. A general gRPC channel hands each call through a
//! queue and two tasks more, wraps it in five boxed layers and watches it with
//! a second timer; that was the larger half of what a call cost.
//!
//! Guarantees: one connect at a time, whose failure everybody learns who waited
//! for it; a lost network is found out (keep-alive). Not here: what is sent.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use h2::client::{Builder, SendRequest};
use h2::{Ping, PingPong};
use tokio::net::TcpStream;
use tokio::runtime::{self, Handle};
use tonic::Status;

/// Longest wait for a connection. A call's own timeout may be shorter.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Without these a connection through a lost network would look alive for ever.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of answers under way, on one stream and on one connection.
const WINDOWS: (u32, u32) = (1 << 20, 4 << 20);
/// A connection can be lost unnoticed between two calls; nothing was sent on it.
const MAX_TRIES: usize = 2;

/// The connections to one address: those of each runtime apart, because what
/// happens on one never has to wake the thread of another.
#[derive(Debug)]
pub(super) struct Connections {
    address: Arc<str>,
    /// On each runtime.
    count: usize,
    by_runtime: Mutex<HashMap<runtime::Id, Arc<Links>>>,
}

/// The connections of one runtime, used in turn.
#[derive(Debug)]
pub(super) struct Links {
    links: Box<[Link]>,
    turn: AtomicUsize,
}

/// One connection, or the attempt to make it.
#[derive(Debug)]
struct Link {
    address: Arc<str>,
    state: Mutex<Option<Connecting>>,
}

type Connecting = Shared<BoxFuture<'static, Result<SendRequest<Bytes>, Arc<io::Error>>>>;

impl Connections {
    /// Connects to nothing yet.
    pub(super) fn new(address: &str, count: usize) -> Self {
        Self {
            address: address.into(),
            count: count.max(1),
            by_runtime: Mutex::default(),
        }
    }

    /// Those of the present runtime. Must be called in one.
    pub(super) fn here(&self) -> Arc<Links> {
        let runtime = Handle::current().id();
        let mut known = locked(&self.by_runtime);
        let links = known.entry(runtime).or_insert_with(|| {
            let link = |_| Link {
                address: self.address.clone(),
                state: Mutex::default(),
            };
            Arc::new(Links {
                links: (0..self.count).map(link).collect(),
                turn: AtomicUsize::new(0),
            })
        });
        links.clone()
    }
}

impl Links {
    /// The next connection in turn, ready to send on.
    ///
    /// Cancel-safe: a connect goes on with whoever waits for it next.
    pub(super) async fn sender(&self) -> Result<SendRequest<Bytes>, Status> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.links[turn % self.links.len()].sender().await
    }
}

impl Link {
    async fn sender(&self) -> Result<SendRequest<Bytes>, Status> {
        let mut lost = None;
        for _ in 0..MAX_TRIES {
            let connecting = self.connecting();
            match connecting.clone().await {
                Ok(sender) => match sender.ready().await {
                    Ok(sender) => return Ok(sender),
                    Err(error) => lost = Some(error),
                },
                Err(error) => {
                    self.forget(&connecting);
                    return Err(not_connected(error));
                }
            }
            self.forget(&connecting);
        }
        Err(lost.map_or_else(
            || Status::unavailable("no connection"),
            |error| Status::from_error(Box::new(error)),
        ))
    }

    fn connecting(&self) -> Connecting {
        let mut state = locked(&self.state);
        let connecting =
            state.get_or_insert_with(|| connect(self.address.clone()).boxed().shared());
        connecting.clone()
    }

    /// Unless somebody has begun anew already.
    fn forget(&self, connecting: &Connecting) {
        let mut state = locked(&self.state);
        if state.as_ref().is_some_and(|now| now.ptr_eq(connecting)) {
            *state = None;
        }
    }
}

async fn connect(address: Arc<str>) -> Result<SendRequest<Bytes>, Arc<io::Error>> {
    let connected = async {
        let stream = TcpStream::connect(&*address).await?;
        stream.set_nodelay(true)?;
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(WINDOWS.0)
            .initial_connection_window_size(WINDOWS.1);
        let handshake = builder.handshake(stream).await;
        handshake.map_err(io::Error::other)
    };
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, connected).await;
    let (sender, mut connection) = connected
        .map_err(|elapsed| Arc::new(io::Error::new(io::ErrorKind::TimedOut, elapsed)))??;
    let pings = connection.ping_pong();
    // Ends when nobody can send any more and all answers have come, or when it is lost.
    tokio::spawn(async move {
        tokio::select! {
            ended = connection => if let Err(error) = ended {
                tracing::debug!(%address, %error, "a connection to a participant ended");
            },
            () = silence(pings) => {
                tracing::warn!(%address, "a connection to a participant gave no sign of life; closing it");
            }
        }
    });
    Ok(sender)
}

/// Returns when the other side does not answer a ping in time.
async fn silence(pings: Option<PingPong>) {
    let Some(mut pings) = pings else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(KEEP_ALIVE_INTERVAL).await;
        let pong = tokio::time::timeout(KEEP_ALIVE_TIMEOUT, pings.ping(Ping::opaque()));
        match pong.await {
            Ok(Ok(_)) => {}
            // The connection itself tells what is wrong with it.
            Ok(Err(_)) => return std::future::pending().await,
            Err(_elapsed) => return,
        }
    }
}

fn not_connected(error: Arc<io::Error>) -> Status {
    let mut status = Status::unavailable(format!("cannot connect: {error}"));
    status.set_source(error);
    status
}

/// Nothing that panics runs under these locks.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
