use amends::{Conn, Message, StepResult};

struct Points;

#[amends::service(name = "points")]
impl Points {
    #[on_message(topic = "payTopic", tags = "paid")]
    async fn paid(&self, _conn: &mut Conn, _msg: Message<String>) -> StepResult<()> {
        Ok(())
    }
    #[on_message(topic = "payTopic", tags = "refunded")]
    async fn refunded(&self, _conn: &mut Conn, _msg: Message<String>) -> StepResult<()> {
        Ok(())
    }
    #[step(compensate = none)]
    #[on_message(topic = "other")]
    async fn both(&self, _conn: &mut Conn, _msg: Message<String>) -> StepResult<()> {
        Ok(())
    }
}

fn main() {}
