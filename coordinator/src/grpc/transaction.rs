//! `TransactionService`: look at transactions and act on them.

use std::pin::Pin;
use std::time::Duration;

use amends_core::id::Gid;
use amends_core::public_state::PublicState;
use amends_core::time::Timestamp;
use amends_proto::v1;
use amends_proto::v1::transaction_service_server::TransactionService;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::clock::runtime_now;
use crate::engine::{Command, Engine, EngineError, View};
use crate::store::ListFilter;

use super::saga::MAX_WAIT;
use super::status::{invalid, store_error};
use super::{page, read, record, show};

/// Operator actions of one request under way at the same time.
const MAX_PARALLEL_ACTIONS: usize = 64;
/// States of a watched transaction waiting to be sent to a slow client.
const WATCH_BUFFER: usize = 4;
/// How often a transaction that is not in memory is looked at for a watcher.
const WATCH_LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The service over an engine.
pub(super) struct Transactions {
    pub(super) engine: Engine,
}

type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::WatchTransactionResponse, Status>> + Send>>;

#[tonic::async_trait]
impl TransactionService for Transactions {
    type WatchTransactionStream = WatchStream;

    async fn get_transaction(
        &self,
        request: Request<v1::GetTransactionRequest>,
    ) -> Result<Response<v1::GetTransactionResponse>, Status> {
        let gid = read::gid(&request.into_inner().gid)?;
        let transaction = match self.engine.get(&gid).await {
            Err(EngineError::Parked { reason, .. }) => self.parked(&gid, &reason).await?,
            view => self.show(&view?),
        };
        Ok(Response::new(v1::GetTransactionResponse {
            transaction: Some(transaction),
        }))
    }

    async fn list_transactions(
        &self,
        request: Request<v1::ListTransactionsRequest>,
    ) -> Result<Response<v1::ListTransactionsResponse>, Status> {
        let filter = filter(&request.into_inner())?;
        let found = self
            .engine
            .store()
            .list(&filter)
            .await
            .map_err(|e| store_error(&e))?;
        let full = found.len() >= filter.limit as usize;
        let next = found
            .last()
            .filter(|_| full)
            .map(|last| page::token(&(last.summary.created_at, &last.gid)));
        let transactions = found.iter().map(show::summary).collect();
        Ok(Response::new(v1::ListTransactionsResponse {
            transactions,
            next_page_token: next.unwrap_or_default(),
        }))
    }

    async fn wait_transaction(
        &self,
        request: Request<v1::WaitTransactionRequest>,
    ) -> Result<Response<v1::WaitTransactionResponse>, Status> {
        let request = request.into_inner();
        let gid = read::gid(&request.gid)?;
        let timeout = read::span("timeout", request.timeout)?
            .map_or(MAX_WAIT, Duration::from)
            .min(MAX_WAIT);
        let view = self.engine.wait(&gid, runtime_now() + timeout).await?;
        let finished = view.transaction.is_ended();
        Ok(Response::new(v1::WaitTransactionResponse {
            transaction: Some(self.show(&view)),
            finished,
        }))
    }

    async fn watch_transaction(
        &self,
        request: Request<v1::WatchTransactionRequest>,
    ) -> Result<Response<WatchStream>, Status> {
        let gid = read::gid(&request.into_inner().gid)?;
        let first = self.engine.get(&gid).await?;
        let (sender, receiver) = mpsc::channel(WATCH_BUFFER);
        tokio::spawn(watch(self.engine.clone(), gid, first, sender));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn list_transaction_records(
        &self,
        request: Request<v1::ListTransactionRecordsRequest>,
    ) -> Result<Response<v1::ListTransactionRecordsResponse>, Status> {
        let request = request.into_inner();
        let gid = read::gid(&request.gid)?;
        let after: u64 = page::place(&request.page_token)?.unwrap_or(0);
        let size = if request.page_size == 0 {
            crate::store::MAX_PAGE
        } else {
            read::page_size(request.page_size)
        };
        let found = self
            .engine
            .store()
            .load(std::slice::from_ref(&gid))
            .await
            .map_err(|e| store_error(&e))?;
        let stored = found
            .into_iter()
            .next()
            .ok_or_else(|| EngineError::NotFound(gid.to_string()))?;
        let (lines, count) = record::lines(&stored, after, size as usize)?;
        let next = lines
            .last()
            .filter(|last| last.number < count)
            .map(|last| page::token(&last.number));
        Ok(Response::new(v1::ListTransactionRecordsResponse {
            records: lines,
            next_page_token: next.unwrap_or_default(),
        }))
    }

    async fn cancel_transactions(
        &self,
        request: Request<v1::CancelTransactionsRequest>,
    ) -> Result<Response<v1::CancelTransactionsResponse>, Status> {
        let request = request.into_inner();
        let reason = read::reason("reason", &request.reason)?;
        let results = self
            .act(read::gids(&request.gids)?, &Command::Cancel { reason })
            .await;
        Ok(Response::new(v1::CancelTransactionsResponse { results }))
    }

    async fn retry_transactions(
        &self,
        request: Request<v1::RetryTransactionsRequest>,
    ) -> Result<Response<v1::RetryTransactionsResponse>, Status> {
        let results = self
            .act(read::gids(&request.into_inner().gids)?, &Command::Retry)
            .await;
        Ok(Response::new(v1::RetryTransactionsResponse { results }))
    }

    async fn mark_step_undone(
        &self,
        request: Request<v1::MarkStepUndoneRequest>,
    ) -> Result<Response<v1::MarkStepUndoneResponse>, Status> {
        let request = request.into_inner();
        let reason = required_reason(&request.reason)?;
        let operator = read::reason("operator", &request.operator)?;
        let command = Command::MarkDone {
            branch: request.step,
            operator,
            reason,
        };
        let result = self.act_on(read::gid(&request.gid)?, command).await;
        Ok(Response::new(v1::MarkStepUndoneResponse {
            result: Some(result),
        }))
    }

    async fn force_transactions(
        &self,
        request: Request<v1::ForceTransactionsRequest>,
    ) -> Result<Response<v1::ForceTransactionsResponse>, Status> {
        let request = request.into_inner();
        let reason = required_reason(&request.reason)?;
        let operator = read::reason("operator", &request.operator)?;
        let results = self
            .act(
                read::gids(&request.gids)?,
                &Command::Force { operator, reason },
            )
            .await;
        Ok(Response::new(v1::ForceTransactionsResponse { results }))
    }
}

impl Transactions {
    fn show(&self, view: &View) -> v1::Transaction {
        show::transaction(view, self.engine.incarnation())
    }

