//! Handlers of messages as a service describes them, types erased.

use std::sync::Arc;

use amends_proto::v1;
use futures_util::future::BoxFuture;

use super::{Message, MessageBody, MessageCx, Subscription};
use crate::{Conn, ServiceBuilder, StepError, StepResult};

/// The code with which a message is given up whose body cannot be read.
pub const BODY_INVALID: &str = "BODY_INVALID";

/// A handler with effects in the service's own database.
pub type LocalMessage<S, T> =
    for<'a> fn(&'a S, &'a mut Conn, Message<T>) -> BoxFuture<'a, StepResult<()>>;

/// A handler with effects elsewhere. It can run more than once for one message.
pub type ExternalMessage<S, T> =
    for<'a> fn(&'a S, &'a MessageCx, Message<T>) -> BoxFuture<'a, StepResult<()>>;

pub(crate) type LocalHandler =
    Box<dyn for<'a> Fn(&'a mut Conn, Delivered) -> BoxFuture<'a, StepResult<()>> + Send + Sync>;
pub(crate) type ExternalHandler =
    Box<dyn for<'a> Fn(&'a MessageCx, Delivered) -> BoxFuture<'a, StepResult<()>> + Send + Sync>;

/// A message as it came, with the number of the attempt.
type Delivered = (v1::Message, u32);

/// A handler and what it wants.
pub(crate) struct MessageDef {
    pub(crate) subscription: Subscription,
    pub(crate) handler: MessageHandler,
}

/// The code of a handler, types erased.
pub(crate) enum MessageHandler {
    Local(LocalHandler),
    External(ExternalHandler),
}

impl<S: Send + Sync + 'static> ServiceBuilder<S> {
    /// Adds a handler of messages whose effects are in the service's own
    /// database: one local transaction holds the row of the consumer log and
    /// what the handler writes, and the message is settled after its commit.
    /// So it takes effect once, however often it is delivered.
    ///
    /// `Ok` settles it; a refusal ([`reject!`](crate::reject)) makes it a dead
    /// letter; [`StepError::InProgress`] is tried again after the time it
    /// names; any other error and a panic are tried again by the schedule.
    /// A body that is no `T` makes it a dead letter at once.
    ///
    /// A group has one handler per topic.
    pub fn on_message<T: MessageBody>(
        mut self,
        subscription: Subscription,
        handler: LocalMessage<S, T>,
    ) -> Self {
        let service = Arc::clone(&self.service);
        let handler: LocalHandler = Box::new(move |conn, delivered| {
            let service = Arc::clone(&service);
            Box::pin(async move { handler(&service, conn, decode(delivered)?).await })
        });
        self.add_message(subscription, MessageHandler::Local(handler));
        self
    }

    /// Adds a handler of messages whose effects are elsewhere. What it answers
    /// means the same as in [`on_message`](Self::on_message), but the handler
    /// runs again when its process dies between the effect and the settlement;
    /// hand [`MessageCx::idempotency_key`] to whoever can recognise a repetition.
    pub fn on_message_external<T: MessageBody>(
        mut self,
        subscription: Subscription,
        handler: ExternalMessage<S, T>,
    ) -> Self {
        let service = Arc::clone(&self.service);
        let handler: ExternalHandler = Box::new(move |cx, delivered| {
            let service = Arc::clone(&service);
            Box::pin(async move { handler(&service, cx, decode(delivered)?).await })
        });
        self.add_message(subscription, MessageHandler::External(handler));
        self
    }

    fn add_message(&mut self, subscription: Subscription, handler: MessageHandler) {
        let subscription = subscription.or_group(self.def.name());
        self.def.messages.push(MessageDef {
            subscription,
            handler,
        });
    }
}

// Nothing will ever make an unreadable body readable: a refusal, not unknown.
fn decode<T: MessageBody>((message, attempt): Delivered) -> StepResult<Message<T>> {
    let payload = message.payload.unwrap_or_default();
    let body = T::decode(&payload.content_type, &payload.data).map_err(|error| {
        let wanted = std::any::type_name::<T>();
        StepError::refused(BODY_INVALID, format!("the body is no {wanted}: {error}"))
    })?;
    Ok(Message {
        id: message.id,
        topic: message.topic,
        tag: message.tag,
        key: message.key,
        order_key: message.order_key,
        headers: message.headers,
        attempt,
        body,
    })
}
