//! A producer's stream: it joins its group, is asked, and answers.
//!
//! It ends when either side closes it, when nothing is heard of the producer in
//! time, when another instance takes its name, or when the coordinator stops. What
//! was not answered then is asked again, of whoever is there.
//! Not here: what is asked, and when (`messages/half`).

use std::collections::HashMap;
use std::pin::Pin;
use std::time::Duration;

use amends_proto::v1;
use amends_proto::v1::answer_checks_request::Request;
use amends_proto::v1::answer_checks_response::Response;
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::grpc::status::{invalid, status};
use crate::messages::{Halves, MAX_CHECK_CONCURRENCY, Member, MessagesError, Question};

use super::half::producer;
use super::read;

/// How long a stream may be open before it says what it wants.
const FIRST_REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// How often a producer says that it lives.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// One that says nothing for this long is gone.
const SILENT: Duration = Duration::from_secs(30);
/// Questions that wait for a slow producer to read them.
const BUFFER: usize = 16;

pub(super) type AnswerChecksStream =
    Pin<Box<dyn Stream<Item = Result<v1::AnswerChecksResponse, Status>> + Send>>;
type Questions = mpsc::Sender<Result<v1::AnswerChecksResponse, Status>>;

/// Joins with the first request; the rest goes on in the background.
pub(super) async fn begin(
    halves: &Halves,
    mut requests: Streaming<v1::AnswerChecksRequest>,
) -> Result<AnswerChecksStream, Status> {
    let first = tokio::time::timeout(FIRST_REQUEST_WITHIN, requests.message());
    let first = match first.await {
        Ok(first) => first?.and_then(|first| first.request),
        Err(_) => None,
    };
    let Some(Request::Join(join)) = first else {
        return Err(invalid("join", "MISSING", "must be the first request"));
    };
    if !(1..=MAX_CHECK_CONCURRENCY).contains(&join.concurrency) {
        let rule = format!(
            "is {}, must be 1 to {MAX_CHECK_CONCURRENCY}",
            join.concurrency
        );
        return Err(invalid("join.concurrency", "COUNT_INVALID", rule));
    }
    let producer = producer("join.producer", &join.producer)?;
    read::topic("join.instance_id", &join.instance_id)?;
    let member = halves.join(producer, &join.instance_id, join.concurrency)?;
    let (questions, receiver) = mpsc::channel(BUFFER);
    let closing = halves.closing();
    tokio::spawn(async move {
        let ended = tokio::select! {
            () = questions.closed() => return,
            () = closing.cancelled() => Err(MessagesError::Stopping.into()),
            ended = serve(member, requests, &questions) => ended,
        };
        if let Err(status) = ended {
            let _ = questions.send(Err(status)).await;
        }
    });
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

/// Ends well when the producer has closed its side or reads no more.
async fn serve(
    mut member: Member,
    mut requests: Streaming<v1::AnswerChecksRequest>,
    questions: &Questions,
) -> Result<(), Status> {
    let joined = Response::Joined(v1::ProducerJoined {
        keepalive_interval: KEEPALIVE.try_into().ok(),
    });
    if !say(questions, joined).await {
        return Ok(());
    }
    let mut asked: HashMap<u64, Question> = HashMap::new();
    let mut next_id = 1;
    let mut heard = Box::pin(tokio::time::sleep(SILENT));
    loop {
        tokio::select! {
            question = member.next() => {
                let Some(question) = question else {
                    let rule = "another stream has joined under this name";
                    return Err(status(Code::Aborted, "PRODUCER_REPLACED", rule));
                };
                // As many as the producer takes at a time stay.
                asked.retain(|_, question| question.is_awaited());
                let check = Response::Check(v1::Check {
                    check_id: next_id,
                    question: Some(question.request.clone()),
                    timeout: question.timeout.try_into().ok(),
                });
                question.sent();
                asked.insert(next_id, question);
                next_id += 1;
                if !say(questions, check).await {
                    return Ok(());
                }
            }
            request = requests.message() => {
                // Whoever has gone need not be told.
                let Ok(Some(request)) = request else { return Ok(()) };
                heard = Box::pin(tokio::time::sleep(SILENT));
                obey(request, &mut asked)?;
            }
            () = &mut heard => {
                let rule = format!("nothing was heard for {SILENT:?}");
                return Err(status(Code::DeadlineExceeded, "PRODUCER_SILENT", rule));
            }
        }
    }
}

fn obey(
    request: v1::AnswerChecksRequest,
    asked: &mut HashMap<u64, Question>,
) -> Result<(), Status> {
    match request.request {
        Some(Request::Answer(answer)) => {
            // One that comes too late, or twice, changes nothing.
            if let Some(question) = asked.remove(&answer.check_id) {
                question.answer(v1::CheckBackResponse {
                    verdict: answer.verdict,
                    note: answer.note,
                });
            }
            Ok(())
        }
        Some(Request::Keepalive(_)) => Ok(()),
        Some(Request::Join(_)) => {
            let rule = "this stream has joined already; open another one";
            Err(status(Code::InvalidArgument, "JOINED_ALREADY", rule))
        }
        None => Err(invalid("request", "MISSING", "must be set")),
    }
}

/// False when nobody reads any more.
async fn say(questions: &Questions, response: Response) -> bool {
    let response = v1::AnswerChecksResponse {
        response: Some(response),
    };
    questions.send(Ok(response)).await.is_ok()
}
