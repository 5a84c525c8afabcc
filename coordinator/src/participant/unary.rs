//! One unary gRPC call over one connection: a message there, a message and a
//! status back, as the gRPC specification puts them into HTTP/2.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use h2::RecvStream;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use prost::Message;
use tonic::{Code, Status};

use super::connection::Links;

/// Stands before each message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;
/// What a message over the limit is answered with.
pub(super) const TOO_LARGE: &str = "the message is too large";
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("amends/", env!("CARGO_PKG_VERSION")));
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");
const TIMEOUT: &str = "grpc-timeout";
const DETAILS: &str = "grpc-status-details-bin";
/// How tonic reads them.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What every call needs besides its message.
pub(super) struct Wire {
    pub(super) links: Arc<Links>,
    pub(super) authority: Authority,
    /// Told to the participant, so that it gives up when nobody waits any more.
    pub(super) timeout: Duration,
    pub(super) max_response_bytes: usize,
}

/// A message ready to be sent.
pub(super) struct Framed(Bytes);

/// What came back from a call that ended well.
pub(super) struct Reply {
    /// Headers, and trailers over them.
    pub(super) metadata: HeaderMap,
    pub(super) message: Bytes,
}

impl Framed {
    pub(super) fn encode(message: &impl Message) -> Result<Self, Status> {
        let len = message.encoded_len();
        let mut bytes = prefixed(len)?;
        let encoded = message.encode(&mut bytes);
        encoded.map_err(|error| Status::internal(error.to_string()))?;
        Ok(Self(bytes.freeze()))
    }

    pub(super) fn raw(message: &[u8]) -> Result<Self, Status> {
        let mut bytes = prefixed(message.len())?;
        bytes.put_slice(message);
        Ok(Self(bytes.freeze()))
    }
}

fn prefixed(len: usize) -> Result<BytesMut, Status> {
    let told = u32::try_from(len).map_err(|_| Status::resource_exhausted(TOO_LARGE))?;
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + len);
    bytes.put_u8(0);
    bytes.put_u32(told);
    Ok(bytes)
}

impl Wire {
    /// Sends one message and awaits one. The caller bounds the time; dropping
    /// it tells the participant that nobody waits any more.
    pub(super) async fn unary(
        self,
        path: PathAndQuery,
        metadata: HeaderMap,
        message: Framed,
    ) -> Result<Reply, Status> {
        let request = self.request(path, metadata)?;
        let mut sender = self.links.sender().await?;
        let (response, mut body) = sender.send_request(request, false).map_err(broken)?;
        body.send_data(message.0, true).map_err(broken)?;
        let (head, body) = response.await.map_err(broken)?.into_parts();
        if let Some(status) = status_of(&head.headers) {
            // Without a message, this one tells all.
            ok(status)?;
        } else if head.status != StatusCode::OK {
            return Err(of_http(head.status));
        }
        let (message, trailers) = receive(body, self.max_response_bytes).await?;
        let mut metadata = head.headers;
        if let Some(trailers) = trailers {
            status_of(&trailers).map_or(Ok(()), ok)?;
            metadata.extend(trailers);
        }
        let message = message.ok_or_else(|| Status::internal("there is no message"))?;
        Ok(Reply { metadata, message })
    }

    fn request(&self, path: PathAndQuery, metadata: HeaderMap) -> Result<Request<()>, Status> {
        let uri = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
            .map_err(|error| Status::internal(error.to_string()))?;
        let mut request = Request::new(());
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        *headers = metadata;
        headers.insert(header::TE, TRAILERS);
        headers.insert(header::CONTENT_TYPE, GRPC);
        headers.insert(header::USER_AGENT, USER_AGENT);
        headers.insert(TIMEOUT, timeout_value(self.timeout));
        Ok(request)
    }
}

/// Rounded up to whole milliseconds: nearly all calls then have the same text,
/// which travels as one byte. At most eight digits are allowed.
fn timeout_value(timeout: Duration) -> HeaderValue {
    const MAX: u128 = 99_999_999;
    let millis = timeout.as_nanos().div_ceil(1_000_000);
    let text = if millis <= MAX {
        format!("{millis}m")
    } else {
        format!("{}S", u128::from(timeout.as_secs()).min(MAX))
    };
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("99999999S"))
}

/// The message, if one came, and the trailers.
async fn receive(
    mut body: RecvStream,
    max_bytes: usize,
) -> Result<(Option<Bytes>, Option<HeaderMap>), Status> {
    let mut received = Received::default();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.map_err(broken)?;
        let given_back = body.flow_control().release_capacity(chunk.len());
        given_back.map_err(broken)?;
        received.take(chunk, max_bytes)?;
    }
    let trailers = body.trailers().await.map_err(broken)?;
    Ok((received.message()?, trailers))
}

/// The bytes of one message. A single chunk is not copied.
#[derive(Default)]
struct Received {
    first: Bytes,
    all: Option<BytesMut>,
}

impl Received {
    fn bytes(&self) -> &[u8] {
        self.all.as_deref().unwrap_or(&self.first)
    }

