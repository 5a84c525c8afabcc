//! Receiving the messages of one group.
//!
//! One task owns two channels: the group's queue and its safety net. What is not acknowledged
//! stays with the server, at most `window` messages (and [`NET_WINDOW`] of the net).
//!
//! Guarantees: acknowledgements go out in one order, and one frame acknowledges many only where
//! all before it were acknowledged; those that come after the connection was lost are
//! dropped. The end of either stream, also a silent one when a queue was deleted, ends the feed.
//! When the feed and its acknowledger are dropped, the channels are closed rather than the consumers
//! cancelled: so what is unacknowledged goes back in its old order before others get anything.

use std::collections::BTreeSet;
use std::sync::Arc;

use amends_core::message::{GroupName, Topic};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer};
use tokio::sync::mpsc;

use super::connection::{Live, within};
use super::fault::Fault;
use super::names::Names;
use super::{envelope, topology};
use crate::broker::{Acks, Feed, Incoming};
use crate::clock::Clock;

/// Most unacknowledged messages of the safety net.
const NET_WINDOW: u16 = 16;
/// Most calls of [`Acks::ack`] that wait for the feed's task.
const ACK_QUEUE: usize = 256;

/// Begins to receive.
pub(super) async fn feed(
    live: &Arc<Live>,
    names: &Names,
    (group, topic): (&GroupName, &Topic),
    window: u16,
    clock: Arc<dyn Clock>,
) -> Result<(Feed, impl Future<Output = ()> + use<>), Fault> {
    let window = window.max(1);
    let queue = Source::open(live, names.queue(group, topic), window).await?;
    let net = Source::open(live, names.dead_queue(group, topic), NET_WINDOW).await?;
    // Room for all that can be unacknowledged: the task never waits for the receiver.
    let (sender, incoming) = mpsc::channel(usize::from(window) + usize::from(NET_WINDOW));
    let (acks, commands) = mpsc::channel(ACK_QUEUE);
    let task = Task {
        queue,
        net,
        sender,
        commands,
        topic: topic.clone(),
        clock,
        // What the channels are on stays open as long as they are.
        _live: Arc::clone(live),
    };
    let acks = Arc::new(Acknowledger(acks));
    Ok((Feed { incoming, acks }, task.run()))
}

struct Acknowledger(mpsc::Sender<Vec<u64>>);

impl Acks for Acknowledger {
    fn ack<'a>(&'a self, tokens: &'a [u64]) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            // It fails when the feed has ended: the messages come again.
            let _ = self.0.send(tokens.to_vec()).await;
        })
    }
}

/// Which of the two queues a token is about: its lowest bit. The rest is the delivery's tag.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Queue = 0,
    Net = 1,
}

struct Task {
    queue: Source,
    net: Source,
    sender: mpsc::Sender<Incoming>,
    commands: mpsc::Receiver<Vec<u64>>,
    topic: Topic,
    clock: Arc<dyn Clock>,
    _live: Arc<Live>,
}

impl Task {
    async fn run(mut self) {
        let why = loop {
            let going_on = tokio::select! {
                command = self.commands.recv() => match command {
                    Some(tokens) => self.acknowledge(tokens).await,
                    None => break None, // Nobody is left who could acknowledge anything.
                },
                delivery = self.queue.next() => self.pass_on(Origin::Queue, delivery),
                delivery = self.net.next() => self.pass_on(Origin::Net, delivery),
            };
            if let Err(why) = going_on {
                break Some(why);
            }
        };
        if let Some(why) = why {
            tracing::warn!(topic = %self.topic, "a group's messages no longer come in: {why}");
        }
        self.queue.close().await;
        self.net.close().await;
    }

