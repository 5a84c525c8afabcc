use amends::{Conn, StepResult};

struct Shop;

#[amends::service(name = "shop")]
impl Shop {
    #[step(compensate = relaese)]
    async fn reserve(&self, _conn: &mut Conn, _goods: String) -> StepResult<u32> {
        Ok(1)
    }
    async fn release(&self, _conn: &mut Conn, _goods: &String, _done: &u32) -> StepResult<()> {
        Ok(())
    }
}

fn main() {}
