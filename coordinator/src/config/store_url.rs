//! The store's address.

use std::fmt;
use std::str::FromStr;

use url::Url;

use super::secret::Secret;
use super::value::scalar_value;

/// Which store to open. `Display` and `Debug` show it without passwords.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// Nothing survives the process.
    Memory,
    /// A file on this machine; created when absent.
    Sqlite {
        /// The file, relative to the working directory, with any `?parameters`.
        path: String,
    },
    /// A PostgreSQL server, or one that speaks its protocol.
    Postgres {
        /// The whole URL, password included.
        url: Secret,
    },
}

/// It is no URL of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a store URL")]
pub struct NotAStoreUrl;

impl FromStr for StoreUrl {
    type Err = NotAStoreUrl;

    fn from_str(text: &str) -> Result<Self, NotAStoreUrl> {
        let (scheme, rest) = text.split_once(':').ok_or(NotAStoreUrl)?;
        match scheme {
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "sqlite" => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                let file = path.split('?').next().unwrap_or_default();
                if file.is_empty() || file == ":memory:" {
                    return Err(NotAStoreUrl);
                }
                Ok(Self::Sqlite {
                    path: path.to_owned(),
                })
            }
            "postgres" | "postgresql" => {
                let url = Url::parse(text).map_err(|_| NotAStoreUrl)?;
                let named = url.path().len() > 1 && rest.starts_with("//");
                if named {
                    Ok(Self::Postgres {
                        url: Secret::new(text),
                    })
                } else {
                    Err(NotAStoreUrl)
                }
            }
            _ => Err(NotAStoreUrl),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Sqlite { path } => write!(f, "sqlite:{path}"),
            Self::Postgres { url } => f.write_str(&redacted(url.expose())),
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

scalar_value! {
    StoreUrl: "sqlite:FILE, postgres://user:password@host/database or memory:",
        |url| toml::Value::String(url.to_string());
}

/// The text of a URL, or of what was meant to be one, with `***` for passwords.
pub(super) fn redacted(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else {
        return match text.rfind('@') {
            Some(at) => format!("***{}", &text[at..]),
            None => text.to_owned(),
        };
    };
    if url.password().is_some() && url.set_password(Some("***")).is_err() {
        return format!("{}:***", url.scheme());
    }
    let secret = |name: &str| name.contains("password");
    if url.query_pairs().any(|(name, _)| secret(&name)) {
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let mut query = url.query_pairs_mut();
        query.clear();
        for (name, value) in &pairs {
            query.append_pair(name, if secret(name) { "***" } else { value });
        }
    }
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_show_without_their_password() {
        for (text, shown) in [
            ("memory:", Some("memory:")),
            ("sqlite:amends.db", Some("sqlite:amends.db")),
            (
                "sqlite:///var/lib/amends.db",
                Some("sqlite:/var/lib/amends.db"),
            ),
            (
                "postgres://u:geheim@db/amends",
                Some("postgres://u:***@db/amends"),
            ),
            (
                "postgresql://db/amends?user=u&password=geheim",
                Some("postgresql://db/amends?user=u&password=***"),
            ),
            (
                "postgres://db:5432/amends",
                Some("postgres://db:5432/amends"),
            ),
            ("postgres://u:geheim@db", None),
            ("mysql://u:geheim@db/amends", None),
            ("sqlite:", None),
            ("sqlite::memory:", None),
            ("amends.db", None),
        ] {
            let url = text.parse::<StoreUrl>().ok();
            assert_eq!(
                url.as_ref().map(ToString::to_string).as_deref(),
                shown,
                "{text}"
            );
            assert!(!format!("{url:?}").contains("geheim"));
        }
    }

    #[test]
    fn what_is_no_url_is_redacted_too() {
        assert_eq!(redacted("postgres//u:geheim@db"), "***@db");
        assert_eq!(redacted("mysql://u:geheim@db/x"), "mysql://u:***@db/x");
        assert_eq!(redacted("nonsense"), "nonsense");
    }
}
