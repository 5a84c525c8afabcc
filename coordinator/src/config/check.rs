//! Rules about values that must fit together.

use std::time::Duration;

use super::error::Problem;
use super::schema::{Config, Half};

/// Most shards: far above the cores of any machine.
const MAX_SHARDS: u32 = 1_024;
/// Most lanes to a broker: each is a channel, of which a server allows 2,047 by default.
const MAX_LANES: u32 = 64;
/// The longest time to a check, and between checks.
const MAX_CHECK_WAIT: Duration = Duration::from_secs(366 * 24 * 3_600);
/// Longest time that an answer to a check is waited for.
const MAX_CHECK_TIMEOUT: Duration = Duration::from_secs(300);
/// Most checks of one half message.
const MAX_CHECKS: u32 = 10_000;
/// Most checks of one group under way.
const MAX_CHECKS_IN_FLIGHT: u32 = 256;
/// Longest heartbeat that is of any use.
const MAX_HEARTBEAT: Duration = Duration::from_secs(600);

/// Adds a problem for each rule that is broken.
pub(super) fn check(config: &Config, problems: &mut Vec<Problem>) {
    let mut rule = |holds: bool, text: String| {
        if !holds {
            problems.push(Problem::Conflict(text));
        }
    };
    let server = &config.server;
    rule(
        server.tls_cert.is_some() == server.tls_key.is_some(),
        "server.tls_cert and server.tls_key go together: set both or none".to_owned(),
    );
    rule(
        server.tls_client_ca.is_none() || server.tls_cert.is_some(),
        "server.tls_client_ca needs server.tls_cert and server.tls_key".to_owned(),
    );
    rule(
        server.listen.ip().is_loopback() || server.tls_cert.is_some() || server.insecure,
        format!(
            "server.listen: {} can be reached by others and TLS is off; set server.tls_cert and server.tls_key, \
             or write server.insecure = true",
            server.listen
        ),
    );
    for (key, time) in [
        ("engine.evict_after", config.engine.evict_after),
        (
            "participants.heartbeat_interval",
            config.participants.heartbeat_interval,
        ),
        (
            "participants.breaker_open",
            config.participants.breaker_open,
        ),
        ("retention.interval", config.retention.interval),
    ] {
        rule(
            time > Duration::ZERO,
            format!("{key}: must be longer than 0s"),
        );
    }
    half(&config.half, &mut rule);
    rule(
        config.broker.heartbeat.as_secs() > 0 && config.broker.heartbeat <= MAX_HEARTBEAT,
        format!("broker.heartbeat: must be from 1s to {MAX_HEARTBEAT:?}"),
    );
    rule(
        config.broker.lanes.get() <= MAX_LANES,
        format!("broker.lanes: must be at most {MAX_LANES}"),
    );
    rule(
        config.engine.shards <= MAX_SHARDS,
        format!("engine.shards: must be at most {MAX_SHARDS}"),
    );
    rule(
        config.participants.lease > config.participants.heartbeat_interval,
        "participants.lease must be longer than participants.heartbeat_interval".to_owned(),
    );
}

fn half(half: &Half, rule: &mut impl FnMut(bool, String)) {
    for (key, time, most) in [
        ("half.check_after", half.check_after, MAX_CHECK_WAIT),
        ("half.check_interval", half.check_interval, MAX_CHECK_WAIT),
        ("half.check_timeout", half.check_timeout, MAX_CHECK_TIMEOUT),
    ] {
        rule(
            time > Duration::ZERO && time <= most,
            format!("{key}: must be longer than 0s and at most {most:?}"),
        );
    }
    for (key, number, most) in [
        ("half.max_checks", half.max_checks, MAX_CHECKS),
        (
            "half.checks_in_flight",
            half.checks_in_flight,
            MAX_CHECKS_IN_FLIGHT,
        ),
    ] {
        rule(
            number.get() <= most,
            format!("{key}: must be at most {most}"),
        );
    }
}
