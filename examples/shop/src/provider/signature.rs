//! How the shop knows that a callback comes from the provider: HMAC-SHA-256 of
//! its body, with a key that both have.

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "x-provider-signature";

/// What a signature begins with: the way in which it was made.
const SCHEME: &str = "hmac-sha256=";

/// The fewest bytes of a key.
const MIN_KEY_BYTES: usize = 16;

/// The key; `Debug` does not show it.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("cannot read the provider's key in {path}")]
    File {
        /// Which file.
        path: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Nobody says where it is.
    #[error("there is no key of the provider: give --provider-key-file")]
    Missing,
    /// Too short to be a secret.
    #[error("the provider's key has fewer than {MIN_KEY_BYTES} bytes")]
    Short,
}

impl Key {
    /// A key; white space around it does not count.
    ///
    /// # Errors
    /// When it is too short.
    pub fn new(text: &str) -> Result<Self, KeyError> {
        let bytes = text.trim().as_bytes();
        if bytes.len() < MIN_KEY_BYTES {
            return Err(KeyError::Short);
        }
        let mac = Hmac::new_from_slice(bytes).map_err(|_| KeyError::Short)?;
        Ok(Self(mac))
    }

    /// The key in a file.
    ///
    /// # Errors
    /// When there is none.
    pub async fn read(path: &Path) -> Result<Self, KeyError> {
        let text = tokio::fs::read_to_string(path).await;
        let text = text.map_err(|source| KeyError::File {
            path: path.display().to_string(),
            source,
        })?;
        Self::new(&text)
    }

    /// The signature of a body.
    #[must_use]
    pub fn sign(&self, body: &[u8]) -> String {
        let mac = self.0.clone().chain_update(body).finalize();
        format!("{SCHEME}{}", STANDARD.encode(mac.into_bytes()))
    }

    /// Whether the signature is this body's. How long that takes says nothing
    /// about how much of it was right.
    #[must_use]
    pub fn signed(&self, body: &[u8], signature: &str) -> bool {
        let Some(encoded) = signature.strip_prefix(SCHEME) else {
            return false;
        };
        let Ok(signature) = STANDARD.decode(encoded) else {
            return false;
        };
        let mac = self.0.clone().chain_update(body);
        mac.verify_slice(&signature).is_ok()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(***)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_whole_signature_of_this_body_by_this_key_counts() {
        let key = Key::new(" 0123456789abcdef\n").unwrap();
        let other = Key::new("0123456789abcdeg").unwrap();
        let good = key.sign(b"body");
        let check = |body: &[u8], signature: &str, expected: bool| {
            assert_eq!(key.signed(body, signature), expected, "{signature}");
        };
        check(b"body", &good, true);
        check(b"Body", &good, false);
        check(b"body", &other.sign(b"body"), false);
        check(b"body", &good[..good.len() - 4], false);
        check(b"body", "", false);
        check(b"body", SCHEME, false);
        check(b"body", &good.replace(SCHEME, "hmac-md5="), false);
        check(b"body", "hmac-sha256=not base64", false);
        assert!(good.starts_with(SCHEME));
        assert_eq!(format!("{key:?}"), "Key(***)");
    }

    #[test]
    fn a_short_key_is_none() {
        assert!(matches!(Key::new("   short   "), Err(KeyError::Short)));
    }

    /// RFC 4231, test case 3.
    #[test]
    fn it_is_hmac_sha_256() {
        let key = Key(Hmac::new_from_slice(&[0xaa; 20]).unwrap());
        let expected = "hmac-sha256=dz6pHjaADkaFTbjr0JGBpylZCYs++MEi2WNVFM7VZf4=";
        assert_eq!(key.sign(&[0xdd; 50]), expected);
    }
}
