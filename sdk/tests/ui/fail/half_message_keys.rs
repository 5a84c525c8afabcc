use amends::{Conn, StepResult};

struct Payments;

#[amends::service(name = "payments")]
impl Payments {
    #[half_message(topik = "payTopic")]
    async fn a(&self, _conn: &mut Conn, order: String) -> StepResult<String> {
        Ok(order)
    }
    #[half_message(tag = "paid")]
    async fn b(&self, _conn: &mut Conn, order: String) -> StepResult<String> {
        Ok(order)
    }
    #[half_message(topic = "pay topic", check_after = "30", key = "order")]
    async fn c(&self, _conn: &mut Conn, order: String) -> StepResult<String> {
        Ok(order)
    }
    #[half_message(topic = "payTopic", topic = "payTopic")]
    async fn d(&self, _conn: &mut Conn, order: String) -> StepResult<String> {
        Ok(order)
    }
    #[half_message(topic = "payTopic")]
    #[half_message(topic = "otherTopic")]
    async fn e(&self, _conn: &mut Conn, order: String) -> StepResult<String> {
        Ok(order)
    }
    #[step(compensate = none)]
    #[half_message(topic = "payTopic")]
    async fn f(&self, _conn: &mut Conn, order: String) -> StepResult<String> {
        Ok(order)
    }
}

fn main() {}
