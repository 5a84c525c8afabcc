//! The provider as the shop sees it.

use std::time::Duration;

use axum::http::Method;
use bytes::Bytes;
use serde::Serialize;

use super::api::{Charge, NewCharge, PayRequest};
use crate::domain::PayId;
use crate::http::{Answer, HttpError, send_to};

/// An answer takes no longer.
const MAX_ANSWER: Duration = Duration::from_secs(5);

/// Calls the provider. Everything it asks for can be asked again.
#[derive(Clone, Debug)]
pub struct ProviderClient {
    url: String,
}

/// Why the provider did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It does not answer: the outcome is unknown.
    #[error("the provider does not answer")]
    Silent(#[from] HttpError),
    /// It answers that it does not.
    #[error("the provider answers {status} {code}")]
    Refused {
        /// The status.
        status: u16,
        /// Its code.
        code: String,
    },
    /// It answers something that is no charge.
    #[error("the provider's answer cannot be read")]
    Answer(#[from] serde_json::Error),
}

impl ProviderClient {
    /// A provider at `http://host:port`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        let url: String = url.into();
        Self {
            url: url.trim_end_matches('/').to_owned(),
        }
    }

    /// Asks for a charge.
    ///
    /// # Errors
    /// [`ProviderError`]; so for everything below.
    pub async fn create(&self, new: &NewCharge) -> Result<Charge, ProviderError> {
        self.post("/charges", new).await
    }

    /// A charge as it stands.
    pub async fn find(&self, pay: &PayId) -> Result<Charge, ProviderError> {
        let path = format!("/charges/{pay}");
        self.call(Method::GET, &path, Bytes::new()).await
    }

    /// Pays, as a customer does.
    pub async fn pay(&self, pay: &PayId, request: &PayRequest) -> Result<Charge, ProviderError> {
        self.post(&format!("/charges/{pay}/pay"), request).await
    }

    /// Closes a charge, and says whether that was in time.
    pub async fn close(&self, pay: &PayId) -> Result<Charge, ProviderError> {
        self.post(&format!("/charges/{pay}/close"), &()).await
    }

    /// Pays a charge back.
    pub async fn refund(&self, pay: &PayId) -> Result<Charge, ProviderError> {
        self.post(&format!("/charges/{pay}/refund"), &()).await
    }

    async fn post(&self, path: &str, body: &impl Serialize) -> Result<Charge, ProviderError> {
        let body = serde_json::to_vec(body)?;
        self.call(Method::POST, path, body.into()).await
    }

    async fn call(&self, method: Method, path: &str, body: Bytes) -> Result<Charge, ProviderError> {
        let url = format!("{}{path}", self.url);
        let answer = send_to(&url, method, &[], body, MAX_ANSWER).await?;
        match answer {
            Answer { status: 200, body } => Ok(serde_json::from_value(body)?),
            other => Err(ProviderError::Refused {
                status: other.status,
                code: other.code().to_owned(),
            }),
        }
    }
}
