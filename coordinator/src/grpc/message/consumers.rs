//! `ConsumerService`: subscriptions, and what groups have handled.

use amends_core::message::{GroupName, MessageId, Topic};
use amends_proto::v1;
use amends_proto::v1::consumer_service_server::ConsumerService;
use tonic::{Request, Response, Status};

use crate::grpc::page;
use crate::grpc::read::{page_size, reason};
use crate::grpc::status::invalid;
use crate::messages::SubscriptionFilter;
use crate::store::messages::DeliveryFilter;

use super::{MessageApi, read, show};

#[tonic::async_trait]
impl ConsumerService for MessageApi {
    async fn list_subscriptions(
        &self,
        request: Request<v1::ListSubscriptionsRequest>,
    ) -> Result<Response<v1::ListSubscriptionsResponse>, Status> {
        let request = request.into_inner();
        let after: Option<(GroupName, Topic)> = page::place(&request.page_token)?;
        let filter = SubscriptionFilter {
            group: read::optional_group(&request.group)?,
            topic: read::optional_topic(&request.topic)?,
            after,
            limit: page_size(request.page_size),
        };
        let found = self.messages.subscriptions(&filter).await?;
        let full = found.len() >= filter.limit as usize;
        let next = found.last().filter(|_| full).map(|last| {
            let subscription = &last.stored.subscription;
            page::token(&(&subscription.group, &subscription.topic))
        });
        Ok(Response::new(v1::ListSubscriptionsResponse {
            subscriptions: found.iter().map(show::subscription_view).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }

    async fn create_subscription(
        &self,
        request: Request<v1::CreateSubscriptionRequest>,
    ) -> Result<Response<v1::CreateSubscriptionResponse>, Status> {
        let subscription = read::subscription(request.into_inner().subscription)?;
        let shown = show::subscription(&subscription);
        let created = self.messages.subscribe(subscription).await?;
        Ok(Response::new(v1::CreateSubscriptionResponse {
            subscription: Some(shown),
            created,
        }))
    }

    async fn delete_subscription(
        &self,
        request: Request<v1::DeleteSubscriptionRequest>,
    ) -> Result<Response<v1::DeleteSubscriptionResponse>, Status> {
        let request = request.into_inner();
        let group = read::group("group", &request.group)?;
        let topic = read::topic("topic", &request.topic)?;
        let reason = reason("reason", &request.reason)?;
        self.messages.unsubscribe(&group, &topic, &reason).await?;
        Ok(Response::new(v1::DeleteSubscriptionResponse {}))
    }

    async fn lookup_deliveries(
        &self,
        request: Request<v1::LookupDeliveriesRequest>,
    ) -> Result<Response<v1::LookupDeliveriesResponse>, Status> {
        let request = request.into_inner();
        let after: Option<(MessageId, GroupName)> = page::place(&request.page_token)?;
        let (id, key) = match (request.message_id.as_str(), request.key.as_str()) {
            ("", "") => {
                let rule = "must be set, or key";
                return Err(invalid("message_id", "MISSING", rule));
            }
            (id, "") => (Some(read::message_id("message_id", id)?), None),
            ("", key) => (None, read::optional_key(key)?),
            _ => {
                return Err(invalid(
                    "key",
                    "AMBIGUOUS",
                    "cannot be set beside message_id",
                ));
            }
        };
        let filter = DeliveryFilter {
            id,
            key,
            group: read::optional_group(&request.group)?,
            after,
            limit: page_size(request.page_size),
        };
        let found = self.messages.lookup(&filter).await?;
        let full = found.len() >= filter.limit as usize;
        let next = found.last().filter(|_| full);
        let next = next.map(|last| page::token(&(&last.id, &last.group)));
        Ok(Response::new(v1::LookupDeliveriesResponse {
            deliveries: found.iter().map(show::delivery).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }
}
