use amends::{Client, Conn, Database, HalfError, StepResult};

struct Payments;

struct NoData;

#[amends::service(name = "payments")]
impl Payments {
    #[half_message(topic = "payTopic")]
    async fn pay(&self, _conn: &mut Conn, order: u64) -> StepResult<String> {
        Ok(order.to_string())
    }
    #[half_message(topic = "otherTopic")]
    async fn opaque(&self, _conn: &mut Conn, _order: u64) -> StepResult<NoData> {
        Ok(NoData)
    }
}

async fn run(client: Client, database: Database) -> Result<(), HalfError> {
    client.half_of(&Payments, Payments::PAY, "seven").in_tx(&database).await?;
    client.half_of(&Payments, Payments::OPAQUE, 7).in_tx(&database).await?;
    Ok(())
}

fn main() {}
