//! What the front may ask, and what a reconciliation has mended.

use tonic::{Request, Response, Status};

use super::settle::{event, refund_due};
use super::{CLOSED, PayError, Payments, REFUNDED, SUCCESS};
use crate::domain::{ChargeState, Code, PayId, PaymentState};
use crate::proto::pay_service_server::PayService;
use crate::proto::{
    CreatePaymentRequest, CreatePaymentResponse, RepairPaymentRequest, RepairPaymentResponse,
};

/// Answers questions about payments.
#[derive(Debug)]
pub struct PayQueries {
    /// The service.
    pub payments: Payments,
}

#[tonic::async_trait]
impl PayService for PayQueries {
    async fn create_payment(
        &self,
        request: Request<CreatePaymentRequest>,
    ) -> Result<Response<CreatePaymentResponse>, Status> {
        let order = parse(&request.into_inner().order_id)?;
        let row = self.payments.create_payment(&order).await;
        let row = row.map_err(|error| status(&error))?;
        Ok(Response::new(CreatePaymentResponse {
            pay_url: pay_url(&self.payments.pay_at, &row.pay_id),
            pay_id: row.pay_id.to_string(),
            pay_amount_cents: row.pay_amount.get(),
        }))
    }

    async fn repair_payment(
        &self,
        request: Request<RepairPaymentRequest>,
    ) -> Result<Response<RepairPaymentResponse>, Status> {
        let pay = parse(&request.into_inner().pay_id)?;
        let done = self
            .payments
            .repair(&pay)
            .await
            .map_err(|error| status(&error))?;
        Ok(Response::new(RepairPaymentResponse {
            done: done.to_owned(),
        }))
    }
}

impl Payments {
    /// Compares a payment with the provider's charge and goes on from there;
    /// then tells everybody once more, who know by the key what they knew before.
    async fn repair(&self, pay: &PayId) -> Result<&'static str, PayError> {
        let mut row = self.find(pay).await?;
        let mut done = "told again";
        let settled = matches!(
            row.is_paid,
            PaymentState::Unpaid | PaymentState::Paying | PaymentState::Closed
        );
        if settled && row.provider_ref.is_some() {
            let charge = self.provider.find(pay).await?;
            if charge.state == ChargeState::Paid {
                done = self.settle(pay, charge.amount, None).await?.as_str();
                row = self.find(pay).await?;
            }
        }
        let message = match row.is_paid {
            PaymentState::Unpaid | PaymentState::Paying => return Ok("nothing to mend"),
            PaymentState::Paid => event(&row, SUCCESS),
            PaymentState::Closed => event(&row, CLOSED),
            PaymentState::Refunding => refund_due(pay),
            PaymentState::Refunded => event(&row, REFUNDED),
        };
        let tell = async |conn: &mut amends::Conn| conn.publish(message).await;
        self.database.transaction(tell).await?;
        Ok(done)
    }
}

fn pay_url(provider: &str, pay: &PayId) -> String {
    format!("{}/charges/{pay}/pay", provider.trim_end_matches('/'))
}

fn parse<T: std::str::FromStr<Err = crate::domain::IdError>>(id: &str) -> Result<T, Status> {
    id.parse()
        .map_err(|error: crate::domain::IdError| Status::invalid_argument(error.to_string()))
}

fn status(error: &PayError) -> Status {
    match error {
        PayError::Refused { code, .. } => match code {
            Code::OrderNoExist | Code::PayNoExist => Status::not_found(error.to_string()),
            _ => Status::failed_precondition(error.to_string()),
        },
        _ => {
            tracing::warn!(error = error as &dyn std::error::Error, "about a payment");
            Status::unavailable("payments cannot be made just now; the same may be asked again")
        }
    }
}
