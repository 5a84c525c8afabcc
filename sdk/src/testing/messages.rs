//! Handlers of messages against what happens to messages: they come twice,
//! at once, after a failure, in another order.

use std::fmt::{Debug, Display};
use std::sync::Arc;
use std::time::Duration;

use amends_proto::v1;

use crate::consumer_log::{self, Arrival, Fault};
use crate::message::{MessageDef, NewMessage};
use crate::{Conn, Database, Seen, Service, ServiceDef, StepError, StepResult};

/// Most messages whose orders are tried: 5 have 120.
const MAX_ORDERED: usize = 5;

/// A service whose handlers are tested; see [`messages`].
#[derive(Debug)]
pub struct Messages {
    database: Database,
    service: ServiceDef,
    group: Option<String>,
}

/// What a handler made of a delivery, and what a coordinator would be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handled {
    /// The handler ran, and what it wrote is committed.
    First,
    /// It was handled before; nothing was called.
    Before,
    /// Tried again: after this time, or by the schedule.
    Again(Option<Duration>, String),
    /// A dead letter.
    Dead(String),
}

/// In which way the handler broke its promise. Prints readably with `{}` and
/// `{:?}`, so that `?` and `unwrap` in a test show it.
#[derive(thiserror::Error)]
#[error("the handler of `{topic}` breaks its promise: {broken}")]
pub struct MessagesFailure {
    topic: String,
    broken: String,
}

impl Debug for MessagesFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Display::fmt(self, f)
    }
}

/// Hands messages to the handlers of a service through the consumer log, as a
/// participant does, without any server:
///
/// ```
/// # use std::sync::Arc;
/// # use amends::{args, Conn, Database, Message, NewMessage, Service, ServiceBuilder, ServiceDef, StepResult, Subscription};
/// # struct Points;
/// # impl Service for Points {
/// #     const NAME: &'static str = "points";
/// #     fn define(self: Arc<Self>) -> ServiceDef {
/// #         ServiceBuilder::new(Self::NAME, self).on_message(
/// #             Subscription::to("payTopic"),
/// #             |_, conn, msg: Message<i64>| Box::pin(async move {
/// #                 conn.execute("update account set n = n + ?", args![msg.body]).await?; Ok(()) }),
/// #         ).build()
/// #     }
/// # }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let database = Database::connect("sqlite::memory:").await?;
/// # let mut conn = database.begin().await?;
/// # conn.execute_text("create table account (n integer); insert into account values (0)").await?;
/// # conn.commit().await?;
/// async fn points(conn: &mut Conn) -> StepResult<i64> {
///     Ok(conn.fetch_one("select n from account", args![]).await?.at(0)?)
/// }
/// amends::testing::messages(&database, Points)
///     .takes_effect_once(NewMessage::new("payTopic", &5), async |conn| points(conn).await)
///     .await?;
/// # Ok(()) }
/// ```
///
/// The SDK's tables must be there, see [`Database::create_tables_if_missing`];
/// the checks create them. Use a database for testing.
pub fn messages<S: Service>(database: &Database, service: S) -> Messages {
    Messages {
        database: database.clone(),
        service: Arc::new(service).define(),
        group: None,
    }
}

impl Messages {
    /// Chooses among the handlers of one topic by their group.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Delivers a message once. Filters are the coordinator's: they are not asked.
    ///
    /// # Errors
    /// When there is no handler for it, or it could not be published.
    pub async fn deliver(&self, message: NewMessage) -> Result<Handled, MessagesFailure> {
        let (message, def) = self.find(message)?;
        Ok(self.hand(def, &message, Fault::None).await)
    }

    /// Checks that a message takes effect once: `measure` is what it changes.
    /// It is delivered with the transaction failing after the handler's work,
    /// then twice at the same time, and once more; then the same with a message
    /// of another id.
    ///
    /// # Errors
    /// What was seen instead: something remained of the failed attempt, it
    /// took effect twice, it was not handled.
    pub async fn takes_effect_once<F, V, E>(
        &self,
        message: NewMessage,
        measure: F,
    ) -> Result<(), MessagesFailure>
    where
        F: AsyncFn(&mut Conn) -> Result<V, E>,
        V: PartialEq + Debug,
        E: Display,
    {
        let (mut message, def) = self.find(message)?;
        let failure = |broken: String| failure(&message.topic, broken);
        let setup = self.database.create_tables_if_missing().await;
        setup.map_err(|error| failure(error.to_string()))?;
        for _ in 0..2 {
            message.id = uuid::Uuid::now_v7().to_string();
            self.once(def, &message, &measure)
                .await
                .map_err(|broken| self::failure(&message.topic, broken))?;
        }
        Ok(())
    }

    async fn once<F, V, E>(
        &self,
        def: &MessageDef,
        message: &v1::Message,
        measure: &F,
    ) -> Result<(), String>
    where
        F: AsyncFn(&mut Conn) -> Result<V, E>,
        V: PartialEq + Debug,
        E: Display,
    {
        let before = self.value(measure).await?;
        let failed = self.hand(def, message, Fault::AfterTheWork).await;
        if !matches!(failed, Handled::Again(..)) {
            return Err(format!("an attempt that was made to fail is {failed:?}"));
        }
        let left = self.value(measure).await?;
        if left != before {
            return Err(format!(
                "a failed attempt leaves {left:?}, it was {before:?}: \
                 what it writes does not go through the `Conn` it is given"
            ));
        }
        let both = tokio::join!(
            self.hand(def, message, Fault::None),
            self.hand(def, message, Fault::None)
        );
        if !matches!(
            both,
            (Handled::First, Handled::Before) | (Handled::Before, Handled::First)
        ) {
            return Err(format!("two deliveries at the same time are {both:?}"));
        }
        let once = self.value(measure).await?;
        let third = self.hand(def, message, Fault::None).await;
        let after = self.value(measure).await?;
        if third != Handled::Before || after != once {
            return Err(format!(
                "another delivery is {third:?} and leaves {after:?}, it was {once:?}"
            ));
        }
        Ok(())
    }

