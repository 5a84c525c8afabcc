//! What becomes of messages.

use amends::{Conn, Message, StepResult};

use super::{PayLog, table};
use crate::services::pay::PaymentEvent;

#[amends::service(name = "paylog")]
impl PayLog {
    /// Writes down what became of a payment.
    #[on_message(
        topic = "payTopic",
        tags = "pay_success || pay_refunded",
        dedupe = key,
        max_attempts = 16
    )]
    pub async fn result(&self, conn: &mut Conn, msg: Message<PaymentEvent>) -> StepResult<()> {
        Ok(table::add(conn, &msg.tag, &msg.body).await?)
    }
}
