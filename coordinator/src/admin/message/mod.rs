//! Messages and dead letters as people and scripts see and write them.

mod file;
mod view;

pub(super) use file::MessageFile;
pub(super) use view::{
    DeadLetterView, DeliveryView, MessageStatusView, SubscriptionView, delivery_state,
    message_state,
};
