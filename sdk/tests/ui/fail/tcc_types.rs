use amends::{Conn, StepResult};

struct Wallet;

#[amends::service(name = "wallet")]
impl Wallet {
    #[tcc(confirm = settle, cancel = unfreeze)]
    async fn freeze(&self, _conn: &mut Conn, cents: i64) -> StepResult<String> {
        Ok(cents.to_string())
    }
    async fn settle(&self, _conn: &mut Conn, _cents: &u64, _held: &String) -> StepResult<()> {
        Ok(())
    }
    async fn unfreeze(&self, _conn: &mut Conn, _cents: &i64, _held: &i64) -> StepResult<()> {
        Ok(())
    }
}

fn main() {}
