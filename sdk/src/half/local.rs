//! The local side of a half message: prepare, local transaction, verdict.
//!
//! One thing ends everything that does not end well, an error as well as a
//! panic and a dropped future: [`Undecided`]. It asks the consumer log what is
//! true, which fixes it, and tells that to the coordinator. So a verdict never
//! rests on what this process believes.

use std::time::Duration;

use amends_proto::v1::{HalfState, HalfVerdict as ProtoVerdict, Message, PrepareMessagesRequest};

use super::{HalfCx, HalfError};
use crate::client::HALF_DECIDED;
use crate::consumer_log::{HalfKey, Truth};
use crate::{Client, ClientError, Conn, Database, StepError, StepResult};

/// Preparing is repeated for the client's patience.
const NO_BOUND: Duration = Duration::MAX;
/// Within a transaction it is not: that holds locks.
const PREPARE_IN_TX_TIME: Duration = Duration::from_secs(3);

/// One local transaction to be.
pub(crate) struct Half<'a> {
    client: &'a Client,
    key: HalfKey,
}

impl<'a> Half<'a> {
    pub(super) fn new(client: &'a Client, key: HalfKey) -> Self {
        Self { client, key }
    }

    pub(super) fn key(&self) -> &HalfKey {
        &self.key
    }

    pub(super) async fn in_tx<T, F>(
        self,
        request: PrepareMessagesRequest,
        database: &Database,
        work: F,
    ) -> Result<T, HalfError>
    where
        F: AsyncFnOnce(&mut Conn) -> StepResult<T>,
    {
        let mut undecided = Undecided::new(&self, database);
        if let Err(error) = self.prepare(request, NO_BOUND).await {
            undecided.leave();
            return Err(error);
        }
        let mut conn = self.enter(database).await?;
        match work(&mut conn).await {
            Ok(value) => {
                self.commit(conn, &mut undecided).await?;
                Ok(value)
            }
            Err(error) => {
                // A rollback that fails ends with the connection; the answer says more.
                conn.rollback().await.ok();
                Err(HalfError::of_work(error))
            }
        }
    }

    /// The same for messages that the work itself makes: they are prepared
    /// within the local transaction, just before its commit.
    pub(super) async fn in_tx_made<B, F>(
        &self,
        database: &Database,
        work: F,
        made: impl FnOnce(&B) -> Result<PrepareMessagesRequest, HalfError>,
    ) -> Result<B, HalfError>
    where
        F: AsyncFnOnce(&mut Conn) -> StepResult<B>,
    {
        let entered = self.enter(database).await;
        if let Err(HalfError::Repeated { .. } | HalfError::RolledBack { .. }) = &entered {
            // Whoever came before may not have told it.
            drop(Undecided::new(self, database));
        }
        let mut conn = entered?;
        let body = work(&mut conn).await.map_err(HalfError::of_work)?;
        let request = made(&body)?;
        let mut undecided = Undecided::new(self, database);
        if let Err(error) = self.prepare(request, PREPARE_IN_TX_TIME).await {
            undecided.leave();
            return Err(error);
        }
        self.commit(conn, &mut undecided).await?;
        Ok(body)
    }

    pub(super) async fn run<T, F>(
        self,
        request: PrepareMessagesRequest,
        work: F,
    ) -> Result<T, HalfError>
    where
        F: AsyncFnOnce(&HalfCx) -> StepResult<T>,
    {
        let cx = HalfCx::new(self.key.half_id(), &messages(&request));
        self.prepare(request, NO_BOUND).await?;
        match work(&cx).await {
            Ok(value) => {
                self.tell(Truth::Committed).await?;
                Ok(value)
            }
            Err(StepError::Refused { code, message }) => {
                self.tell(Truth::Never).await?;
                Err(HalfError::Refused { code, message })
            }
            Err(error) => Err(HalfError::unknown(self.key.half_id(), error)),
        }
    }

