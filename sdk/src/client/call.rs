//! Repeats calls that failed for a passing reason, within the caller's time.
//!
//! Every call made through here is idempotent: starts carry an id, the rest
//! reads or asks for a state. So a lost answer is no reason to stop.

use std::future::Future;
use std::time::Duration;

use rand::Rng;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Request, Response, Status};

use super::error::{ClientError, is_transient, retry_after};

const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_secs(2);
/// A single attempt gets no longer than this beyond what it asked the server
/// to wait: a connection that swallows everything must not eat the whole budget.
const MAX_ATTEMPT: Duration = Duration::from_secs(10);
/// The first attempt gets at least this, however small the budget.
const MIN_ATTEMPT: Duration = Duration::from_millis(500);

/// The time that a call and its repetitions may take together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    deadline: Instant,
}

impl Budget {
    pub(crate) fn new(time: Duration) -> Self {
        const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
        Self {
            deadline: Instant::now() + time.min(FAR),
        }
    }

    pub(crate) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// One attempt: what is sent, and how long the server is asked to hold the
/// answer back.
pub(crate) struct Attempt<Req> {
    pub(crate) request: Req,
    pub(crate) server_wait: Duration,
}

impl<Req> Attempt<Req> {
    /// The server is to answer at once.
    pub(crate) fn plain(request: Req) -> Self {
        Self {
            request,
            server_wait: Duration::ZERO,
        }
    }
}

/// Makes the call until it succeeds, fails for good, or the budget is spent.
pub(crate) async fn repeat<Req, Res, Call, Answer>(
    budget: Budget,
    attempt: impl Fn() -> Attempt<Req>,
    call: Call,
) -> Result<Res, ClientError>
where
    Call: Fn(Request<Req>) -> Answer,
    Answer: Future<Output = Result<Response<Res>, Status>>,
{
    let mut backoff = FIRST_BACKOFF;
    loop {
        let Attempt {
            request,
            server_wait,
        } = attempt();
        let bound = (server_wait + MAX_ATTEMPT).min(budget.left().max(MIN_ATTEMPT));
        let mut request = Request::new(request);
        request.set_timeout(bound);
        let status = match timeout(bound, call(request)).await {
            Ok(Ok(response)) => return Ok(response.into_inner()),
            Ok(Err(status)) => status,
            Err(_) => Status::deadline_exceeded("no answer in time"),
        };
        let wait = retry_after(&status).unwrap_or_else(|| jittered(backoff));
        if !is_transient(&status) || wait >= budget.left() {
            return Err(ClientError::from(status));
        }
        tracing::debug!(%status, ?wait, "calling the coordinator again");
        sleep(wait).await;
        backoff = (backoff * 2).min(MAX_BACKOFF);
    }
}

/// Full jitter, but never nothing at all.
fn jittered(bound: Duration) -> Duration {
    let bound = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX).max(2);
    Duration::from_millis(rand::rng().random_range(1..bound))
}
