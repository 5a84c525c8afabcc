//! Page tokens: where the last page ended, opaque to clients.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::Status;

use super::status::invalid;

/// Writes a place as a token.
pub(super) fn token(place: &impl Serialize) -> String {
    serde_json::to_vec(place)
        .map(|json| URL_SAFE_NO_PAD.encode(json))
        .unwrap_or_default()
}

/// Reads a token; empty means the first page.
pub(super) fn place<T: DeserializeOwned>(token: &str) -> Result<Option<T>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let place = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    place.map(Some).ok_or_else(|| {
        invalid(
            "page_token",
            "PAGE_TOKEN_INVALID",
            "is not one that this list gave out",
        )
    })
}
