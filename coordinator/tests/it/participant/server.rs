//! A participant whose every answer the test decides, as bytes.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use amends_proto::v1;
use amends_proto::v1::execute_response::Answer as Wired;
use bytes::{Buf, BufMut, Bytes};
use futures_util::future::BoxFuture;
use futures_util::stream::{Pending, pending};
use prost::Message as _;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{NamedService, ServerStreamingService, UnaryService};
use tonic::{Request, Response, Status};

/// What a unary method brings.
pub(super) type Reply = Result<Response<Bytes>, Status>;
type Handler = Arc<dyn Fn(Request<Bytes>) -> BoxFuture<'static, Reply> + Send + Sync>;

/// A server on its own runtime, so that killing it leaves no connection open.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Server {
    /// Answers both `amends.v1.ParticipantService` and `test.v1.Plain`.
    pub(super) async fn start<F>(
        handler: impl Fn(Request<Bytes>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), handler).await
    }

    /// The same on a given address.
    pub(super) async fn start_at<F>(
        address: SocketAddr,
        handler: impl Fn(Request<Bytes>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let bound = runtime.spawn(async move {
            let listener = TcpListener::bind(address).await.unwrap();
            let address = listener.local_addr().unwrap();
            let serving = tonic::transport::Server::builder()
                .add_service(Raw::<EXECUTE>(Arc::clone(&handler)))
                .add_service(Raw::<PLAIN>(handler))
                .serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(listener));
            tokio::spawn(serving);
            address
        });
        let address = bound.await.unwrap();
        Self {
            address,
            runtime: Some(runtime),
        }
    }

    /// Answers every `Execute` with the same.
    pub(super) async fn answering(answer: Wired) -> Self {
        Self::answering_at(SocketAddr::from(([127, 0, 0, 1], 0)), answer).await
    }

    /// The same on a given address.
    pub(super) async fn answering_at(address: SocketAddr, answer: Wired) -> Self {
        let bytes = execute_bytes(answer);
        let reply = move |_| std::future::ready(Ok(Response::new(bytes.clone())));
        Self::start_at(address, reply).await
    }

    /// Stops everything at once; connections are closed when this returns.
    pub(super) async fn kill(mut self) {
        let runtime = self.runtime.take();
        tokio::task::spawn_blocking(move || drop(runtime))
            .await
            .unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A port where nobody listens, and that nobody else is given meanwhile.
pub(super) struct Port {
    pub(super) address: SocketAddr,
    _held: TcpSocket,
}

impl Port {
    pub(super) fn reserve() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // Lets a server listen there while the port is held.
        socket.set_reuseaddr(true).unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        Self {
            address: socket.local_addr().unwrap(),
            _held: socket,
        }
    }
}

/// The bytes of an `ExecuteResponse`.
pub(super) fn execute_bytes(answer: Wired) -> Bytes {
    let answer = Some(answer);
    v1::ExecuteResponse { answer }.encode_to_vec().into()
}

/// A success with this JSON.
pub(super) fn succeeded(json: &str) -> Wired {
    Wired::Succeeded(v1::Succeeded {
        output: Some(v1::Payload {
            content_type: String::new(),
            data: Bytes::copy_from_slice(json.as_bytes()),
        }),
    })
}

const EXECUTE: u8 = 0;
const PLAIN: u8 = 1;

#[derive(Clone)]
struct Raw<const NAME: u8>(Handler);

impl NamedService for Raw<EXECUTE> {
    const NAME: &'static str = "amends.v1.ParticipantService";
}

impl NamedService for Raw<PLAIN> {
    const NAME: &'static str = "test.v1.Plain";
}

impl<const NAME: u8> tower::Service<http::Request<Body>> for Raw<NAME> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let method = Method(Arc::clone(&self.0));
        let path = request.uri().path().to_owned();
        if path.ends_with(STALLS) {
            let mut grpc = tonic::server::Grpc::new(RawCodec);
            return Box::pin(async move { Ok(grpc.server_streaming(Stalls, request).await) });
        }
        request.extensions_mut().insert(Path(path));
        Box::pin(async move {
            Ok(tonic::server::Grpc::new(RawCodec)
                .unary(method, request)
                .await)
        })
    }
}

/// The path that was called, among the request's extensions.
#[derive(Clone)]
pub(super) struct Path(pub(super) String);

struct Method(Handler);

impl UnaryService<Bytes> for Method {
    type Response = Bytes;
    type Future = BoxFuture<'static, Reply>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        (self.0)(request)
    }
}

/// A method that begins to answer and never goes on.
pub(super) const STALLS: &str = "/Stalls";

struct Stalls;

impl ServerStreamingService<Bytes> for Stalls {
    type Response = Bytes;
    type ResponseStream = Pending<Result<Bytes, Status>>;
    type Future = Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, _: Request<Bytes>) -> Self::Future {
        ready(Ok(Response::new(pending())))
    }
}

#[derive(Clone, Copy)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        Self
    }
    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;
    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;
    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
