use amends::{StepCx, StepResult};

struct Shop;

#[amends::service(name = "shop")]
impl Shop {
    #[step(compensate = refund, effects = external)]
    async fn charge(&self, _cx: &StepCx, _cents: i64) -> StepResult<u32> {
        Ok(1)
    }
    async fn refund(&self, _cx: &StepCx, _cents: &i64, _done: &u32) -> StepResult<()> {
        Ok(())
    }
}

fn main() {}
