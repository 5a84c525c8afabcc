//! `HalfMessageService`: prepare, decide, look.

use amends_core::message::half::{HalfId, HalfState, Verdict};
use amends_core::message::{GroupName, MessageId};
use amends_core::time::{Millis, Timestamp};
use amends_proto::v1;
use amends_proto::v1::half_message_service_server::HalfMessageService;
use tonic::{Request, Response, Status, Streaming};

use crate::grpc::page;
use crate::grpc::read::{page_size, reason, span};
use crate::grpc::show::timestamp;
use crate::grpc::status::invalid;
use crate::messages::{DecideHalf, HalfView, Halves, MAX_PUBLISH, NewHalf, Who};
use crate::store::messages::HalfFilter;

use super::checks::{self, AnswerChecksStream};
use super::{read, results};

/// The longest time to the first check.
const MAX_CHECK_AFTER: Millis = Millis::from_secs(366 * 24 * 3_600);

/// The service.
#[derive(Clone)]
pub(in crate::grpc) struct HalfApi {
    pub(in crate::grpc) halves: Halves,
    /// Largest body of one message, in bytes.
    pub(in crate::grpc) max_bytes: u64,
}

#[tonic::async_trait]
impl HalfMessageService for HalfApi {
    type AnswerChecksStream = AnswerChecksStream;

    async fn prepare_messages(
        &self,
        request: Request<v1::PrepareMessagesRequest>,
    ) -> Result<Response<v1::PrepareMessagesResponse>, Status> {
        let request = request.into_inner();
        let check_after = span("check_after", request.check_after)?;
        if check_after.is_some_and(|after| after > MAX_CHECK_AFTER) {
            let rule = format!("must be at most {MAX_CHECK_AFTER}");
            return Err(invalid("check_after", "DURATION_INVALID", rule));
        }
        read::count("messages", request.messages.len(), MAX_PUBLISH)?;
        let messages = request.messages.into_iter().enumerate();
        let messages = messages.map(|(ix, message)| read::new_message(ix, message, self.max_bytes));
        let new = NewHalf {
            id: match request.half_id.as_str() {
                "" => None,
                id => Some(half_id("half_id", id)?),
            },
            producer: producer("producer", &request.producer)?,
            messages: messages.collect::<Result<_, _>>()?,
            check_after,
        };
        let prepared = self.halves.prepare(new).await?;
        let messages = prepared.messages.into_iter();
        let messages = messages.map(|accepted| v1::PublishedMessage {
            id: accepted.id.into(),
            created: accepted.created,
        });
        Ok(Response::new(v1::PrepareMessagesResponse {
            half_id: prepared.id.into(),
            messages: messages.collect(),
            state: state(prepared.state).into(),
        }))
    }

    async fn decide_half(
        &self,
        request: Request<v1::DecideHalfRequest>,
    ) -> Result<Response<v1::DecideHalfResponse>, Status> {
        let request = request.into_inner();
        let verdict = match request.verdict() {
            v1::HalfVerdict::Commit => Verdict::Commit,
            v1::HalfVerdict::Rollback => Verdict::Rollback,
            v1::HalfVerdict::Unspecified => {
                let rule = "must be commit or rollback";
                return Err(invalid("verdict", "ENUM_UNKNOWN", rule));
            }
        };
        let id = half_id("half_id", &request.half_id)?;
        let (who, reason) = match request.producer.as_str() {
            "" => (Who::Operator, read::required_reason(&request.reason)?),
            group => (
                Who::Producer(producer("producer", group)?),
                reason("reason", &request.reason)?,
            ),
        };
        let wanted = DecideHalf {
            id,
            verdict,
            who,
            reason,
        };
        let (decided, changed) = self.halves.resolve(wanted).await?;
        Ok(Response::new(v1::DecideHalfResponse {
            state: state(decided).into(),
            changed,
        }))
    }

    async fn check_halves(
        &self,
        request: Request<v1::CheckHalvesRequest>,
    ) -> Result<Response<v1::CheckHalvesResponse>, Status> {
        let ids = request.into_inner().half_ids;
        let ids = read::ids(&ids, |id| half_id("half_ids", id))?;
        let done = self.halves.ask_now(&ids).await?;
        Ok(Response::new(v1::CheckHalvesResponse {
            results: results(done),
        }))
    }

    async fn get_half(
        &self,
        request: Request<v1::GetHalfRequest>,
    ) -> Result<Response<v1::GetHalfResponse>, Status> {
        let id = half_id("half_id", &request.into_inner().half_id)?;
        let view = self.halves.get(&id).await?;
        let checks = view.half.log.checks().iter();
        Ok(Response::new(v1::GetHalfResponse {
            checks: checks.map(check).collect(),
            half: Some(self.half(&view)),
        }))
    }

