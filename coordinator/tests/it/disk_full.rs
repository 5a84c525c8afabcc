//! A disk that is full, and later is not: starts are refused at once, what was
//! accepted goes on, nothing needs a restart.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use amends_proto::v1::saga_service_client::SagaServiceClient;
use amends_proto::v1::transaction_service_client::TransactionServiceClient;
use amends_proto::v1::{
    GetTransactionRequest, Payload, SagaDefinition, StartSagaRequest, StepDefinition,
    start_saga_request::Source,
};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tonic::Code;
use tonic::transport::Channel;

/// Blocks of 512 bytes, as the shell's `ulimit -f` counts them in POSIX mode or
/// of 1024 otherwise: either way a few small transactions fit.
const FILE_LIMIT: &str = "1200";
/// Far more starts of this size than fit.
const MAX_STARTS: usize = 200;
const BODY_BYTES: usize = 60_000;

struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `amends serve` with a bound on the size of its files; its address.
fn serve(folder: &std::path::Path) -> (Serving, String) {
    // The signal of the limit is ignored, so that writes fail as on a full disk.
    let script =
        r#"trap "" XFSZ; ulimit -S -f "$1"; exec "$2" serve --listen 127.0.0.1:0 --store "$3""#;
    let mut child = Command::new("sh")
        .args(["-c", script, "sh", FILE_LIMIT, env!("CARGO_BIN_EXE_amends")])
        .arg(format!("sqlite:{}", folder.join("amends.db").display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut ready)
        .unwrap();
    let address = ready.split_whitespace().nth(4).unwrap().to_owned();
    (Serving(child), format!("http://{address}"))
}

fn request(gid: &str) -> StartSagaRequest {
    let body = serde_json::json!({ "text": "x".repeat(BODY_BYTES) });
    StartSagaRequest {
        gid: gid.to_owned(),
        source: Some(Source::Definition(SagaDefinition {
            name: "full".into(),
            version: 1,
            steps: vec![StepDefinition {
                name: "a".into(),
                target: "nobody/a".into(),
                compensation: "nobody/a".into(),
                ..StepDefinition::default()
            }],
            ..SagaDefinition::default()
        })),
        input: Some(Payload {
            content_type: String::new(),
            data: body.to_string().into(),
        }),
        ..StartSagaRequest::default()
    }
}

/// Starts until the disk is full; the ids that were accepted.
async fn fill(sagas: &mut SagaServiceClient<Channel>) -> Vec<String> {
    let mut accepted = Vec::new();
    for number in 0..MAX_STARTS {
        let gid = format!("g{number}");
        match sagas.start_saga(request(&gid)).await {
            Ok(_) => accepted.push(gid),
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                return accepted;
            }
        }
    }
    panic!("{MAX_STARTS} transactions fitted");
}

#[tokio::test]
async fn a_full_disk_refuses_starts_and_a_larger_one_takes_them_again() {
    let folder = tempfile::tempdir().unwrap();
    let (serving, address) = serve(folder.path());
    let channel = Channel::from_shared(address).unwrap().connect_lazy();
    let mut sagas = SagaServiceClient::new(channel.clone());
    let mut transactions = TransactionServiceClient::new(channel);

    let accepted = fill(&mut sagas).await;
    assert!(!accepted.is_empty());

    let pid = Pid::from_child(&serving.0);
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    prlimit(Some(pid), Resource::Fsize, unlimited).unwrap();
    // The committer tries again by itself; a caller only has to repeat its call.
    while let Err(status) = sagas.start_saga(request("after")).await {
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        tokio::task::yield_now().await;
    }
    for gid in accepted {
        let asked = GetTransactionRequest { gid: gid.clone() };
        let found = transactions.get_transaction(asked).await.unwrap();
        assert_eq!(
            found.into_inner().transaction.unwrap().summary.unwrap().gid,
            gid
        );
    }
}
