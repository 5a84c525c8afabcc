//! Who takes messages of a group: credit, leases, and tokens that outlived theirs.

use std::collections::{BTreeMap, HashMap};

use amends_core::message::MessageId;
use amends_core::time::Millis;

use crate::messages::options::MAX_CREDIT;

/// Names a consumer among all of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::messages) struct ConsumerId(pub(in crate::messages) u64);

/// What a token stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// The consumer has this message.
    Holds(MessageId),
    /// It had a message, or never had one.
    Stale,
}

#[derive(Debug)]
struct Lease {
    id: MessageId,
    until: Millis,
}

#[derive(Debug, Default)]
struct Consumer {
    credit: u32,
    last_token: u64,
    /// By token, so the earliest to end come first.
    leases: BTreeMap<u64, Lease>,
    /// Leases that ended before the consumer settled: it is still at work on them, so
    /// each goes on costing a credit until it says something.
    ended: BTreeMap<u64, MessageId>,
    kept_until: Millis,
}

/// The consumers of one group and topic.
#[derive(Debug, Default)]
pub(super) struct Consumers {
    by_id: BTreeMap<ConsumerId, Consumer>,
    /// Who was served last.
    last: Option<ConsumerId>,
    /// Who has which message, for those that ask.
    leased: HashMap<MessageId, ConsumerId>,
    #[cfg(test)]
    pub(super) planted: Option<super::model::Bug>,
}

impl Consumers {
    pub(super) fn join(&mut self, id: ConsumerId, credit: u32) {
        let consumer = Consumer {
            credit: credit.min(MAX_CREDIT),
            ..Consumer::default()
        };
        self.by_id.insert(id, consumer);
    }

    /// What it had, in the order in which it was given.
    pub(super) fn leave(&mut self, id: ConsumerId) -> Vec<MessageId> {
        let Some(consumer) = self.by_id.remove(&id) else {
            return Vec::new();
        };
        let held: Vec<_> = consumer
            .leases
            .into_values()
            .map(|lease| lease.id)
            .collect();
        for id in &held {
            self.leased.remove(id);
        }
        held
    }

    /// False when it would have more than [`MAX_CREDIT`], or is not there.
    pub(super) fn add_credit(&mut self, id: ConsumerId, more: u32) -> bool {
        let Some(consumer) = self.by_id.get_mut(&id) else {
            return false;
        };
        let used = consumer.leases.len() + consumer.ended.len();
        let all = u64::from(consumer.credit) + u64::from(more) + used as u64;
        if all > u64::from(MAX_CREDIT) {
            return false;
        }
        consumer.credit += more;
        true
    }

    pub(super) fn keep_alive(&mut self, id: ConsumerId, until: Millis) {
        if let Some(consumer) = self.by_id.get_mut(&id) {
            consumer.kept_until = until;
        }
    }

    /// The next in turn that has credit, with that credit and how many have some.
    pub(super) fn next(&mut self) -> Option<(ConsumerId, u32, usize)> {
        let with_credit = |(id, consumer): (&ConsumerId, &Consumer)| {
            (consumer.credit > 0).then_some((*id, consumer.credit))
        };
        let last = self.last.unwrap_or(ConsumerId(0));
        let after = (std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded);
        let (id, credit) = self
            .by_id
            .range(after)
            .chain(self.by_id.range(..=last))
            .find_map(with_credit)?;
        self.last = Some(id);
        let count = self.by_id.values().filter(|it| it.credit > 0).count();
        Some((id, credit, count))
    }

    /// Gives a message to a consumer that has credit; the token it gets.
    pub(super) fn lease(&mut self, to: ConsumerId, id: &MessageId, until: Millis) -> Option<u64> {
        let consumer = self.by_id.get_mut(&to)?;
        consumer.credit = consumer.credit.checked_sub(1)?;
        consumer.last_token += 1;
        let id = id.clone();
        self.leased.insert(id.clone(), to);
        let token = consumer.last_token;
        consumer.leases.insert(token, Lease { id, until });
        Some(token)
    }

