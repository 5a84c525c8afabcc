//! Half messages as methods of a service, by `#[half_message]`.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends::proto::{self, HalfState};
use amends::{
    Conn, Database, HalfCx, HalfError, HalfVerdict, Participant, Service, StepError, StepResult,
    args, reject,
};
use serde::{Deserialize, Serialize};
use tonic::Status;

use crate::databases::{on_every_database, on_sqlite};
use crate::half::{paid, tables};
use crate::halves::{Fault, Halves};

on_every_database!(
    the_answer_is_the_message,
    what_cannot_be_prepared_is_rolled_back,
);

#[derive(Clone, Default)]
struct Payments {
    charged: Arc<Mutex<HashSet<String>>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct OrderPaid {
    order: String,
    amount: i64,
}

#[amends::service(name = "payments")]
impl Payments {
    /// Marks an order as paid.
    #[half_message(topic = "payTopic", tag = "pay_success", check_after = "30s")]
    async fn pay(&self, conn: &mut Conn, order: String) -> StepResult<OrderPaid> {
        if order == "poor" {
            reject!("NO_MONEY", "not a cent");
        }
        let sql = "insert into paid (id) values (?)";
        conn.execute(sql, args![&order]).await?;
        Ok(OrderPaid { order, amount: 500 })
    }

    #[half_message(topic = "payTopic", tag = "charged", check_back = was_charged)]
    async fn charge(&self, cx: &HalfCx, paid: &OrderPaid) -> StepResult<i64> {
        let key = cx.half_id().to_owned();
        self.charged.lock().unwrap().insert(key);
        if paid.amount == 0 {
            return Err(StepError::unknown("the line is dead"));
        }
        Ok(paid.amount)
    }

    async fn was_charged(&self, cx: &HalfCx) -> StepResult<HalfVerdict> {
        let charged = self.charged.lock().unwrap();
        Ok(if charged.contains(cx.half_id()) {
            HalfVerdict::Commit
        } else {
            HalfVerdict::Rollback
        })
    }
}

#[test]
fn constants_carry_what_the_attribute_says() {
    let (pay, charge) = (Payments::PAY, Payments::CHARGE);
    assert_eq!(
        (pay.producer(), pay.topic(), pay.tag(), pay.check_after()),
        (
            "payments",
            "payTopic",
            "pay_success",
            Some(Duration::from_secs(30))
        )
    );
    assert_eq!(
        (
            charge.producer(),
            charge.topic(),
            charge.tag(),
            charge.check_after()
        ),
        ("payments", "payTopic", "charged", None)
    );
    assert_eq!(Payments::NAME, "payments");
}

async fn the_answer_is_the_message(database: Database) {
    tables(&database).await;
    let halves = Halves::start().await;
    let (client, payments) = (halves.client(), Payments::default());
    let pay = |id: &str, order: &str| {
        let half = client.half_of(&payments, Payments::PAY, order.to_owned());
        half.id(id).key(order)
    };
    let expected = OrderPaid {
        order: "o1".to_owned(),
        amount: 500,
    };
    // The coordinator is not told: the check finds out.
    halves.fault_decide(Fault::Refuse(Status::permission_denied("not heard")));
    assert_eq!(pay("a", "o1").in_tx(&database).await.unwrap(), expected);
    let stored = halves.get("a").unwrap();
    assert_eq!(stored.state, HalfState::Prepared);
    assert_eq!(stored.request.check_after.unwrap().seconds, 30);
    let message = stored.request.messages[0].message.clone().unwrap();
    let body: OrderPaid = serde_json::from_slice(&message.payload.unwrap().data).unwrap();
    assert_eq!(body, expected);
    assert_eq!((message.id.as_str(), message.key.as_str()), ("a.0", "o1"));
    // The service's participant answers for the group of its name.
    let participant = Participant::builder(database.clone()).service(payments.clone());
    let participant = participant.start().await.unwrap();
    assert_eq!(
        halves.check("a", &participant).await,
        proto::HalfVerdict::Commit
    );
    let again = pay("a", "o1").in_tx(&database).await;
    assert!(
        matches!(again, Err(HalfError::Repeated { .. })),
        "{again:?}"
    );

    // What was refused has prepared nothing, and may be tried again.
    let refused = pay("b", "poor").in_tx(&database).await.unwrap_err();
    assert_eq!(refused.to_string(), "refused: NO_MONEY: not a cent");
    assert!(halves.get("b").is_none());
    pay("b", "rich").in_tx(&database).await.unwrap();
    halves.reached("b", HalfState::Committed).await;

    // A check that came first stands.
    assert_eq!(
        halves.check("c", &participant).await,
        proto::HalfVerdict::Rollback
    );
    let late = pay("c", "o1").in_tx(&database).await;
    assert!(
        matches!(late, Err(HalfError::RolledBack { .. })),
        "{late:?}"
    );
    assert_eq!(paid(&database).await, 2);
}

async fn what_cannot_be_prepared_is_rolled_back(database: Database) {
    tables(&database).await;
    let halves = Halves::start().await;
    let (client, payments) = (halves.client(), Payments::default());
    halves.fault_prepare(Fault::Refuse(Status::invalid_argument("not this one")));
    let pay = client.half_of(&payments, Payments::PAY, "o1".to_owned());
    let error = pay.in_tx(&database).await.unwrap_err();
    assert!(matches!(error, HalfError::NotPrepared(_)), "{error}");
    assert_eq!(paid(&database).await, 0);
}

#[tokio::test]
async fn work_outside_of_the_database_has_its_own_check() {
    on_sqlite(async |database| {
        let halves = Halves::start().await;
        let (client, payments) = (halves.client(), Payments::default());
        let participant = Participant::builder(database.clone()).service(payments.clone());
        let participant = participant.start().await.unwrap();
        let charge = |id: &str, amount| {
            let paid = OrderPaid {
                order: id.to_owned(),
                amount,
            };
            let half = client.external_half_of(&payments, Payments::CHARGE, paid);
            half.id(id).run()
        };
        assert_eq!(charge("a", 500).await.unwrap(), 500);
        halves.reached("a", HalfState::Committed).await;
        let unknown = charge("b", 0).await;
        assert!(
            matches!(unknown, Err(HalfError::Unknown { .. })),
            "{unknown:?}"
        );
        assert_eq!(halves.get("b").unwrap().state, HalfState::Prepared);
        assert_eq!(
            halves.check("b", &participant).await,
            proto::HalfVerdict::Commit
        );
        payments.charged.lock().unwrap().clear();
        assert_eq!(
            halves.check("b", &participant).await,
            proto::HalfVerdict::Rollback
        );
        assert_eq!(halves.get("b").unwrap().state, HalfState::Committed);
        participant.shutdown().await;
    })
    .await;
}