    async fn parked(&self, gid: &Gid, reason: &str) -> Result<v1::Transaction, Status> {
        let found = self
            .engine
            .store()
            .load(std::slice::from_ref(gid))
            .await
            .map_err(|e| store_error(&e))?;
        let stored = found
            .first()
            .ok_or_else(|| EngineError::NotFound(gid.to_string()))?;
        Ok(show::parked(stored, reason))
    }

    /// The same command to each, results in order.
    async fn act(&self, gids: Vec<Gid>, command: &Command) -> Vec<v1::ActionResult> {
        let actions = gids
            .into_iter()
            .map(|gid| self.act_on(gid, command.clone()));
        stream::iter(actions)
            .buffered(MAX_PARALLEL_ACTIONS)
            .collect()
            .await
    }

    async fn act_on(&self, gid: Gid, command: Command) -> v1::ActionResult {
        match self.engine.command(&gid, command).await {
            Ok(view) => result(&gid, Some(view.transaction.public_state()), None),
            Err(error) => {
                let state = self
                    .engine
                    .get(&gid)
                    .await
                    .ok()
                    .map(|view| view.transaction.public_state());
                result(&gid, state, Some(&error))
            }
        }
    }
}

fn result(gid: &Gid, state: Option<PublicState>, error: Option<&EngineError>) -> v1::ActionResult {
    v1::ActionResult {
        gid: gid.to_string(),
        accepted: error.is_none(),
        failure: error.map(|error| v1::Failure {
            code: error.code().to_owned(),
            message: error.to_string(),
        }),
        state: state
            .map_or(v1::TransactionState::Unspecified, show::state)
            .into(),
    }
}

fn required_reason(text: &str) -> Result<String, Status> {
    if text.trim().is_empty() {
        return Err(invalid("reason", "REASON_MISSING", "must say why"));
    }
    read::reason("reason", text)
}

fn filter(request: &v1::ListTransactionsRequest) -> Result<ListFilter, Status> {
    let mut states = Vec::new();
    for number in &request.states {
        let known = v1::TransactionState::try_from(*number).ok();
        let known = known
            .ok_or_else(|| invalid("states", "ENUM_UNKNOWN", format!("{number} is not a state")))?;
        states.extend(read::state(known));
    }
    let mut kinds = Vec::new();
    for number in &request.kinds {
        let known = v1::TransactionKind::try_from(*number).ok();
        let known = known
            .ok_or_else(|| invalid("kinds", "ENUM_UNKNOWN", format!("{number} is not a kind")))?;
        kinds.extend(read::kind(known));
    }
    // Only what no transaction can have: nothing matches, rather than everything.
    let nothing = (!request.states.is_empty() && states.is_empty())
        || (!request.kinds.is_empty() && kinds.is_empty());
    let after: Option<(Timestamp, Gid)> = page::place(&request.page_token)?;
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Ok(ListFilter {
        kinds,
        states,
        definition_name: text(&request.definition),
        created_from: read::timestamp("created_after", request.created_after)?,
        created_before: if nothing {
            Some(Timestamp(i64::MIN))
        } else {
            read::timestamp("created_before", request.created_before)?
        },
        gid_prefix: text(&request.gid_prefix),
        after,
        limit: read::page_size(request.page_size),
    })
}

/// Sends each state until the end, or until the client has left.
async fn watch(
    engine: Engine,
    gid: Gid,
    first: View,
    sender: mpsc::Sender<Result<v1::WatchTransactionResponse, Status>>,
) {
    let mut view = first;
    loop {
        let shown = v1::WatchTransactionResponse {
            transaction: Some(show::transaction(&view, engine.incarnation())),
        };
        if sender.send(Ok(shown)).await.is_err() || view.transaction.is_ended() {
            return;
        }
        let next = tokio::select! {
            () = sender.closed() => return,
            next = next_state(&engine, &gid, &view) => next,
        };
        match next {
            Ok(next) => view = next,
            Err(error) => {
                let _ = sender.send(Err(error.into())).await;
                return;
            }
        }
    }
}

async fn next_state(engine: &Engine, gid: &Gid, seen: &View) -> Result<View, EngineError> {
    loop {
        if let Some(view) = engine.next_change(gid, seen.changes).await? {
            return Ok(view);
        }
        let view = engine.get(gid).await?;
        if view.transaction.is_ended()
            || view.transaction.last_record() != seen.transaction.last_record()
        {
            return Ok(view);
        }
        tokio::time::sleep(WATCH_LOOK_AGAIN).await;
    }
}
