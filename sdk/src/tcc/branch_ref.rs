//! [`TccRef`]: the typed name of a branch's methods.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use crate::Retry;

/// Names the try, confirm and cancel that a service offers under one name,
/// with input `I` and the output `O` of the try, and how they want to be called.
///
/// The macro makes `Wallet::FREEZE`; by hand it is
/// ```
/// # use amends::TccRef;
/// # use std::time::Duration;
/// const FREEZE: TccRef<u64, u64> = TccRef::new("wallet", "freeze")
///     .with_timeout(Duration::from_secs(3));
/// assert_eq!(FREEZE.target(), "wallet/freeze");
/// ```
pub struct TccRef<I, O> {
    service: &'static str,
    name: &'static str,
    timeout: Option<Duration>,
    retry: Option<Retry>,
    settle_retry: Option<Retry>,
    types: PhantomData<fn(I) -> O>,
}

impl<I, O> TccRef<I, O> {
    /// With the coordinator's defaults.
    #[must_use]
    pub const fn new(service: &'static str, name: &'static str) -> Self {
        Self {
            service,
            name,
            timeout: None,
            retry: None,
            settle_retry: None,
            types: PhantomData,
        }
    }

    /// Bounds one call, of the try as well as of confirm and cancel.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Says how the try is retried.
    #[must_use]
    pub const fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = Some(retry);
        self
    }

    /// Says how confirm and cancel are retried before the branch counts as
    /// stuck. Slow retries go on after that.
    #[must_use]
    pub const fn with_settle_retry(mut self, retry: Retry) -> Self {
        self.settle_retry = Some(retry);
        self
    }

    /// The service that offers it.
    #[must_use]
    pub const fn service(&self) -> &'static str {
        self.service
    }

    /// Its name in the service.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// `service/name`, as the coordinator is told.
    #[must_use]
    pub fn target(&self) -> String {
        format!("{}/{}", self.service, self.name)
    }

    /// The bound of one call, if it sets one.
    #[must_use]
    pub const fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// How the try is retried, if it says so.
    #[must_use]
    pub const fn retry(&self) -> Option<Retry> {
        self.retry
    }

    /// How confirm and cancel are retried, if it says so.
    #[must_use]
    pub const fn settle_retry(&self) -> Option<Retry> {
        self.settle_retry
    }
}

// By hand, because a derive would ask for `I: Clone` and `O: Clone`.
impl<I, O> Clone for TccRef<I, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I, O> Copy for TccRef<I, O> {}

impl<I, O> fmt::Debug for TccRef<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TccRef({}/{})", self.service, self.name)
    }
}
