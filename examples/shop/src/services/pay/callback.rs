//! Where the provider tells what happened.
//!
//! Nothing is believed that is not signed, and nothing is done twice. The
//! answer comes when everything is durable: an answer that does not come, or an
//! error of ours, makes the provider say it again.

use amends::Conn;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;

use super::settle::Proof;
use super::table::{self, MAX_CALLBACK_BYTES};
use super::{PayError, Payments, Settled};
use crate::domain::{Code, PaymentState};
use crate::front::Problem;
use crate::provider::{CallbackBody, CallbackStatus, SIGNATURE_HEADER};

/// Where the provider finds it.
pub const CALLBACK_PATH: &str = "/payments/callback";

/// The verdict on a callback that says that the customer is paying.
const PAYING: &str = "paying";

/// The route for the provider.
pub fn callbacks(payments: Payments) -> Router {
    Router::new()
        .route(CALLBACK_PATH, post(callback))
        .layer(DefaultBodyLimit::max(MAX_CALLBACK_BYTES))
        .with_state(payments)
}

async fn callback(
    State(payments): State<Payments>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let signature = headers.get(SIGNATURE_HEADER);
    let signature = signature.and_then(|value| value.to_str().ok());
    if !payments.key.signed(&body, signature.unwrap_or_default()) {
        tracing::warn!("a callback was not signed by the provider");
        let text = "this is not signed by the provider";
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            Code::PaySignatureInvalid,
            text,
        ));
    }
    // The provider signed it, so it is text of the provider's.
    let unreadable = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "a callback of the provider's cannot be read");
        Problem::new(
            StatusCode::BAD_REQUEST,
            "REQUEST_INVALID",
            error.to_string(),
        )
    };
    let raw = std::str::from_utf8(&body).map_err(|error| unreadable(&error))?;
    let body: CallbackBody = serde_json::from_str(raw).map_err(|error| unreadable(&error))?;
    match payments.told(&body, raw).await {
        Ok(settled) => {
            tracing::debug!(pay = %body.pay_id, ?settled, "told by the provider");
            Ok(StatusCode::OK)
        }
        Err(PayError::Refused { code, message }) => {
            tracing::warn!(pay = %body.pay_id, %code, message, "a callback was refused");
            Err(Problem::refused(code, message))
        }
        Err(error) => {
            tracing::warn!(%error, "a callback waits for its repetition");
            Err(Problem::unavailable("say it again"))
        }
    }
}

impl Payments {
    /// Takes in what the provider says; `None` when there was nothing to settle.
    async fn told(&self, body: &CallbackBody, raw: &str) -> Result<Option<Settled>, PayError> {
        let id = body.callback_id.as_str();
        let kept = async |conn: &mut Conn| table::is_kept(conn, id).await;
        if self.database.transaction(kept).await? {
            return Ok(None);
        }
        match body.status {
            CallbackStatus::Paying => {
                self.find(&body.pay_id).await?;
                let paying = async |conn: &mut Conn| {
                    let (from, to) = (PaymentState::Unpaid, PaymentState::Paying);
                    table::change(conn, &body.pay_id, from, to).await?;
                    table::keep_callback(conn, id, &body.pay_id, raw, PAYING).await
                };
                self.database.transaction(paying).await?;
                Ok(None)
            }
            CallbackStatus::Paid => {
                let proof = Proof {
                    callback_id: id,
                    raw,
                };
                let settled = self.settle(&body.pay_id, body.amount, Some(proof));
                settled.await.map(Some)
            }
        }
    }
}
