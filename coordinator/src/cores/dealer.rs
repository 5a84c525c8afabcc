//! Gives accepted connections to the cores in turn.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Most connections that wait for one core to take them.
const WAITING: usize = 128;
/// After a connection could not be accepted, most likely for want of descriptors.
const AFTER_FAILURE: Duration = Duration::from_millis(50);

/// The connections that one core is given. To be polled on that core.
#[derive(Debug)]
pub struct Dealt(mpsc::Receiver<std::net::TcpStream>);

/// One place for each of `cores`, and the work of giving out connections, which
/// ends when nobody takes them any more.
pub fn deal(listener: TcpListener, cores: usize) -> (Vec<Dealt>, impl Future<Output = ()> + Send) {
    let (takers, places): (Vec<_>, Vec<_>) = (0..cores)
        .map(|_| {
            let (taker, place) = mpsc::channel(WAITING);
            (taker, Dealt(place))
        })
        .unzip();
    let work = async move {
        for taker in takers.iter().cycle() {
            let stream = tokio::select! {
                stream = next(&listener) => stream,
                () = taker.closed() => return,
            };
            if taker.send(stream).await.is_err() {
                return;
            }
        }
    };
    (places, work)
}

/// A connection without a runtime, to be taken up by another one.
async fn next(listener: &TcpListener) -> std::net::TcpStream {
    loop {
        let accepted = listener.accept().await;
        match accepted.and_then(|(stream, _)| stream.into_std()) {
            Ok(stream) => return stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }
}

fn take(stream: std::net::TcpStream) -> io::Result<TcpStream> {
    let stream = TcpStream::from_std(stream)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Stream for Dealt {
    type Item = io::Result<TcpStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while let Some(stream) = std::task::ready!(self.0.poll_recv(cx)) {
            match take(stream) {
                Ok(stream) => return Poll::Ready(Some(Ok(stream))),
                // Its client is gone already.
                Err(error) => tracing::debug!(%error, "a connection was lost at once"),
            }
        }
        Poll::Ready(None)
    }
}
