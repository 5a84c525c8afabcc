//! Calls of SDK participants: `amends.v1.ParticipantService/Execute`.

use std::time::Duration;

use amends_core::answer::{Answer, Failure};
use amends_core::id::Gid;
use amends_core::payload::Payload;
use amends_proto::v1;
use amends_proto::v1::execute_response::Answer as Wired;
use http::HeaderMap;
use http::uri::PathAndQuery;
use prost::Message as _;
use tonic::Status;

use super::call::Call;
use super::no_answer::NoAnswer;
use super::unary::{Framed, Wire};

const METHOD: &str = "/amends.v1.ParticipantService/Execute";
/// The code of a refusal that came without one.
const REFUSED: &str = "REFUSED";

/// A call as it is sent to a service.
#[must_use]
pub fn execute_request<'a>(
    service: &str,
    step: &str,
    gid: &Gid,
    call: impl Into<Call<'a>>,
) -> v1::ExecuteRequest {
    let call = call.into();
    v1::ExecuteRequest {
        service: service.to_owned(),
        step: step.to_owned(),
        phase: call.phase.into(),
        gid: gid.as_str().to_owned(),
        branch: call.branch.as_str().to_owned(),
        attempt: call.attempt,
        input: Some(to_wire(call.input)),
        output: call.output.map(to_wire),
    }
}

/// Makes the call.
pub(super) async fn execute(wire: Wire, request: v1::ExecuteRequest) -> Result<Answer, Status> {
    let path = PathAndQuery::from_static(METHOD);
    let reply = wire.unary(path, HeaderMap::new(), Framed::encode(&request)?);
    let response = v1::ExecuteResponse::decode(reply.await?.message)
        .map_err(|error| Status::internal(error.to_string()))?;
    Ok(from_response(response))
}

/// What an answer of a service means.
#[must_use]
pub fn from_response(response: v1::ExecuteResponse) -> Answer {
    let answer = response.answer;
    answer.map_or_else(|| NoAnswer::Protocol.into(), classify)
}

fn classify(answer: Wired) -> Answer {
    match answer {
        Wired::Succeeded(succeeded) => {
            Answer::Succeeded(succeeded.output.map_or_else(Payload::null, from_wire))
        }
        Wired::Refused(v1::Failure { code, message }) => {
            let code = if code.is_empty() {
                REFUSED.to_owned()
            } else {
                code
            };
            Answer::Refused(Failure::new(code, message))
        }
        Wired::InProgress(in_progress) => Answer::InProgress {
            // A negative time is as good as none.
            retry_after: in_progress
                .retry_after
                .and_then(|after| Duration::try_from(after).ok())
                .map(Into::into),
        },
    }
}

fn to_wire(payload: &Payload) -> v1::Payload {
    v1::Payload {
        // Empty means JSON, and costs nothing.
        content_type: if payload.is_json() {
            String::new()
        } else {
            payload.content_type().to_owned()
        },
        data: payload.data().clone(),
    }
}

fn from_wire(payload: v1::Payload) -> Payload {
    Payload::new(&payload.content_type, payload.data).compact()
}
