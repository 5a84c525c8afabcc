use amends::{Conn, StepCx, StepResult};

struct Wallet;

#[amends::service(name = "wallet")]
impl Wallet {
    #[tcc(confirm = settle, cancel = unfreeze)]
    async fn external(&self, _cx: &StepCx, cents: i64) -> StepResult<i64> {
        Ok(cents)
    }
    #[tcc(confirm = settle, cancel = unfreeze)]
    fn not_async(&self, _conn: &mut Conn, cents: i64) -> StepResult<i64> {
        Ok(cents)
    }
    #[tcc(confirm = settle, cancel = unfreeze)]
    #[tcc(confirm = settle, cancel = unfreeze)]
    async fn twice(&self, _conn: &mut Conn, cents: i64) -> StepResult<i64> {
        Ok(cents)
    }
    #[tcc(confirm = settle, cancel = unfreeze)]
    #[step(compensate = none)]
    async fn also_a_step(&self, _conn: &mut Conn, cents: i64) -> StepResult<i64> {
        Ok(cents)
    }
    #[tcc(confirm = settle, cancel = unfreeze, name = "twice")]
    async fn of_the_same_name(&self, _conn: &mut Conn, cents: i64) -> StepResult<i64> {
        Ok(cents)
    }
    async fn settle(&self, _conn: &mut Conn, _cents: &i64, _held: &i64) -> StepResult<()> {
        Ok(())
    }
    async fn unfreeze(&self, _conn: &mut Conn, _cents: &i64, _held: &i64) -> StepResult<()> {
        Ok(())
    }
}

fn main() {}
