//! The broker's address.

use std::fmt;
use std::str::FromStr;

use url::Url;

use super::secret::Secret;
use super::store_url::redacted;
use super::value::scalar_value;

/// Who carries messages to consumer groups. `Display` and `Debug` show it without passwords.
#[derive(Clone, PartialEq, Eq)]
pub enum BrokerUrl {
    /// The coordinator itself, from its store.
    Embedded,
    /// A RabbitMQ server.
    RabbitMq {
        /// The whole URL, password included.
        url: Secret,
    },
}

/// It is no URL of a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a broker URL")]
pub struct NotABrokerUrl;

impl FromStr for BrokerUrl {
    type Err = NotABrokerUrl;

    fn from_str(text: &str) -> Result<Self, NotABrokerUrl> {
        if text == "embedded" {
            return Ok(Self::Embedded);
        }
        let url = Url::parse(text).map_err(|_| NotABrokerUrl)?;
        let names_a_server = url.host_str().is_some_and(|host| !host.is_empty());
        if matches!(url.scheme(), "amqp" | "amqps") && names_a_server {
            Ok(Self::RabbitMq {
                url: Secret::new(text),
            })
        } else {
            Err(NotABrokerUrl)
        }
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded"),
            Self::RabbitMq { url } => f.write_str(&redacted(url.expose())),
        }
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

scalar_value! {
    BrokerUrl: "embedded, amqp://user:password@host:port/vhost or amqps://...",
        |url| toml::Value::String(url.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_show_without_their_password() {
        for (text, shown) in [
            ("embedded", Some("embedded")),
            (
                "amqp://u:geheim@mq:5672/%2f",
                Some("amqp://u:***@mq:5672/%2f"),
            ),
            ("amqps://u:geheim@mq", Some("amqps://u:***@mq")),
            ("amqp://mq", Some("amqp://mq")),
            ("amqp://", None),
            ("kafka://u:geheim@mq", None),
            ("", None),
        ] {
            let url = text.parse::<BrokerUrl>().ok();
            assert_eq!(
                url.as_ref().map(ToString::to_string).as_deref(),
                shown,
                "{text}"
            );
            assert!(!format!("{url:?}").contains("geheim"));
        }
    }
}
