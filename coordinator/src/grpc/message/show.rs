//! From messages and what became of them to the wire.

use amends_core::message::{
    DeliveryState, Filter, FilterKind, Message, MessageState, Mode, Subscription,
};
use amends_proto::v1;

use crate::broker::BrokerStatus;
use crate::grpc::show::{payload, span, timestamp};
use crate::messages::{Handed, MessageView, MessagesHealth, SubscriptionView, described};
use crate::store::messages::{DeadLetter, DeadLetterState, StoredDelivery, StoredMessage};

/// Whether a message is shown with its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    Shown,
    LeftOut,
}

pub(super) fn message(message: &Message, body: Body) -> v1::Message {
    v1::Message {
        payload: (body == Body::Shown).then(|| payload(&message.payload)),
        ..described(message)
    }
}

pub(super) fn view(view: &MessageView) -> v1::MessageStatus {
    v1::MessageStatus {
        deliveries: view.deliveries.iter().map(delivery).collect(),
        ..stored(&view.stored, Body::Shown)
    }
}

pub(super) fn stored(stored: &StoredMessage, body: Body) -> v1::MessageStatus {
    v1::MessageStatus {
        message: Some(message(&stored.message, body)),
        state: state(stored.state).into(),
        try_count: stored.try_count,
        next_try_time: stored.next_try_at.map(timestamp),
        last_error: stored.last_error.clone().unwrap_or_default(),
        publish_time: stored.published_at.map(timestamp),
        deliveries: Vec::new(),
        half_id: stored
            .half
            .as_ref()
            .map(|half| half.id.to_string())
            .unwrap_or_default(),
    }
}

pub(super) fn delivery(delivery: &StoredDelivery) -> v1::Delivery {
    let state = match delivery.state {
        DeliveryState::Ready => v1::DeliveryState::Ready,
        DeliveryState::Leased => v1::DeliveryState::Leased,
        DeliveryState::Done => v1::DeliveryState::Done,
        DeliveryState::Retrying => v1::DeliveryState::Retrying,
        DeliveryState::Dead => v1::DeliveryState::Dead,
    };
    v1::Delivery {
        group: delivery.group.to_string(),
        message_id: delivery.id.to_string(),
        topic: delivery.topic.to_string(),
        state: state.into(),
        attempts: delivery.attempts,
        next_attempt_time: delivery.next_at.map(timestamp),
        first_error: delivery.first_error.clone().unwrap_or_default(),
        last_error: delivery.last_error.clone().unwrap_or_default(),
        update_time: Some(timestamp(delivery.updated_at)),
    }
}

fn state(state: MessageState) -> v1::MessageState {
    match state {
        MessageState::Prepared => v1::MessageState::Prepared,
        MessageState::Committed => v1::MessageState::Committed,
        MessageState::Published => v1::MessageState::Published,
        MessageState::RolledBack => v1::MessageState::RolledBack,
        MessageState::Stuck => v1::MessageState::Stuck,
    }
}

pub(super) fn handed(handed: &Handed) -> v1::Delivered {
    v1::Delivered {
        token: handed.token,
        message: Some(message(&handed.message, Body::Shown)),
        attempt: handed.attempt,
    }
}

pub(super) fn subscription(subscription: &Subscription) -> v1::Subscription {
    let Subscription {
        group,
        topic,
        filter,
        mode,
        retry,
    } = subscription;
    v1::Subscription {
        group: group.to_string(),
        topic: topic.to_string(),
        filter: Some(filter_text(filter)),
        mode: match mode {
            Mode::Clustering => v1::ConsumeMode::Clustering,
            Mode::Broadcasting => v1::ConsumeMode::Broadcasting,
        }
        .into(),
        max_attempts: retry.max_attempts(),
        retry_schedule: retry.waits().iter().map(|wait| span(*wait)).collect(),
    }
}

fn filter_text(filter: &Filter) -> v1::subscription::Filter {
    let text = filter.to_string();
    match filter.kind() {
        FilterKind::Tags => v1::subscription::Filter::Tags(text),
        FilterKind::Sql => v1::subscription::Filter::Sql(text),
    }
}

pub(super) fn subscription_view(view: &SubscriptionView) -> v1::SubscriptionStatus {
    v1::SubscriptionStatus {
        subscription: Some(subscription(&view.stored.subscription)),
        consumers: view.consumers,
        ready: view.backlog.ready,
        leased: view.leased,
        retrying: view.backlog.retrying,
        dead: view.backlog.dead,
        create_time: Some(timestamp(view.stored.created_at)),
        at_broker: view.at_broker,
    }
}

pub(super) fn dead_letter(letter: &DeadLetter, body: Body) -> v1::DeadLetter {
    let state = match letter.state {
        DeadLetterState::Open => v1::DeadLetterState::Open,
        DeadLetterState::Resent => v1::DeadLetterState::Resent,
        DeadLetterState::Discarded => v1::DeadLetterState::Discarded,
    };
    v1::DeadLetter {
        id: letter.id.0.clone(),
        group: letter.group.to_string(),
        message: Some(message(&letter.message, body)),
        attempts: letter.attempts,
        first_error: letter.first_error.clone(),
        last_error: letter.last_error.clone(),
        create_time: Some(timestamp(letter.created_at)),
        state: state.into(),
        resolve_time: letter.resolved_at.map(timestamp),
        actor: letter.actor.clone().unwrap_or_default(),
        reason: letter.reason.clone().unwrap_or_default(),
        resent_as: letter
            .resent_as
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
    }
}

/// How it stands with publishing.
pub(in crate::grpc) fn health(health: &MessagesHealth) -> v1::BrokerStatus {
    use v1::broker_status::State;
    let (state, reason) = match &health.status {
        BrokerStatus::Up => (State::Up, String::new()),
        BrokerStatus::Blocked(reason) => (State::Blocked, reason.clone()),
        BrokerStatus::Down(reason) => (State::Down, reason.clone()),
    };
    v1::BrokerStatus {
        kind: health.broker.to_owned(),
        state: state.into(),
        reason,
        unpublished: health.unpublished as u64,
        more_unpublished: health.more_unpublished,
    }
}
