use amends::StepResult;

struct Shop;

#[amends::service(name = "shop")]
impl Shop {
    #[step(compensate = none)]
    async fn reserve(&self, _goods: String) -> StepResult<u32> {
        Ok(1)
    }
}

fn main() {}
