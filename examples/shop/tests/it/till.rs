//! A shop with a provider and a coordinator, and an order that can be paid.

use std::process::Stdio;

use amends::outbox::{self, State};
use amends::proto::message_service_client::MessageServiceClient;
use amends::proto::{ListMessagesRequest, MessageState};
use amends::testing::{Handled, messages};
use amends::{Client, Conn, Database, MessageCx, NewMessage};
use axum::body::Body;
use axum::http::Request;
use shop::domain::{Cents, OrderStatus, PayId, PayStatus, PaymentState, PlaceOrder};
use shop::holds::Holds;
use shop::invariants::payments::compare;
use shop::provider::{
    CallbackBody, CallbackStatus, Key, Provider, ProviderClient, SIGNATURE_HEADER,
};
use shop::samples;
use shop::services::order::{Orders, table as orders};
use shop::services::pay::table::{self, PayRow, verdicts};
use shop::services::pay::{self, CALLBACK_PATH, PaymentEvent, Payments, callbacks};
use shop::services::paylog::PayLog;
use shop::services::user::Users;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::Child;
use tower::ServiceExt;

use crate::shop::{Shop, full_order};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A shop with a provider, and an order that can be paid.
pub struct Till {
    pub shop: Shop,
    pub payments: Payments,
    pub order: PlaceOrder,
    pub pay: PayId,
    _end: tokio::sync::oneshot::Sender<()>,
    _coordinator: Child,
    coordinator: String,
}

impl Till {
    pub async fn new(database: Database) -> Self {
        let shop = Shop::new(database).await;
        let order = full_order("a");
        shop.place(&order).await.unwrap();
        let key = Key::new(KEY).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let provider = Provider::open(shop.database.clone(), key.clone())
            .await
            .unwrap();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        tokio::spawn(provider.serve(listener, async move {
            ended.await.ok();
        }));
        let (coordinator, at) = start_coordinator().await;
        let payments = Payments {
            database: shop.database.clone(),
            client: Client::connect(at.as_str())
                .unwrap()
                .with_producer(pay::GROUP),
            orders: tonic::transport::Endpoint::from_static("http://127.0.0.1:1").connect_lazy(),
            provider: ProviderClient::new(&url),
            pay_at: url,
            key,
            notify_url: "http://127.0.0.1:1/".to_owned(),
            holds: Holds::none(),
        };
        let till = Self {
            shop,
            payments,
            pay: PayId::unique(),
            order,
            _end: end,
            _coordinator: coordinator,
            coordinator: at,
        };
        till.open().await;
        till
    }

    /// As `create_payment` does, without an order service to ask.
    async fn open(&self) {
        let row = PayRow {
            pay_id: self.pay.clone(),
            order_id: self.order.order_id.clone(),
            user_id: self.order.user_id,
            pay_amount: self.amount(),
            is_paid: PaymentState::Unpaid,
            provider_ref: None,
        };
        let insert = async |conn: &mut Conn| Ok(table::insert(conn, &row).await?);
        self.shop.with(insert).await.unwrap();
        let again = self.payments.create_payment(&self.order.order_id).await;
        assert_eq!(again.unwrap().pay_id, self.pay);
    }

    pub fn amount(&self) -> Cents {
        Cents::units(880)
    }

    pub fn body(&self, status: CallbackStatus, amount: Cents) -> CallbackBody {
        CallbackBody {
            callback_id: PayId::unique().to_string(),
            pay_id: self.pay.clone(),
            provider_ref: "ch-1".to_owned(),
            amount,
            status,
        }
    }

    pub fn paid(&self) -> CallbackBody {
        self.body(CallbackStatus::Paid, self.amount())
    }

    pub async fn tell(&self, body: &CallbackBody) -> u16 {
        let body = serde_json::to_string(body).unwrap();
        let signature = self.payments.key.sign(body.as_bytes());
        self.send(&body, Some(&signature)).await
    }

    pub async fn send(&self, body: &str, signature: Option<&str>) -> u16 {
        send(&self.payments, body, signature).await
    }

    pub async fn state(&self) -> PaymentState {
        let find = async |conn: &mut Conn| Ok(table::find(conn, &self.pay).await?);
        self.shop.with(find).await.unwrap().unwrap().is_paid
    }

    pub async fn order(&self) -> (OrderStatus, PayStatus) {
        let find = async |conn: &mut Conn| Ok(orders::find(conn, &self.order.order_id).await?);
        let order = self.shop.with(find).await.unwrap().unwrap();
        (order.order_status, order.pay_status)
    }

