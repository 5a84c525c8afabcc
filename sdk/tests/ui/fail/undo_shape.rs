use amends::{Conn, StepResult};

struct Shop;

#[amends::service(name = "shop")]
impl Shop {
    #[step(compensate = release)]
    async fn reserve(&self, _conn: &mut Conn, _goods: String) -> StepResult<u32> {
        Ok(1)
    }
    async fn release(&self, _conn: &mut Conn, _goods: &String) -> StepResult<()> {
        Ok(())
    }
    #[step(compensate = close)]
    async fn open(&self, _conn: &mut Conn, _goods: String) -> StepResult<u32> {
        Ok(1)
    }
    async fn close(&self, _conn: &mut Conn, _goods: String, _done: &u32) -> StepResult<u32> {
        Ok(1)
    }
}

fn main() {}
