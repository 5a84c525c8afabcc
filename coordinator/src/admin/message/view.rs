//! Messages, deliveries, subscriptions and dead letters in the API's own field names.

use std::collections::BTreeMap;

use amends_proto::v1::subscription::Filter;
use amends_proto::v1::{
    ConsumeMode, DeadLetter, Delivery, DeliveryState, Message, MessageState, MessageStatus,
    SubscriptionStatus,
};
use prost_types::Timestamp;
use serde::Serialize;

use crate::admin::show;
use crate::admin::view::Body;
use crate::config::value::show_duration;

#[derive(Debug, Serialize)]
struct MessageView {
    id: String,
    topic: String,
    tag: Option<String>,
    key: Option<String>,
    order_key: Option<String>,
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Body>,
    deliver_time: Option<String>,
    create_time: Option<String>,
}

impl From<&Message> for MessageView {
    fn from(message: &Message) -> Self {
        let headers = message.headers.iter();
        Self {
            id: message.id.clone(),
            topic: message.topic.clone(),
            tag: text(&message.tag),
            key: text(&message.key),
            order_key: text(&message.order_key),
            headers: headers.map(|(n, v)| (n.clone(), v.clone())).collect(),
            body: message.payload.as_ref().map(Into::into),
            deliver_time: time(message.deliver_time.as_ref()),
            create_time: time(message.create_time.as_ref()),
        }
    }
}

/// A message as it stands.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct MessageStatusView {
    #[serde(flatten)]
    message: MessageView,
    state: &'static str,
    try_count: u32,
    next_try_time: Option<String>,
    last_error: Option<String>,
    publish_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    half_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deliveries: Vec<DeliveryView>,
}

impl From<&MessageStatus> for MessageStatusView {
    fn from(status: &MessageStatus) -> Self {
        Self {
            message: MessageView::from(&status.message.clone().unwrap_or_default()),
            state: message_state(status.state()),
            try_count: status.try_count,
            next_try_time: time(status.next_try_time.as_ref()),
            last_error: text(&status.last_error),
            publish_time: time(status.publish_time.as_ref()),
            half_id: text(&status.half_id),
            deliveries: status.deliveries.iter().map(Into::into).collect(),
        }
    }
}

impl MessageStatusView {
    pub(in crate::admin) const HEADERS: &[&str] = &[
        "ID", "TOPIC", "TAG", "KEY", "STATE", "CREATED", "DUE", "NOTE",
    ];

    pub(in crate::admin) fn cells(&self) -> Vec<String> {
        let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
        let due = match self.state {
            "COMMITTED" => self
                .next_try_time
                .as_ref()
                .or(self.message.deliver_time.as_ref()),
            _ => None,
        };
        vec![
            self.message.id.clone(),
            self.message.topic.clone(),
            or_empty(&self.message.tag),
            or_empty(&self.message.key),
            self.state.to_owned(),
            or_empty(&self.message.create_time),
            due.cloned().unwrap_or_default(),
            or_empty(&self.last_error),
        ]
    }
}

/// A message in a group.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct DeliveryView {
    group: String,
    message_id: String,
    topic: String,
    state: &'static str,
    attempts: u32,
    next_attempt_time: Option<String>,
    first_error: Option<String>,
    last_error: Option<String>,
    update_time: Option<String>,
}

impl From<&Delivery> for DeliveryView {
    fn from(delivery: &Delivery) -> Self {
        Self {
            group: delivery.group.clone(),
            message_id: delivery.message_id.clone(),
            topic: delivery.topic.clone(),
            state: delivery_state(delivery.state()),
            attempts: delivery.attempts,
            next_attempt_time: time(delivery.next_attempt_time.as_ref()),
            first_error: text(&delivery.first_error),
            last_error: text(&delivery.last_error),
            update_time: time(delivery.update_time.as_ref()),
        }
    }
}

/// A subscription with its backlog.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct SubscriptionView {
    group: String,
    topic: String,
    tags: Option<String>,
    sql: Option<String>,
    mode: &'static str,
    max_attempts: u32,
    retry_schedule: Vec<String>,
    consumers: u32,
    ready: u32,
    leased: u32,
    retrying: u32,
    dead: u32,
    at_broker: Option<u64>,
    create_time: Option<String>,
}

