//! The pretended half messages: `h-1` waits for its producer, `h-2` is stuck, `h-3`
//! was rolled back. One instance of `shop` is live, none of `mail`.

use amends_proto::v1::half_message_service_server::HalfMessageService;
use amends_proto::v1::*;
use tokio_stream::Empty;
use tonic::{Code, Request, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{Answer, Fake, answer, at};

fn refused(code: Code, reason: &str, message: String) -> Status {
    let details = ErrorDetails::with_error_info(reason, "amends", []);
    Status::with_error_details(code, message, details)
}

fn half(id: &str) -> Result<Half, Status> {
    let half = Half {
        half_id: id.to_owned(),
        producer: "shop".to_owned(),
        message_ids: vec!["m-1".to_owned(), "m-2".to_owned()],
        prepare_time: at(0, 0),
        ..Default::default()
    };
    match id {
        "h-1" => Ok(Half {
            state: HalfState::Prepared.into(),
            checks: 1,
            next_check_time: at(36, 0),
            note: "the order is still open".to_owned(),
            ..half
        }),
        "h-2" => Ok(Half {
            state: HalfState::Stuck.into(),
            checks: 15,
            note: "15 checks brought no verdict; check it again, or decide by hand".to_owned(),
            ..half
        }),
        "h-3" => Ok(Half {
            state: HalfState::RolledBack.into(),
            decide_time: at(7, 0),
            decided_by: "operator".to_owned(),
            decide_reason: "never paid".to_owned(),
            ..half
        }),
        id => Err(refused(
            Code::NotFound,
            "HALF_NOT_FOUND",
            format!("there is no half {id}"),
        )),
    }
}

#[tonic::async_trait]
impl HalfMessageService for Fake {
    type AnswerChecksStream = Empty<Result<AnswerChecksResponse, Status>>;

    async fn prepare_messages(
        &self,
        _request: Request<PrepareMessagesRequest>,
    ) -> Answer<PrepareMessagesResponse> {
        Err(Status::unimplemented("not pretended"))
    }

    async fn decide_half(&self, request: Request<DecideHalfRequest>) -> Answer<DecideHalfResponse> {
        let request = request.into_inner();
        let found = half(&request.half_id)?;
        if found.state() == HalfState::RolledBack && request.verdict() == HalfVerdict::Commit {
            let message = format!("half {} was decided before: ROLLED_BACK", request.half_id);
            return Err(refused(Code::FailedPrecondition, "HALF_DECIDED", message));
        }
        answer(DecideHalfResponse {
            state: HalfState::Committed.into(),
            changed: true,
        })
    }

    async fn check_halves(
        &self,
        request: Request<CheckHalvesRequest>,
    ) -> Answer<CheckHalvesResponse> {
        let results = request.into_inner().half_ids.into_iter().map(|id| {
            let code = match half(&id) {
                Ok(found) if found.state() == HalfState::RolledBack => "HALF_DECIDED",
                Ok(_) => "",
                Err(_) => "HALF_NOT_FOUND",
            };
            ItemResult {
                id,
                done: code.is_empty(),
                code: code.to_owned(),
                ..Default::default()
            }
        });
        answer(CheckHalvesResponse {
            results: results.collect(),
        })
    }

    async fn get_half(&self, request: Request<GetHalfRequest>) -> Answer<GetHalfResponse> {
        let check = |seconds, verdict: HalfVerdict, counted, error: &str| HalfCheck {
            time: at(seconds, 0),
            instance_id: "shop-1".to_owned(),
            verdict: verdict.into(),
            error: error.to_owned(),
            counted,
        };
        let checks = vec![
            check(6, HalfVerdict::Unspecified, true, "the order is still open"),
            check(
                36,
                HalfVerdict::Unspecified,
                false,
                "127.0.0.1:7002 was busy",
            ),
        ];
        answer(GetHalfResponse {
            half: Some(half(&request.into_inner().half_id)?),
            checks,
        })
    }

    async fn list_halves(&self, request: Request<ListHalvesRequest>) -> Answer<ListHalvesResponse> {
        let states = request.into_inner().states;
        let halves = ["h-3", "h-2", "h-1"].into_iter().flat_map(half);
        let wanted = |it: &Half| states.is_empty() || states.contains(&it.state);
        answer(ListHalvesResponse {
            halves: halves.filter(wanted).collect(),
            ..Default::default()
        })
    }

    async fn list_producers(
        &self,
        _request: Request<ListProducersRequest>,
    ) -> Answer<ListProducersResponse> {
        let producer = |name: &str, instances: &[&str]| Producer {
            producer: name.to_owned(),
            instance_ids: instances.iter().map(|it| (*it).to_owned()).collect(),
            prepared: 1,
            stuck: 1,
            oldest_prepare_time: at(0, 0),
        };
        answer(ListProducersResponse {
            producers: vec![producer("mail", &[]), producer("shop", &["shop-1"])],
            ..Default::default()
        })
    }

    async fn answer_checks(
        &self,
        _request: Request<Streaming<AnswerChecksRequest>>,
    ) -> Answer<Self::AnswerChecksStream> {
        Err(Status::unimplemented("not pretended"))
    }
}
