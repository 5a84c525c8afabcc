//! The dispatcher's decisions, played against a small world: a store, a broker, consumers
//! and a clock, all in memory, with writes and reads that take their time, feeds and
//! offers that are lost, consumers that vanish, and crashes.
//!
//! Histories are drawn by seed. After each step [`world::World`] checks what must always hold; at the
//! end everything is healed, and then every message must have ended.
//!
//! To see a defence at work, take it away: each [`Bug`] is planted by a test
//! below, which demands that the world finds it, and for what it is.

mod play;
mod store;
mod world;

use play::play;
use world::Setting;

/// A defence taken away on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    /// The token of a lease that is over still counts.
    LateSettlementCounts,
    /// The broker is told that a failed message is safe before it is in the store.
    AcknowledgedBeforeDurable,
}

/// Histories of each kind.
const HISTORIES: u64 = 1_500;

fn setting(external: bool, keys: usize) -> Setting {
    Setting {
        external,
        keys,
        planted: None,
    }
}

#[test]
fn messages_of_the_store_without_keys() {
    sound(&setting(false, 0));
}

#[test]
fn messages_of_the_store_with_keys() {
    sound(&setting(false, 2));
}

#[test]
fn messages_of_a_broker_without_keys() {
    sound(&setting(true, 0));
}

#[test]
fn messages_of_a_broker_with_keys() {
    sound(&setting(true, 2));
}

#[test]
fn a_late_settlement_that_counts_is_found() {
    let planted = Setting {
        planted: Some(Bug::LateSettlementCounts),
        ..setting(false, 2)
    };
    found(&planted, "counted, although its lease was over");
}

#[test]
fn an_acknowledgement_before_the_commit_is_found() {
    let planted = Setting {
        planted: Some(Bug::AcknowledgedBeforeDurable),
        ..setting(true, 2)
    };
    found(
        &planted,
        "acknowledged, although the store does not have it",
    );
}

fn sound(setting: &Setting) {
    let mut rare = play::Rare::default();
    for seed in 0..HISTORIES {
        if let Err(wrong) = play(setting, seed, &mut rare) {
            panic!("seed {seed}: {wrong}");
        }
    }
    rare.all_happened(setting);
}

fn found(planted: &Setting, expected: &str) {
    let mut rare = play::Rare::default();
    let wrong = (0..HISTORIES).find_map(|seed| play(planted, seed, &mut rare).err());
    let wrong = wrong.expect("the bug is found");
    assert!(wrong.contains(expected), "found as {wrong:?}");
}
