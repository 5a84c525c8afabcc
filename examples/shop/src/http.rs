//! A customer's browser, as far as scenarios and probes need one.

use std::net::SocketAddr;

use axum::http::{Method, Request};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// What the shop answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `null` where the answer has no JSON body.
    pub(crate) body: Value,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The front cannot be reached.
    #[error("the front cannot be reached")]
    Connect(#[from] std::io::Error),
    /// The request cannot be made.
    #[error("the request cannot be made")]
    Request(#[from] axum::http::Error),
    /// The connection broke.
    #[error("the front did not answer")]
    Broken(#[from] hyper::Error),
}

impl Answer {
    /// The code of a problem; empty where it is none.
    pub(crate) fn code(&self) -> &str {
        self.text("code")
    }

    /// A text in the body; empty where there is none.
    pub(crate) fn text(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_default()
    }
}

/// One request on a connection of its own.
pub(crate) async fn send(
    front: SocketAddr,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Answer, HttpError> {
    let stream = TcpStream::connect(front).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", front.to_string())
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    connection.abort();
    Ok(Answer {
        status,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    })
}
