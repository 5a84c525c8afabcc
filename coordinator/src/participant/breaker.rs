//! A circuit breaker: leaves a target alone that no longer answers.
//!
//! ```text
//!            so many calls in a row without an answer
//!   CLOSED ─────────────────────────────────────────────▶ OPEN
//!      ▲                                                   │ now and then one
//!      └───────────────────────────────────────────────────┘ call is let through
//!            any answer
//! ```
//!
//! Any answer closes it, one to an earlier call too: it shows that the target
//! lives. Not here: what counts as an answer, what time it is.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// The state of one target's circuit.
#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    max_failures: NonZeroU32,
    open: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed {
        failures: u32,
    },
    /// From then on one call may find out whether the target is back. It puts
    /// the time off for the others: a probe may take long.
    Open {
        probe_at: Instant,
    },
}

/// Leave to make one call, to be handed back to [`Breaker::settle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// One of many.
    Regular,
    /// The one that finds out whether the target is back.
    Probe,
}

/// What a call showed of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// It answered, whatever it said.
    Answered,
    /// Nothing came back.
    Silent,
    /// The call was given up before it showed anything.
    Abandoned,
}

impl Breaker {
    /// A closed circuit.
    pub(super) fn new(max_failures: NonZeroU32, open: Duration) -> Self {
        Self {
            state: State::Closed { failures: 0 },
            max_failures,
            open,
        }
    }

    /// Whether a call would be let through now.
    pub(super) fn admits(&self, now: Instant) -> bool {
        match self.state {
            State::Closed { .. } => true,
            State::Open { probe_at } => probe_at <= now,
        }
    }

    /// Lets a call through, or not.
    pub(super) fn enter(&mut self, now: Instant) -> Option<Pass> {
        match self.state {
            State::Closed { .. } => Some(Pass::Regular),
            State::Open { probe_at } if probe_at <= now => {
                self.state = self.opened(now);
                Some(Pass::Probe)
            }
            State::Open { .. } => None,
        }
    }

    /// Takes note of how a call went.
    pub(super) fn settle(&mut self, pass: Pass, health: Health, now: Instant) {
        self.state = match (health, self.state, pass) {
            (Health::Answered, _, _) => State::Closed { failures: 0 },
            (Health::Silent, State::Closed { failures }, _) => {
                let failures = failures.saturating_add(1);
                if failures >= self.max_failures.get() {
                    self.opened(now)
                } else {
                    State::Closed { failures }
                }
            }
            (Health::Silent, State::Open { .. }, Pass::Probe) => self.opened(now),
            (Health::Abandoned, State::Open { .. }, Pass::Probe) => State::Open { probe_at: now },
            (_, state, _) => state,
        };
    }

    /// Closes it: the target has said by itself that it lives.
    pub(super) fn reset(&mut self) {
        self.state = State::Closed { failures: 0 };
    }

    fn opened(&self, now: Instant) -> State {
        State::Open {
            probe_at: now + self.open,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const OPEN: Duration = Duration::from_secs(2);

    /// Runs a script: `.` an answer, `x` silence, `-` given up, each of a call
    /// let through and ended at once; `!` a call that must be turned away; `~`
    /// the open time passes; `p` a call that stays under way as the probe.
    fn run(script: &str) -> Breaker {
        let mut now = crate::clock::monotonic();
        let mut breaker = Breaker::new(NonZeroU32::new(3).unwrap(), OPEN);
        for (at, step) in script.chars().enumerate() {
            let mut end = |health| {
                let pass = breaker.enter(now);
                let pass = pass.unwrap_or_else(|| panic!("turned away at {at} of {script}"));
                breaker.settle(pass, health, now);
            };
            match step {
                '.' => end(Health::Answered),
                'x' => end(Health::Silent),
                '-' => end(Health::Abandoned),
                '!' => assert_eq!(breaker.enter(now), None, "at {at} of {script}"),
                'p' => assert_eq!(breaker.enter(now), Some(Pass::Probe), "at {at} of {script}"),
                '~' => now += OPEN,
                _ => unreachable!(),
            }
        }
        breaker
    }

    #[test]
    fn opens_after_failures_in_a_row_and_closes_after_a_probe() {
        for script in [
            "xx.xx.xx.",   // never three in a row
            "xx-.xx.",     // giving up shows nothing, neither good nor bad
            "xxx!!",       // open
            "xxx!~.xx.",   // the probe is answered: closed, and counting from zero
            "xxx~x!~x!~.", // a silent probe opens it again, for the whole time
            "xxx~p!!~p!",  // one probe at a time, whether the last one has ended or not
            "xxx~-.",      // a probe given up lets the next one try at once
        ] {
            run(script);
        }
        assert!(!run("xx-x").admits(crate::clock::monotonic()));
    }

    #[test]
    fn late_news_of_earlier_calls() {
        let now = crate::clock::monotonic();
        let mut breaker = run("xxx");
        breaker.settle(Pass::Regular, Health::Silent, now + OPEN);
        let a_little_later = now + OPEN + OPEN / 2;
        assert!(breaker.admits(a_little_later), "silence does not prolong");
        breaker.settle(Pass::Regular, Health::Abandoned, now);
        assert!(!breaker.admits(now), "nor does giving up shorten");
        breaker.settle(Pass::Regular, Health::Answered, now);
        assert!(breaker.admits(now), "an answer closes");
    }

    #[test]
    fn who_says_that_he_lives_is_believed() {
        let mut breaker = run("xxx!");
        breaker.reset();
        assert!(breaker.admits(crate::clock::monotonic()));
    }
}
