use amends::{Conn, StepResult};

struct NoName;

#[amends::service]
impl NoName {
    #[step(compensate = none)]
    async fn reserve(&self, _conn: &mut Conn, _goods: String) -> StepResult<u32> {
        Ok(1)
    }
}

struct NoSteps;

#[amends::service(name = "no-steps")]
impl NoSteps {}

struct OfTrait;

#[amends::service(nam = "of-trait")]
impl Drop for OfTrait {
    fn drop(&mut self) {}
}

fn main() {}
