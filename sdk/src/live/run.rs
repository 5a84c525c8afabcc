//! [`NewLiveSaga`]: how a live saga is begun, run and ended.

use std::time::Duration;

use amends_proto::v1::{BeginLiveSagaRequest, Failure, Transaction};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::api::{Api, is_over};
use super::guard::Guard;
use super::heart::Heart;
use super::tx::LiveTx;
use crate::client::outcome;
use crate::saga::convert;
use crate::{Client, ClientError, Gid, Outcome, StepError, StepResult};

/// How long the caller may be silent where nothing is said.
const DEFAULT_LEASE: Duration = Duration::from_secs(30);
/// How long a saga that turned back is waited for where nothing is said.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(10);
/// The code where the caller's code failed for a reason of its own.
const CALLER_FAILED: &str = "CALLER_FAILED";
/// The coordinator keeps no longer texts.
const MAX_MESSAGE_BYTES: usize = 1_024;

/// A live saga that has not begun yet; see [`crate::live`].
#[must_use = "call `run`"]
#[derive(Debug)]
pub struct NewLiveSaga {
    client: Client,
    name: String,
    key: String,
    gid: Option<Gid>,
    lease: Duration,
    deadline: Option<Duration>,
    undo_patience: Duration,
}

impl Client {
    /// A live saga: `client.saga("shop.confirm-order").key(order).run(async |tx| { .. }).await?`. See
    /// [`crate::live`].
    pub fn saga(&self, name: impl Into<String>) -> NewLiveSaga {
        NewLiveSaga {
            client: self.clone(),
            name: name.into(),
            key: String::new(),
            gid: None,
            lease: DEFAULT_LEASE,
            deadline: None,
            undo_patience: DEFAULT_PATIENCE,
        }
    }
}

impl NewLiveSaga {
    /// What it is about, such as an order number, of printable ASCII characters without
    /// blanks. Together with the name it is the saga's id, unless [`id`](Self::id) says otherwise: the same
    /// key again is the same saga.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = key.into();
        self
    }

    /// Its id, in place of one made from name and key. With neither, each run is a saga of its own.
    pub fn id(mut self, gid: impl Into<Gid>) -> Self {
        self.gid = Some(gid.into());
        self
    }

    /// How long this process may be silent before everything is undone: 100 ms to 1 h, 30 s where
    /// nothing is said. It is heard three times as often.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Bounds the time from the begin to turning back. None where nothing is said.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// How long [`run`](Self::run) waits for the undoing of what was done, 10 s where nothing is said. What is
    /// not undone by then goes on without it: [`Outcome::Pending`].
    pub fn undo_patience(mut self, patience: Duration) -> Self {
        self.undo_patience = patience;
        self
    }

    /// Runs the code, unless it ran before: then its stored outcome is given.
    ///
    /// `Ok` completes the saga, and the result is stored with it. `Err` undoes everything:
    /// [`Outcome::Compensated`] says why, with the code of a refusal or `CALLER_FAILED`.
    ///
    /// Dropped, or when the code panics, everything is undone: the coordinator is told if that is possible, and
    /// otherwise finds out when the lease is over. A future dropped while it
    /// completes leaves either everything or nothing; running it again with the same key tells.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with `ALREADY_RUNNING` while another caller runs it;
    /// [`ClientError::Conflict`] where the id was used with other content;
    /// [`ClientError::Invalid`], [`ClientError::Unavailable`], [`ClientError::Data`]. After an error the
    /// saga may have ended either way; running it again with the same key tells.
    pub async fn run<T, F>(self, code: F) -> Result<Outcome<T>, ClientError>
    where
        T: Serialize + DeserializeOwned,
        F: AsyncFnOnce(LiveTx) -> StepResult<T>,
    {
        let gid = match (&self.gid, self.key.as_str()) {
            (Some(gid), _) => gid.to_string(),
            (None, "") => Gid::unique().to_string(),
            (None, key) => format!("{}/{key}", self.name),
        };
        let api = Api {
            client: self.client.clone(),
            gid: gid.clone(),
        };
        let begun = Box::pin(api.begin(&self.request(gid))).await?;
        if !is_running(&begun) {
            return self.end_of(&api, &begun).await;
        }
        let guard = Guard::new(api.clone(), Heart::start(api.clone(), self.lease));
        let tx = LiveTx::new(api.clone());
        let result = code(tx.clone()).await;
        let ended = match result {
            Ok(output) => Box::pin(complete(&api, &output)).await,
            Err(error) => {
                let (step, failure) = tx.cause(&error, reason(&error));
                Box::pin(api.fail(step, failure)).await
            }
        };
        let transaction = match ended {
            Ok(transaction) => transaction,
            // Somebody else decided meanwhile.
            Err(error) if is_over(&error) => Box::pin(api.get()).await?,
            Err(error) => return Err(error),
        };
        guard.disarm();
        self.end_of(&api, &transaction).await
    }

    fn request(&self, gid: String) -> BeginLiveSagaRequest {
        BeginLiveSagaRequest {
            gid,
            request_id: String::new(),
            name: self.name.clone(),
            key: self.key.clone(),
            caller: Uuid::now_v7().to_string(),
            lease: convert::duration(self.lease),
            deadline: self.deadline.and_then(convert::duration),
        }
    }

    /// How it ended, waiting for what is being undone.
    async fn end_of<T: DeserializeOwned>(
        &self,
        api: &Api,
        transaction: &Transaction,
    ) -> Result<Outcome<T>, ClientError> {
        match outcome(transaction)? {
            Outcome::Pending => {
                let run = self.client.run::<T>(api.gid.as_str());
                Box::pin(run.wait(self.undo_patience)).await
            }
            ended => Ok(ended),
        }
    }
}

/// Completes with a result; one that cannot be written turns everything back.
async fn complete<T: Serialize>(api: &Api, output: &T) -> Result<Transaction, ClientError> {
    match serde_json::to_vec(output) {
        Ok(output) => api.complete(output).await,
        Err(error) => {
            let failure = Failure {
                code: CALLER_FAILED.to_owned(),
                message: format!("its result cannot be stored: {error}"),
            };
            api.fail(String::new(), failure).await
        }
    }
}

fn is_running(transaction: &Transaction) -> bool {
    use amends_proto::v1::TransactionState::{Running, Stuck};
    let state = transaction.summary.as_ref().map(|summary| summary.state());
    // A step that waits for a person goes forward all the same, unless it was turned back.
    let turned_back = transaction
        .summary
        .as_ref()
        .is_some_and(|summary| summary.cause.is_some());
    matches!(state, Some(Running | Stuck)) && !turned_back
}

/// Why the code failed, as the saga keeps it.
fn reason(error: &StepError) -> Failure {
    let (code, mut message) = match error {
        StepError::Refused { code, message } => (code.clone(), message.clone()),
        other => (CALLER_FAILED.to_owned(), other.to_string()),
    };
    let mut end = message.len().min(MAX_MESSAGE_BYTES);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.truncate(end);
    Failure { code, message }
}
