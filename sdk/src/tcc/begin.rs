//! [`NewTcc`]: how a TCC is begun, and run with a closure.

use std::time::Duration;

use amends_proto::v1::{BeginTccRequest, TccDecision, TccParent};

use super::outcome::cancelled;
use super::{Tcc, TccError, TccOutcome};
use crate::saga::convert;
use crate::{Client, ClientError, Gid, StepResult};

/// Time to confirm where nothing is said: that of the coordinator.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(60);

/// How long a cancel is tried to be told when the closure failed. Beyond it
/// the deadline cancels.
const CANCEL_TIME: Duration = Duration::from_secs(3);

/// The longest reason, in characters, which may have four bytes each.
const MAX_REASON: usize = 250;

/// A TCC that has not begun yet; see [`Client::tcc`].
#[derive(Debug)]
#[must_use = "call `run` or `begin`"]
pub struct NewTcc<'c> {
    client: &'c Client,
    name: String,
    key: Option<Gid>,
    deadline: Duration,
    wait: Duration,
    parent: Option<TccParent>,
}

impl<'c> NewTcc<'c> {
    pub(crate) fn new(client: &'c Client, name: String) -> Self {
        Self {
            client,
            name,
            key: None,
            deadline: DEFAULT_DEADLINE,
            wait: Duration::ZERO,
            parent: None,
        }
    }

