use amends::{Conn, StepResult};

struct Wallet;

#[amends::service(name = "wallet")]
impl Wallet {
    #[tcc(confirm = setle, cancel = unfreeze)]
    async fn misspelt(&self, _conn: &mut Conn, cents: i64) -> StepResult<i64> {
        Ok(cents)
    }
    #[tcc(confirm = look, cancel = misspelt)]
    async fn in_a_role(&self, _conn: &mut Conn, cents: i64) -> StepResult<i64> {
        Ok(cents)
    }
    #[tcc(confirm = by_value, cancel = without_output)]
    async fn of_another_shape(&self, _conn: &mut Conn, cents: i64) -> StepResult<i64> {
        Ok(cents)
    }
    async fn settle(&self, _conn: &mut Conn, _cents: &i64, _held: &i64) -> StepResult<()> {
        Ok(())
    }
    async fn unfreeze(&self, _conn: &mut Conn, _cents: &i64, _held: &i64) -> StepResult<()> {
        Ok(())
    }
    async fn by_value(&self, _conn: &mut Conn, _cents: i64, _held: &i64) -> StepResult<bool> {
        Ok(true)
    }
    async fn without_output(&self, _conn: &mut Conn, _cents: &i64) -> StepResult<()> {
        Ok(())
    }
    #[step(compensate = none)]
    async fn look(&self, _conn: &mut Conn, _req: ()) -> StepResult<i64> {
        Ok(1)
    }
}

fn main() {}
