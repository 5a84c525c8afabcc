//! Errors as customers get them: a status, a stable code, a message.

use amends::ClientError;
use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tonic::Status;

use crate::domain::Violation;

/// Why a request did not succeed; `{"code": .., "message": ..}` on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    #[serde(skip)]
    status: StatusCode,
    code: String,
    message: String,
}

impl Problem {
    /// A problem with its status, its stable code and a message.
    pub fn new(status: StatusCode, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
        }
    }

    /// A refusal of an order: the status follows from the code.
    pub fn refused(code: impl Into<String>, message: impl Into<String>) -> Self {
        let code = code.into();
        Self::new(status_of(&code), code, message)
    }

    /// Something that the shop needs is away.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "SHOP_UNAVAILABLE", message)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        const SOON: HeaderValue = HeaderValue::from_static("1");
        let mut response = (self.status, Json(&self)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, SOON);
        }
        response
    }
}

impl From<Violation> for Problem {
    fn from(violation: Violation) -> Self {
        Self::refused(violation.code, violation.message)
    }
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        match &error {
            ClientError::Conflict { .. } => Self::refused(
                crate::domain::Code::OrderIdTaken,
                "there is an order with this id and other content",
            ),
            ClientError::Unavailable { .. } => Self::unavailable(
                "orders cannot be placed just now; the same order may be sent again",
            ),
            ClientError::NotFound { .. } => {
                Self::refused(crate::domain::Code::OrderNoExist, "there is no such order")
            }
            _ => {
                tracing::error!(%error, "the coordinator gave an answer that the front did not expect");
                let text = "something is wrong with the shop";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "SHOP_BROKEN", text)
            }
        }
    }
}

/// From a service's answer to a question; `missing` is the code where there is no such thing.
pub(super) fn from_query(missing: &str, status: &Status) -> Problem {
    match status.code() {
        tonic::Code::NotFound => Problem::refused(missing, status.message()),
        tonic::Code::InvalidArgument => {
            Problem::new(StatusCode::BAD_REQUEST, "REQUEST_INVALID", status.message())
        }
        tonic::Code::FailedPrecondition => {
            Problem::refused(crate::domain::Code::OrderStatusInvalid, status.message())
        }
        _ => {
            tracing::warn!(%status, "a service did not answer");
            Problem::unavailable("a part of the shop is away")
        }
    }
}

pub(super) async fn no_such_page(uri: Uri) -> Problem {
    let text = format!("there is nothing at {}", uri.path());
    Problem::new(StatusCode::NOT_FOUND, "PAGE_NO_EXIST", text)
}

pub(super) async fn no_such_method(method: Method, uri: Uri) -> Problem {
    let text = format!("{method} is not possible at {}", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_INVALID", text)
}

/// By the code alone, because most refusals come back from the saga as text.
fn status_of(code: &str) -> StatusCode {
    match code {
        "GOODS_NO_EXIST" | "COUPON_NO_EXIST" | "USER_NO_EXIST" | "ORDER_NO_EXIST"
        | "PAY_NO_EXIST" => StatusCode::NOT_FOUND,
        "ORDER_INVALID"
        | "ORDER_SHIPPINGFEE_INVALID"
        | "ORDERAMOUNT_INVALID"
        | "MONEY_PAID_LESS_ZERO"
        | "PAY_AMOUNT_INVALID" => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::CONFLICT,
    }
}
