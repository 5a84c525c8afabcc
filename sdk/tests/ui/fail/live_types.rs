use amends::{Client, ClientError, Outcome, StepRef, StepResult};

const RESERVE: StepRef<u32, i64> = StepRef::new("stock", "reserve");

async fn wrong_input(client: &Client) -> Result<Outcome<i64>, ClientError> {
    client.saga("order").run(async |tx| tx.step(RESERVE, "two").await).await
}

async fn wrong_output(client: &Client) -> Result<Outcome<String>, ClientError> {
    client.saga("order").run(async |tx| -> StepResult<String> { tx.step(RESERVE, 2).await }).await
}

fn main() {}
