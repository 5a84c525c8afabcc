//! Draws a history by seed, plays it, heals the world, and demands that all ends.

use rand::rngs::StdRng;
use rand::seq::IteratorRandom as _;
use rand::{Rng as _, SeedableRng as _};

use amends_core::time::Millis;

use super::super::consumers::ConsumerId;
use super::world::{LEASE, Setting, World};
use crate::messages::types::Verdict;

/// Steps of a history.
const STEPS: usize = 70;
/// Rounds after healing within which everything ends.
const HEALING: usize = 2_000;

/// Things that must have happened in some history, or the plays prove nothing.
#[derive(Debug, Default)]
pub(super) struct Rare {
    late: usize,
    crashes: usize,
    lost_offers: usize,
    lost_feeds: usize,
    dead: usize,
    spilled: usize,
}

impl Rare {
    pub(super) fn all_happened(&self, setting: &Setting) {
        let mut wanted = vec![
            ("late", self.late),
            ("crashes", self.crashes),
            ("dead", self.dead),
        ];
        if setting.external {
            wanted.push(("lost feeds", self.lost_feeds));
        } else {
            wanted.push(("lost offers", self.lost_offers));
        }
        if setting.keys > 0 {
            wanted.push(("spilled", self.spilled));
        }
        for (what, count) in wanted {
            assert!(count > 0, "{what} never happened: {self:?}");
        }
    }
}

pub(super) fn play(setting: &Setting, seed: u64, rare: &mut Rare) -> Result<(), String> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut world = World::new(Setting {
        external: setting.external,
        keys: setting.keys,
        planted: setting.planted,
    });
    let played = play_in(&mut world, setting, &mut random, rare);
    played.map_err(|wrong| format!("{wrong}, after\n{}", world.history.join("\n")))
}

fn play_in(
    world: &mut World,
    setting: &Setting,
    random: &mut StdRng,
    rare: &mut Rare,
) -> Result<(), String> {
    world.join(random.random_range(1..=4));
    for _ in 0..STEPS {
        step(world, setting, random, rare)?;
        world.act()?;
        rare.spilled += world
            .group
            .lanes
            .keys()
            .filter(|key| world.group.key_is_in_store(key))
            .count();
    }
    heal(world, random)
}

fn step(
    world: &mut World,
    setting: &Setting,
    random: &mut StdRng,
    rare: &mut Rare,
) -> Result<(), String> {
    match random.random_range(0..100) {
        0..20 => world.publish(random.random_range(0..8)),
        20..32 if setting.external => world.feed(random.random_range(1..=4)),
        20..32 => world.tell_offers(),
        32..34 if setting.external => {
            rare.lost_feeds += 1;
            world.lose_feed();
        }
        32..34 => {
            rare.lost_offers += usize::from(!world.offers.is_empty());
            world.lose_offers();
        }
        34..50 => settle_some(world, random, rare)?,
        50..66 => world.commit(random.random_bool(0.5)),
        66..80 => {
            if let Some(ix) = (0..world.reads.len()).choose(random) {
                let outcome = random.random_bool(0.9).then(|| random.random_bool(0.5));
                world.finish_read(ix, outcome);
            }
        }
        80..86 => world.pass(Millis(random.random_range(1..40))),
        86..88 => world.pass(LEASE),
        88..92 => {
            if let Some(id) = any_consumer(world, random) {
                world.keep_alive(id);
            }
        }
        92..94 => world.join(random.random_range(1..=4)),
        94..96 => {
            if let Some(id) = any_consumer(world, random) {
                world.leave(id);
            }
        }
        96..98 => world.group.look(),
        98 => {
            rare.crashes += 1;
            let (notes, traces) = (random.random_range(0..4), random.random_range(0..4));
            world.crash(notes, traces);
            world.join(random.random_range(1..=4));
        }
        _ => world.pass(Millis(3_000)),
    }
    Ok(())
}

fn any_consumer(world: &World, random: &mut StdRng) -> Option<ConsumerId> {
    world.consumers.keys().copied().choose(random)
}

fn settle_some(world: &mut World, random: &mut StdRng, rare: &mut Rare) -> Result<(), String> {
    let holds = world.consumers.iter().filter(|(_, held)| !held.is_empty());
    let Some(id) = holds.map(|(id, _)| *id).choose(random) else {
        return Ok(());
    };
    let held = &world.consumers[&id];
    let ix = random.random_range(0..held.len());
    rare.late += usize::from(held[ix].late);
    let error = "no".to_owned();
    let verdict = match random.random_range(0..10) {
        0..5 => Verdict::Done,
        5..8 => Verdict::Again { after: None, error },
        8 => Verdict::Again {
            after: Some(Millis(0)),
            error,
        },
        _ => Verdict::Dead { error },
    };
    rare.dead += usize::from(matches!(verdict, Verdict::Dead { .. }));
    world.settle(id, ix, verdict)
}

/// Nothing goes wrong any more, and a new consumer takes everything.
fn heal(world: &mut World, random: &mut StdRng) -> Result<(), String> {
    let all: Vec<ConsumerId> = world.consumers.keys().copied().collect();
    for id in all {
        world.leave(id);
    }
    world.join(3);
    world.act()?;
    for round in 0..HEALING {
        let ended = world.messages.iter().all(|it| world.ended.contains(&it.id));
        let written = world.notes.is_empty() && world.traces.is_empty();
        if ended && written && world.broker_is_empty() {
            return Ok(());
        }
        world.tell_offers();
        world.act()?;
        world.feed(4);
        world.act()?;
        while world.write_of(false).is_some() {
            world.commit(false);
            world.act()?;
        }
        while world.write_of(true).is_some() {
            world.commit(true);
            world.act()?;
        }
        for _ in 0..world.reads.len() {
            let ix = random.random_range(0..world.reads.len());
            world.finish_read(ix, Some(true));
            world.act()?;
        }
        let holder = world.consumers.iter().find(|(_, held)| !held.is_empty());
        if let Some(id) = holder.map(|(id, _)| *id) {
            world.settle(id, 0, Verdict::Done)?;
            world.act()?;
        }
        world.pass(Millis(10));
        if round.is_multiple_of(20) {
            world.group.look();
        }
        world.act()?;
    }
    let left = world
        .messages
        .iter()
        .filter(|it| !world.ended.contains(&it.id));
    let left: Vec<&str> = left.map(|it| it.id.as_str()).collect();
    Err(format!("does not end: {left:?}"))
}
