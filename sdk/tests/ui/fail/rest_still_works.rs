// One mistake is one error: what is right around it still compiles.
use amends::{Conn, StepRef, StepResult};

struct Shop;

#[amends::service(name = "shop")]
impl Shop {
    #[step(compensate = none)]
    async fn reserve(&self, _conn: &mut Conn, _goods: String) -> StepResult<u32> {
        Ok(1)
    }
    #[step(compensate = none, timeout = 5)]
    async fn take(&self, _conn: &mut Conn, _goods: String) -> StepResult<u32> {
        Ok(1)
    }
}

const RESERVE: StepRef<String, u32> = Shop::RESERVE;
const TAKE: StepRef<String, u32> = Shop::TAKE;

fn is_service<S: amends::Service>(_: &S) {}

fn main() {
    is_service(&Shop);
    let _ = (RESERVE, TAKE);
}
