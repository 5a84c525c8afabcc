//! Mails to customers.
//!
//! It has no steps: it reads messages, and each of them becomes one mail, also
//! when it is delivered twice, and also when nobody read for a while. Handing a
//! mail to a mail server is left out; it is a row.

mod handlers;
pub mod table;

use serde::{Deserialize, Serialize};

use crate::domain::{OrderId, UserId};

/// Where orders for mails go. [`Mails`] names both as texts.
pub const TOPIC: &str = "mailTopic";
/// The mail about an order that was confirmed.
pub const CONFIRMED: &str = "order_confirmed";

/// The service.
#[derive(Clone, Debug, Default)]
pub struct Mails;

/// What a mail is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderMail {
    /// Which order.
    pub order_id: OrderId,
    /// Whose.
    pub user_id: UserId,
    /// To whom.
    pub consignee: String,
}
