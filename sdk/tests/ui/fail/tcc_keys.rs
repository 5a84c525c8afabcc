use amends::{Conn, StepResult};

struct Wallet;

#[amends::service(name = "wallet")]
impl Wallet {
    #[tcc(confirn = settle, cancel = unfreeze)]
    async fn a(&self, _conn: &mut Conn, cents: i64) -> StepResult<i64> {
        Ok(cents)
    }
    #[tcc]
    async fn b(&self, _conn: &mut Conn, cents: i64) -> StepResult<i64> {
        Ok(cents)
    }
    #[tcc(confirm = none, cancel = "unfreeze", timeout = "3")]
    async fn c(&self, _conn: &mut Conn, cents: i64) -> StepResult<i64> {
        Ok(cents)
    }
    #[tcc(confirm = settle, confirm = settle, cancel = unfreeze, effects = external)]
    async fn d(&self, _conn: &mut Conn, cents: i64) -> StepResult<i64> {
        Ok(cents)
    }
    #[tcc(confirm = settle, cancel = unfreeze, settle_retry(max_attemps = 3), name = "E")]
    async fn e(&self, _conn: &mut Conn, cents: i64) -> StepResult<i64> {
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
