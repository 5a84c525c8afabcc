//! The pretended messages, groups and dead letters.
//!
//! Messages `m-1` (published; handled by `billing`, retried by `mailer`, dead in
//! `audit`) and `late` (due in the future). Dead letters `d-1`, and `d-2`, which
//! somebody else resends first.

use amends_proto::v1::consumer_service_server::ConsumerService;
use amends_proto::v1::dead_letter_service_server::DeadLetterService;
use amends_proto::v1::message_service_server::MessageService;
use amends_proto::v1::subscription::Filter;
use amends_proto::v1::*;
use tokio_stream::Empty;
use tonic::{Code, Request, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{Answer, Fake, answer, at, json};

fn missing(code: &str, message: String) -> Status {
    let details = ErrorDetails::with_error_info(code, "amends", []);
    Status::with_error_details(Code::NotFound, message, details)
}

fn message(id: &str) -> Message {
    Message {
        id: id.to_owned(),
        topic: "orders".to_owned(),
        tag: "paid".to_owned(),
        key: "order-7".to_owned(),
        headers: [("region".to_owned(), "eu".to_owned())].into(),
        payload: json(r#"{"order":7}"#),
        create_time: at(0, 0),
        ..Default::default()
    }
}

fn status(id: &str) -> Result<MessageStatus, Status> {
    match id {
        "m-1" => Ok(MessageStatus {
            message: Some(message("m-1")),
            state: MessageState::Published.into(),
            try_count: 1,
            publish_time: at(0, 5),
            deliveries: deliveries(),
            ..Default::default()
        }),
        "late" => Ok(MessageStatus {
            message: Some(Message {
                deliver_time: at(3600, 0),
                ..message("late")
            }),
            state: MessageState::Committed.into(),
            ..Default::default()
        }),
        id => Err(missing(
            "MESSAGE_NOT_FOUND",
            format!("there is no message {id}"),
        )),
    }
}

fn deliveries() -> Vec<Delivery> {
    let delivery = |group: &str, state: DeliveryState, attempts, error: &str| Delivery {
        group: group.to_owned(),
        message_id: "m-1".to_owned(),
        topic: "orders".to_owned(),
        state: state.into(),
        attempts,
        first_error: error.to_owned(),
        last_error: error.to_owned(),
        update_time: at(1, 0),
        ..Default::default()
    };
    vec![
        delivery("audit", DeliveryState::Dead, 16, "no such customer"),
        delivery("billing", DeliveryState::Done, 1, ""),
        Delivery {
            next_attempt_time: at(31, 0),
            ..delivery("mailer", DeliveryState::Retrying, 2, "smtp: 451")
        },
    ]
}

fn item(id: String, refused: &[(&str, &str)]) -> ItemResult {
    let found = refused.iter().find(|(known, _)| *known == id);
    let (code, text) = match (found, id.as_str()) {
        (Some((_, code)), _) => (*code, "it is in another state"),
        (None, "nobody") => ("MESSAGE_NOT_FOUND", "there is no message nobody"),
        _ => ("", ""),
    };
    ItemResult {
        id,
        done: code.is_empty(),
        code: code.to_owned(),
        message: text.to_owned(),
        new_id: String::new(),
    }
}

#[tonic::async_trait]
impl MessageService for Fake {
    type ConsumeStream = Empty<Result<ConsumeResponse, Status>>;

    async fn publish_messages(
        &self,
        request: Request<PublishMessagesRequest>,
    ) -> Answer<PublishMessagesResponse> {
        let messages = request.into_inner().messages.into_iter().zip(1..);
        let published = messages.map(|(publish, number)| {
            let message = publish.message.unwrap_or_default();
            if message.topic == "full" {
                return Err(Status::resource_exhausted("no room"));
            }
            let delayed = if publish.delay.is_some() {
                "-delayed"
            } else {
                ""
            };
            let body = message.payload.unwrap_or_default();
            let made_up = format!(
                "{number}{delayed}:{}:{}",
                body.content_type,
                body.data.len()
            );
            Ok(PublishedMessage {
                created: message.id != "m-1",
                id: if message.id.is_empty() {
                    made_up
                } else {
                    message.id
                },
            })
        });
        let messages = published.collect::<Result<_, _>>()?;
        answer(PublishMessagesResponse { messages })
    }

    async fn get_message(&self, request: Request<GetMessageRequest>) -> Answer<GetMessageResponse> {
        let message = Some(status(&request.into_inner().id)?);
        answer(GetMessageResponse { message })
    }

    async fn list_messages(
        &self,
        request: Request<ListMessagesRequest>,
    ) -> Answer<ListMessagesResponse> {
        let request = request.into_inner();
        if request.delayed {
            let messages = vec![status("late")?];
            return answer(ListMessagesResponse {
                messages,
                ..Default::default()
            });
        }
        // Two pages of one message.
        let (id, next) = match request.page_token.as_str() {
            "" => ("late", "second"),
            _ => ("m-1", ""),
        };
        let listed = status(id)?;
        answer(ListMessagesResponse {
            messages: vec![MessageStatus {
                deliveries: Vec::new(),
                ..listed
            }],
            next_page_token: next.to_owned(),
        })
    }

    async fn cancel_messages(
        &self,
        request: Request<CancelMessagesRequest>,
    ) -> Answer<CancelMessagesResponse> {
        let ids = request.into_inner().ids.into_iter();
        let results = ids.map(|id| item(id, &[("m-1", "MESSAGE_PUBLISHED")]));
        answer(CancelMessagesResponse {
            results: results.collect(),
        })
    }

    async fn retry_messages(
        &self,
        request: Request<RetryMessagesRequest>,
    ) -> Answer<RetryMessagesResponse> {
        let ids = request.into_inner().ids.into_iter();
        let results = ids.map(|id| item(id, &[("late", "NOTHING_WAITS")]));
        answer(RetryMessagesResponse {
            results: results.collect(),
        })
    }

    async fn consume(
        &self,
        _request: Request<Streaming<ConsumeRequest>>,
    ) -> Answer<Self::ConsumeStream> {
        Err(Status::unimplemented("nobody consumes here"))
    }
}

#[tonic::async_trait]
impl ConsumerService for Fake {
    async fn list_subscriptions(
        &self,
        _request: Request<ListSubscriptionsRequest>,
    ) -> Answer<ListSubscriptionsResponse> {
        let subscription = |group: &str, filter| SubscriptionStatus {
            subscription: Some(Subscription {
                group: group.to_owned(),
                topic: "orders".to_owned(),
                filter: Some(filter),
                max_attempts: 2,
                retry_schedule: vec![prost_types::Duration {
                    seconds: 10,
                    nanos: 0,
                }],
                ..Default::default()
            }),
            consumers: 1,
            ready: 5,
            leased: 2,
            retrying: 1,
            dead: 1,
            create_time: at(0, 0),
            at_broker: (group == "audit").then_some(12),
        };
        answer(ListSubscriptionsResponse {
            subscriptions: vec![
                subscription("audit", Filter::Sql("amount > 1000".to_owned())),
                subscription("mailer", Filter::Tags("paid || refunded".to_owned())),
            ],
            next_page_token: String::new(),
        })
    }

    async fn create_subscription(
        &self,
        request: Request<CreateSubscriptionRequest>,
    ) -> Answer<CreateSubscriptionResponse> {
        let subscription = request.into_inner().subscription;
        let created = subscription.as_ref().is_some_and(|it| it.group != "mailer");
        answer(CreateSubscriptionResponse {
            subscription,
            created,
        })
    }

    async fn delete_subscription(
        &self,
        _request: Request<DeleteSubscriptionRequest>,
    ) -> Answer<DeleteSubscriptionResponse> {
        answer(DeleteSubscriptionResponse {})
    }

    async fn lookup_deliveries(
        &self,
        request: Request<LookupDeliveriesRequest>,
    ) -> Answer<LookupDeliveriesResponse> {
        let LookupDeliveriesRequest {
            message_id,
            key,
            group,
            ..
        } = request.into_inner();
        let is_known = message_id == "m-1" || key == "order-7";
        let found = deliveries().into_iter();
        let found = found.filter(|it| is_known && (group.is_empty() || it.group == group));
        answer(LookupDeliveriesResponse {
            deliveries: found.collect(),
            next_page_token: String::new(),
        })
    }
}

fn letter(id: &str, body: bool) -> DeadLetter {
    let mut message = message(&format!("message-of-{id}"));
    if !body {
        message.payload = None;
    }
    DeadLetter {
        id: id.to_owned(),
        group: "mailer".to_owned(),
        message: Some(message),
        attempts: 16,
        first_error: "smtp: 451".to_owned(),
        last_error: "smtp: 550".to_owned(),
        create_time: at(60, 0),
        state: DeadLetterState::Open.into(),
        ..Default::default()
    }
}

/// The ids, or those that a filter finds.
fn chosen(ids: Vec<String>, filter: Option<&DeadLetterFilter>) -> Vec<String> {
    match filter {
        None => ids,
        Some(filter) if filter.group == "mailer" => vec!["d-1".to_owned(), "d-2".to_owned()],
        Some(_) => Vec::new(),
    }
}

#[tonic::async_trait]
impl DeadLetterService for Fake {
    async fn list_dead_letters(
        &self,
        request: Request<ListDeadLettersRequest>,
    ) -> Answer<ListDeadLettersResponse> {
        let filter = request.into_inner().filter.unwrap_or_default();
        let ids = chosen(Vec::new(), Some(&filter));
        let mut letters: Vec<_> = ids.iter().map(|id| letter(id, false)).collect();
        if filter.state() == DeadLetterState::Resent {
            letters.truncate(1);
            for letter in &mut letters {
                letter.set_state(DeadLetterState::Resent);
                letter.resolve_time = at(3_600, 0);
                letter.actor = "eve".to_owned();
                letter.reason = "price was missing".to_owned();
                letter.resent_as = "m-9".to_owned();
            }
        }
        answer(ListDeadLettersResponse {
            dead_letters: letters,
            next_page_token: String::new(),
        })
    }

    async fn get_dead_letter(
        &self,
        request: Request<GetDeadLetterRequest>,
    ) -> Answer<GetDeadLetterResponse> {
        match request.into_inner().id.as_str() {
            id @ ("d-1" | "d-2") => answer(GetDeadLetterResponse {
                dead_letter: Some(letter(id, true)),
            }),
            id => Err(missing(
                "DEAD_LETTER_NOT_FOUND",
                format!("there is no dead letter {id}"),
            )),
        }
    }

    async fn resend_dead_letters(
        &self,
        request: Request<ResendDeadLettersRequest>,
    ) -> Answer<ResendDeadLettersResponse> {
        let request = request.into_inner();
        let ids = chosen(request.ids, request.filter.as_ref());
        let edited = request.edited.map(|edited| {
            let body = edited.payload.unwrap_or_default();
            let text = String::from_utf8_lossy(&body.data).into_owned();
            format!("{}:{text}:{}", body.content_type, edited.headers.len())
        });
        let results = ids.into_iter().map(|id| ItemResult {
            new_id: edited.clone().unwrap_or_default(),
            ..item(id, &[("d-2", "DEAD_LETTER_RESOLVED")])
        });
        answer(ResendDeadLettersResponse {
            results: results.collect(),
        })
    }

    async fn discard_dead_letters(
        &self,
        request: Request<DiscardDeadLettersRequest>,
    ) -> Answer<DiscardDeadLettersResponse> {
        let request = request.into_inner();
        let ids = chosen(request.ids, request.filter.as_ref()).into_iter();
        let by = format!("{} because {}", request.actor, request.reason);
        let results = ids.map(|id| ItemResult {
            new_id: by.clone(),
            ..item(id, &[])
        });
        answer(DiscardDeadLettersResponse {
            results: results.collect(),
        })
    }
}
