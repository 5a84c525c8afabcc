use amends::{Conn, StepResult};

struct Shop;

#[amends::service(name = "shop")]
impl Shop {
    #[step(compensate = none)]
    async fn by_reference(&self, _conn: &mut Conn, _goods: &String) -> StepResult<u32> {
        Ok(1)
    }
    #[step(compensate = none)]
    async fn no_self(_conn: &mut Conn, _goods: String) -> StepResult<u32> {
        Ok(1)
    }
    #[step(compensate = none)]
    async fn answers_nothing(&mut self, _conn: &mut Conn, _goods: String) {}
}

fn main() {}