    /// Its id, at most 128 characters: that of the business operation. It
    /// makes repeating safe, also by another process: the same key is the same TCC.
    pub fn key(mut self, key: impl Into<Gid>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Time until the coordinator cancels it, unless it was confirmed. Default 60 s.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long [`run`](Self::run) waits for the branches to be confirmed or
    /// cancelled, once that is decided. Default not at all: what is decided happens.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Makes it a branch of another TCC, which then decides: confirming this
    /// one only prepares it. See also [`Tcc::child`].
    pub fn under(mut self, parent: impl Into<Gid>, branch: impl Into<String>) -> Self {
        self.parent = Some(TccParent {
            gid: parent.into().to_string(),
            branch: branch.into(),
        });
        self
    }

    /// Begins it; the answer comes once that is durable. The same key with the
    /// same name, deadline and parent is the same TCC, whatever became of it.
    ///
    /// # Errors
    /// [`ClientError::Conflict`] where the key was used with other content,
    /// [`ClientError::Invalid`], [`ClientError::Refused`] by the parent,
    /// [`ClientError::Unavailable`].
    pub async fn begin(self) -> Result<Tcc, ClientError> {
        self.begun().await.map(|(tcc, _)| tcc)
    }

    /// Begins it, runs `work`, and confirms if that answers `Ok`.
    ///
    /// An `Err` of `work`, [`reject!`](crate::reject), a panic and dropping the
    /// future cancel; when the process dies, the deadline does. `?` passes on
    /// what [`Tcc`]'s methods say, and any other error.
    ///
    /// Returns once the decision is durable, and up to [`wait`](Self::wait)
    /// later once it is carried out. Under a parent it is the parent's
    /// decision that counts, and `Ok` means prepared.
    ///
    /// With a key that was used before it goes on where that one was: tries
    /// are not made twice; what has been confirmed is [`TccError::Confirmed`].
    /// Where its branches are sent something else it is somebody else's, and is left alone.
    ///
    /// # Errors
    /// [`TccError`].
    pub async fn run<T, F>(self, work: F) -> Result<T, TccError>
    where
        F: AsyncFnOnce(&Tcc) -> StepResult<T>,
    {
        let wait = self.wait;
        let (tcc, before) = self.begun().await?;
        match before {
            Before::Open => {}
            Before::Over(error) => return Err(error),
            Before::Confirmed => {
                let gid = tcc.gid().to_owned();
                return Err(TccError::Confirmed { gid });
            }
        }
        let mut given_up = GivenUp::unless_decided(&tcc);
        let done = match work(&tcc).await {
            Ok(value) => match tcc.confirm(wait).await {
                Ok(_) => Ok(value),
                Err(TccError::Coordinator(source @ ClientError::Unavailable { .. })) => {
                    // It may have been heard, so that nothing is decided here any more.
                    given_up.leave();
                    let gid = tcc.gid().to_owned();
                    return Err(TccError::Undecided { gid, source });
                }
                Err(error) => Err(error),
            },
            Err(error) => Err(TccError::of_work(error)),
        };
        let done = match done {
            Err(error) if is_of_another(&tcc, &error) => Err(error),
            Err(error) => Err(cancel(&tcc, wait, error).await),
            ok => ok,
        };
        given_up.leave();
        done
    }

    async fn begun(self) -> Result<(Tcc, Before), ClientError> {
        let request = BeginTccRequest {
            gid: self.key.unwrap_or_else(Gid::unique).to_string(),
            request_id: String::new(),
            name: self.name,
            deadline: convert::duration(self.deadline),
            parent: self.parent,
        };
        let gid = request.gid.clone();
        if gid.is_empty() {
            return Err(ClientError::Invalid {
                reason: "GID_EMPTY".to_owned(),
                message: "a TCC's key cannot be empty; without one it gets its own".to_owned(),
                fields: Vec::new(),
            });
        }
        let answer = self.client.begin_tcc(request).await?;
        let Some(transaction) = answer.transaction else {
            return Err(ClientError::unexpected("a begun TCC without its state"));
        };
        let before = match (transaction.decision(), TccOutcome::of(&transaction)?) {
            (TccDecision::Confirm, _) | (_, TccOutcome::Prepared) => Before::Confirmed,
            (TccDecision::Cancel, _) => Before::Over(cancelled(&gid, &transaction)),
            (TccDecision::Unspecified, TccOutcome::Forced) => {
                Before::Over(TccError::Forced { gid: gid.clone() })
            }
            (TccDecision::Unspecified, _) => Before::Open,
        };
        let tcc = Tcc::new(self.client.clone(), gid, answer.created, self.deadline);
        Ok((tcc, before))
    }
}

/// What had become of a TCC before it was begun again.
enum Before {
    Open,
    Confirmed,
    Over(TccError),
}

/// Whether the key turned out to belong to another operation, which is not
/// ours to cancel: its branches are sent something else.
fn is_of_another(tcc: &Tcc, error: &TccError) -> bool {
    let differs = |error: &ClientError| error.reason() == "BRANCH_DIFFERS";
    !tcc.is_new() && matches!(error, TccError::Coordinator(error) if differs(error))
}

/// Tells the coordinator to cancel; the answer is why. That it cannot be told
/// is no error: the deadline cancels.
async fn cancel(tcc: &Tcc, wait: Duration, why: TccError) -> TccError {
    if let TccError::Cancelled { .. } | TccError::Confirmed { .. } | TccError::Forced { .. } = why {
        return why;
    }
    let reason = reason(&why);
    let told = tcc
        .client()
        .cancel_tcc(tcc.gid(), &reason, wait, CANCEL_TIME);
    match told
        .await
        .map_err(|error| TccError::of_client(tcc.gid(), error))
    {
        Ok(_) => why,
        Err(confirmed @ TccError::Confirmed { .. }) => confirmed,
        Err(error) => {
            tracing::warn!(gid = tcc.gid(), %error, "the cancel was not heard; the deadline cancels");
            why
        }
    }
}

/// An error with what led to it, as long as a reason may be.
fn reason(why: &TccError) -> String {
    let mut text = why.to_string();
    let mut source = std::error::Error::source(why);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text.chars().take(MAX_REASON).collect()
}

/// Begun, and not decided. Dropped like that, by a panic or with its future, it
/// is cancelled in the background; failing that, by its deadline.
struct GivenUp {
    client: Client,
    gid: Option<String>,
}

impl GivenUp {
    fn unless_decided(tcc: &Tcc) -> Self {
        Self {
            client: tcc.client().clone(),
            gid: Some(tcc.gid().to_owned()),
        }
    }

    /// There is nothing to do.
    fn leave(&mut self) {
        self.gid = None;
    }
}

impl Drop for GivenUp {
    fn drop(&mut self) {
        let (Some(gid), Ok(runtime)) = (self.gid.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let client = self.client.clone();
        runtime.spawn(async move {
            let reason = "its caller gave it up";
            let wait = Duration::ZERO;
            if let Err(error) = client.cancel_tcc(&gid, reason, wait, CANCEL_TIME).await {
                tracing::warn!(gid, %error, "the cancel was not heard; the deadline cancels");
            }
        });
    }
}
