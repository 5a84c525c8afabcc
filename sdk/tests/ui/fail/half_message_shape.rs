use amends::{Conn, HalfCx, StepCx, StepResult};

struct Payments;

#[amends::service(name = "payments")]
impl Payments {
    #[half_message(topic = "a")]
    async fn outside(&self, _cx: &HalfCx, order: String) -> StepResult<String> {
        Ok(order)
    }
    #[half_message(topic = "b")]
    async fn borrows(&self, _conn: &mut Conn, order: &String) -> StepResult<String> {
        Ok(order.clone())
    }
    #[half_message(topic = "c")]
    fn sync(&self, _conn: &mut Conn, order: String) -> StepResult<String> {
        Ok(order)
    }
    #[half_message(topic = "d")]
    async fn no_message(&self, _conn: &mut Conn, _order: String) {}
    #[half_message(topic = "e")]
    async fn no_conn(&self, order: String) -> StepResult<String> {
        Ok(order)
    }
    #[half_message(topic = "f")]
    async fn as_a_step(&self, _cx: &StepCx, order: String) -> StepResult<String> {
        Ok(order)
    }
}

fn main() {}
