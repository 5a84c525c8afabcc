//! [`StepRef`]: the typed name of a step, which sagas refer to.
//!
//! It is data only: it does not reach the service's code, so a saga can be
//! defined in a crate that has the service's request and response types but
//! not its implementation.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// Names a step with input `I` and output `O`, and how it wants to be called.
///
/// The macro makes `Inventory::RESERVE`; by hand it is
/// ```
/// # use amends::{StepRef, Compensation};
/// # use std::time::Duration;
/// const RESERVE: StepRef<u64, u64> = StepRef::new("inventory", "reserve")
///     .with_timeout(Duration::from_secs(5));
/// assert_eq!(RESERVE.target(), "inventory/reserve");
/// ```
pub struct StepRef<I, O> {
    service: &'static str,
    step: &'static str,
    timeout: Option<Duration>,
    retry: Option<Retry>,
    compensation: Compensation,
    effects: Effects,
    types: PhantomData<fn(I) -> O>,
}

/// Whether a step can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Compensation {
    /// It has an undo.
    #[default]
    Undo,
    /// It has none: it can be a pivot or a retriable step, or have no effect.
    None,
}

/// Where the effects of a step are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Effects {
    /// In the service's own database, in one transaction with the consumer log.
    #[default]
    Local,
    /// Elsewhere, for example at a payment provider.
    External,
}

/// How often and how fast a call is tried again: capped exponential backoff.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    /// Attempts in all, the first included; at least 1.
    pub max_attempts: u32,
    /// Upper bound of the wait before the second attempt.
    pub initial_backoff: Duration,
    /// Upper bound of any wait.
    pub max_backoff: Duration,
    /// Growth of the bound from attempt to attempt; at least 1.
    pub multiplier: f64,
}

impl Retry {
    /// What the coordinator does where nothing is said: 8 attempts, 100 ms doubling up to 10 s.
    pub const DEFAULT: Self = Self {
        max_attempts: 8,
        initial_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(10),
        multiplier: 2.0,
    };

    /// The same for confirm and cancel of a TCC: 16 attempts, 100 ms doubling up to 60 s.
    pub const SETTLE: Self = Self {
        max_attempts: 16,
        max_backoff: Duration::from_secs(60),
        ..Self::DEFAULT
    };
}

impl Default for Retry {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl<I, O> StepRef<I, O> {
    /// A compensable step with local effects and the coordinator's defaults.
    #[must_use]
    pub const fn new(service: &'static str, step: &'static str) -> Self {
        Self {
            service,
            step,
            timeout: None,
            retry: None,
            compensation: Compensation::Undo,
            effects: Effects::Local,
            types: PhantomData,
        }
    }

    /// Bounds one call.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Says how calls are retried.
    #[must_use]
    pub const fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = Some(retry);
        self
    }

    /// Says whether it can be undone.
    #[must_use]
    pub const fn with_compensation(mut self, compensation: Compensation) -> Self {
        self.compensation = compensation;
        self
    }

    /// Says where its effects are.
    #[must_use]
    pub const fn with_effects(mut self, effects: Effects) -> Self {
        self.effects = effects;
        self
    }

    /// The service that offers it.
    #[must_use]
    pub const fn service(&self) -> &'static str {
        self.service
    }

    /// Its name in the service.
    #[must_use]
    pub const fn step(&self) -> &'static str {
        self.step
    }

    /// `service/step`, as definitions name it.
    #[must_use]
    pub fn target(&self) -> String {
        format!("{}/{}", self.service, self.step)
    }

    /// The bound of one call, if it sets one.
    #[must_use]
    pub const fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// How calls are retried, if it says so.
    #[must_use]
    pub const fn retry(&self) -> Option<Retry> {
        self.retry
    }

    /// Whether it can be undone.
    #[must_use]
    pub const fn compensation(&self) -> Compensation {
        self.compensation
    }

    /// Where its effects are.
    #[must_use]
    pub const fn effects(&self) -> Effects {
        self.effects
    }
}

// By hand, because a derive would ask for `I: Clone` and `O: Clone`.
impl<I, O> Clone for StepRef<I, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I, O> Copy for StepRef<I, O> {}

impl<I, O> fmt::Debug for StepRef<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StepRef({}/{})", self.service, self.step)
    }
}
