use amends::{Conn, HalfCx, HalfVerdict, StepResult};

struct Payments;

#[amends::service(name = "payments")]
impl Payments {
    #[half_message(topic = "a", check_back = was_charge)]
    async fn no_such(&self, _cx: &HalfCx, _order: &String) -> StepResult<()> {
        Ok(())
    }
    #[half_message(topic = "b", check_back = was_charged)]
    async fn with_conn(&self, _conn: &mut Conn, _order: &String) -> StepResult<()> {
        Ok(())
    }
    #[half_message(topic = "c", check_back = was_charged)]
    async fn by_value(&self, _cx: &HalfCx, _order: String) -> StepResult<()> {
        Ok(())
    }
    #[half_message(topic = "d", check_back = yes_or_no)]
    async fn other_answer(&self, _cx: &HalfCx, _order: &String) -> StepResult<()> {
        Ok(())
    }
    #[half_message(topic = "e", check_back = "was_charged")]
    async fn quoted(&self, _cx: &HalfCx, _order: &String) -> StepResult<()> {
        Ok(())
    }
    #[half_message(topic = "f", tag = "x", check_back = was_charged)]
    async fn first(&self, _cx: &HalfCx, _order: &String) -> StepResult<()> {
        Ok(())
    }
    #[half_message(topic = "f", tag = "x")]
    async fn second(&self, _conn: &mut Conn, order: String) -> StepResult<String> {
        Ok(order)
    }

    async fn was_charged(&self, _cx: &HalfCx) -> StepResult<HalfVerdict> {
        Ok(HalfVerdict::Unknown)
    }
    async fn yes_or_no(&self, _cx: &HalfCx) -> StepResult<bool> {
        Ok(true)
    }
}

fn main() {}
