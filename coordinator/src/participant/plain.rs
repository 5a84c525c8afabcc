//! Calls of plain unary gRPC methods, which know nothing of Amends: the stored
//! bytes are the message, ids travel as metadata, the status is the answer.

use std::error::Error as _;

use amends_core::answer::{Answer, Failure};
use amends_core::id::Gid;
use amends_core::payload::{JSON, Payload};
use amends_proto::v1::Phase;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::call::Call;
use super::no_answer::NoAnswer;
use super::unary::{Framed, Wire};

const GID: &str = "amends-gid";
const BRANCH: &str = "amends-branch";
const PHASE: &str = "amends-phase";
const ATTEMPT: &str = "amends-attempt";
/// Of the request's message; in the reply: of the answer's.
const CONTENT_TYPE: &str = "amends-content-type";
/// In the reply: the code of a refusal, where there is no `ErrorInfo`.
const CODE: &str = "amends-code";
/// What an answer is when the reply says nothing about it.
const PROTOBUF: &str = "application/grpc+proto";
/// The code of a refusal that came without one.
const ABORTED: &str = "ABORTED";

/// A request ready to be sent.
pub(super) struct Plain {
    metadata: HeaderMap,
    path: PathAndQuery,
    message: Payload,
}

impl Plain {
    /// Builds the request; fails on texts that cannot travel.
    pub(super) fn new(path: &str, gid: &Gid, call: Call<'_>) -> Result<Self, NoAnswer> {
        let path = path.parse().map_err(|_| NoAnswer::Path(path.to_owned()))?;
        let content_type = content_type_value(call.input.content_type())?;
        let mut metadata = HeaderMap::new();
        for (key, text) in [(GID, gid.as_str()), (BRANCH, call.branch.as_str())] {
            // Both are printable ASCII by their own rules.
            if let Ok(value) = HeaderValue::try_from(text) {
                metadata.insert(key, value);
            }
        }
        let phase = match call.phase {
            Phase::Do => "do",
            Phase::Undo => "undo",
            Phase::Try => "try",
            Phase::Confirm => "confirm",
            Phase::Cancel => "cancel",
            Phase::Unspecified => "",
        };
        metadata.insert(PHASE, HeaderValue::from_static(phase));
        metadata.insert(ATTEMPT, call.attempt.into());
        metadata.insert(CONTENT_TYPE, content_type);
        Ok(Self {
            metadata,
            path,
            message: call.input.clone(),
        })
    }

    /// Makes the call.
    pub(super) async fn send(self, wire: Wire) -> Result<Answer, Status> {
        let message = Framed::raw(self.message.data())?;
        match wire.unary(self.path, self.metadata, message).await {
            Ok(reply) => {
                let content_type = text_of(&reply.metadata, CONTENT_TYPE);
                let content_type = content_type.unwrap_or(PROTOBUF);
                Ok(Answer::Succeeded(Payload::new(content_type, reply.message)))
            }
            Err(status) => classify(status),
        }
    }
}

/// A status that this side made of a broken connection has a source: only the
/// participant itself can refuse.
fn classify(status: Status) -> Result<Answer, Status> {
    match status.code() {
        Code::Aborted if status.source().is_none() => {
            let code = status
                .get_details_error_info()
                .map(|info| info.reason)
                .filter(|reason| !reason.is_empty())
                .or_else(|| text_of(status.metadata().as_ref(), CODE).map(str::to_owned))
                .unwrap_or_else(|| ABORTED.to_owned());
            Ok(Answer::Refused(Failure::new(code, status.message())))
        }
        Code::FailedPrecondition if status.source().is_none() => Ok(Answer::InProgress {
            retry_after: status
                .get_details_retry_info()
                .and_then(|info| info.retry_delay)
                .map(Into::into),
        }),
        _ => Err(status),
    }
}

fn content_type_value(text: &str) -> Result<HeaderValue, NoAnswer> {
    if text == JSON {
        return Ok(HeaderValue::from_static(JSON));
    }
    text.parse()
        .map_err(|_| NoAnswer::ContentType(text.to_owned()))
}

fn text_of<'m>(metadata: &'m HeaderMap, key: &str) -> Option<&'m str> {
    let text = metadata.get(key)?.to_str().ok()?;
    (!text.is_empty()).then_some(text)
}
