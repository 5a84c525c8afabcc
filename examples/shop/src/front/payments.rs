//! Paying an order.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use tonic::Status;

use super::answer::from_query;
use super::{Front, Problem};
use crate::domain::Code;
use crate::proto::CreatePaymentRequest;
use crate::proto::pay_service_client::PayServiceClient;

/// `POST /orders/{id}/pay`: the order's payment, with where it is made. The
/// same again is the same payment.
pub(super) async fn begin(
    State(front): State<Front>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let mut payments = PayServiceClient::new(front.inner.pay.clone());
    let request = CreatePaymentRequest { order_id: id };
    let answer = payments.create_payment(request).await;
    let payment = answer.map_err(|status| problem(&status))?.into_inner();
    let body = json!({
        "pay_id": payment.pay_id,
        "pay_amount": payment.pay_amount_cents,
        "pay_url": payment.pay_url,
    });
    Ok((StatusCode::CREATED, Json(body)))
}

/// A refusal of the pay service's says its code before its text.
fn problem(status: &Status) -> Problem {
    let refused = matches!(
        status.code(),
        tonic::Code::FailedPrecondition | tonic::Code::NotFound
    );
    match status.message().split_once(": ") {
        Some((code, text)) if refused => Problem::refused(code, text),
        _ => from_query(Code::PayNoExist.as_str(), status),
    }
}
