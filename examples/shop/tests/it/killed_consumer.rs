//! `kill -9` of a consumer: the mail service as a process, on a coordinator process. One mail per
//! message, whenever the consumer dies.

use std::net::SocketAddr;
use std::time::Duration;

use amends::proto::consumer_service_client::ConsumerServiceClient;
use amends::proto::{DeliveryState, LookupDeliveriesRequest};
use amends::{Client, Conn, Database, NewMessage};
use shop::domain::PlaceOrder;
use shop::samples;
use shop::services::mail::{self, OrderMail, table};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::processes::{Process, shop};
use crate::shop::full_order;

/// What has not happened by then does not happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between consumer and coordinator: what the consumer says can be held back.
struct Gate {
    address: SocketAddr,
    open: watch::Sender<bool>,
    connections: watch::Sender<usize>,
}

impl Gate {
    async fn before(coordinator: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (open, connections) = (watch::Sender::new(true), watch::Sender::new(0));
        let gate = Self {
            address,
            open: open.clone(),
            connections: connections.clone(),
        };
        tokio::spawn(async move {
            while let Ok((consumer, _)) = listener.accept().await {
                let Ok(coordinator) = TcpStream::connect(&coordinator).await else {
                    continue;
                };
                let (open, connections) = (open.subscribe(), connections.clone());
                connections.send_modify(|count| *count += 1);
                tokio::spawn(async move {
                    forward(consumer, coordinator, open).await;
                    connections.send_modify(|count| *count -= 1);
                });
            }
        });
        gate
    }

    /// Opens it again once nobody is left whose words it holds back.
    async fn open_when_empty(&self) {
        let mut connections = self.connections.subscribe();
        let empty = timeout(PATIENCE, connections.wait_for(|count| *count == 0)).await;
        empty.expect("the consumer lives on").unwrap();
        self.open.send_replace(true);
    }
}

/// Ends with either side, and forgets what it held.
async fn forward(consumer: TcpStream, coordinator: TcpStream, mut open: watch::Receiver<bool>) {
    let (mut said, mut to_consumer) = consumer.into_split();
    let (mut answered, mut to_coordinator) = coordinator.into_split();
    let (sender, mut held) = tokio::sync::mpsc::channel::<Vec<u8>>(1_024);
    let read = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = said.read(&mut buffer).await {
            if sender.send(buffer[..length].to_vec()).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some(bytes) = held.recv().await {
            if open.wait_for(|open| *open).await.is_err() {
                return;
            }
            if to_coordinator.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = read => {}
        () = write => {}
        _ = tokio::io::copy(&mut answered, &mut to_consumer) => {}
    }
}

/// A coordinator, and the mail service that is killed.
struct Scene {
    folder: TempDir,
    coordinator: Process,
    gate: Gate,
    client: Client,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = shop();
        let store = format!("sqlite:{}", folder.path().join("amends.db").display());
        let args = ["coordinator", "--listen", "127.0.0.1:0", "--store", &store];
        command.args(args).current_dir(folder.path());
        let coordinator = Process::start(command).await;
        let gate = Gate::before(coordinator.address.clone()).await;
        let url = format!("http://{}", coordinator.address);
        Self {
            client: Client::connect(url).unwrap(),
            folder,
            coordinator,
            gate,
        }
    }

    fn database_url(&self) -> String {
        format!("sqlite:{}", self.folder.path().join("mail.db").display())
    }

    async fn database(&self) -> Database {
        Database::connect(&self.database_url()).await.unwrap()
    }

    /// The consumer, once the coordinator has seen it.
    async fn consumer(&self) -> Process {
        let mut command = shop();
        let coordinator = format!("http://{}", self.gate.address);
        let database = self.database_url();
        let args = ["service", "mail", "--database", &database];
        command.args(args).args(["--coordinator", &coordinator]);
        Process::start(command).await
    }

    async fn publish(&self, name: &str) {
        let PlaceOrder { order_id, .. } = full_order(name);
        let body = OrderMail {
            order_id,
            user_id: samples::USER,
            consignee: "Ada".to_owned(),
        };
        let message = NewMessage::new(mail::TOPIC, &body)
            .tag(mail::CONFIRMED)
            .with_id(name);
        self.client.publish(message).await.unwrap();
    }

    /// Waits until the coordinator says this of a message.
    async fn until(&self, name: &str, state: DeliveryState) {
        let url = format!("http://{}", self.coordinator.address);
        let endpoint = tonic::transport::Endpoint::new(url).unwrap();
        let mut client = ConsumerServiceClient::new(endpoint.connect().await.unwrap());
        let request = LookupDeliveriesRequest {
            message_id: name.to_owned(),
            ..LookupDeliveriesRequest::default()
        };
        let wait = async {
            loop {
                let found = client.lookup_deliveries(request.clone()).await.unwrap();
                let found = found.into_inner().deliveries;
                if found.iter().any(|delivery| delivery.state() == state) {
                    return;
                }
            }
        };
        let waited = timeout(PATIENCE, wait).await;
        waited.unwrap_or_else(|_| panic!("{name} does not become {state:?}"));
    }
}

async fn mails(database: &Database) -> Vec<i64> {
    let mut conn: Conn = database.begin().await.unwrap();
    let counts = table::count(&mut conn).await.unwrap();
    conn.rollback().await.unwrap();
    counts.into_values().collect()
}

/// Waits until there are mails about so many orders.
async fn mails_reach(database: &Database, count: usize) {
    let wait = async {
        while mails(database).await.len() < count {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, wait).await.expect("no more mails");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_its_commit_and_after_it_and_at_any_moment() {
    let scene = Scene::new().await;
    let consumer = scene.consumer().await;

    let database = scene.database().await;

    // Before its commit: it waits for a lock that the test holds.
    let mut lock = database.begin().await.unwrap();
    let order = full_order("lock").order_id;
    table::add(&mut lock, &order, samples::USER, "never sent")
        .await
        .unwrap();
    scene.publish("before").await;
    scene.until("before", DeliveryState::Leased).await;
    consumer.kill().await;
    lock.rollback().await.unwrap();
    assert!(mails(&database).await.is_empty());
    let consumer = scene.consumer().await;
    scene.until("before", DeliveryState::Done).await;
    assert_eq!(mails(&database).await, [1]);

    // After its commit: what it says of it does not arrive.
    scene.gate.open.send_replace(false);
    scene.publish("after").await;
    mails_reach(&database, 2).await;
    consumer.kill().await;
    scene.gate.open_when_empty().await;
    let consumer = scene.consumer().await;
    scene.until("after", DeliveryState::Done).await;
    assert_eq!(mails(&database).await, [1, 1], "the log knows it");

    // At any moment.
    const ROUND: usize = 30;
    let (mut consumer, mut published) = (consumer, 2);
    for killed_after in [1, 7, ROUND - 2] {
        let first = published;
        for _ in 0..ROUND {
            scene.publish(&format!("m{published}")).await;
            published += 1;
        }
        mails_reach(&database, first + killed_after).await;
        consumer.kill().await;
        consumer = scene.consumer().await;
    }
    for n in 2..published {
        scene.until(&format!("m{n}"), DeliveryState::Done).await;
    }
    let counts = mails(&database).await;
    assert_eq!(counts, vec![1; published]);
    consumer.kill().await;
    scene.coordinator.kill().await;
}
