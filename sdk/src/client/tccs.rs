//! TCCs at the coordinator.

use std::time::Duration;

use amends_proto::v1::tcc_service_client::TccServiceClient;
use amends_proto::v1::{
    BeginTccRequest, BeginTccResponse, CancelTccRequest, ConfirmTccRequest, RegisterBranchRequest,
    ReportTryRequest, Step, Transaction, TryBranchRequest, TryBranchResponse,
};

use super::call::{Attempt, Budget, repeat};
use super::run::known;
use super::{Client, ClientError, MAX_ANSWER_BYTES};
use crate::access::Wire;
use crate::saga::convert;
use crate::tcc::NewTcc;

/// The coordinator holds an answer back no longer than this.
const MAX_SERVER_WAIT: Duration = Duration::from_secs(60);
/// How long a confirm may have to wait for tries under way, or for a parent.
const CONFIRM_WAIT: Duration = Duration::from_secs(10);

impl Client {
    /// A TCC for this purpose: begin it, or run a closure within it; see [`crate::tcc`].
    ///
    /// ```no_run
    /// # use amends::{Client, TccError, TccRef};
    /// # const FREEZE: TccRef<i64, i64> = TccRef::new("wallet", "freeze");
    /// # const HOLD: TccRef<i64, ()> = TccRef::new("points", "hold");
    /// # async fn run(client: Client, order: &str) -> Result<i64, TccError> {
    /// client
    ///     .tcc("shop.pay")
    ///     .key(order)
    ///     .run(async |tx| {
    ///         let frozen = tx.try_branch(FREEZE, 500).await?;
    ///         tx.try_branch(HOLD, 10).await?;
    ///         Ok(frozen)
    ///     })
    ///     .await
    /// # }
    /// ```
    pub fn tcc(&self, name: impl Into<String>) -> NewTcc<'_> {
        NewTcc::new(self, name.into())
    }

    pub(crate) async fn begin_tcc(
        &self,
        request: BeginTccRequest,
    ) -> Result<BeginTccResponse, ClientError> {
        repeat(
            self.budget(),
            || Attempt::plain(request.clone()),
            |request| {
                let mut api = self.tcc_service();
                async move { api.begin_tcc(request).await }
            },
        )
        .await
    }

    /// Registers and tries; the answer comes when the outcome of the try is
    /// known, or after `time`. The coordinator may be away for the client's
    /// patience besides.
    pub(crate) async fn try_branch(
        &self,
        request: TryBranchRequest,
        time: Duration,
    ) -> Result<TryBranchResponse, ClientError> {
        // The server takes no time at all for its default.
        const SHORTEST: Duration = Duration::from_millis(1);
        let waiting = Budget::new(time);
        let attempt = || {
            let server_wait = waiting.left().clamp(SHORTEST, MAX_SERVER_WAIT);
            let mut request = request.clone();
            request.wait = convert::duration(server_wait);
            Attempt {
                request,
                server_wait,
            }
        };
        let budget = Budget::new(time.min(MAX_SERVER_WAIT).saturating_add(self.patience));
        repeat(budget, attempt, |request| {
            let mut api = self.tcc_service();
            async move { api.try_branch(request).await }
        })
        .await
    }

    pub(crate) async fn register_branch(
        &self,
        request: RegisterBranchRequest,
    ) -> Result<Step, ClientError> {
        let answer = repeat(
            self.budget(),
            || Attempt::plain(request.clone()),
            |request| {
                let mut api = self.tcc_service();
                async move { api.register_branch(request).await }
            },
        )
        .await?;
        answer.branch.ok_or_else(no_branch)
    }

    pub(crate) async fn report_try(&self, request: ReportTryRequest) -> Result<(), ClientError> {
        repeat(
            self.budget(),
            || Attempt::plain(request.clone()),
            |request| {
                let mut api = self.tcc_service();
                async move { api.report_try(request).await }
            },
        )
        .await
        .map(drop)
    }

    /// Decides to confirm, and waits up to `wait` for the end.
    pub(crate) async fn confirm_tcc(
        &self,
        gid: &str,
        wait: Duration,
    ) -> Result<Transaction, ClientError> {
        let waiting = Budget::new(wait);
        let attempt = || {
            let wait = waiting.left().min(MAX_SERVER_WAIT);
            Attempt {
                request: ConfirmTccRequest {
                    gid: gid.to_owned(),
                    wait: convert::duration(wait),
                },
                server_wait: wait.max(CONFIRM_WAIT),
            }
        };
        let budget = Budget::new(wait.min(MAX_SERVER_WAIT).saturating_add(self.patience));
        let answer = repeat(budget, attempt, |request| {
            let mut api = self.tcc_service();
            async move { api.confirm_tcc(request).await }
        })
        .await?;
        known(answer.transaction)
    }

    /// Decides to cancel, and waits up to `wait` for the end. `time` bounds
    /// the repetitions together with the client's patience.
    pub(crate) async fn cancel_tcc(
        &self,
        gid: &str,
        reason: &str,
        wait: Duration,
        time: Duration,
    ) -> Result<Transaction, ClientError> {
        let waiting = Budget::new(wait);
        let attempt = || {
            let server_wait = waiting.left().min(MAX_SERVER_WAIT);
            Attempt {
                request: CancelTccRequest {
                    gid: gid.to_owned(),
                    reason: reason.to_owned(),
                    wait: convert::duration(server_wait),
                },
                server_wait,
            }
        };
        let patience = self.patience.min(time);
        let budget = Budget::new(wait.min(MAX_SERVER_WAIT).saturating_add(patience));
        let answer = repeat(budget, attempt, |request| {
            let mut api = self.tcc_service();
            async move { api.cancel_tcc(request).await }
        })
        .await?;
        known(answer.transaction)
    }

    fn tcc_service(&self) -> TccServiceClient<Wire> {
        TccServiceClient::new(self.wire.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }
}

pub(crate) fn no_branch() -> ClientError {
    ClientError::unexpected("an answer without its branch")
}
