//! A TCP proxy that can be cut, and that can hold back what the server says.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What it does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Traffic {
    Flows,
    /// Nothing comes back from the server; connections stay open.
    AnswersHeld,
    /// Every connection is ended at once.
    Refused,
}

pub(crate) struct Proxy {
    address: SocketAddr,
    traffic: Arc<watch::Sender<Traffic>>,
    /// Each change ends the connections of that time.
    cuts: Arc<watch::Sender<u64>>,
}

impl Proxy {
    /// In front of the server of a URL.
    pub(crate) async fn before(url: &str) -> (Self, String) {
        let mut url: url::Url = url.parse().unwrap();
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5672));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (traffic, cuts) = (
            Arc::new(watch::Sender::new(Traffic::Flows)),
            Arc::new(watch::Sender::new(0)),
        );
        let proxy = Self {
            address,
            traffic: Arc::clone(&traffic),
            cuts: Arc::clone(&cuts),
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *traffic.borrow() == Traffic::Refused {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&server).await else {
                    continue;
                };
                let mut cut = cuts.subscribe();
                let traffic = traffic.subscribe();
                tokio::spawn(async move {
                    let (from_client, to_client) = client.into_split();
                    let (from_server, to_server) = server.into_split();
                    tokio::select! {
                        () = forward(from_client, to_server, None) => {}
                        () = forward(from_server, to_client, Some(traffic)) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        url.set_ip_host(proxy.address.ip()).unwrap();
        url.set_port(Some(proxy.address.port())).unwrap();
        (proxy, url.into())
    }

    pub(crate) fn set(&self, traffic: Traffic) {
        self.traffic.send_replace(traffic);
    }

    /// Ends all connections.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut traffic: Option<watch::Receiver<Traffic>>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length) = from.read(&mut buffer).await {
        if length == 0 {
            return;
        }
        if let Some(traffic) = &mut traffic {
            let flows = traffic.wait_for(|traffic| *traffic == Traffic::Flows).await;
            if flows.is_err() {
                return;
            }
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
