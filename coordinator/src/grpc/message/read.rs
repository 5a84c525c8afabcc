//! From the wire to messages, subscriptions and filters, every field checked.

use amends_core::id::BadName;
use amends_core::message::{
    Filter, GroupName, Headers, MessageId, MessageKey, MessageState, Mode, OrderKey, RetrySchedule,
    Subscription, Tag, Topic,
};
use amends_core::payload::Payload;
use amends_core::time::Millis;
use amends_proto::v1;
use tonic::Status;

use crate::grpc::read::{payload, reason, span, timestamp};
use crate::grpc::status::invalid;
use crate::messages::{Deliver, Edit, MAX_CREDIT, MAX_ITEMS, NewMessage, Settlement, Verdict};
use crate::store::messages::{DeadLetterFilter, DeadLetterId, DeadLetterState};

/// The longest delay of a message.
const MAX_DELAY: Millis = Millis::from_secs(3_660 * 24 * 3_600);
/// Longest error text of a delivery that is kept, in bytes; the rest is cut off.
const MAX_ERROR_BYTES: usize = 2_048;

/// A field with its name, so that wrong ones can be told.
fn named<T>(field: &str, code: &str, parsed: Result<T, BadName>) -> Result<T, Status> {
    parsed.map_err(|bad| invalid(field, code, bad.to_string()))
}

/// The same where the field may be empty.
fn optional<T>(
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, Status>,
) -> Result<Option<T>, Status> {
    (!text.is_empty()).then(|| parse(text)).transpose()
}

pub(super) fn message_id(field: &str, text: &str) -> Result<MessageId, Status> {
    named(field, "MESSAGE_ID_INVALID", MessageId::new(text))
}

pub(super) fn topic(field: &str, text: &str) -> Result<Topic, Status> {
    named(field, "NAME_INVALID", Topic::new(text))
}

/// A group as it is stored: of a broadcasting group also an instance's copy.
pub(super) fn group(field: &str, text: &str) -> Result<GroupName, Status> {
    named(field, "NAME_INVALID", GroupName::new(text))
}

fn key(field: &str, text: &str) -> Result<MessageKey, Status> {
    named(field, "KEY_INVALID", MessageKey::new(text))
}

/// A name of the same form as a topic: a group without instance, or an instance.
fn plain_name<'a>(field: &str, text: &'a str) -> Result<&'a str, Status> {
    topic(field, text).map(|_| text)
}

pub(super) fn optional_topic(text: &str) -> Result<Option<Topic>, Status> {
    optional(text, |text| topic("topic", text))
}

pub(super) fn optional_group(text: &str) -> Result<Option<GroupName>, Status> {
    optional(text, |text| group("group", text))
}

pub(super) fn optional_tag(text: &str) -> Result<Option<Tag>, Status> {
    optional(text, |text| named("tag", "NAME_INVALID", Tag::new(text)))
}

pub(super) fn optional_key(text: &str) -> Result<Option<MessageKey>, Status> {
    optional(text, |text| key("key", text))
}

fn headers(
    field: &str,
    headers: std::collections::HashMap<String, String>,
) -> Result<Headers, Status> {
    Headers::from_publisher(headers)
        .map_err(|bad| invalid(field, "HEADERS_INVALID", bad.to_string()))
}

fn body(field: &str, body: Option<v1::Payload>, max_bytes: u64) -> Result<Payload, Status> {
    Ok(payload(field, body, max_bytes)?.unwrap_or_else(Payload::null))
}

pub(super) fn new_message(
    ix: usize,
    publish: v1::PublishMessage,
    max_bytes: u64,
) -> Result<NewMessage, Status> {
    let field = |name: &str| format!("messages[{ix}].{name}");
    let message = publish
        .message
        .ok_or_else(|| invalid(&field("message"), "MISSING", "must be set"))?;
    let at = timestamp(&field("message.deliver_time"), message.deliver_time)?;
    let delay = span(&field("delay"), publish.delay)?;
    let deliver = match (at, delay) {
        (Some(_), Some(_)) => {
            let rule = "cannot be set beside message.deliver_time";
            return Err(invalid(&field("delay"), "AMBIGUOUS", rule));
        }
        (None, Some(delay)) if delay > MAX_DELAY => {
            let rule = format!("must be at most {MAX_DELAY}");
            return Err(invalid(&field("delay"), "DURATION_INVALID", rule));
        }
        (Some(at), None) => Deliver::At(at),
        (None, Some(delay)) => Deliver::After(delay),
        (None, None) => Deliver::AtOnce,
    };
    let order_key = |text: &str| {
        named(
            &field("message.order_key"),
            "KEY_INVALID",
            OrderKey::new(text),
        )
    };
    Ok(NewMessage {
        id: optional(&message.id, |id| message_id(&field("message.id"), id))?,
        topic: topic(&field("message.topic"), &message.topic)?,
        tag: named(
            &field("message.tag"),
            "NAME_INVALID",
            Tag::new(&message.tag),
        )?,
        key: key(&field("message.key"), &message.key)?,
        order_key: optional(&message.order_key, order_key)?,
        headers: headers(&field("message.headers"), message.headers)?,
        payload: body(&field("message.payload"), message.payload, max_bytes)?,
        deliver,
    })
}

/// Several ids, bounded.
pub(super) fn ids<T>(
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, Status>,
) -> Result<Vec<T>, Status> {
    count("ids", texts.len(), MAX_ITEMS)?;
    texts.iter().map(|text| parse(text)).collect()
}

pub(super) fn count(field: &str, found: usize, most: usize) -> Result<(), Status> {
    if (1..=most).contains(&found) {
        return Ok(());
    }
    let rule = format!("are {found}, must be 1 to {most}");
    Err(invalid(field, "COUNT_INVALID", rule))
}

