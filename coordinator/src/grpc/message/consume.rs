//! A consumer's stream, from its subscription to its end.
//!
//! Deliveries flow while the consumer has credit; what it says is taken while
//! it reads the answers: a slow consumer slows nobody but itself. It ends when
//! either side closes it, when the group ends, or when the coordinator stops
//! (UNAVAILABLE, to be opened anew). What is not settled then is delivered
//! again. A request that breaks a rule ends the stream, because what was meant
//! by it is not known.
//! Not here: leases, attempts, order (`messages/`).

use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use amends_proto::v1;
use amends_proto::v1::consume_request::Request;
use amends_proto::v1::consume_response::Response;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use futures_util::{FutureExt as _, Stream};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::grpc::show::span;
use crate::grpc::status::{invalid, status};
use crate::messages::{
    ConsumerHandle, Deliveries, Handed, Join, MAX_CREDIT, Messages, MessagesError, Settled,
};

use super::{read, show};

/// How long a stream may be open before it says what it wants.
const FIRST_REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// Answers that wait for a slow consumer to read them.
const ANSWER_BUFFER: usize = 16;
/// Settle requests of one stream under way at the same time.
const MAX_SETTLING: usize = 16;
/// Messages are sent together up to this size, in bytes; well below what gRPC clients take.
const MAX_ANSWER_BYTES: usize = 1 << 20;

pub(super) type ConsumeStream =
    Pin<Box<dyn Stream<Item = Result<v1::ConsumeResponse, Status>> + Send>>;
type Answers = mpsc::Sender<Result<v1::ConsumeResponse, Status>>;

/// Subscribes with the first request; the rest goes on in the background.
pub(super) async fn begin(
    messages: &Messages,
    mut requests: Streaming<v1::ConsumeRequest>,
) -> Result<ConsumeStream, Status> {
    let first = tokio::time::timeout(FIRST_REQUEST_WITHIN, requests.message());
    let join = match first.await {
        Ok(first) => join(first?)?,
        Err(_) => return Err(no_subscription()),
    };
    let (consumer, deliveries) = messages.consume(join).await?;
    let (answers, receiver) = mpsc::channel(ANSWER_BUFFER);
    tokio::spawn(serve(consumer, deliveries, requests, answers));
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

fn join(first: Option<v1::ConsumeRequest>) -> Result<Join, Status> {
    let Some(Request::Subscribe(subscribe)) = first.and_then(|first| first.request) else {
        return Err(no_subscription());
    };
    let subscription = read::subscription(subscribe.subscription)?;
    Ok(Join {
        instance_id: read::instance_id(subscription.mode, &subscribe.instance_id)?,
        subscription,
        credit: read::credit(subscribe.credit)?,
    })
}

fn no_subscription() -> Status {
    invalid("subscribe", "MISSING", "must be the first request")
}

/// Runs until one side has had enough, and tells the consumer why if it is not the consumer.
async fn serve(
    consumer: ConsumerHandle,
    deliveries: Deliveries,
    requests: Streaming<v1::ConsumeRequest>,
    answers: Answers,
) {
    let ended = tokio::select! {
        () = answers.closed() => return,
        ended = deliver(&consumer, deliveries, &answers) => ended,
        ended = listen(&consumer, requests, &answers) => ended,
    };
    if let Err(status) = ended {
        let _ = answers.send(Err(status)).await;
    }
}

/// Sends messages as they come. Ends with an error, or when nobody reads.
async fn deliver(
    consumer: &ConsumerHandle,
    mut deliveries: Deliveries,
    answers: &Answers,
) -> Result<(), Status> {
    let subscribed = Response::Subscribed(v1::Subscribed {
        lease: Some(span(consumer.lease())),
        keepalive_interval: consumer.keepalive_interval().try_into().ok(),
    });
    if !answer(answers, subscribed).await {
        return Ok(());
    }
    loop {
        for some in in_pieces(&deliveries.next().await?) {
            let some = Response::Deliveries(v1::Deliveries { deliveries: some });
            if !answer(answers, some).await {
                return Ok(());
            }
        }
    }
}

/// Pieces of at least one message and, beyond that, at most [`MAX_ANSWER_BYTES`].
fn in_pieces(handed: &[Handed]) -> Vec<Vec<v1::Delivered>> {
    let mut pieces = Vec::new();
    let mut piece = Vec::new();
    let mut bytes = 0;
    for one in handed {
        let one = show::handed(one);
        let size = one.encoded_len();
        if !piece.is_empty() && bytes + size > MAX_ANSWER_BYTES {
            pieces.push(std::mem::take(&mut piece));
            bytes = 0;
        }
        bytes += size;
        piece.push(one);
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

/// Does what the consumer says. Ends well when it has closed its side and all that it said is done.
async fn listen(
    consumer: &ConsumerHandle,
    mut requests: Streaming<v1::ConsumeRequest>,
    answers: &Answers,
) -> Result<(), Status> {
    let mut settling = FuturesUnordered::new();
    let mut open = true;
    while open || !settling.is_empty() {
        let may_read = open && settling.len() < MAX_SETTLING;
        let next = async {
            if may_read {
                requests.message().await
            } else {
                pending().await
            }
        };
        tokio::select! {
            request = next => match request {
                // The consumer has gone: nobody is there to be told.
                Err(_) => return Ok(()),
                Ok(None) => open = false,
                Ok(Some(request)) => settling.extend(obey(consumer, request, answers).await?),
            },
            Some(settled) = settling.next() => {
                if !answer(answers, shown(settled?)).await {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

type Settling<'a> = BoxFuture<'a, Result<Settled, MessagesError>>;

/// Does what one request says; a settlement is only begun, so that a
/// keepalive behind it does not wait for the store.
async fn obey<'a>(
    consumer: &'a ConsumerHandle,
    request: v1::ConsumeRequest,
    answers: &Answers,
) -> Result<Option<Settling<'a>>, Status> {
    match request.request {
        Some(Request::Settle(settle)) => {
            let settlements = settle.settlements;
            read::count("settlements", settlements.len(), MAX_CREDIT as usize)?;
            let settlements = settlements.into_iter().map(read::settlement);
            let settlements = settlements.collect::<Result<Vec<_>, _>>()?;
            return Ok(Some(consumer.settle(settlements).boxed()));
        }
        Some(Request::AddCredit(more)) => {
            consumer.add_credit(read::credit(more.credit)?).await?;
        }
        Some(Request::Keepalive(_)) => {
            consumer.keep_alive().await?;
            answer(answers, Response::KeptAlive(v1::KeptAlive {})).await;
        }
        Some(Request::Subscribe(_)) => {
            let rule = "this stream has subscribed already; open another one";
            return Err(status(
                tonic::Code::InvalidArgument,
                "SUBSCRIBED_ALREADY",
                rule,
            ));
        }
        None => return Err(invalid("request", "MISSING", "must be set")),
    }
    Ok(None)
}

fn shown(settled: Settled) -> Response {
    Response::Settled(v1::Settled {
        tokens: settled.counted,
        stale: settled.stale,
    })
}

/// False when nobody reads any more.
async fn answer(answers: &Answers, response: Response) -> bool {
    let response = v1::ConsumeResponse {
        response: Some(response),
    };
    answers.send(Ok(response)).await.is_ok()
}
