//! Where a step is sent: a registered service, or a plain unary gRPC method.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{BadName, MAX_STEP_NAME_CHARS, check_name};

const SCHEME: &str = "grpc://";

/// A parsed target.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// `service/step` of an SDK participant.
    Service {
        /// The registered service.
        service: String,
        /// The step as the service names it.
        step: String,
    },
    /// `grpc://host:port/package.Service/Method`.
    Grpc {
        /// `host:port`.
        authority: String,
        /// `/package.Service/Method`.
        path: String,
    },
}

/// Why a text is not a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    /// Neither of the two forms.
    #[error("{0:?} is neither `service/step` nor `grpc://host:port/package.Service/Method`")]
    Form(String),
    /// The service or step breaks the naming rules.
    #[error("the {part} of target {target:?} {source}")]
    Name {
        /// `service` or `step`.
        part: &'static str,
        /// The whole target.
        target: String,
        /// The broken rule.
        source: BadName,
    },
}

impl Target {
    /// Parses one of the two forms.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, BadTarget> {
        let form = || BadTarget::Form(text.to_owned());
        if let Some(rest) = text.strip_prefix(SCHEME) {
            let (authority, method) = rest.split_once('/').ok_or_else(form)?;
            let (service, name) = method.split_once('/').ok_or_else(form)?;
            let port = authority
                .rsplit_once(':')
                .and_then(|(host, port)| (!host.is_empty()).then_some(port))
                .ok_or_else(form)?;
            let well_formed = port.parse::<u16>().is_ok_and(|port| port > 0)
                && !authority.contains(|c: char| c.is_whitespace() || c == '@')
                && is_proto_path(service)
                && is_proto_path(name)
                && !name.contains('.');
            if !well_formed {
                return Err(form());
            }
            return Ok(Self::Grpc {
                authority: authority.to_owned(),
                path: format!("/{method}"),
            });
        }
        let (service, step) = text.split_once('/').ok_or_else(form)?;
        let name = |part, source| BadTarget::Name {
            part,
            target: text.to_owned(),
            source,
        };
        check_name(service).map_err(|source| name("service", source))?;
        check_name(step).map_err(|source| name("step", source))?;
        let found = step.chars().count();
        if found > MAX_STEP_NAME_CHARS {
            return Err(name(
                "step",
                BadName::TooLong {
                    found,
                    limit: MAX_STEP_NAME_CHARS,
                },
            ));
        }
        Ok(Self::Service {
            service: service.to_owned(),
            step: step.to_owned(),
        })
    }
}

/// Letters, digits, `_` and `.`, as protobuf allows in full names.
fn is_proto_path(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service { service, step } => write!(f, "{service}/{step}"),
            Self::Grpc { authority, path } => write!(f, "{SCHEME}{authority}{path}"),
        }
    }
}

impl TryFrom<String> for Target {
    type Error = BadTarget;
    fn try_from(text: String) -> Result<Self, BadTarget> {
        Self::parse(&text)
    }
}

impl From<Target> for String {
    fn from(target: Target) -> String {
        target.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_two_forms_and_nothing_else() {
        for good in [
            "stock/reserve",
            "grpc://127.0.0.1:50051/shop.v1.Stock/Reserve",
            "grpc://[::1]:5/a.B/C",
        ] {
            assert_eq!(Target::parse(good).unwrap().to_string(), good);
        }
        for bad in [
            "",
            "stock",
            "stock/",
            "/reserve",
            "Stock/reserve",
            "a/b/c",
            "http://h:1/a/b",
            "grpc://h/a.B/C",
            "grpc://h:0/a.B/C",
            "grpc://h:1/a.B",
            "grpc://h:1/a.B/C/D",
            "grpc://user@h:1/a.B/C",
            "grpc://:1/a.B/C",
            "grpc://h:1/a.B/",
        ] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }
}
