//! Why the registry turns something down.

use amends_core::id::BadName;

use super::super::allow::AddressError;
use super::{MAX_INSTANCES, MAX_OFFERS};

/// Why an instance is not taken in, or not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// A name breaks its rules.
    #[error("the {field} {source}")]
    Name {
        /// The field of the request.
        field: &'static str,
        /// The broken rule.
        source: BadName,
    },
    /// The address is malformed or not allowed.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// It offers too many steps.
    #[error("{0} steps are offered, at most {MAX_OFFERS} are allowed")]
    TooManyOffers(usize),
    /// There is no room; it may be tried again later.
    #[error("{MAX_INSTANCES} instances are registered, which is the limit")]
    TooMany,
    /// It is not registered, or no longer: it has to register again.
    #[error("instance {instance_id:?} of service {service:?} is not registered")]
    NotRegistered {
        /// The service.
        service: String,
        /// The instance.
        instance_id: String,
    },
}

impl RegistryError {
    /// Stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "NAME_INVALID",
            Self::Address(error) => error.code(),
            Self::TooManyOffers(_) => "TOO_MANY_STEPS",
            Self::TooMany => "TOO_MANY_INSTANCES",
            Self::NotRegistered { .. } => "NOT_REGISTERED",
        }
    }
}
