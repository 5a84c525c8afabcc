use amends::{Conn, Message, MessageCx, StepResult};

struct Points;

#[amends::service(name = "points")]
impl Points {
    #[on_message(topic = "a")]
    fn not_async(&self, _conn: &mut Conn, _msg: Message<String>) -> StepResult<()> {
        Ok(())
    }
    #[on_message(topic = "b")]
    async fn no_conn(&self, _msg: Message<String>) -> StepResult<()> {
        Ok(())
    }
    #[on_message(topic = "c")]
    async fn no_message(&self, _conn: &mut Conn, _paid: String) -> StepResult<()> {
        Ok(())
    }
    #[on_message(topic = "d")]
    async fn answers(&self, _conn: &mut Conn, _msg: Message<String>) -> StepResult<u32> {
        Ok(1)
    }
    #[on_message(topic = "e")]
    async fn has_no_database(&self, _cx: &MessageCx, _msg: Message<String>) -> StepResult<()> {
        Ok(())
    }
    #[on_message(topic = "f", effects = external)]
    async fn has_a_database(&self, _conn: &mut Conn, _msg: Message<String>) -> StepResult<()> {
        Ok(())
    }
}

fn main() {}
