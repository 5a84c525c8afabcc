//! Who answers checks: over a stream, and with a check of the service's own.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use amends::proto::{self, HalfState};
use amends::{
    HalfCx, HalfError, HalfVerdict, Participant, Producer, Service, ServiceBuilder, ServiceDef,
    StepError, StepResult, reject,
};
use tonic::Status;

use crate::half::{half, pay, tables};
use crate::halves::{Fault, Halves};

#[tokio::test]
async fn a_producer_that_nobody_can_call_answers_by_its_stream() {
    crate::databases::on_sqlite(async |database| {
        tables(&database).await;
        let halves = Halves::start().await;
        let client = halves.client();
        let producer = Producer::new(database.clone(), client.clone());
        let producer = producer.start().await.unwrap();
        assert_eq!(halves.producers(1).await[0].producer, "payments");
        halves.fault_decide(Fault::Refuse(Status::permission_denied("not heard")));
        let local = half(&client, "a").in_tx(&database, async |conn| pay(conn, "a").await);
        local.await.unwrap();
        assert_eq!(
            halves.check_by_stream("a").await,
            proto::HalfVerdict::Commit
        );
        assert_eq!(halves.get("a").unwrap().state, HalfState::Committed);
        // Cut off, it comes back.
        halves.cut();
        halves.producers(0).await;
        halves.producers(1).await;
        assert_eq!(
            halves.check_by_stream("b").await,
            proto::HalfVerdict::Rollback
        );
        producer.shutdown().await;
        halves.producers(0).await;
    })
    .await;
}

/// Work outside of the database, and a check of its own.
struct Provider {
    captured: Mutex<HashSet<String>>,
}

impl Service for Provider {
    const NAME: &'static str = "provider";

    fn define(self: Arc<Self>) -> ServiceDef {
        ServiceBuilder::new(Self::NAME, self)
            .check_back("payTopic", "captured", |provider, cx| {
                Box::pin(async move {
                    Ok(match (cx.key(), cx.header("slow")) {
                        (_, Some(_)) => return Err(StepError::unknown("the line is busy")),
                        (key, None) if provider.captured.lock().unwrap().contains(key) => {
                            HalfVerdict::Commit
                        }
                        _ => HalfVerdict::Rollback,
                    })
                })
            })
            .build()
    }
}

#[tokio::test]
async fn work_outside_of_the_database_is_asked_of_the_service() {
    crate::databases::on_sqlite(async |database| {
        let halves = Halves::start().await;
        let captured = Mutex::new(HashSet::from(["card-1".to_owned()]));
        let provider = Participant::builder(database.clone()).service(Provider { captured });
        let provider = provider.start().await.unwrap();
        let client = halves.client();
        let half = |id: &str, key: &str| {
            let half = client.half("payTopic", 1).tag("captured");
            half.producer("provider").id(id).key(key)
        };
        half("done", "card-1").run(async |_| Ok(())).await.unwrap();
        halves.reached("done", HalfState::Committed).await;
        let refused = half("no", "card-2").run(async |_| -> StepResult<()> { reject!("NO", "no") });
        assert!(matches!(refused.await, Err(HalfError::Refused { .. })));
        halves.reached("no", HalfState::RolledBack).await;
        let lost = async |cx: &HalfCx| -> StepResult<()> {
            Err(StepError::unknown(format!(
                "no answer for {}",
                cx.half_id()
            )))
        };
        for (id, key, slow, expected) in [
            ("a", "card-1", false, proto::HalfVerdict::Commit),
            ("b", "card-2", false, proto::HalfVerdict::Rollback),
            ("c", "card-1", true, proto::HalfVerdict::Unspecified),
        ] {
            let half = half(id, key);
            let half = if slow {
                half.header("slow", "yes")
            } else {
                half
            };
            let unknown = half.run(lost).await;
            assert!(
                matches!(unknown, Err(HalfError::Unknown { .. })),
                "{unknown:?}"
            );
            assert_eq!(halves.get(id).unwrap().state, HalfState::Prepared);
            assert_eq!(halves.check(id, &provider).await, expected);
        }
        provider.shutdown().await;
    })
    .await;
}
