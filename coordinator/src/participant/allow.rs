//! The gate that every address passes before it is called.
//!
//! Host names are compared as text and never resolved: see the allow list in
//! the configuration, which holds the rules.

use crate::config::{AllowList, HostPort};

/// Why an address is turned away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is no address.
    #[error("{0:?} is not an address; expected host:port, 10.0.0.1:80 or [::1]:80")]
    Invalid(String),
    /// No rule allows it.
    #[error("the configuration allows no calls to {0}: see participants.allow")]
    NotAllowed(HostPort),
}

impl AddressError {
    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "ADDRESS_INVALID",
            Self::NotAllowed(_) => "ADDRESS_NOT_ALLOWED",
        }
    }
}

/// Reads an address and checks that it may be called.
pub(super) fn check(allow: &AllowList, text: &str) -> Result<HostPort, AddressError> {
    let address: HostPort = text
        .parse()
        .map_err(|_| AddressError::Invalid(text.to_owned()))?;
    if allow.allows(&address) {
        Ok(address)
    } else {
        Err(AddressError::NotAllowed(address))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn outcome(rule: &str, address: &str) -> Result<String, &'static str> {
        let allow: AllowList = rule
            .split_whitespace()
            .map(|r| r.parse().unwrap())
            .collect();
        check(&allow, address)
            .map(|address| address.to_string())
            .map_err(|error| error.code())
    }

    #[test]
    fn lets_through_what_a_rule_allows_and_nothing_else() {
        const INVALID: Result<&str, &str> = Err("ADDRESS_INVALID");
        const CLOSED: Result<&str, &str> = Err("ADDRESS_NOT_ALLOWED");
        let cases = [
            ("", "127.0.0.1:80", CLOSED),
            ("127.0.0.0/8", "127.9.9.9:80", Ok("127.9.9.9:80")),
            ("127.0.0.0/8", "128.0.0.1:80", CLOSED),
            ("127.0.0.0/8", "[::ffff:127.0.0.1]:80", CLOSED),
            ("10.1.2.3", "10.1.2.3:1", Ok("10.1.2.3:1")),
            ("10.1.2.3", "10.1.2.4:1", CLOSED),
            ("10.1.2.3:5", "10.1.2.3:6", CLOSED),
            ("[::1]", "[0:0::1]:9", Ok("[::1]:9")),
            ("[::1]", "[::2]:9", CLOSED),
            ("stock", "Stock:9", Ok("stock:9")),
            ("stock", "stock.example.org:9", CLOSED),
            ("stock:9", "stock:9", Ok("stock:9")),
            ("stock:9", "stock:10", CLOSED),
            ("*.internal", "a.internal:1", Ok("a.internal:1")),
            ("*.internal", "internal:1", CLOSED),
            ("*.internal", "ainternal:1", CLOSED),
            ("*.internal:1", "a.internal:2", CLOSED),
            // A name is a text, whatever it would resolve to.
            ("0.0.0.0/0", "stock:9", CLOSED),
            (
                "0.0.0.0/0 [::]",
                "169.254.169.254:80",
                Ok("169.254.169.254:80"),
            ),
            ("0.0.0.0/0", "127.1:80", INVALID),
            ("0.0.0.0/0", "2130706433:80", INVALID),
            ("stock", "stock", INVALID),
            ("stock", "stock:0", INVALID),
            ("stock", "stock:65536", INVALID),
            ("stock", "user@stock:1", INVALID),
            ("stock", "http://stock:1", INVALID),
            ("stock", "stock:1/x", INVALID),
            ("stock", "", INVALID),
            ("[::1]", "::1:80", INVALID),
        ];
        for (rules, address, expected) in cases {
            assert_eq!(
                outcome(rules, address),
                expected.map(str::to_owned),
                "{rules} {address}"
            );
        }
    }
}