    pub async fn verdicts(&self) -> Vec<String> {
        let look = async |conn: &mut Conn| Ok(verdicts(conn, &self.pay).await?);
        self.shop.with(look).await.unwrap()
    }

    pub fn event(&self) -> PaymentEvent {
        PaymentEvent {
            pay_id: self.pay.clone(),
            order_id: self.order.order_id.clone(),
            user_id: self.order.user_id,
            amount: self.amount(),
        }
    }

    pub fn result(&self, tag: &str) -> NewMessage {
        NewMessage::new(pay::TOPIC, &self.event())
            .tag(tag)
            .key(self.pay.as_str())
    }

    /// Tells everybody what became of the payment.
    pub async fn told(&self, tag: &str) {
        let database = &self.shop.database;
        let order = handed(database, Orders::default(), self.result(tag)).await;
        assert_eq!(order, Handled::First, "{tag}");
        if tag != pay::CLOSED {
            let user = handed(database, Users::default(), self.result(tag)).await;
            assert_eq!(user, Handled::First, "{tag}");
            let log = handed(database, PayLog, self.result(tag)).await;
            assert_eq!(log, Handled::First, "{tag}");
        }
    }

    /// What the outbox is to publish: topic, tag and key.
    pub async fn published(&self, topic: &str) -> Vec<(String, String)> {
        let kept = outbox::list(&self.shop.database, State::Sending, 100).await;
        let kept = kept.unwrap().into_iter().filter(|kept| kept.topic == topic);
        kept.map(|kept| (kept.tag, kept.key)).collect()
    }

    /// The half messages that are delivered: tag and key.
    pub async fn delivered(&self) -> Vec<(String, String)> {
        let endpoint = tonic::transport::Endpoint::new(self.coordinator.clone()).unwrap();
        let mut client = MessageServiceClient::new(endpoint.connect().await.unwrap());
        let request = ListMessagesRequest {
            states: vec![
                MessageState::Committed.into(),
                MessageState::Published.into(),
            ],
            topic: pay::TOPIC.to_owned(),
            ..ListMessagesRequest::default()
        };
        let listed = client.list_messages(request).await.unwrap();
        let listed = listed.into_inner().messages.into_iter();
        let listed = listed.map(|status| status.message.unwrap());
        listed.map(|message| (message.tag, message.key)).collect()
    }

    /// The provider has the money.
    pub async fn customer_pays(&self) {
        let request = shop::provider::PayRequest {
            even_if_closed: true,
            callbacks: Vec::new(),
        };
        self.payments
            .provider
            .pay(&self.pay, &request)
            .await
            .unwrap();
    }

    pub async fn time_is_over(&self) -> Result<(), amends::StepError> {
        let unpaid = pay::OrderUnpaid {
            order_id: self.order.order_id.clone(),
            user_id: self.order.user_id,
        };
        let message = amends::Message::new(pay::TIMEOUT_TOPIC, unpaid);
        self.payments.unpaid(&cx(), message).await
    }

    /// What the order held is where it came from, once.
    pub async fn assert_gave_all_back(&self) {
        assert_eq!(self.shop.stock().await, samples::NUMBER);
        assert_eq!(self.shop.balance().await, samples::BALANCE);
        let books = self.shop.books().await;
        let holder = &books.coupons[&samples::COUPON.get()].order;
        assert_eq!(*holder, None);
    }

    pub async fn assert_at_rest(&self) {
        let books = self.shop.books().await;
        assert_eq!(compare(&books), []);
        self.shop.assert_balanced().await;
    }
}

/// A coordinator that ends with the test.
async fn start_coordinator() -> (Child, String) {
    let mut child = crate::processes::shop()
        .args([
            "coordinator",
            "--store",
            "memory:",
            "--listen",
            "127.0.0.1:0",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some((_, rest)) = line.split_once("listening on ") {
            let address = rest.split_whitespace().next().unwrap();
            return (child, format!("http://{address}"));
        }
    }
    panic!("the coordinator ended before it listened");
}

pub fn cx() -> MessageCx {
    MessageCx::new("pay", "m-1", 1)
}

async fn send(payments: &Payments, body: &str, signature: Option<&str>) -> u16 {
    let mut request = Request::post(CALLBACK_PATH);
    if let Some(signature) = signature {
        request = request.header(SIGNATURE_HEADER, signature);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let answer = callbacks(payments.clone()).oneshot(request).await.unwrap();
    answer.status().as_u16()
}

/// Hands a message to a service.
pub async fn handed<S: amends::Service>(
    database: &Database,
    service: S,
    message: NewMessage,
) -> Handled {
    messages(database, service).deliver(message).await.unwrap()
}
