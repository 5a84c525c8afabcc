//! [`NewHalf`]: the messages of one local transaction.

use std::time::Duration;

use amends_proto::v1;
use serde::Serialize;

use super::HalfError;
use super::local::Half;
use crate::client::FieldViolation;
use crate::consumer_log::HalfKey;
use crate::message::NewMessage;
use crate::saga::convert;
use crate::{Client, ClientError, Conn, Database, HalfCx, StepResult};

/// Half messages of one local transaction; see [`crate::half`].
/// `W` is the service's work, where that belongs to it.
#[must_use = "call `in_tx` or `run`"]
pub struct NewHalf<'a, W = ()> {
    client: &'a Client,
    id: Option<String>,
    producer: Option<String>,
    message: NewMessage,
    more: Vec<NewMessage>,
    check_after: Option<Duration>,
    work: W,
}

impl<'a> NewHalf<'a> {
    pub(crate) fn new(client: &'a Client, message: NewMessage) -> Self {
        Self {
            client,
            id: None,
            producer: client.producer().map(str::to_owned),
            message,
            more: Vec::new(),
            check_after: None,
            work: (),
        }
    }
}

impl<'a, W> NewHalf<'a, W> {
    /// A half id of the caller's own in place of a new one: 1 to 128 printable
    /// ASCII characters without blanks. It names one local transaction: once
    /// that has committed, the same id again is [`HalfError::Repeated`], and
    /// soon after it has failed, [`HalfError::RolledBack`]. Message ids that were not
    /// chosen follow from it.
    pub fn id(mut self, half_id: impl Into<String>) -> Self {
        self.id = Some(half_id.into());
        self
    }

    /// The producer group, in place of [`Client::with_producer`]'s.
    pub fn producer(mut self, group: impl Into<String>) -> Self {
        self.producer = Some(group.into());
        self
    }

    /// The (first) message's kind within its topic.
    pub fn tag(self, tag: impl Into<String>) -> Self {
        self.change(|message| message.tag(tag))
    }

    /// What the (first) message is about, for example an order id.
    pub fn key(self, key: impl Into<String>) -> Self {
        self.change(|message| message.key(key))
    }

    /// The (first) message is delivered in the order of the commits of those
    /// with the same order key.
    pub fn order_key(self, order_key: impl Into<String>) -> Self {
        self.change(|message| message.order_key(order_key))
    }

    /// Adds a header to the (first) message.
    pub fn header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.change(|message| message.header(name, value))
    }

    /// Delivers the (first) message this long after the commit.
    pub fn delay(self, delay: Duration) -> Self {
        self.change(|message| message.delay(delay))
    }

    /// Adds a message to the same local transaction.
    pub fn and(mut self, message: NewMessage) -> Self {
        self.more.push(message);
        self
    }

    /// How long after the preparation the coordinator first asks what became
    /// of it. Default: the coordinator's, 6 s.
    pub fn check_after(mut self, time: Duration) -> Self {
        self.check_after = Some(time);
        self
    }

    pub(super) fn client(&self) -> &'a Client {
        self.client
    }

    /// The same with other work, and the work that it had.
    pub(super) fn exchange<V>(self, work: V) -> (NewHalf<'a, V>, W) {
        let new = NewHalf {
            client: self.client,
            id: self.id,
            producer: self.producer,
            message: self.message,
            more: self.more,
            check_after: self.check_after,
            work,
        };
        (new, self.work)
    }

    fn change(mut self, change: impl FnOnce(NewMessage) -> NewMessage) -> Self {
        self.message = change(self.message);
        self
    }
}

impl<'a> NewHalf<'a> {
    /// Prepares the messages, runs `work` in a local transaction, and delivers
    /// them if and only if that commits.
    ///
    /// An `Err` of `work`, a panic, and dropping the future roll back, and nothing is
    /// delivered; if the local commit was under way then, the truth is found
    /// out and delivered accordingly. Once the local transaction has
    /// committed, its answer is returned even if the coordinator cannot be
    /// told: it will ask.
    ///
    /// # Errors
    /// [`HalfError`]; all but `DecidedOtherwise` and `Unknown` mean that this
    /// call changed nothing here.
    pub async fn in_tx<T, F>(self, database: &Database, work: F) -> Result<T, HalfError>
    where
        F: AsyncFnOnce(&mut Conn) -> StepResult<T>,
    {
        let (half, request) = self.ready()?;
        half.in_tx(request, database, work).await
    }

    /// The same for work outside of the database: prepares, runs `work`, and
    /// delivers when it answers `Ok`. A refusal delivers nothing. Anything
    /// else, a dead process included, leaves it to the check that the producer
    /// group gives with
    /// [`ServiceBuilder::check_back`](crate::ServiceBuilder::check_back), which
    /// must say rollback only when the work can no longer happen.
    ///
    /// # Errors
    /// [`HalfError`].
    pub async fn run<T, F>(self, work: F) -> Result<T, HalfError>
    where
        F: AsyncFnOnce(&HalfCx) -> StepResult<T>,
    {
        let (half, request) = self.ready()?;
        half.run(request, work).await
    }

    fn ready(self) -> Result<(Half<'a>, v1::PrepareMessagesRequest), HalfError> {
        let half = Half::new(self.client, self.keyed()?);
        let request = self.request(half.key())?;
        Ok((half, request))
    }

    /// Names the local transaction.
    pub(super) fn keyed(&self) -> Result<HalfKey, HalfError> {
        let Some(producer) = &self.producer else {
            return Err(invalid(
                "producer",
                "is missing: `client.with_producer(..)`",
            ));
        };
        let half_id = self.id.clone();
        let half_id = half_id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
        HalfKey::new(producer, &half_id).map_err(|error| invalid("half_id", &error.to_string()))
    }

    /// The same with this body in the (first) message.
    pub(super) fn with_body<B: Serialize>(self, body: &B) -> Self {
        self.change(|message| message.with_body(body))
    }

    /// What is prepared.
    pub(super) fn request(self, key: &HalfKey) -> Result<v1::PrepareMessagesRequest, HalfError> {
        // The same half id must name the same messages, also in another process.
        let named = |(n, message): (usize, NewMessage)| match &self.id {
            Some(id) => message.or_id(|| format!("{id}.{n}")),
            None => message,
        };
        let messages = std::iter::once(self.message).chain(self.more).enumerate();
        let messages: Result<Vec<_>, _> = messages.map(named).map(NewMessage::into_proto).collect();
        Ok(v1::PrepareMessagesRequest {
            half_id: key.half_id().to_owned(),
            producer: key.producer().to_owned(),
            messages: messages.map_err(|error| HalfError::NotPrepared(error.into()))?,
            check_after: self.check_after.and_then(convert::duration),
        })
    }
}

fn invalid(field: &str, rule: &str) -> HalfError {
    HalfError::NotPrepared(ClientError::Invalid {
        reason: "HALF_INVALID".to_owned(),
        message: format!("the {field} {rule}"),
        fields: vec![FieldViolation {
            field: field.to_owned(),
            description: rule.to_owned(),
        }],
    })
}
