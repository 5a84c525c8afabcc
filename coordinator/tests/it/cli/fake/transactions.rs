//! The pretended transactions.

use std::pin::Pin;
use std::time::Duration;

use amends_proto::v1::available_action::Action;
use amends_proto::v1::transaction_service_server::TransactionService;
use amends_proto::v1::*;
use tokio_stream::Stream;
use tonic::{Code, Request, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{Answer, Fake, answer, at, failure, json, tccs};

/// Rows of the list of transactions, in pages of at most [`PAGE`].
const LISTED: usize = 5;
const PAGE: usize = 2;

pub(super) fn step(name: &str, state: StepState) -> Step {
    Step {
        name: name.to_owned(),
        state: state.into(),
        attempts: 1,
        target: format!("{name}-service/do"),
        ..Default::default()
    }
}

pub(super) fn summary(gid: &str, state: TransactionState) -> TransactionSummary {
    TransactionSummary {
        gid: gid.to_owned(),
        kind: TransactionKind::Saga.into(),
        state: state.into(),
        definition: "shop.confirm-order".to_owned(),
        version: 1,
        create_time: at(0, 0),
        update_time: at(1, 250),
        finish_time: None,
        cause: None,
    }
}

pub(super) fn transaction(gid: &str) -> Result<Transaction, Status> {
    match gid {
        "done" => Ok(done()),
        "back" => Ok(back()),
        "stuck" => Ok(stuck()),
        "pay" => Ok(tccs::stuck()),
        "pay-points" => Ok(tccs::nested()),
        "slow" => Ok(Transaction {
            steps: vec![step("reserve-stock", StepState::Running)],
            ..base("slow", TransactionState::Running)
        }),
        gid => {
            let metadata = [("gid".to_owned(), gid.to_owned())];
            let details =
                ErrorDetails::with_error_info("TRANSACTION_NOT_FOUND", "amends", metadata);
            let message = format!("there is no transaction {gid}");
            Err(Status::with_error_details(Code::NotFound, message, details))
        }
    }
}

pub(super) fn base(gid: &str, state: TransactionState) -> Transaction {
    Transaction {
        summary: Some(summary(gid, state)),
        definition_hash: "abc".to_owned(),
        input: json(r#"{"order":7}"#),
        record_count: 4,
        owner: "c-1".to_owned(),
        generation: 1,
        ..Default::default()
    }
}

fn done() -> Transaction {
    let reserved = Step {
        output: json(r#"{"price":100}"#),
        ..step("reserve-stock", StepState::Succeeded)
    };
    let confirmed = Step {
        after: vec!["reserve-stock".to_owned()],
        ..step("confirm", StepState::Succeeded)
    };
    Transaction {
        steps: vec![reserved, confirmed],
        output: json(r#"{"paid":100}"#),
        ..base("done", TransactionState::Succeeded)
    }
}

fn back() -> Transaction {
    let refusal = failure("COUPON_INVALID", "used before");
    let undone = Step {
        undo_attempts: 1,
        ..step("reserve-stock", StepState::Undone)
    };
    let refused = Step {
        last_failure: refusal.clone(),
        ..step("use-coupon", StepState::Refused)
    };
    let summary = TransactionSummary {
        cause: Some(Cause {
            step: "use-coupon".to_owned(),
            failure: refusal,
        }),
        finish_time: at(1, 250),
        ..summary("back", TransactionState::Compensated)
    };
    Transaction {
        steps: vec![undone, refused],
        summary: Some(summary),
        ..base("back", TransactionState::Compensated)
    }
}

pub(super) fn action(action: Action, step: &str, reason: &str) -> AvailableAction {
    AvailableAction {
        action: action.into(),
        step: step.to_owned(),
        enabled: reason.is_empty(),
        disabled_reason: reason.to_owned(),
    }
}

fn stuck() -> Transaction {
    let stuck = Step {
        undo_attempts: 16,
        stuck_reason: "the undo was refused: \u{1b}[31mNO_ACCOUNT".to_owned(),
        next_attempt_time: at(60, 0),
        ..step("deduct-balance", StepState::Stuck)
    };
    Transaction {
        steps: vec![stuck],
        available_actions: vec![
            action(Action::Cancel, "", "it is turning back already"),
            action(Action::Retry, "", ""),
            action(Action::MarkUndone, "deduct-balance", ""),
        ],
        ..base("stuck", TransactionState::Stuck)
    }
}

fn results(gids: &[String]) -> Vec<ActionResult> {
    let one = |gid: &String| match transaction(gid) {
        Ok(found) => {
            let state = found.summary.unwrap().state();
            let failure = match state {
                TransactionState::Succeeded => failure("ALREADY_FINISHED", "it has ended"),
                _ => None,
            };
            ActionResult {
                gid: gid.clone(),
                accepted: failure.is_none(),
                failure,
                state: state.into(),
            }
        }
        Err(status) => ActionResult {
            gid: gid.clone(),
            accepted: false,
            failure: failure("TRANSACTION_NOT_FOUND", status.message()),
            state: 0,
        },
    };
    gids.iter().map(one).collect()
}

#[tonic::async_trait]
impl TransactionService for Fake {
    type WatchTransactionStream =
        Pin<Box<dyn Stream<Item = Result<WatchTransactionResponse, Status>> + Send>>;

    async fn get_transaction(
        &self,
        request: Request<GetTransactionRequest>,
    ) -> Answer<GetTransactionResponse> {
        answer(GetTransactionResponse {
            transaction: Some(transaction(&request.into_inner().gid)?),
        })
    }

    async fn list_transactions(
        &self,
        request: Request<ListTransactionsRequest>,
    ) -> Answer<ListTransactionsResponse> {
        let request = request.into_inner();
        let state = request
            .states
            .first()
            .copied()
            .unwrap_or(TransactionState::Succeeded.into());
        let state = TransactionState::try_from(state).unwrap();
        let from: usize = request.page_token.parse().unwrap_or(0);
        let to = (from + PAGE.min(request.page_size as usize)).min(LISTED);
        let tccs = request.kinds == [i32::from(TransactionKind::Tcc)];
        let row = |n: usize| match tccs {
            true => tccs::summary(&format!("{}pay-{n}", request.gid_prefix), state),
            false => summary(&format!("{}tx-{n}", request.gid_prefix), state),
        };
        let next_page_token = if to < LISTED {
            to.to_string()
        } else {
            String::new()
        };
        answer(ListTransactionsResponse {
            transactions: (from..to).map(row).collect(),
            next_page_token,
        })
    }

    async fn wait_transaction(
        &self,
        request: Request<WaitTransactionRequest>,
    ) -> Answer<WaitTransactionResponse> {
        let request = request.into_inner();
        let transaction = transaction(&request.gid)?;
        // Longer than the API allows would be an error of the caller.
        assert!(Duration::try_from(request.timeout.unwrap()).unwrap() <= Duration::from_secs(60));
        let finished = matches!(request.gid.as_str(), "done" | "back");
        answer(WaitTransactionResponse {
            transaction: Some(transaction),
            finished,
        })
    }

    async fn watch_transaction(
        &self,
        request: Request<WatchTransactionRequest>,
    ) -> Answer<Self::WatchTransactionStream> {
        let end = transaction(&request.into_inner().gid)?;
        let mut start = Transaction {
            summary: Some(summary("done", TransactionState::Running)),
            steps: end
                .steps
                .iter()
                .map(|end| step(&end.name, StepState::Pending))
                .collect(),
            ..Default::default()
        };
        start.summary.as_mut().unwrap().update_time = at(0, 0);
        let mut middle = start.clone();
        middle.steps[0] = end.steps[0].clone();
        let states = [start, middle, end];
        let message = |transaction| {
            Ok(WatchTransactionResponse {
                transaction: Some(transaction),
            })
        };
        answer(Box::pin(tokio_stream::iter(states.map(message))))
    }

    async fn list_transaction_records(
        &self,
        request: Request<ListTransactionRecordsRequest>,
    ) -> Answer<ListTransactionRecordsResponse> {
        let found = transaction(&request.into_inner().gid)?;
        let records = match found.summary.unwrap().kind() {
            TransactionKind::Tcc => tccs::records(),
            _ => vec![
                record(1, 0, "BEGUN", "", "shop.confirm-order v1"),
                TransactionRecord {
                    took: Some(took()),
                    ..record(2, 12, "STEP_SUCCEEDED", "reserve-stock", "price 100")
                },
            ],
        };
        answer(ListTransactionRecordsResponse {
            records,
            next_page_token: String::new(),
        })
    }

    async fn cancel_transactions(
        &self,
        request: Request<CancelTransactionsRequest>,
    ) -> Answer<CancelTransactionsResponse> {
        answer(CancelTransactionsResponse {
            results: results(&request.into_inner().gids),
        })
    }

    async fn retry_transactions(
        &self,
        request: Request<RetryTransactionsRequest>,
    ) -> Answer<RetryTransactionsResponse> {
        answer(RetryTransactionsResponse {
            results: results(&request.into_inner().gids),
        })
    }

    async fn mark_step_undone(
        &self,
        request: Request<MarkStepUndoneRequest>,
    ) -> Answer<MarkStepUndoneResponse> {
        let request = request.into_inner();
        // The operator comes back so that a test can see it.
        let mut result = results(&[request.gid]).remove(0);
        result.failure = failure(&request.operator, &request.reason);
        answer(MarkStepUndoneResponse {
            result: Some(result),
        })
    }

    async fn force_transactions(
        &self,
        request: Request<ForceTransactionsRequest>,
    ) -> Answer<ForceTransactionsResponse> {
        answer(ForceTransactionsResponse {
            results: results(&request.into_inner().gids),
        })
    }
}

pub(super) fn record(
    number: u64,
    millis: i32,
    kind: &str,
    step: &str,
    text: &str,
) -> TransactionRecord {
    TransactionRecord {
        number,
        time: at(0, millis),
        kind: kind.to_owned(),
        step: step.to_owned(),
        text: text.to_owned(),
        json: format!("{{\"z\":1,\"kind\":\"{kind}\"}}"),
        took: None,
    }
}

fn took() -> Took {
    let micros = |micros: i32| {
        let nanos = micros * 1_000;
        Some(prost_types::Duration { seconds: 0, nanos })
    };
    Took {
        queue: micros(0),
        commit: micros(340),
        call: micros(1_250),
        scheduling: micros(15),
    }
}
