//! Half messages as methods of a service: what `#[half_message]` makes of them.

use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Serialize;

use super::local::Half;
use super::{HalfCx, HalfError, NewHalf};
use crate::message::NewMessage;
use crate::{Client, Conn, Database, StepResult};

/// Work in the service's own database whose answer is the message.
pub type LocalHalf<S, I, B> = for<'a> fn(&'a S, &'a mut Conn, I) -> BoxFuture<'a, StepResult<B>>;

/// Work outside of the database; the message is there before it.
pub type ExternalHalf<S, B, T> =
    for<'a> fn(&'a S, &'a HalfCx, &'a B) -> BoxFuture<'a, StepResult<T>>;

/// A half message that a service sends with work in its own database: from
/// the input `I` it makes the message `B`. `#[half_message]` generates it as a
/// constant; by hand:
///
/// ```
/// # use amends::{Client, Conn, Database, HalfError, HalfRef, StepResult};
/// struct Payments;
/// impl Payments {
///     const PAY: HalfRef<Payments, u64, String> =
///         HalfRef::new("payments", "payTopic", |service, conn, order| {
///             Box::pin(Self::pay(service, conn, order))
///         })
///         .with_tag("pay_success");
///     async fn pay(&self, _conn: &mut Conn, order: u64) -> StepResult<String> {
///         Ok(format!("order {order} is paid"))
///     }
/// }
/// # async fn run(client: Client, database: Database) -> Result<(), HalfError> {
/// let told = client.half_of(&Payments, Payments::PAY, 7).key("7").in_tx(&database).await?;
/// # Ok(()) }
/// ```
pub struct HalfRef<S, I, B> {
    address: Address,
    work: LocalHalf<S, I, B>,
}

/// A half message that a service sends with work outside of its database; the
/// service has a check for it. `#[half_message(check_back = ..)]` generates it
/// as a constant.
pub struct ExternalHalfRef<S, B, T> {
    address: Address,
    work: ExternalHalf<S, B, T>,
}

/// Whose half message it is, and of what kind.
#[derive(Clone, Copy, Debug)]
struct Address {
    producer: &'static str,
    topic: &'static str,
    tag: &'static str,
    check_after: Option<Duration>,
}

/// What every kind of reference to a half message has.
macro_rules! reference {
    ($name:ident, $i:ident, $o:ident, $work:ident) => {
        impl<S, $i, $o> $name<S, $i, $o> {
            /// The half message of a producer group, which has the service's name.
            #[must_use]
            pub const fn new(
                producer: &'static str,
                topic: &'static str,
                work: $work<S, $i, $o>,
            ) -> Self {
                let address = Address {
                    producer,
                    topic,
                    tag: "",
                    check_after: None,
                };
                Self { address, work }
            }

            /// The message's kind within its topic.
            #[must_use]
            pub const fn with_tag(mut self, tag: &'static str) -> Self {
                self.address.tag = tag;
                self
            }

            /// How long after the preparation the coordinator first asks.
            #[must_use]
            pub const fn with_check_after(mut self, time: Duration) -> Self {
                self.address.check_after = Some(time);
                self
            }

            /// The producer group.
            #[must_use]
            pub const fn producer(&self) -> &'static str {
                self.address.producer
            }

            /// The topic of the message.
            #[must_use]
            pub const fn topic(&self) -> &'static str {
                self.address.topic
            }

            /// The message's kind within its topic; may be empty.
            #[must_use]
            pub const fn tag(&self) -> &'static str {
                self.address.tag
            }

            /// How long after the preparation the coordinator first asks, where
            /// it is said.
            #[must_use]
            pub const fn check_after(&self) -> Option<Duration> {
                self.address.check_after
            }
        }

        impl<S, $i, $o> Clone for $name<S, $i, $o> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<S, $i, $o> Copy for $name<S, $i, $o> {}

        impl<S, $i, $o> fmt::Debug for $name<S, $i, $o> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.address.fmt(f)
            }
        }
    };
}

reference!(HalfRef, I, B, LocalHalf);
reference!(ExternalHalfRef, B, T, ExternalHalf);

/// A service's work in its own database, to be done.
pub struct LocalCall<'a, S, I, B> {
    service: &'a S,
    input: I,
    work: LocalHalf<S, I, B>,
}

/// A service's work outside of its database, to be done.
pub struct ExternalCall<'a, S, B, T> {
    service: &'a S,
    body: B,
    work: ExternalHalf<S, B, T>,
}

impl Client {
    /// A half message whose body the service's own work makes; end with
    /// [`in_tx`](NewHalf::in_tx).
    pub fn half_of<'a, S, I, B>(
        &'a self,
        service: &'a S,
        half: HalfRef<S, I, B>,
        input: I,
    ) -> NewHalf<'a, LocalCall<'a, S, I, B>> {
        let work = half.work;
        // Its body comes later.
        let message = NewMessage::new(half.address.topic, &());
        let call = LocalCall {
            service,
            input,
            work,
        };
        self.half_at(message, half.address).exchange(call).0
    }

    /// A half message with the service's work outside of its database; end
    /// with [`run`](NewHalf::run).
    pub fn external_half_of<'a, S, B: Serialize, T>(
        &'a self,
        service: &'a S,
        half: ExternalHalfRef<S, B, T>,
        body: B,
    ) -> NewHalf<'a, ExternalCall<'a, S, B, T>> {
        let work = half.work;
        let message = NewMessage::new(half.address.topic, &body);
        let call = ExternalCall {
            service,
            body,
            work,
        };
        self.half_at(message, half.address).exchange(call).0
    }

    fn half_at(&self, message: NewMessage, address: Address) -> NewHalf<'_> {
        let half = self.half_message(message).producer(address.producer);
        let half = half.tag(address.tag);
        match address.check_after {
            Some(time) => half.check_after(time),
            None => half,
        }
    }
}

impl<S, I, B: Serialize> NewHalf<'_, LocalCall<'_, S, I, B>> {
    /// Runs the service's work in a local transaction, prepares the message
    /// that it answers, and delivers it if and only if the transaction commits.
    ///
    /// Because the message is known only then, it is prepared within the
    /// transaction, just before its commit: that holds its locks for one call
    /// of the coordinator, at most 3 s. Work that refuses or fails has
    /// prepared nothing, and may be tried again with the same half id.
    ///
    /// # Errors
    /// [`HalfError`].
    pub async fn in_tx(self, database: &Database) -> Result<B, HalfError> {
        let (new, call) = self.exchange(());
        let half = Half::new(new.client(), new.keyed()?);
        let made = |body: &B| new.with_body(body).request(half.key());
        let work = async |conn: &mut Conn| (call.work)(call.service, conn, call.input).await;
        half.in_tx_made(database, work, made).await
    }
}

impl<S, B, T> NewHalf<'_, ExternalCall<'_, S, B, T>> {
    /// Prepares the message, runs the service's work, and delivers when that
    /// answers `Ok`; see [`NewHalf::run`] of a half message without a service.
    ///
    /// # Errors
    /// [`HalfError`].
    pub async fn run(self) -> Result<T, HalfError> {
        let (new, call) = self.exchange(());
        let ExternalCall {
            service,
            body,
            work,
        } = call;
        new.run(async |cx| work(service, cx, &body).await).await
    }
}
