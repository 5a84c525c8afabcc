//! What becomes of messages.

use amends::{Conn, Message, StepResult};

use super::{Mails, OrderMail, table};

#[amends::service(name = "mail")]
impl Mails {
    /// Writes the mail to the customer whose order is confirmed.
    #[on_message(topic = "mailTopic", tags = "order_confirmed", max_attempts = 16)]
    pub async fn confirmed(&self, conn: &mut Conn, msg: Message<OrderMail>) -> StepResult<()> {
        let OrderMail {
            order_id,
            user_id,
            consignee,
        } = &msg.body;
        let text = format!("Dear {consignee}, your order {order_id} is confirmed.");
        table::add(conn, order_id, *user_id, &text).await?;
        Ok(())
    }
}
