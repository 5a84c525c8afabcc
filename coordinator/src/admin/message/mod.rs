//! Messages and dead letters as people and scripts see and write them.

mod file;
mod half_view;
mod view;

pub(super) use file::MessageFile;
pub(super) use half_view::{CheckView, HalfView, HalfWithChecks, ProducerView};
pub(super) use view::{
    DeadLetterView, DeliveryView, MessageStatusView, SubscriptionView, delivery_state,
    message_state,
};
