//! What things are called at the broker.
//!
//! | what | name |
//! |---|---|
//! | exchange of a topic | `amends.<topic>` |
//! | queue of a group on a topic | `amends.<topic>:<group>` |
//! | its safety net | `dead.<group>:<topic>` |
//! | exchange that leads to the nets | `amends-dead-letters` |
//!
//! A colon is in no topic, so no two pairs share a name. The broker takes 255 bytes: a longer
//! name is cut and gets the hash of the whole at its end. Topics and tags always fit.
//!
//! With a prefix `P` each name begins with `P/`. What has none begins otherwise, because a prefix has no dot.

use amends_core::message::{GroupName, Topic};
use lapin::types::ShortString;
use sha2::{Digest as _, Sha256};

/// Longest name that a broker takes, in bytes.
const MAX_BYTES: usize = 255;
/// Bytes of the hash that stand for what was cut off.
const HASH_BYTES: usize = 16;

const DEAD_EXCHANGE: &str = "amends-dead-letters";
const TOPIC_PREFIX: &str = "amends.";

/// The names of one store's topics and groups.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// With its slash; empty where there is none.
    prefix: String,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        let prefix = match prefix {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        Self { prefix }
    }

    /// Where dead-lettered messages go, routed by the name of the net.
    pub(super) fn dead_exchange(&self) -> ShortString {
        self.name(DEAD_EXCHANGE)
    }

    /// The exchange of a topic.
    pub(super) fn exchange(&self, topic: &Topic) -> ShortString {
        self.name(&format!("{TOPIC_PREFIX}{topic}"))
    }

    /// The queue of a group on a topic.
    pub(super) fn queue(&self, group: &GroupName, topic: &Topic) -> ShortString {
        self.name(&format!("{TOPIC_PREFIX}{topic}:{group}"))
    }

    /// Where messages go that the group's queue gave up.
    pub(super) fn dead_queue(&self, group: &GroupName, topic: &Topic) -> ShortString {
        self.name(&format!("dead.{group}:{topic}"))
    }

    fn name(&self, name: &str) -> ShortString {
        fitting(format!("{}{name}", self.prefix))
    }
}

/// A text as the short kind of the protocol, cut where it is too long.
pub(super) fn fitting(name: String) -> ShortString {
    let name = if name.len() <= MAX_BYTES {
        name
    } else {
        let hash = Sha256::digest(name.as_bytes());
        let hash: String = hash[..HASH_BYTES]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let mut end = MAX_BYTES - hash.len() - 1;
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        format!("{}~{hash}", &name[..end])
    };
    ShortString::try_new(name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_never_shared() {
        let topic = Topic::new("shop.orders").unwrap();
        let group = GroupName::new("mail@host-1").unwrap();
        let names = Names::default();
        assert_eq!(names.exchange(&topic).as_str(), "amends.shop.orders");
        // A topic of that name has another exchange.
        let dead_letters = names.exchange(&Topic::new("dead-letters").unwrap());
        assert_ne!(dead_letters, names.dead_exchange());
        assert_eq!(
            names.queue(&group, &topic).as_str(),
            "amends.shop.orders:mail@host-1"
        );
        assert_eq!(
            names.dead_queue(&group, &topic).as_str(),
            "dead.mail@host-1:shop.orders"
        );
        let eu = Names::new("eu");
        assert_eq!(eu.exchange(&topic).as_str(), "eu/amends.shop.orders");
        assert_eq!(eu.dead_exchange().as_str(), "eu/amends-dead-letters");
        // The dot is in both: without the colon these two would be one queue.
        let (a, b) = (Topic::new("a").unwrap(), Topic::new("a.b").unwrap());
        let (bc, c) = (GroupName::new("b.c").unwrap(), GroupName::new("c").unwrap());
        assert_ne!(names.queue(&bc, &a), names.queue(&c, &b));
    }

    #[test]
    fn long_names_fit_and_stay_apart() {
        let topic = Topic::new(&"t".repeat(128)).unwrap();
        let group = |end: char| {
            let name = format!("{}@{}{end}", "g".repeat(128), "i".repeat(127));
            GroupName::new(&name).unwrap()
        };
        let names = Names::default();
        let (one, other) = (
            names.queue(&group('1'), &topic),
            names.queue(&group('2'), &topic),
        );
        assert_eq!(one.as_str().len(), MAX_BYTES);
        assert_ne!(one, other);
        let net = names.dead_queue(&group('1'), &topic);
        assert_eq!(net.as_str().len(), MAX_BYTES);
        assert_eq!(names.exchange(&topic).as_str().len(), 135);
    }
}