    async fn list_halves(
        &self,
        request: Request<v1::ListHalvesRequest>,
    ) -> Result<Response<v1::ListHalvesResponse>, Status> {
        let request = request.into_inner();
        let after: Option<(Timestamp, MessageId)> = page::place(&request.page_token)?;
        let filter = HalfFilter {
            states: states(&request.states)?,
            producer: match request.producer.as_str() {
                "" => None,
                group => Some(producer("producer", group)?),
            },
            after,
            limit: page_size(request.page_size),
        };
        let found = self.halves.list(&filter).await?;
        let full = found.len() >= filter.limit as usize;
        let next = found.last().filter(|_| full);
        let next = next.map(|last| page::token(&(last.prepared_at(), &last.first.message.id)));
        Ok(Response::new(v1::ListHalvesResponse {
            halves: found.iter().map(|it| self.half(it)).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }

    async fn list_producers(
        &self,
        request: Request<v1::ListProducersRequest>,
    ) -> Result<Response<v1::ListProducersResponse>, Status> {
        let request = request.into_inner();
        let after: Option<GroupName> = page::place(&request.page_token)?;
        let limit = page_size(request.page_size) as usize;
        let mut found = self.halves.backlogs().await?;
        found.retain(|it| after.as_ref().is_none_or(|after| it.producer > *after));
        found.truncate(limit);
        let next = found.last().filter(|_| found.len() >= limit);
        let next = next.map(|last| page::token(&last.producer));
        let producers = found.iter().map(|it| v1::Producer {
            producer: it.producer.to_string(),
            instance_ids: self.halves.instances(&it.producer),
            prepared: it.prepared,
            stuck: it.stuck,
            oldest_prepare_time: it.oldest.map(timestamp),
        });
        Ok(Response::new(v1::ListProducersResponse {
            producers: producers.collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }

    async fn answer_checks(
        &self,
        request: Request<Streaming<v1::AnswerChecksRequest>>,
    ) -> Result<Response<AnswerChecksStream>, Status> {
        let stream = checks::begin(&self.halves, request.into_inner()).await?;
        Ok(Response::new(stream))
    }
}

impl HalfApi {
    fn half(&self, view: &HalfView) -> v1::Half {
        half(view, self.halves.note(view))
    }
}

fn half_id(field: &str, text: &str) -> Result<HalfId, Status> {
    HalfId::new(text).map_err(|bad| invalid(field, "HALF_ID_INVALID", bad.to_string()))
}

/// A group without an instance, of the same form as a topic.
pub(super) fn producer(field: &str, text: &str) -> Result<GroupName, Status> {
    read::topic(field, text)?;
    read::group(field, text)
}

fn states(numbers: &[i32]) -> Result<Vec<HalfState>, Status> {
    let read = |number: &i32| match v1::HalfState::try_from(*number) {
        Ok(v1::HalfState::Prepared) => Ok(HalfState::Prepared),
        Ok(v1::HalfState::Committed) => Ok(HalfState::Committed),
        Ok(v1::HalfState::RolledBack) => Ok(HalfState::RolledBack),
        Ok(v1::HalfState::Stuck) => Ok(HalfState::Stuck),
        Ok(v1::HalfState::Unspecified) | Err(_) => {
            let rule = format!("{number} is not a state");
            Err(invalid("states", "ENUM_UNKNOWN", rule))
        }
    };
    numbers.iter().map(read).collect()
}

fn state(state: HalfState) -> v1::HalfState {
    match state {
        HalfState::Prepared => v1::HalfState::Prepared,
        HalfState::Committed => v1::HalfState::Committed,
        HalfState::RolledBack => v1::HalfState::RolledBack,
        HalfState::Stuck => v1::HalfState::Stuck,
    }
}

fn verdict(verdict: Option<Verdict>) -> v1::HalfVerdict {
    match verdict {
        None => v1::HalfVerdict::Unspecified,
        Some(Verdict::Commit) => v1::HalfVerdict::Commit,
        Some(Verdict::Rollback) => v1::HalfVerdict::Rollback,
    }
}

fn half(view: &HalfView, note: String) -> v1::Half {
    let decision = view.half.decision.as_ref();
    let said =
        |of: fn(&crate::store::messages::Decision) -> String| decision.map(of).unwrap_or_default();
    v1::Half {
        half_id: view.half.id.to_string(),
        producer: view.half.producer.to_string(),
        state: state(view.state()).into(),
        message_ids: view.message_ids.iter().map(ToString::to_string).collect(),
        prepare_time: Some(timestamp(view.prepared_at())),
        checks: view.half.checks,
        next_check_time: view.half.check_at.map(timestamp),
        decide_time: decision.map(|it| timestamp(it.at)),
        decided_by: said(|it| it.by.as_str().to_owned()),
        note,
        decide_reason: said(|it| it.reason.clone()),
    }
}

fn check(check: &amends_core::message::half::Check) -> v1::HalfCheck {
    v1::HalfCheck {
        time: Some(timestamp(check.at)),
        instance_id: check.instance.clone(),
        verdict: verdict(check.verdict).into(),
        error: check.error.clone(),
        counted: check.counted,
    }
}