    /// Takes a token back. Each is worth one credit, once.
    pub(super) fn settle(&mut self, by: ConsumerId, token: u64) -> Token {
        let Some(consumer) = self.by_id.get_mut(&by) else {
            return Token::Stale;
        };
        if let Some(lease) = consumer.leases.remove(&token) {
            consumer.credit += 1;
            self.leased.remove(&lease.id);
            return Token::Holds(lease.id);
        }
        if let Some(_id) = consumer.ended.remove(&token) {
            consumer.credit += 1;
            #[cfg(test)]
            if self.planted == Some(super::model::Bug::LateSettlementCounts) {
                return Token::Holds(_id);
            }
        }
        Token::Stale
    }

    /// Messages whose lease is over now.
    pub(super) fn expire(&mut self, now: Millis) -> Vec<MessageId> {
        let mut over = Vec::new();
        for consumer in self.by_id.values_mut() {
            if consumer.kept_until > now {
                continue;
            }
            while let Some(first) = consumer.leases.first_entry()
                && first.get().until <= now
            {
                let (token, lease) = first.remove_entry();
                consumer.ended.insert(token, lease.id.clone());
                self.leased.remove(&lease.id);
                over.push(lease.id);
            }
        }
        over
    }

    /// When the next lease ends.
    pub(super) fn next_expiry(&self) -> Option<Millis> {
        let first = |consumer: &Consumer| {
            let (_, lease) = consumer.leases.first_key_value()?;
            Some(lease.until.max(consumer.kept_until))
        };
        self.by_id.values().filter_map(first).min()
    }

    pub(super) fn holds(&self, id: &MessageId) -> bool {
        self.leased.contains_key(id)
    }

    pub(super) fn leased(&self) -> usize {
        self.leased.len()
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> MessageId {
        MessageId::new(text).unwrap()
    }

    #[test]
    fn a_token_counts_once_and_only_while_its_lease_lasts() {
        let (a, mut all) = (ConsumerId(1), Consumers::default());
        all.join(a, 2);
        let first = all.lease(a, &id("m1"), Millis(10)).unwrap();
        let second = all.lease(a, &id("m2"), Millis(20)).unwrap();
        assert_eq!(all.lease(a, &id("m3"), Millis(20)), None, "no credit");
        assert_eq!(all.expire(Millis(10)), [id("m1")]);
        assert_eq!(all.next(), None, "who is late is not given more");
        assert_eq!(all.settle(a, first), Token::Stale);
        assert_eq!(all.next(), Some((a, 1, 1)), "it is free again");
        assert_eq!(all.settle(a, first), Token::Stale);
        assert_eq!(all.next(), Some((a, 1, 1)), "a token is worth one credit");
        assert_eq!(all.settle(a, second), Token::Holds(id("m2")));
        assert_eq!(all.settle(a, second), Token::Stale);
        assert_eq!(all.settle(a, 99), Token::Stale);
    }

    #[test]
    fn a_sign_of_life_extends_all_leases() {
        let (a, mut all) = (ConsumerId(1), Consumers::default());
        all.join(a, 2);
        all.lease(a, &id("m1"), Millis(10)).unwrap();
        all.keep_alive(a, Millis(50));
        assert_eq!(all.next_expiry(), Some(Millis(50)));
        assert!(all.expire(Millis(49)).is_empty());
        assert_eq!(all.expire(Millis(50)), [id("m1")]);
    }

    #[test]
    fn consumers_take_turns() {
        let mut all = Consumers::default();
        for n in 1..=3 {
            all.join(ConsumerId(n), 1);
        }
        let turns: Vec<u64> = (0..4).map(|_| all.next().unwrap().0.0).collect();
        assert_eq!(turns, [1, 2, 3, 1]);
    }

    #[test]
    fn credit_has_a_bound() {
        let (a, mut all) = (ConsumerId(1), Consumers::default());
        all.join(a, MAX_CREDIT - 1);
        all.lease(a, &id("m1"), Millis(10)).unwrap();
        assert!(all.add_credit(a, 1));
        assert!(!all.add_credit(a, 1));
        assert!(!all.add_credit(a, u32::MAX));
    }
}
