//! HTTP as a client: a customer's browser, and what the shop and its payment
//! provider say to each other.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::{Method, Request, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// What the other side answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `null` where the answer has no JSON body.
    pub(crate) body: Value,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Nobody can be reached there.
    #[error("nobody can be reached there")]
    Connect(#[from] std::io::Error),
    /// The request cannot be made.
    #[error("the request cannot be made")]
    Request(#[from] axum::http::Error),
    /// The connection broke.
    #[error("there was no answer")]
    Broken(#[from] hyper::Error),
    /// The address is none of plain HTTP.
    #[error("`{0}` is no address http://host:port/..")]
    Url(String),
    /// Too late.
    #[error("no answer within {0:?}")]
    Late(Duration),
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

/// One request to the front, on a connection of its own.
pub(crate) async fn send(
    front: SocketAddr,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Answer, HttpError> {
    let body = body.map(Value::to_string).unwrap_or_default();
    exchange(&front.to_string(), method, path, &[], body.into()).await
}

/// One request to `http://host:port/path`, on a connection of its own, answered
/// within `limit` or not at all.
pub(crate) async fn send_to(
    url: &str,
    method: Method,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
    limit: Duration,
) -> Result<Answer, HttpError> {
    let no_url = || HttpError::Url(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| no_url())?;
    let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(no_url());
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let answer = exchange(authority.as_str(), method, path, headers, body.into());
    let in_time = tokio::time::timeout(limit, answer).await;
    in_time.unwrap_or(Err(HttpError::Late(limit)))
}

async fn exchange(
    authority: &str,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Result<Answer, HttpError> {
    let stream = TcpStream::connect(authority).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", authority)
        .header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(Full::new(body))?).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    connection.abort();
    Ok(Answer {
        status,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    })
}
