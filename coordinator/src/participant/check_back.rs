//! Asking a producer what became of a local transaction: `amends.v1.ProducerService/CheckBack`.

use std::time::Duration;

use amends_core::message::half::Verdict;
use amends_proto::v1;
use futures_util::future::BoxFuture;
use http::HeaderMap;
use http::uri::PathAndQuery;
use prost::Message as _;
use tonic::{Code, Status};

use super::no_answer::NoAnswer;
use super::outbound::Outbound;
use super::unary::{Framed, Wire};

const METHOD: &str = "/amends.v1.ProducerService/CheckBack";

/// Asks instances of producer groups that can be called.
pub trait AskProducers: Send + Sync + 'static {
    /// Instances of a group that can be asked now.
    fn instances(&self, producer: &str) -> Vec<String>;

    /// Asks one of them. Never fails, and returns within the timeout. Dropping it gives it up.
    fn ask<'a>(&'a self, question: v1::CheckBackRequest, timeout: Duration)
    -> BoxFuture<'a, Asked>;
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Who was asked; empty: nobody could be.
    pub instance: String,
    /// What it said; none: unknown.
    pub verdict: Option<Verdict>,
    /// Why it is unknown, for people.
    pub note: String,
    /// Whether the question certainly or possibly arrived.
    pub counted: bool,
}

impl Asked {
    /// An answer.
    #[must_use]
    pub fn answered(instance: String, response: v1::CheckBackResponse) -> Self {
        let verdict = match response.verdict() {
            v1::HalfVerdict::Unspecified => None,
            v1::HalfVerdict::Commit => Some(Verdict::Commit),
            v1::HalfVerdict::Rollback => Some(Verdict::Rollback),
        };
        Self {
            instance,
            verdict,
            note: response.note,
            counted: true,
        }
    }
}

impl AskProducers for Outbound {
    fn instances(&self, producer: &str) -> Vec<String> {
        let views = self.registry().list(Some(producer)).into_iter();
        let live = views.filter(|view| view.unavailable.is_none());
        live.map(|view| view.registration.instance_id).collect()
    }

    fn ask<'a>(
        &'a self,
        question: v1::CheckBackRequest,
        timeout: Duration,
    ) -> BoxFuture<'a, Asked> {
        Box::pin(async move {
            let producer = question.producer.clone();
            let mut address = String::new();
            let exchange = |wire: Wire| exchange(wire, question);
            let answer = self
                .ask_service(&producer, timeout, &mut address, exchange)
                .await;
            let instance = self.instance_at(&producer, &address);
            match answer {
                Ok(response) => Asked::answered(instance, response),
                Err(reason) => Asked {
                    instance,
                    verdict: None,
                    counted: may_have_arrived(&reason),
                    note: reason.to_string(),
                },
            }
        })
    }
}

impl Outbound {
    fn instance_at(&self, producer: &str, address: &str) -> String {
        let views = self.registry().list(Some(producer)).into_iter();
        let mut here = views.filter(|view| view.registration.address == address);
        let found = here.next().map(|view| view.registration.instance_id);
        found.unwrap_or_else(|| address.to_owned())
    }
}

async fn exchange(
    wire: Wire,
    question: v1::CheckBackRequest,
) -> Result<v1::CheckBackResponse, Status> {
    let path = PathAndQuery::from_static(METHOD);
    let reply = wire.unary(path, HeaderMap::new(), Framed::encode(&question)?);
    v1::CheckBackResponse::decode(reply.await?.message)
        .map_err(|error| Status::internal(error.to_string()))
}

/// An instance that cannot be reached, that is not ready, or that serves no
/// questions at all has not been asked.
fn may_have_arrived(reason: &NoAnswer) -> bool {
    match reason {
        NoAnswer::Status { code, .. } => !matches!(
            code,
            Code::Unavailable | Code::Unimplemented | Code::Unauthenticated
        ),
        NoAnswer::Timeout { .. } | NoAnswer::TooLarge { .. } | NoAnswer::Protocol => true,
        NoAnswer::NoInstance(_)
        | NoAnswer::CircuitOpen(_)
        | NoAnswer::Address(_)
        | NoAnswer::TooManyTargets
        | NoAnswer::Queue { .. }
        | NoAnswer::ContentType(_)
        | NoAnswer::Path(_) => false,
    }
}
