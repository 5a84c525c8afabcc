//! One message, for people: `amends msg get`.

use amends_proto::v1::{Delivery, GetMessageRequest, Message, MessageStatus};

use crate::admin::connect::Remote;
use crate::admin::error::CommandError;
use crate::admin::exit::Exit;
use crate::admin::message::{MessageStatusView, delivery_state, message_state};
use crate::admin::output::{Format, pairs, print_one, table};
use crate::admin::show;

/// Prints one message.
pub(super) async fn get(remote: &Remote, format: Format, id: String) -> Result<Exit, CommandError> {
    let request = GetMessageRequest { id };
    let answer = remote.messages().get_message(request).await?.into_inner();
    let status = answer.message.unwrap_or_default();
    print_one(format, &MessageStatusView::from(&status), |_| text(&status))?;
    Ok(Exit::Done)
}

fn text(status: &MessageStatus) -> String {
    let message = status.message.clone().unwrap_or_default();
    let mut head = about(&message);
    head.extend([
        ("half id", status.half_id.clone()),
        ("state", message_state(status.state()).to_owned()),
        ("tries", status.try_count.to_string()),
        ("next try", show::time(status.next_try_time.as_ref())),
        ("published", show::time(status.publish_time.as_ref())),
        ("note", status.last_error.clone()),
    ]);
    let head = pairs(head);
    if status.deliveries.is_empty() {
        return head;
    }
    let headers = ["GROUP", "STATE", "ATTEMPTS", "NEXT", "CHANGED", "ERROR"];
    let deliveries = table(&headers, status.deliveries.iter().map(delivery));
    format!("{head}\n{deliveries}")
}

/// What a message says of itself.
pub(in crate::admin) fn about(message: &Message) -> Vec<(&'static str, String)> {
    let mut headers: Vec<_> = message.headers.iter().collect();
    headers.sort();
    let headers = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"));
    let headers: Vec<String> = headers.collect();
    vec![
        ("id", message.id.clone()),
        ("topic", message.topic.clone()),
        ("tag", message.tag.clone()),
        ("key", message.key.clone()),
        ("order key", message.order_key.clone()),
        ("headers", headers.join("\n")),
        (
            "body",
            message
                .payload
                .as_ref()
                .map(show::payload)
                .unwrap_or_default(),
        ),
        ("created", show::time(message.create_time.as_ref())),
        ("due", show::time(message.deliver_time.as_ref())),
    ]
}

fn delivery(delivery: &Delivery) -> Vec<String> {
    vec![
        delivery.group.clone(),
        delivery_state(delivery.state()).to_owned(),
        delivery.attempts.to_string(),
        show::time(delivery.next_attempt_time.as_ref()),
        show::time(delivery.update_time.as_ref()),
        delivery.last_error.clone(),
    ]
}
