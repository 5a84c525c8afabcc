use amends::{Conn, StepResult};

struct Shop;

#[amends::service(name = "shop")]
impl Shop {
    #[step(compensate = none, timout = "5s", retry(attempts = 3))]
    async fn reserve(&self, _conn: &mut Conn, _goods: String) -> StepResult<u32> {
        Ok(1)
    }
}

fn main() {}