    async fn prepare(
        &self,
        request: PrepareMessagesRequest,
        time: Duration,
    ) -> Result<(), HalfError> {
        match self.client.prepare(request, time).await {
            Ok(HalfState::Committed) => Err(self.decided(Truth::Committed)),
            Ok(HalfState::RolledBack) => Err(self.decided(Truth::Never)),
            // One that is stuck is decided by what happens now.
            Ok(HalfState::Prepared | HalfState::Stuck | HalfState::Unspecified) => Ok(()),
            Err(error) => Err(HalfError::NotPrepared(error)),
        }
    }

    /// Opens the local transaction, with its row in it.
    async fn enter(&self, database: &Database) -> Result<Conn, HalfError> {
        let begun = async {
            let mut conn = database.begin().await?;
            let before = self.key.enter(&mut conn).await?;
            Ok((conn, before))
        };
        match begun.await.map_err(HalfError::of_work)? {
            (conn, None) => Ok(conn),
            (_, Some(truth)) => Err(self.decided(truth)),
        }
    }

    /// Commits, and delivers.
    async fn commit(&self, conn: Conn, undecided: &mut Undecided) -> Result<(), HalfError> {
        if let Err(error) = self.key.commit(conn).await {
            // Its answer may have been lost.
            match self.key.check(&undecided.database).await {
                Ok(Truth::Committed) => {}
                Ok(Truth::Never) => return Err(HalfError::of_work(error)),
                Err(_) => return Err(HalfError::unknown(self.key.half_id(), error)),
            }
        }
        undecided.leave();
        self.tell(Truth::Committed).await
    }

    /// Tells the verdict; that it does not get through is no error.
    async fn tell(&self, truth: Truth) -> Result<(), HalfError> {
        match self.client.decide(&self.key, truth).await {
            Ok(()) => Ok(()),
            Err(source) if truth == Truth::Committed && source.reason() == HALF_DECIDED => {
                let half_id = self.key.half_id().to_owned();
                tracing::error!(half_id, %source, "committed here, but decided otherwise");
                Err(HalfError::DecidedOtherwise { half_id, source })
            }
            Err(error) => {
                untold(&self.key, &error);
                Ok(())
            }
        }
    }

    fn decided(&self, before: Truth) -> HalfError {
        let half_id = self.key.half_id().to_owned();
        match before {
            Truth::Committed => HalfError::Repeated { half_id },
            Truth::Never => HalfError::RolledBack { half_id },
        }
    }
}

/// Prepared, perhaps, and not decided. Dropped like that, the truth is found
/// and told in the background; failing that, the coordinator asks.
struct Undecided {
    client: Client,
    database: Database,
    key: Option<HalfKey>,
}

impl Undecided {
    fn new(half: &Half<'_>, database: &Database) -> Self {
        Self {
            client: half.client.clone(),
            database: database.clone(),
            key: Some(half.key.clone()),
        }
    }

    /// There is nothing to do.
    fn leave(&mut self) {
        self.key = None;
    }
}

impl Drop for Undecided {
    fn drop(&mut self) {
        let (Some(key), Ok(runtime)) = (self.key.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let (client, database) = (self.client.clone(), self.database.clone());
        runtime.spawn(async move {
            match key.check(&database).await {
                Ok(truth) => {
                    if let Err(error) = client.decide(&key, truth).await {
                        untold(&key, &error);
                    }
                }
                Err(error) => {
                    let half_id = key.half_id();
                    tracing::warn!(half_id, %error, "what became of it is not known; the coordinator will ask");
                }
            }
        });
    }
}

fn untold(key: &HalfKey, error: &ClientError) {
    let half_id = key.half_id();
    tracing::warn!(half_id, %error, "the coordinator was not told; it will ask");
}

fn messages(request: &PrepareMessagesRequest) -> Vec<Message> {
    let messages = request.messages.iter();
    messages
        .filter_map(|message| message.message.clone())
        .collect()
}

impl Truth {
    pub(crate) fn to_proto(self) -> ProtoVerdict {
        match self {
            Self::Committed => ProtoVerdict::Commit,
            Self::Never => ProtoVerdict::Rollback,
        }
    }
}