    fn pass_on(
        &mut self,
        origin: Origin,
        delivery: Option<lapin::Result<Delivery>>,
    ) -> Result<(), String> {
        let delivery = match delivery {
            Some(Ok(delivery)) => delivery,
            Some(Err(error)) => return Err(error.to_string()),
            None => return Err("its queue is gone or the connection is lost".to_owned()),
        };
        let tag = delivery.delivery_tag;
        // What comes by the net was given out before, too often.
        let redelivered = delivery.redelivered || matches!(origin, Origin::Net);
        let now = self.clock.now();
        let message = match origin {
            Origin::Queue => envelope::read(delivery, &self.topic, now),
            Origin::Net => Err(envelope::read_dead(delivery, &self.topic, now)),
        };
        self.source(origin).unacknowledged.insert(tag);
        let token = tag << 1 | origin as u64;
        let incoming = Incoming {
            message,
            token,
            redelivered,
        };
        match self.sender.try_send(incoming) {
            // Closed: nobody receives any more, but what was received may yet be acknowledged.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => {
                Err("the server sends more than it was asked for".to_owned())
            }
        }
    }

    /// Acknowledges these, and with them all that wait to be.
    async fn acknowledge(&mut self, mut tokens: Vec<u64>) -> Result<(), String> {
        while let Ok(more) = self.commands.try_recv() {
            tokens.extend(more);
        }
        for origin in [Origin::Queue, Origin::Net] {
            let of_origin = |token: &&u64| **token & 1 == origin as u64;
            let tags = tokens.iter().filter(of_origin).map(|token| token >> 1);
            let tags = tags.collect();
            let source = self.source(origin);
            for ack in plan(&mut source.unacknowledged, tags) {
                let options = BasicAckOptions {
                    multiple: ack.multiple,
                };
                let sent = within(source.channel.basic_ack(ack.tag, options)).await;
                sent.map_err(|fault| fault.to_string())?;
            }
        }
        Ok(())
    }

    fn source(&mut self, origin: Origin) -> &mut Source {
        match origin {
            Origin::Queue => &mut self.queue,
            Origin::Net => &mut self.net,
        }
    }
}

/// A queue that is being received from, on a channel of its own: so tags come in their order.
struct Source {
    channel: Channel,
    consumer: Consumer,
    unacknowledged: BTreeSet<u64>,
}

impl Source {
    async fn open(live: &Live, queue: ShortString, window: u16) -> Result<Self, Fault> {
        let channel = live.channel().await?;
        within(channel.basic_qos(window, BasicQosOptions::default())).await?;
        let consumer = channel.basic_consume(
            queue,
            ShortString::default(), // The server chooses its name.
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let consumer = within(consumer).await?;
        Ok(Self {
            channel,
            consumer,
            unacknowledged: BTreeSet::new(),
        })
    }

    async fn next(&mut self) -> Option<lapin::Result<Delivery>> {
        self.consumer.next().await
    }

    async fn close(&self) {
        topology::close(&self.channel).await;
    }
}

/// One frame.
#[derive(Debug, PartialEq, Eq)]
struct Ack {
    tag: u64,
    /// Everything up to it too.
    multiple: bool,
}

/// The fewest frames that acknowledge these tags and nothing else; they are taken off the
/// unacknowledged ones. Tags that are not among those are not acknowledged again: the server
/// would close the channel.
fn plan(unacknowledged: &mut BTreeSet<u64>, tags: Vec<u64>) -> Vec<Ack> {
    let acknowledged: BTreeSet<u64> = tags
        .into_iter()
        .filter(|tag| unacknowledged.remove(tag))
        .collect();
    let oldest_left = unacknowledged.first().copied().unwrap_or(u64::MAX);
    let up_to = acknowledged.range(..oldest_left).next_back().copied();
    let first = up_to.map(|tag| Ack {
        tag,
        multiple: acknowledged.range(..tag).next().is_some(),
    });
    let single = |tag: &u64| Ack {
        tag: *tag,
        multiple: false,
    };
    let beyond = acknowledged.range(oldest_left..).map(single);
    first.into_iter().chain(beyond).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_frame_acknowledges_many_only_up_to_the_first_that_is_open() {
        let check = |open: &[u64], tags: &[u64], expected: &[(u64, bool)], left: &[u64]| {
            let mut open: BTreeSet<u64> = open.iter().copied().collect();
            let acks = plan(&mut open, tags.to_vec());
            let acks: Vec<(u64, bool)> = acks.iter().map(|ack| (ack.tag, ack.multiple)).collect();
            assert_eq!(acks, expected);
            assert!(open.iter().eq(left), "{open:?}");
        };
        check(&[1, 2, 3], &[3, 1, 2], &[(3, true)], &[]);
        check(&[1, 2, 3], &[1], &[(1, false)], &[2, 3]);
        check(&[1, 2, 3, 4], &[4, 2, 1], &[(2, true), (4, false)], &[3]);
        check(&[1, 2, 3], &[2, 3], &[(2, false), (3, false)], &[1]);
        check(&[4, 5], &[1, 4, 4, 9], &[(4, false)], &[5]);
        check(&[], &[1], &[], &[]);
    }
}