impl From<&SubscriptionStatus> for SubscriptionView {
    fn from(status: &SubscriptionStatus) -> Self {
        let subscription = status.subscription.clone().unwrap_or_default();
        let mode = match subscription.mode() {
            ConsumeMode::Broadcasting => "broadcasting",
            ConsumeMode::Clustering | ConsumeMode::Unspecified => "clustering",
        };
        let waits = subscription.retry_schedule.iter();
        let waits = waits.map(|wait| show_duration((*wait).try_into().unwrap_or_default()));
        let waits = waits.collect();
        let (tags, sql) = match subscription.filter {
            Some(Filter::Sql(sql)) => (None, Some(sql)),
            Some(Filter::Tags(tags)) => (Some(tags), None),
            None => (Some("*".to_owned()), None),
        };
        Self {
            group: subscription.group,
            topic: subscription.topic,
            tags,
            sql,
            mode,
            max_attempts: subscription.max_attempts,
            retry_schedule: waits,
            consumers: status.consumers,
            ready: status.ready,
            leased: status.leased,
            retrying: status.retrying,
            dead: status.dead,
            at_broker: status.at_broker,
            create_time: time(status.create_time.as_ref()),
        }
    }
}

impl SubscriptionView {
    pub(in crate::admin) const HEADERS: &[&str] = &[
        "GROUP",
        "TOPIC",
        "FILTER",
        "MODE",
        "CONSUMERS",
        "READY",
        "LEASED",
        "RETRYING",
        "DEAD",
        "AT BROKER",
    ];

    pub(in crate::admin) fn cells(&self) -> Vec<String> {
        let at_broker = self.at_broker.map(|count| count.to_string());
        vec![
            self.group.clone(),
            self.topic.clone(),
            self.sql.clone().or(self.tags.clone()).unwrap_or_default(),
            self.mode.to_owned(),
            self.consumers.to_string(),
            self.ready.to_string(),
            self.leased.to_string(),
            self.retrying.to_string(),
            self.dead.to_string(),
            at_broker.unwrap_or_default(),
        ]
    }
}

/// A dead letter.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct DeadLetterView {
    id: String,
    group: String,
    state: &'static str,
    attempts: u32,
    first_error: String,
    last_error: String,
    create_time: Option<String>,
    resolve_time: Option<String>,
    actor: Option<String>,
    reason: Option<String>,
    resent_as: Option<String>,
    message: MessageView,
}

impl From<&DeadLetter> for DeadLetterView {
    fn from(letter: &DeadLetter) -> Self {
        Self {
            id: letter.id.clone(),
            group: letter.group.clone(),
            state: show::short(letter.state().as_str_name(), "DEAD_LETTER_STATE_"),
            attempts: letter.attempts,
            first_error: letter.first_error.clone(),
            last_error: letter.last_error.clone(),
            create_time: time(letter.create_time.as_ref()),
            resolve_time: time(letter.resolve_time.as_ref()),
            actor: text(&letter.actor),
            reason: text(&letter.reason),
            resent_as: text(&letter.resent_as),
            message: MessageView::from(&letter.message.clone().unwrap_or_default()),
        }
    }
}

impl DeadLetterView {
    pub(in crate::admin) const HEADERS: &[&str] = &[
        "ID", "GROUP", "TOPIC", "TAG", "KEY", "MESSAGE", "STATE", "ATTEMPTS", "SINCE", "ERROR",
    ];

    pub(in crate::admin) fn cells(&self) -> Vec<String> {
        let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            self.id.clone(),
            self.group.clone(),
            self.message.topic.clone(),
            or_empty(&self.message.tag),
            or_empty(&self.message.key),
            self.message.id.clone(),
            self.state.to_owned(),
            self.attempts.to_string(),
            or_empty(&self.create_time),
            self.last_error.clone(),
        ]
    }

    /// For those that somebody has dealt with: who did what, when and why.
    pub(in crate::admin) const ENDED_HEADERS: &[&str] = &[
        "ID",
        "GROUP",
        "TOPIC",
        "KEY",
        "MESSAGE",
        "STATE",
        "WHEN",
        "BY",
        "RESENT AS",
        "REASON",
    ];

    pub(in crate::admin) fn ended_cells(&self) -> Vec<String> {
        let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            self.id.clone(),
            self.group.clone(),
            self.message.topic.clone(),
            or_empty(&self.message.key),
            self.message.id.clone(),
            self.state.to_owned(),
            or_empty(&self.resolve_time),
            or_empty(&self.actor),
            or_empty(&self.resent_as),
            or_empty(&self.reason),
        ]
    }
}

/// `PUBLISHED`.
pub(in crate::admin) fn message_state(state: MessageState) -> &'static str {
    show::short(state.as_str_name(), "MESSAGE_STATE_")
}

/// `RETRYING`.
pub(in crate::admin) fn delivery_state(state: DeliveryState) -> &'static str {
    show::short(state.as_str_name(), "DELIVERY_STATE_")
}

pub(super) fn time(time: Option<&Timestamp>) -> Option<String> {
    time.map(|time| show::time(Some(time)))
}

pub(super) fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
