//! A participant's branches, called over gRPC as a coordinator calls them.

use amends::proto::execute_response::Answer;
use amends::proto::participant_service_client::ParticipantServiceClient;
use amends::proto::{ExecuteRequest, Payload, Phase};
use amends::{Database, Participant, RunningParticipant};
use tonic::Code;
use tonic::transport::Channel;

use super::purse::{CENTS, Purse, freeze, purse};
use crate::databases::{on_every_database, on_sqlite};

on_every_database!(a_coordinator_tries_confirms_and_cancels);

struct Served {
    participant: RunningParticipant,
    client: ParticipantServiceClient<Channel>,
}

impl Served {
    async fn start(database: &Database) -> Self {
        let (purses, _) = Purse::filled(database).await;
        let builder = Participant::builder(database.clone()).service(purses);
        let participant = builder.start().await.unwrap();
        let url = format!("http://{}", participant.address());
        let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
        let client = ParticipantServiceClient::new(channel);
        Self {
            participant,
            client,
        }
    }

    /// The output, the code of the refusal, or the status.
    async fn call(&self, step: &str, phase: Phase, gid: &str, output: &str) -> String {
        let json = |data: Vec<u8>| Payload {
            content_type: "application/json".into(),
            data: data.into(),
        };
        let request = ExecuteRequest {
            service: "purse".into(),
            step: step.into(),
            phase: phase.into(),
            gid: gid.into(),
            branch: "buyer".into(),
            attempt: 1,
            input: Some(json(serde_json::to_vec(&freeze(30)).unwrap())),
            output: Some(json(output.into())).filter(|_| !output.is_empty()),
        };
        match self.client.clone().execute(request).await {
            Ok(response) => match response.into_inner().answer.expect("an answer") {
                Answer::Succeeded(done) => {
                    String::from_utf8(done.output.unwrap().data.to_vec()).unwrap()
                }
                Answer::Refused(refusal) => refusal.code,
                Answer::InProgress(_) => "in progress".into(),
            },
            Err(status) => format!("{:?}", status.code()),
        }
    }
}

async fn a_coordinator_tries_confirms_and_cancels(database: Database) {
    let served = Served::start(&database).await;
    let frozen = format!("{{\"cents\":30,\"left\":{}}}", CENTS - 30);
    let call = async |phase, gid| served.call("freeze", phase, gid, "").await;
    assert_eq!(call(Phase::Try, "a").await, frozen);
    assert_eq!(call(Phase::Try, "a").await, frozen);
    assert_eq!(call(Phase::Confirm, "a").await, "null");
    assert_eq!(call(Phase::Confirm, "a").await, "null");
    assert_eq!(call(Phase::Cancel, "a").await, "CANCEL_AFTER_CONFIRM");
    assert_eq!(purse(&database).await, [CENTS - 30, 0, 30]);

    assert_eq!(call(Phase::Cancel, "b").await, "null");
    assert_eq!(call(Phase::Try, "b").await, "TRY_AFTER_CANCEL");
    assert_eq!(call(Phase::Confirm, "c").await, "CONFIRM_WITHOUT_TRY");
    assert_eq!(purse(&database).await, [CENTS - 30, 0, 30]);
    served.participant.shutdown().await;
}

#[tokio::test]
async fn what_the_coordinator_knows_and_the_log_does_not_is_refused() {
    on_sqlite(async |database| {
        let served = Served::start(&database).await;
        for phase in [Phase::Confirm, Phase::Cancel] {
            let answer = served.call("freeze", phase, "g", "{\"cents\":30}").await;
            assert_eq!(answer, "LOG_ENTRY_MISSING", "{phase:?}");
        }
        // Neither of them left a trace that would decide anything.
        let frozen = served.call("freeze", Phase::Try, "g", "").await;
        assert!(frozen.starts_with("{\"cents\":30"), "{frozen}");
    })
    .await;
}

#[tokio::test]
async fn a_step_is_no_branch_and_a_branch_no_step() {
    on_sqlite(async |database| {
        let served = Served::start(&database).await;
        let unimplemented = format!("{:?}", Code::Unimplemented);
        for (step, phase) in [
            ("freeze", Phase::Do),
            ("freeze", Phase::Undo),
            ("look", Phase::Try),
            ("look", Phase::Confirm),
            ("look", Phase::Cancel),
        ] {
            assert_eq!(served.call(step, phase, "g", "").await, unimplemented);
        }
        assert_eq!(purse(&database).await, [CENTS, 0, 0]);
    })
    .await;
}
