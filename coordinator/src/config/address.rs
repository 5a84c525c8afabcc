//! Addresses of participants, and which of them may be called.
//!
//! Names are compared as text and never resolved here: what is allowed does
//! not depend on DNS. The one exception is `localhost`, which by RFC 6761 is
//! always this machine and counts as 127.0.0.1.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

use super::value::{Value, list};

/// The text is no address, or no rule about addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an address")]
pub struct NotAnAddress;

/// Where an instance listens: `host:port`, `10.0.0.1:80` or `[::1]:80`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPort {
    host: String,
    port: u16,
}

impl HostPort {
    /// The host name in lower case or the IP address, the latter without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, never 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    fn ip(&self) -> Option<IpAddr> {
        if self.host == "localhost" {
            Some(Ipv4Addr::LOCALHOST.into())
        } else {
            self.host.parse().ok()
        }
    }
}

impl FromStr for HostPort {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        match split(text)? {
            (host, Some(port)) if is_ip(&host) || is_host_name(&host) => Ok(Self { host, port }),
            _ => Err(NotAnAddress),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", bracketed(&self.host), self.port)
    }
}

/// One rule of the allow list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowRule {
    /// Every address in a network, any port: `10.0.0.0/8`.
    Network(IpNet),
    /// One host name or IP address, at one port or any.
    Host {
        /// Lower case; an IP address without brackets.
        host: String,
        /// `None`: any port.
        port: Option<u16>,
    },
    /// Every name below a domain, at one port or any: `*.example.org`.
    Suffix {
        /// With its leading dot, lower case.
        suffix: String,
        /// `None`: any port.
        port: Option<u16>,
    },
}

impl AllowRule {
    /// Whether this rule allows the address.
    #[must_use]
    pub fn allows(&self, address: &HostPort) -> bool {
        let port_fits = |port: &Option<u16>| port.is_none_or(|port| port == address.port);
        match self {
            Self::Network(net) => address.ip().is_some_and(|ip| net.contains(&ip)),
            Self::Host { host, port } => {
                let same_ip = host
                    .parse::<IpAddr>()
                    .ok()
                    .is_some_and(|ip| address.ip() == Some(ip));
                port_fits(port) && (same_ip || *host == address.host)
            }
            Self::Suffix { suffix, port } => {
                port_fits(port) && !is_ip(&address.host) && address.host.ends_with(suffix)
            }
        }
    }
}

impl FromStr for AllowRule {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(Self::Network(net));
        }
        let (host, port) = split(text)?;
        match host.strip_prefix('*') {
            Some(suffix) if suffix.strip_prefix('.').is_some_and(is_host_name) => {
                Ok(Self::Suffix {
                    suffix: suffix.to_owned(),
                    port,
                })
            }
            None if is_ip(&host) || is_host_name(&host) => Ok(Self::Host { host, port }),
            _ => Err(NotAnAddress),
        }
    }
}

impl fmt::Display for AllowRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = match self {
            Self::Network(net) => return write!(f, "{net}"),
            Self::Host { host, port } => (bracketed(host), port),
            Self::Suffix { suffix, port } => (format!("*{suffix}"), port),
        };
        match port {
            Some(port) => write!(f, "{host}:{port}"),
            None => f.write_str(&host),
        }
    }
}

/// The addresses that may be called: those that at least one rule allows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowList(Vec<AllowRule>);

impl AllowList {
    /// Whether some rule allows the address.
    #[must_use]
    pub fn allows(&self, address: &HostPort) -> bool {
        self.0.iter().any(|rule| rule.allows(address))
    }

    /// The rules as configured.
    #[must_use]
    pub fn rules(&self) -> &[AllowRule] {
        &self.0
    }
}

impl FromIterator<AllowRule> for AllowList {
    fn from_iter<I: IntoIterator<Item = AllowRule>>(rules: I) -> Self {
        Self(rules.into_iter().collect())
    }
}

impl Value for AllowList {
    const EXPECTED: &'static str =
        "a list of host, host:port, IP network (10.0.0.0/8), *.suffix or *.suffix:port";

    fn read(raw: &toml::Value) -> Option<Self> {
        list(raw)?.iter().map(|text| text.parse().ok()).collect()
    }

    fn show(&self) -> toml::Value {
        self.0
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .into()
    }
}

/// Host in lower case and without brackets, and the port if there is one.
fn split(text: &str) -> Result<(String, Option<u16>), NotAnAddress> {
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 && !text.starts_with('+') => Ok(Some(port)),
        _ => Err(NotAnAddress),
    };
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or(NotAnAddress)?;
        let host = host
            .parse::<Ipv6Addr>()
            .map_err(|_| NotAnAddress)?
            .to_string();
        return match rest.strip_prefix(':') {
            Some(number) => Ok((host, port(number)?)),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(NotAnAddress),
        };
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok((ip.to_string(), None));
    }
    match text.split_once(':') {
        Some((host, number)) => Ok((host.to_ascii_lowercase(), port(number)?)),
        None => Ok((text.to_ascii_lowercase(), None)),
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

fn is_ip(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
}

/// Labels of letters, digits, `-` and `_`, with dots between them.
fn is_host_name(host: &str) -> bool {
    const MAX_HOST_NAME: usize = 253;
    let label = |label: &str| {
        !label.is_empty()
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    // All digits would be a mistyped IPv4 address.
    let has_letter = host.chars().any(|c| c.is_ascii_alphabetic());
    host.len() <= MAX_HOST_NAME && has_letter && host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rules_allow_exactly_what_they_say() {
        let check = |rule: &str, allowed: &[&str], others: &[&str]| {
            let rule: AllowRule = rule.parse().unwrap();
            assert_eq!(rule.to_string().parse::<AllowRule>().unwrap(), rule);
            for address in allowed {
                assert!(rule.allows(&address.parse().unwrap()), "{rule} {address}");
            }
            for address in others {
                assert!(!rule.allows(&address.parse().unwrap()), "{rule} {address}");
            }
        };
        check(
            "127.0.0.0/8",
            &["127.0.0.1:1", "localhost:9"],
            &["128.0.0.1:1", "[::1]:1", "example.org:1"],
        );
        check("[::1]", &["[::1]:1", "[0:0::1]:2"], &["127.0.0.1:1"]);
        check("[::1]:7", &["[::1]:7"], &["[::1]:8"]);
        check("fd00::/8", &["[fd12::1]:1"], &["[fe80::1]:1"]);
        check("10.0.0.1", &["10.0.0.1:1"], &["10.0.0.2:1"]);
        check("Stock", &["stock:1", "STOCK:2"], &["stock.example.org:1"]);
        check("stock:7", &["stock:7"], &["stock:8"]);
        check(
            "*.example.org",
            &["a.example.org:1", "a.b.example.org:1"],
            &["example.org:1", "xexample.org:1"],
        );
        check(
            "*.example.org:7",
            &["a.example.org:7"],
            &["a.example.org:8"],
        );
    }

    #[test]
    fn nonsense_is_no_rule() {
        for text in [
            "",
            "*",
            "*.",
            "a b",
            "host:",
            "host:0",
            "host:99999",
            "[::1",
            "[host]",
            "10.0.0.0/33",
            "1.2.3.400",
            "http://host",
            "a..b",
            "*a.org",
        ] {
            assert_eq!(text.parse::<AllowRule>(), Err(NotAnAddress), "{text:?}");
        }
    }
}
