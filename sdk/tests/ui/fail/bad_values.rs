use amends::{Conn, StepResult};

struct Shop;

#[amends::service(name = "shop")]
impl Shop {
    #[step(compensate = none, timeout = "5 seconds", retry(max_attempts = 0, backoff = "0s"))]
    async fn reserve(&self, _conn: &mut Conn, _goods: String) -> StepResult<u32> {
        Ok(1)
    }
    #[step(compensate = "release", effects = outside, name = "Take Out")]
    async fn take(&self, _conn: &mut Conn, _goods: String) -> StepResult<u32> {
        Ok(1)
    }
}

fn main() {}
