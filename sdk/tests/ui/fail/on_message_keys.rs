use amends::{Conn, Message, StepResult};

struct Points;

#[amends::service(name = "points", cancel_on(topik = "orderTopic", tag = "order_cancel"))]
impl Points {
    #[on_message(topik = "payTopic", group = "a")]
    async fn a(&self, _conn: &mut Conn, _msg: Message<String>) -> StepResult<()> {
        Ok(())
    }
    #[on_message(topic = "payTopic", tagz = "paid", group = "b", max_attempts = 0)]
    async fn b(&self, _conn: &mut Conn, _msg: Message<String>) -> StepResult<()> {
        Ok(())
    }
    #[on_message(topic = "payTopic", tags = "paid", filter = "amount > 10", group = "c")]
    async fn c(&self, _conn: &mut Conn, _msg: Message<String>) -> StepResult<()> {
        Ok(())
    }
    #[on_message(topic = "pay topic", mode = everyone, dedupe = body, retry = "10s", concurrency = 0)]
    async fn d(&self, _conn: &mut Conn, _msg: Message<String>) -> StepResult<()> {
        Ok(())
    }
    #[on_message(tags = "paid")]
    async fn e(&self, _conn: &mut Conn, _msg: Message<String>) -> StepResult<()> {
        Ok(())
    }
}

fn main() {}
