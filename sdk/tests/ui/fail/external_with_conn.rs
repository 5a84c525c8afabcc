use amends::{Conn, StepCx, StepResult};

struct Shop;

#[amends::service(name = "shop")]
impl Shop {
    #[step(compensate = none, effects = external)]
    async fn charge(&self, _conn: &mut Conn, _cents: i64) -> StepResult<u32> {
        Ok(1)
    }
    #[step(compensate = none)]
    async fn pay(&self, _cx: &StepCx, _cents: i64) -> StepResult<u32> {
        Ok(1)
    }
}

fn main() {}