    /// Checks that the order of up to 5 messages makes no difference: delivers
    /// them in every order, each time under new ids and after `reset`, and
    /// compares what `measure` finds.
    ///
    /// # Errors
    /// The first order that leads elsewhere, or whose messages are not all handled.
    pub async fn in_any_order<R, F, V, E>(
        &self,
        messages: impl IntoIterator<Item = NewMessage>,
        reset: R,
        measure: F,
    ) -> Result<(), MessagesFailure>
    where
        R: AsyncFn(&mut Conn) -> Result<(), E>,
        F: AsyncFn(&mut Conn) -> Result<V, E>,
        V: PartialEq + Debug,
        E: Display,
    {
        let mut found = Vec::new();
        for message in messages {
            found.push(self.find(message)?);
        }
        let topic = found
            .first()
            .map(|(message, _)| message.topic.clone())
            .unwrap_or_default();
        let failure = |broken: String| failure(&topic, broken);
        if found.len() > MAX_ORDERED {
            return Err(failure(format!(
                "more than {MAX_ORDERED} messages have too many orders"
            )));
        }
        let setup = self.database.create_tables_if_missing().await;
        setup.map_err(|error| failure(error.to_string()))?;
        let mut expected: Option<V> = None;
        for order in orders(found.len()) {
            self.reset(&reset).await.map_err(failure)?;
            for at in &order {
                let (message, def) = &found[*at];
                let mut message = message.clone();
                message.id = uuid::Uuid::now_v7().to_string();
                let handled = self.hand(def, &message, Fault::None).await;
                if handled != Handled::First {
                    return Err(failure(format!(
                        "in the order {order:?} message {at} is {handled:?}"
                    )));
                }
            }
            let value = self.value(&measure).await.map_err(failure)?;
            match &expected {
                Some(expected) if *expected != value => {
                    let text = format!(
                        "the order {order:?} leads to {value:?}, the first one to {expected:?}"
                    );
                    return Err(failure(text));
                }
                Some(_) => {}
                None => expected = Some(value),
            }
        }
        Ok(())
    }

    async fn reset<E: Display>(
        &self,
        reset: &impl AsyncFn(&mut Conn) -> Result<(), E>,
    ) -> Result<(), String> {
        let not_reset = |error: &dyn Display| format!("the database cannot be reset: {error}");
        let mut conn = self.database.begin().await.map_err(|e| not_reset(&e))?;
        reset(&mut conn).await.map_err(|e| not_reset(&e))?;
        conn.commit().await.map_err(|e| not_reset(&e))
    }

    async fn value<V, E: Display>(
        &self,
        measure: &impl AsyncFn(&mut Conn) -> Result<V, E>,
    ) -> Result<V, String> {
        let not_measured = |error: &dyn Display| format!("the value cannot be measured: {error}");
        let mut conn = self.database.begin().await.map_err(|e| not_measured(&e))?;
        let value = measure(&mut conn).await.map_err(|e| not_measured(&e))?;
        conn.rollback().await.map_err(|e| not_measured(&e))?;
        Ok(value)
    }

    fn find(&self, message: NewMessage) -> Result<(v1::Message, &MessageDef), MessagesFailure> {
        let (message, _) = message
            .checked()
            .map_err(|error| failure("?", error.to_string()))?;
        let mut found = self.service.messages.iter().filter(|def| {
            let (of, group) = (&def.subscription, self.group.as_deref());
            of.topic() == message.topic && group.is_none_or(|group| group == of.group_name())
        });
        match (found.next(), found.next()) {
            (Some(def), None) => Ok((message, def)),
            (None, _) => Err(failure(&message.topic, "there is none".to_owned())),
            (Some(_), Some(_)) => Err(failure(
                &message.topic,
                "there are several: choose one by its `group`".to_owned(),
            )),
        }
    }

    async fn hand(&self, def: &MessageDef, message: &v1::Message, fault: Fault) -> Handled {
        let subscription = &def.subscription;
        let arrival = Arrival {
            group: subscription.group_name(),
            message,
            attempt: 1,
            dedupe: subscription.dedupes_by(),
            timeout: subscription.attempt_timeout(),
        };
        handled(consumer_log::consume(&self.database, &def.handler, &arrival, fault).await)
    }
}

fn handled(done: StepResult<Seen>) -> Handled {
    match done {
        Ok(Seen::First) => Handled::First,
        Ok(Seen::Before) => Handled::Before,
        Err(StepError::Refused { code, message }) => Handled::Dead(format!("{code}: {message}")),
        Err(StepError::InProgress { retry_after }) => {
            Handled::Again(retry_after, "not yet".to_owned())
        }
        Err(unknown @ StepError::Unknown(_)) => Handled::Again(None, unknown.to_string()),
    }
}

fn failure(topic: &str, broken: String) -> MessagesFailure {
    MessagesFailure {
        topic: topic.to_owned(),
        broken,
    }
}

/// All orders of this many things, the given one first.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for next in 0..count {
        all = all
            .iter()
            .flat_map(|order| {
                (0..=order.len()).rev().map(move |at| {
                    let mut order = order.clone();
                    order.insert(at, next);
                    order
                })
            })
            .collect();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_all_there_once() {
        let all = orders(4);
        assert_eq!(all[0], [0, 1, 2, 3]);
        let unique: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!((all.len(), unique.len()), (24, 24));
    }
}