    fn take(&mut self, chunk: Bytes, max_bytes: usize) -> Result<(), Status> {
        if self.first.is_empty() {
            self.first = chunk;
        } else {
            let all = self
                .all
                .get_or_insert_with(|| BytesMut::from(&self.first[..]));
            all.extend_from_slice(&chunk);
        }
        let told = message_len(self.bytes())?.unwrap_or(0);
        if told > max_bytes {
            return Err(Status::out_of_range(TOO_LARGE));
        }
        if self.bytes().len() > PREFIX_BYTES + told && self.bytes().len() > PREFIX_BYTES {
            return Err(Status::internal("there is more than one message"));
        }
        Ok(())
    }

    fn message(self) -> Result<Option<Bytes>, Status> {
        let mut bytes = self.all.map_or(self.first, BytesMut::freeze);
        if bytes.is_empty() {
            return Ok(None);
        }
        if message_len(&bytes)?.is_none_or(|len| bytes.len() < PREFIX_BYTES + len) {
            return Err(Status::internal("the message ends too early"));
        }
        bytes.advance(PREFIX_BYTES);
        Ok(Some(bytes))
    }
}

/// What the prefix says, once it is there.
fn message_len(mut bytes: &[u8]) -> Result<Option<usize>, Status> {
    if bytes.len() < PREFIX_BYTES {
        return Ok(None);
    }
    if bytes.get_u8() != 0 {
        return Err(Status::internal("the message is compressed, unasked"));
    }
    Ok(Some(usize::try_from(bytes.get_u32()).unwrap_or(usize::MAX)))
}

/// The gRPC status among headers or trailers.
fn status_of(headers: &HeaderMap) -> Option<Status> {
    let readable = |details: &HeaderValue| BASE64.decode(details.as_bytes()).is_ok();
    match headers.get(DETAILS) {
        // Reading them, tonic would panic.
        Some(details) if !readable(details) => {
            let mut headers = headers.clone();
            headers.remove(DETAILS);
            Status::from_header_map(&headers)
        }
        _ => Status::from_header_map(headers),
    }
}

fn ok(status: Status) -> Result<(), Status> {
    match status.code() {
        Code::Ok => Ok(()),
        _ => Err(status),
    }
}

/// An HTTP error of something between here and the participant.
fn of_http(status: StatusCode) -> Status {
    let code = match status {
        StatusCode::BAD_REQUEST => Code::Internal,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::Unimplemented,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
        _ => Code::Unknown,
    };
    Status::new(code, format!("HTTP status {status} without a gRPC status"))
}

/// What HTTP/2 itself reports; has a source, by which it is told from a status
/// that the participant sent.
fn broken(error: h2::Error) -> Status {
    Status::from_error(Box::new(error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LIMIT: usize = 8;

    fn received(chunks: &[&'static [u8]]) -> Result<Option<Bytes>, Code> {
        let mut received = Received::default();
        for chunk in chunks {
            let taken = received.take(Bytes::from_static(chunk), LIMIT);
            taken.map_err(|status| status.code())?;
        }
        received.message().map_err(|status| status.code())
    }

    #[test]
    fn a_message_comes_in_any_pieces() {
        let whole: &[&[u8]] = &[b"\0\0\0\0\x03abc"];
        for chunks in [whole, &[b"\0", b"\0\0", b"\0\x03a", b"b", b"c"]] {
            assert_eq!(received(chunks), Ok(Some(Bytes::from_static(b"abc"))));
        }
        assert_eq!(received(&[b"\0\0\0\0\0"]), Ok(Some(Bytes::new())));
        assert_eq!(received(&[]), Ok(None));
    }

    #[test]
    fn what_is_no_message() {
        assert_eq!(received(&[b"\0\0"]), Err(Code::Internal), "half a prefix");
        assert_eq!(
            received(&[b"\0\0\0\0\x03ab"]),
            Err(Code::Internal),
            "too little"
        );
        assert_eq!(
            received(&[b"\0\0\0\0\x01ab"]),
            Err(Code::Internal),
            "too much"
        );
        assert_eq!(
            received(&[b"\x01\0\0\0\x01a"]),
            Err(Code::Internal),
            "compressed"
        );
        let large = received(&[b"\0\0\0\0\x09"]);
        assert_eq!(large, Err(Code::OutOfRange), "said before it is there");
    }

    #[test]
    fn a_status_with_unreadable_details_is_read_without_them() {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", HeaderValue::from_static("10"));
        headers.insert("grpc-message", HeaderValue::from_static("no%20more"));
        headers.insert(DETAILS, HeaderValue::from_static("not base64!"));
        let status = status_of(&headers).unwrap();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Aborted, "no more")
        );
        assert!(status.details().is_empty());
    }

    #[test]
    fn a_timeout_is_told_in_at_most_eight_digits() {
        let told = |timeout| timeout_value(timeout).to_str().unwrap().to_owned();
        assert_eq!(told(Duration::from_micros(9_999_100)), "10000m");
        assert_eq!(told(Duration::from_secs(100_000)), "100000S");
        assert_eq!(told(Duration::MAX), "99999999S");
    }
}
