use amends::{Conn, StepResult};

struct Shop;

#[amends::service(name = "shop")]
impl Shop {
    #[step(compensate = none)]
    async fn reserve(&self, _conn: &mut Conn, _goods: String) -> StepResult<u32> {
        Ok(1)
    }
    #[step(compensate = none, name = "reserve")]
    async fn take(&self, _conn: &mut Conn, _goods: String) -> StepResult<u32> {
        Ok(1)
    }
}

fn main() {}
