//! What the provider and the shop say to each other, as JSON.

use serde::{Deserialize, Serialize};

use crate::domain::{Cents, ChargeState, PayId};

/// Asks for a charge; the same again is the same charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewCharge {
    /// The shop's name for it.
    pub pay_id: PayId,
    /// How much.
    pub amount: Cents,
    /// Where the shop wants to be told.
    pub notify_url: String,
}

/// A charge as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// The shop's name for it.
    pub pay_id: PayId,
    /// The provider's name for it.
    pub provider_ref: String,
    /// How much.
    pub amount: Cents,
    /// How far it is.
    #[serde(with = "state")]
    pub state: ChargeState,
}

/// A customer pays, and what the shop hears of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PayRequest {
    /// The money comes although the charge was closed.
    pub even_if_closed: bool,
    /// The callbacks, one after the other.
    pub callbacks: Vec<CallbackPlan>,
}

/// One callback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CallbackPlan {
    /// What it says.
    pub status: CallbackStatus,
    /// How long the provider takes for it.
    pub after_ms: u32,
    /// How often it is sent, all at once.
    pub times: u8,
    /// By somebody who does not have the key.
    pub forged: bool,
    /// The amount it names, where that is not the charge's.
    pub amount: Option<Cents>,
}

/// What a callback is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallbackStatus {
    /// The customer is paying.
    Paying,
    /// The money is there.
    #[default]
    Paid,
}

/// The body of a callback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackBody {
    /// Unique; the same in every repetition.
    pub callback_id: String,
    /// The shop's name for the charge.
    pub pay_id: PayId,
    /// The provider's name for it.
    pub provider_ref: String,
    /// How much.
    pub amount: Cents,
    /// What happened.
    pub status: CallbackStatus,
}

impl Default for PayRequest {
    /// As it should be: first that the customer is paying, then that it is paid.
    fn default() -> Self {
        let paying = CallbackPlan {
            status: CallbackStatus::Paying,
            ..CallbackPlan::default()
        };
        Self {
            even_if_closed: false,
            callbacks: vec![paying, CallbackPlan::default()],
        }
    }
}

impl Default for CallbackPlan {
    fn default() -> Self {
        Self {
            status: CallbackStatus::Paid,
            after_ms: 0,
            times: 1,
            forged: false,
            amount: None,
        }
    }
}

/// States travel as words.
mod state {
    use serde::de::{Deserializer, Error};
    use serde::{Deserialize, Serializer};

    use crate::domain::ChargeState;

    const ALL: [ChargeState; 4] = [
        ChargeState::Open,
        ChargeState::Paid,
        ChargeState::Closed,
        ChargeState::Refunded,
    ];

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
    pub(super) fn serialize<S: Serializer>(
        state: &ChargeState,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(state.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<ChargeState, D::Error> {
        let text = String::deserialize(deserializer)?;
        let found = ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| D::Error::custom(format!("`{text}` is no state of a charge")))
    }
}
