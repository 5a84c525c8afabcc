//! Beginning a payment.

use super::table::{self, PayRow};
use super::{PayError, Payments};
use crate::domain::{Cents, ChargeState, Code, OrderId, PayId, PaymentState, UserId};
use crate::proto::GetOrderRequest;
use crate::proto::order_service_client::OrderServiceClient;
use crate::provider::NewCharge;

impl Payments {
    /// The payment of an order, made if there is none yet. Whatever dies on the
    /// way, doing it again goes on from there.
    ///
    /// # Errors
    /// Refused when the order is not confirmed, paid, or given up.
    pub async fn create_payment(&self, order: &OrderId) -> Result<PayRow, PayError> {
        let row = match self.find_of(order).await? {
            Some(row) => row,
            None => self.begin(order).await?,
        };
        match row.is_paid {
            PaymentState::Unpaid | PaymentState::Paying => {}
            PaymentState::Closed => return Err(closed(order)),
            _ => return Err(paid(order)),
        }
        if row.provider_ref.is_some() {
            return Ok(row);
        }
        let charge = NewCharge {
            pay_id: row.pay_id.clone(),
            amount: row.pay_amount,
            notify_url: self.notify_url.clone(),
        };
        let charge = self.provider.create(&charge).await?;
        if charge.state == ChargeState::Closed {
            return Err(closed(order));
        }
        let (pay, provider_ref) = (&row.pay_id, charge.provider_ref);
        let note = async |conn: &mut amends::Conn| table::note_ref(conn, pay, &provider_ref).await;
        self.database.transaction(note).await?;
        Ok(PayRow {
            provider_ref: Some(provider_ref),
            ..row
        })
    }

    /// Writes the payment down, with the amount that the order service names.
    async fn begin(&self, order: &OrderId) -> Result<PayRow, PayError> {
        let (user_id, pay_amount) = self.to_pay(order).await?;
        let row = PayRow {
            pay_id: PayId::unique(),
            order_id: order.clone(),
            user_id,
            pay_amount,
            is_paid: PaymentState::Unpaid,
            provider_ref: None,
        };
        let insert = async |conn: &mut amends::Conn| table::insert(conn, &row).await;
        if let Err(error) = self.database.transaction(insert).await {
            // Somebody else was faster: theirs is the one.
            return self.find_of(order).await?.ok_or(error.into());
        }
        Ok(row)
    }

    /// Who has to pay how much for an order.
    async fn to_pay(&self, order: &OrderId) -> Result<(UserId, Cents), PayError> {
        let mut orders = OrderServiceClient::new(self.orders.clone());
        let request = GetOrderRequest {
            order_id: order.to_string(),
        };
        let answer = orders.get_order(request).await;
        let answer = answer.map_err(|status| match status.code() {
            tonic::Code::NotFound => {
                PayError::refused(Code::OrderNoExist, format!("there is no order {order}"))
            }
            _ => PayError::Orders(Box::new(status)),
        })?;
        let Some(found) = answer.into_inner().order else {
            let text = format!("there is no order {order}");
            return Err(PayError::refused(Code::OrderNoExist, text));
        };
        let amount = Cents::new(found.pay_amount_cents);
        if found.order_status != "confirmed" {
            let text = format!("order {order} is {}", found.order_status);
            return Err(PayError::refused(Code::OrderStatusInvalid, text));
        }
        if amount == Cents::ZERO {
            let text = format!("order {order} was paid with coupon and balance");
            return Err(PayError::refused(Code::OrderNothingToPay, text));
        }
        if found.pay_status == "paid" {
            return Err(paid(order));
        }
        Ok((UserId::new(found.user_id), amount))
    }

    pub(super) async fn find_of(&self, order: &OrderId) -> Result<Option<PayRow>, PayError> {
        let find = async |conn: &mut amends::Conn| table::find_of(conn, order).await;
        Ok(self.database.transaction(find).await?)
    }
}

fn closed(order: &OrderId) -> PayError {
    let text = format!("order {order} was not paid in time");
    PayError::refused(Code::PayClosed, text)
}

fn paid(order: &OrderId) -> PayError {
    PayError::refused(Code::OrderPayStatusIsPay, format!("order {order} is paid"))
}
