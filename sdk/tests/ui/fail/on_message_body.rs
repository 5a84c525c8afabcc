use amends::{Conn, Message, StepResult};

struct Unreadable;

struct Points;

#[amends::service(name = "points")]
impl Points {
    #[on_message(topic = "payTopic")]
    async fn paid(&self, _conn: &mut Conn, _msg: Message<Unreadable>) -> StepResult<()> {
        Ok(())
    }
}

fn main() {}
