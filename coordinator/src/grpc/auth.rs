//! The bearer token that calls must carry where one is configured.

use std::sync::Arc;

use tonic::service::Interceptor;
use tonic::{Code, Request, Status};

use super::status::status;

/// A secret that all callers share. Never printed.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// Wraps the secret.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        Self(secret.into())
    }
}

/// Refuses calls without the token.
#[derive(Clone)]
pub(super) struct Check {
    expected: Option<Token>,
}

impl Check {
    pub(super) fn new(expected: Option<Token>) -> Self {
        Self { expected }
    }
}

impl Interceptor for Check {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let Some(Token(expected)) = &self.expected else {
            return Ok(request);
        };
        let given = request
            .metadata()
            .get("authorization")
            .map(tonic::metadata::MetadataValue::as_bytes);
        let given = given.and_then(|value| value.strip_prefix(b"Bearer "));
        if given.is_some_and(|given| is_equal(given, expected.as_bytes())) {
            return Ok(request);
        }
        let message = "this coordinator wants a token: authorization: Bearer ...";
        Err(status(Code::Unauthenticated, "TOKEN_INVALID", message))
    }
}

/// Takes the same time wherever the first difference is.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |found, (x, y)| found | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lets_in_with_the_token_only() {
        let mut check = Check::new(Some(Token::new("s3cret")));
        for (header, passes) in [
            (None, false),
            (Some("Bearer s3cret"), true),
            (Some("Bearer s3creT"), false),
            (Some("s3cret"), false),
            (Some("Bearer "), false),
        ] {
            let mut request = Request::new(());
            if let Some(header) = header {
                request
                    .metadata_mut()
                    .insert("authorization", header.parse().unwrap());
            }
            assert_eq!(check.call(request).is_ok(), passes, "{header:?}");
        }
        assert!(Check::new(None).call(Request::new(())).is_ok());
    }
}
