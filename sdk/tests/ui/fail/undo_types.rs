use amends::{Conn, StepResult};

struct Shop;

#[amends::service(name = "shop")]
impl Shop {
    #[step(compensate = release)]
    async fn reserve(&self, _conn: &mut Conn, _goods: String) -> StepResult<u32> {
        Ok(1)
    }
    async fn release(&self, _conn: &mut Conn, _goods: &u64, _done: &u32) -> StepResult<()> {
        Ok(())
    }
}

fn main() {}