pub(super) fn credit(credit: u32) -> Result<u32, Status> {
    if (1..=MAX_CREDIT).contains(&credit) {
        return Ok(credit);
    }
    let rule = format!("is {credit}, must be 1 to {MAX_CREDIT}");
    Err(invalid("credit", "COUNT_INVALID", rule))
}

/// The instance of a consumer; only a broadcasting group needs one.
pub(super) fn instance_id(mode: Mode, text: &str) -> Result<String, Status> {
    if text.is_empty() && mode == Mode::Clustering {
        return Ok(String::new());
    }
    plain_name("instance_id", text).map(str::to_owned)
}

pub(super) fn subscription(subscription: Option<v1::Subscription>) -> Result<Subscription, Status> {
    let subscription =
        subscription.ok_or_else(|| invalid("subscription", "MISSING", "must be set"))?;
    let mode = match subscription.mode() {
        v1::ConsumeMode::Unspecified if subscription.mode != 0 => {
            let rule = format!("{} is not a mode", subscription.mode);
            return Err(invalid("subscription.mode", "ENUM_UNKNOWN", rule));
        }
        v1::ConsumeMode::Unspecified | v1::ConsumeMode::Clustering => Mode::Clustering,
        v1::ConsumeMode::Broadcasting => Mode::Broadcasting,
    };
    let (field, filter) = match subscription.filter {
        None => ("subscription.tags", Ok(Filter::All)),
        Some(v1::subscription::Filter::Tags(tags)) => ("subscription.tags", Filter::tags(&tags)),
        Some(v1::subscription::Filter::Sql(sql)) => ("subscription.sql", Filter::sql(&sql)),
    };
    let waits = subscription.retry_schedule.into_iter();
    let waits = waits.map(|wait| span("subscription.retry_schedule", Some(wait)));
    let waits = waits.map(|wait| Ok(wait?.unwrap_or_default()));
    let waits = waits.collect::<Result<Vec<Millis>, Status>>()?;
    let retry = RetrySchedule::new(subscription.max_attempts, waits);
    let name = plain_name("subscription.group", &subscription.group)?;
    Ok(Subscription {
        group: group("subscription.group", name)?,
        topic: topic("subscription.topic", &subscription.topic)?,
        filter: filter.map_err(|bad| invalid(field, "FILTER_INVALID", bad.to_string()))?,
        mode,
        retry: retry.map_err(|bad| {
            invalid(
                "subscription.retry_schedule",
                "RETRY_INVALID",
                bad.to_string(),
            )
        })?,
    })
}

pub(super) fn settlement(settlement: v1::Settlement) -> Result<Settlement, Status> {
    use v1::settlement::Verdict as Wire;
    let verdict = match settlement.verdict {
        None => return Err(invalid("settlements.verdict", "MISSING", "must be set")),
        Some(Wire::Done(_)) => Verdict::Done,
        Some(Wire::Again(again)) => Verdict::Again {
            after: span("settlements.again.after", again.after)?,
            error: clipped(again.error),
        },
        Some(Wire::Dead(dead)) => Verdict::Dead {
            error: clipped(dead.error),
        },
    };
    Ok(Settlement {
        token: settlement.token,
        verdict,
    })
}

/// A long text is worth less than the delivery that it belongs to.
fn clipped(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_ERROR_BYTES));
    text
}

pub(super) fn state(state: v1::MessageState) -> Option<MessageState> {
    match state {
        v1::MessageState::Unspecified => None,
        v1::MessageState::Prepared => Some(MessageState::Prepared),
        v1::MessageState::Committed => Some(MessageState::Committed),
        v1::MessageState::Published => Some(MessageState::Published),
        v1::MessageState::RolledBack => Some(MessageState::RolledBack),
        v1::MessageState::Stuck => Some(MessageState::Stuck),
    }
}

pub(super) fn dead_letter_id(text: &str) -> Result<DeadLetterId, Status> {
    // Of the same form as a message's.
    message_id("id", text).map(|id| DeadLetterId(id.into()))
}

pub(super) fn dead_letter_filter(
    filter: Option<v1::DeadLetterFilter>,
    limit: u32,
) -> Result<DeadLetterFilter, Status> {
    let filter = filter.unwrap_or_default();
    let state = match filter.state() {
        v1::DeadLetterState::Unspecified if filter.state != 0 => {
            let rule = format!("{} is not a state", filter.state);
            return Err(invalid("filter.state", "ENUM_UNKNOWN", rule));
        }
        v1::DeadLetterState::Unspecified | v1::DeadLetterState::Open => DeadLetterState::Open,
        v1::DeadLetterState::Resent => DeadLetterState::Resent,
        v1::DeadLetterState::Discarded => DeadLetterState::Discarded,
    };
    Ok(DeadLetterFilter {
        group: optional_group(&filter.group)?,
        topic: optional_topic(&filter.topic)?,
        key: optional_key(&filter.key)?,
        state: Some(state),
        created_from: timestamp("filter.created_after", filter.created_after)?,
        created_before: timestamp("filter.created_before", filter.created_before)?,
        after: None,
        limit,
    })
}

pub(super) fn edit(message: v1::Message, max_bytes: u64) -> Result<Edit, Status> {
    if message.payload.is_none() {
        return Err(invalid("edited.payload", "MISSING", "must be set"));
    }
    Ok(Edit {
        headers: headers("edited.headers", message.headers)?,
        payload: body("edited.payload", message.payload, max_bytes)?,
    })
}

pub(super) fn required_reason(text: &str) -> Result<String, Status> {
    if text.trim().is_empty() {
        return Err(invalid("reason", "REASON_MISSING", "must say why"));
    }
    reason("reason", text)
}
