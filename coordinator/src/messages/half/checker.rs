//! Asks producer groups about the halves that wait for their verdicts too long.
//!
//! What is due is read from the store, so a restart forgets nothing. Each group has
//! a bounded number of questions under way, and a slow one delays nobody else. A
//! group without a live instance is not asked: that is an alarm, and costs no check.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use amends_core::message::GroupName;
use amends_core::message::half::HalfId;
use amends_core::time::{Millis, Timestamp};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::Halves;
use super::check::Way;
use crate::store::messages::ChecksDue;

/// How often to look for what came in by other ways.
const POLL: Duration = Duration::from_secs(1);
/// How often an alarm is repeated in the log.
const ALARM_EVERY: Millis = Millis::from_secs(60);

/// What a check is about.
type About = (GroupName, HalfId);

/// Asks until it is stopped.
struct Checker {
    halves: Halves,
    /// Tasks of their own: in this one they would not be polled while it waits for the store,
    /// and could hold what it waits for.
    running: JoinSet<()>,
    /// What they are about.
    about: HashMap<Id, About>,
    groups: HashMap<GroupName, Group>,
    /// Groups without a live instance, and when that was last logged.
    silent: BTreeMap<GroupName, Timestamp>,
}

#[derive(Default)]
struct Group {
    under_way: HashSet<HalfId>,
    /// There may be more that are due.
    more: bool,
}

impl Halves {
    /// Asks what is due until the token is cancelled; then questions under way are given up.
    pub async fn check_until(self, stop: CancellationToken) {
        let mut checker = Checker {
            halves: self,
            running: JoinSet::new(),
            about: HashMap::new(),
            groups: HashMap::new(),
            silent: BTreeMap::new(),
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = checker.run() => {}
        }
    }
}

impl Checker {
    async fn run(&mut self) {
        let mut nap = Duration::ZERO;
        loop {
            let halves = self.halves.clone();
            tokio::select! {
                Some(ended) = self.running.join_next_with_id() => {
                    self.ended(ended).await;
                    continue;
                }
                () = halves.shared.wake.notified() => {}
                () = tokio::time::sleep(nap) => {}
            }
            nap = self.look().await;
        }
    }

    /// Looks at all groups. How long nothing more is due.
    async fn look(&mut self) -> Duration {
        let inner = &self.halves.messages.inner;
        let awaited = match inner.store.awaited_producers().await {
            Ok(awaited) => awaited,
            Err(error) => {
                tracing::warn!(%error, "cannot read which half messages wait for their producers; trying again");
                return POLL;
            }
        };
        let now = inner.clock.now();
        let mut nap = POLL;
        let mut silent = Vec::new();
        for (producer, earliest) in awaited {
            if earliest > now {
                nap = nap.min(earliest.since(now).into());
            } else if self.halves.instances(&producer).is_empty() {
                silent.push(producer);
            } else {
                self.ask(&producer, now).await;
            }
        }
        self.alarm(silent, now);
        nap
    }

    /// A check has ended, and perhaps more: goes on with their groups once half of
    /// their places are free, so that a read brings several.
    async fn ended(&mut self, first: Result<(Id, ()), JoinError>) {
        let mut next = Some(first);
        let mut groups = HashSet::new();
        while let Some(ended) = next {
            let task = ended.map_or_else(|error| error.id(), |(task, ())| task);
            if let Some((producer, half)) = self.about.remove(&task) {
                if let Some(group) = self.groups.get_mut(&producer) {
                    group.under_way.remove(&half);
                }
                groups.insert(producer);
            }
            next = self.running.try_join_next_with_id();
        }
        let now = self.halves.messages.inner.clock.now();
        let most = self.halves.options.checks_in_flight;
        for producer in groups {
            let Some(group) = self.groups.get(&producer) else {
                continue;
            };
            let under_way = group.under_way.len();
            if group.more && under_way <= most / 2 {
                self.ask(&producer, now).await;
            } else if !group.more && under_way == 0 {
                self.groups.remove(&producer);
            }
        }
    }

    /// Asks a group what is due, as far as it has places.
    async fn ask(&mut self, producer: &GroupName, now: Timestamp) {
        let halves = &self.halves;
        let most = halves.options.checks_in_flight;
        let group = self.groups.entry(producer.clone()).or_default();
        if group.under_way.len() >= most {
            group.more = true;
            return;
        }
        let which = ChecksDue {
            producer: producer.clone(),
            until: now,
            after: None,
            // Those under way are still due.
            limit: u32::try_from(group.under_way.len() + most).unwrap_or(u32::MAX),
        };
        let due = match halves.messages.inner.store.checks_due(&which).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "cannot read which half messages are to be checked; trying again");
                return;
            }
        };
        group.more = due.len() >= which.limit as usize;
        for first in due {
            let Some(half) = first.half.as_ref().map(|half| half.id.clone()) else {
                continue;
            };
            if group.under_way.contains(&half) {
                continue;
            }
            let way = match group.under_way.len() < most {
                true => Way::to(halves, producer),
                false => None,
            };
            let Some(way) = way else {
                group.more = true;
                return;
            };
            group.under_way.insert(half.clone());
            let about = (producer.clone(), half.clone());
            let halves = halves.clone();
            let task = self
                .running
                .spawn(async move { halves.check(&half, way).await });
            self.about.insert(task.id(), about);
        }
    }

    /// Groups that nobody can be asked of: told to people, and to whoever asks for the status.
    fn alarm(&mut self, silent: Vec<GroupName>, now: Timestamp) {
        let known = |producer: &GroupName| silent.contains(producer);
        self.silent.retain(|producer, _| known(producer));
        for producer in &silent {
            let last = self.silent.get(producer);
            if last.is_none_or(|last| now.since(*last) >= ALARM_EVERY) {
                tracing::error!(%producer, "half messages wait for a producer group that has no live instance; no check is spent meanwhile");
                self.silent.insert(producer.clone(), now);
            }
        }
        self.halves.shared.silent.send_if_modified(|was| {
            let is_news = *was != silent;
            *was = silent;
            is_news
        });
    }
}
