//! How fast a producer is asked, answers, and is believed.

use std::sync::Arc;
use std::time::Duration;

use amends_proto::v1::answer_checks_request::Request;
use amends_proto::v1::answer_checks_response::Response;
use amends_proto::v1::{
    AnswerChecksRequest, CheckAnswer, HalfVerdict, JoinProducers, ListProducersRequest,
};
use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::work::{PRODUCER, Pairs};
use crate::admin::bench::driver::{Fault, Tally};
use crate::admin::bench::latency::micros;
use crate::admin::error::CommandError;
use crate::clock::monotonic;

/// Streams of the producer.
const INSTANCES: usize = 4;
/// Checks that each takes at a time.
const CONCURRENCY: u32 = 100;
/// Prepare calls under way.
const AT_ONCE: usize = 100;
/// For all of them to be decided.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often is looked whether they are.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Prepares so many while nobody can be asked, then joins and answers until all
/// are decided. The latencies are empty times: only their number and the time count.
pub(super) async fn run(pairs: &Arc<Pairs>, count: usize) -> Result<Tally, CommandError> {
    let at_once = Some(prost_types::Duration {
        seconds: 0,
        nanos: 1_000_000,
    });
    let mut prepared = stream::iter(0..count)
        .map(|_| pairs.prepare(at_once))
        .buffer_unordered(AT_ONCE);
    let mut tally = Tally::default();
    while let Some(one) = prepared.next().await {
        if let Err(status) = one {
            tally.add_fault(status.into());
        }
    }
    let begun = monotonic();
    let mut answering = JoinSet::new();
    for number in 0..INSTANCES {
        answering.spawn(answer(Arc::clone(pairs), number));
    }
    let decided = tokio::time::timeout(PATIENCE, decided(pairs));
    let left = tokio::select! {
        left = decided => left,
        Some(ended) = answering.join_next() => {
            let why = match ended {
                Ok(Err(status)) => status.to_string(),
                _ => "its stream ended".to_owned(),
            };
            return Err(CommandError::Failed(format!("the producer cannot answer: {why}")));
        }
    };
    let took = monotonic().saturating_duration_since(begun);
    tally.elapsed = took;
    match left {
        Ok(result) => result?,
        Err(_) => tally.add_fault(Fault(format!("not decided within {PATIENCE:?}"))),
    }
    let each = took / u32::try_from(count).unwrap_or(u32::MAX);
    for _ in 0..count {
        tally.latencies.push(micros(each));
    }
    Ok(tally)
}

/// Waits until nothing waits for the producer.
async fn decided(pairs: &Pairs) -> Result<(), CommandError> {
    loop {
        let request = ListProducersRequest::default();
        let found = pairs.clients.next().list_producers(request).await?;
        let mut producers = found.into_inner().producers.into_iter();
        let ours = producers.find(|it| it.producer == PRODUCER);
        if ours.is_none_or(|it| it.prepared == 0) {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Commits whatever it is asked about.
async fn answer(pairs: Arc<Pairs>, number: usize) -> Result<(), Status> {
    let (requests, receiver) = mpsc::channel(CONCURRENCY as usize);
    let join = Request::Join(JoinProducers {
        producer: PRODUCER.to_owned(),
        instance_id: format!("bench-{number}"),
        concurrency: CONCURRENCY,
    });
    say(&requests, join).await;
    let mut client = pairs.clients.next();
    let answers = client.answer_checks(ReceiverStream::new(receiver)).await?;
    let mut answers = answers.into_inner();
    while let Some(response) = answers.message().await? {
        if let Some(Response::Check(check)) = response.response {
            let answer = CheckAnswer {
                check_id: check.check_id,
                verdict: HalfVerdict::Commit.into(),
                note: String::new(),
            };
            say(&requests, Request::Answer(answer)).await;
        }
    }
    Ok(())
}

/// A stream that has ended is noticed where it is read.
async fn say(requests: &mpsc::Sender<AnswerChecksRequest>, request: Request) {
    let request = Some(request);
    let _ = requests.send(AnswerChecksRequest { request }).await;
}
