//! One unary gRPC call over one connection.

use std::time::Duration;

use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::codec::Codec;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

/// What every call needs besides its message.
pub(super) struct Wire {
    pub(super) channel: Channel,
    /// Told to the participant, so that it gives up when nobody waits any more.
    pub(super) timeout: Duration,
    pub(super) max_response_bytes: usize,
}

impl Wire {
    /// Sends one message and awaits one. The caller bounds the time.
    pub(super) async fn unary<C>(
        self,
        mut request: Request<C::Encode>,
        path: PathAndQuery,
        codec: C,
    ) -> Result<Response<C::Decode>, Status>
    where
        C: Codec,
        C::Encode: Send + Sync + 'static,
        C::Decode: Send + Sync + 'static,
    {
        request.set_timeout(self.timeout);
        let mut client = Grpc::new(self.channel).max_decoding_message_size(self.max_response_bytes);
        client
            .ready()
            .await
            .map_err(|error| Status::from_error(Box::new(error)))?;
        client.unary(request, path, codec).await
    }
}
