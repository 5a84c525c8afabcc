//! What was prepared lately: its verdict mostly follows within moments.
//!
//! A half never gets other messages, so what is here is never wrong; what is not
//! here is read from the store. Bounded by number and by bytes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use amends_core::message::GroupName;
use amends_core::message::half::HalfId;

use crate::store::messages::HalfMessage;

/// Halves kept.
const MAX_HALVES: usize = 16_384;
/// Bytes of bodies kept.
const MAX_BYTES: usize = 32 << 20;

/// What a verdict needs to know of a half.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) producer: GroupName,
    pub(super) messages: Vec<HalfMessage>,
}

/// The halves, oldest first.
#[derive(Debug, Default)]
pub(super) struct Recent {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    known: HashMap<HalfId, Arc<Contents>>,
    /// Those that were taken out are still in here.
    order: VecDeque<HalfId>,
    bytes: usize,
}

impl Recent {
    pub(super) fn put(&self, id: HalfId, contents: Arc<Contents>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.bytes += contents.bytes();
        inner.order.push_back(id.clone());
        if let Some(before) = inner.known.insert(id, contents) {
            inner.bytes -= before.bytes();
        }
        while inner.order.len() > MAX_HALVES || inner.bytes > MAX_BYTES {
            let Some(oldest) = inner.order.pop_front() else {
                break;
            };
            inner.forget(&oldest);
        }
    }

    pub(super) fn take(&self, id: &HalfId) -> Option<Arc<Contents>> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.forget(id)
    }
}

impl Inner {
    fn forget(&mut self, id: &HalfId) -> Option<Arc<Contents>> {
        let contents = self.known.remove(id)?;
        self.bytes -= contents.bytes();
        Some(contents)
    }
}

impl Contents {
    /// Of the bodies.
    pub(super) fn bytes(&self) -> usize {
        let messages = self.messages.iter();
        messages.map(|it| it.message.payload.data().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_core::message::{Headers, Message, MessageId, MessageKey, Tag, Topic};
    use amends_core::payload::Payload;
    use amends_core::time::Timestamp;

    fn contents(bytes: usize) -> Arc<Contents> {
        let message = Message {
            id: MessageId::new("m").unwrap(),
            topic: Topic::new("t").unwrap(),
            tag: Tag::default(),
            key: MessageKey::default(),
            order_key: None,
            headers: Headers::default(),
            payload: Payload::new("text/plain", vec![0; bytes].into()),
            deliver_at: None,
            created_at: Timestamp(0),
        };
        Arc::new(Contents {
            producer: GroupName::new("shop").unwrap(),
            messages: vec![HalfMessage {
                message: Arc::new(message),
                delay: None,
            }],
        })
    }

    fn id(n: usize) -> HalfId {
        HalfId::new(&format!("h{n}")).unwrap()
    }

    #[test]
    fn the_oldest_make_room() {
        let recent = Recent::default();
        for n in 0..=MAX_HALVES {
            recent.put(id(n), contents(1));
        }
        assert!(recent.take(&id(0)).is_none());
        assert!(recent.take(&id(1)).is_some());
        assert!(recent.take(&id(1)).is_none(), "it is taken once");
        let large = id(MAX_HALVES + 1);
        recent.put(large.clone(), contents(MAX_BYTES));
        assert!(recent.take(&id(MAX_HALVES)).is_none());
        assert!(recent.take(&large).is_some());
        let inner = recent.inner.lock().unwrap();
        assert_eq!((inner.bytes, inner.known.len()), (0, 0));
    }
}
