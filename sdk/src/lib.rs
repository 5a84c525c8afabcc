//! The Amends SDK: write steps that take effect once, combine them into
//! sagas, and test both.
//!
//! A *service* is a struct with steps. A step changes the service's own
//! database through [`Conn`], the open local transaction that also holds the
//! step's row in the consumer log; the SDK begins and commits it. So a step
//! and its undo take effect at most once, however often they are called and
//! in whatever order the calls arrive.
//!
//! ```
//! use amends::{Conn, Saga, StepResult, Wire, reject, testing, wire};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, Wire)]
//! struct PlaceOrder { order: String, goods: String, number: u32 }
//! #[derive(Serialize, Deserialize, Wire)]
//! struct ReserveReq { goods: String, number: u32 }
//! #[derive(Serialize, Deserialize, Wire)]
//! struct Reservation { price: i64 }
//! #[derive(Serialize, Deserialize, Wire)]
//! struct ConfirmReq { order: String, price: i64 }
//!
//! struct Inventory;
//!
//! #[amends::service(name = "inventory")]
//! impl Inventory {
//!     /// Takes stock out of sale.
//!     #[step(compensate = release, timeout = "5s")]
//!     async fn reserve(&self, _conn: &mut Conn, req: ReserveReq) -> StepResult<Reservation> {
//!         if req.number > 100 {
//!             reject!("OUT_OF_STOCK", "{} x {}", req.goods, req.number);
//!         }
//!         Ok(Reservation { price: 500 })
//!     }
//!
//!     /// Runs only if `reserve` committed, once.
//!     async fn release(&self, _conn: &mut Conn, _req: &ReserveReq, _done: &Reservation) -> StepResult<()> {
//!         Ok(())
//!     }
//! }
//!
//! struct Orders;
//!
//! #[amends::service(name = "orders")]
//! impl Orders {
//!     #[step(compensate = none)]
//!     async fn confirm(&self, _conn: &mut Conn, _req: ConfirmReq) -> StepResult<()> {
//!         Ok(())
//!     }
//! }
//!
//! // `input.goods` and `stock.price` are typed references to data that will
//! // exist when the saga runs. What nothing links runs at the same time.
//! fn place_order() -> Saga<PlaceOrder, ()> {
//!     Saga::define("shop.place-order", 1, |s, input| {
//!         let stock = s.step(
//!             "reserve-stock",
//!             Inventory::RESERVE,
//!             wire!(ReserveReq { goods: input.goods, number: input.number }),
//!         );
//!         s.pivot(
//!             "confirm",
//!             Orders::CONFIRM,
//!             wire!(ConfirmReq { order: input.order, price: stock.price }),
//!         )
//!     })
//! }
//!
//! // A unit test of the saga; it needs no server.
//! testing::saga(place_order())
//!     .input(PlaceOrder { order: "o1".into(), goods: "g1".into(), number: 1 })
//!     .answer("reserve-stock", Reservation { price: 500 })
//!     .fail_at("confirm", "DECLINED")
//!     .expect_undone(["reserve-stock"]);
//! ```
//!
//! It is started with a [`Client`]; the same id and input again are the same run:
//!
//! ```no_run
//! # use amends::{Client, Outcome, Saga, StepRef};
//! # const CONFIRM: StepRef<String, i64> = StepRef::new("orders", "confirm");
//! # fn place_order() -> Saga<String, i64> { Saga::define("s", 1, |s, input| s.step("c", CONFIRM, &input)) }
//! # async fn run(order: String) -> Result<(), amends::ClientError> {
//! let client = Client::connect("http://127.0.0.1:7431")?;
//! let run = client.start(&place_order(), &order, order.clone()).await?;
//! match run.wait(std::time::Duration::from_secs(3)).await? {
//!     Outcome::Completed(receipt) => println!("done: {receipt}"),
//!     Outcome::Compensated { step, code, .. } => println!("{step} said {code}, nothing remains"),
//!     Outcome::Stuck { reason } | Outcome::Forced { reason } => println!("a person looks at it: {reason}"),
//!     Outcome::Pending => println!("still running as {}", run.gid()),
//! }
//! # Ok(()) }
//! ```
//!
//! What is here:
//! - [`Database`] and [`Conn`]: SQLite, PostgreSQL, MySQL and MariaDB;
//! - [`StepResult`], [`reject!`], [`StepCx`]: what a step sees and answers;
//! - [`StepRef`], [`Service`], [`ServiceBuilder`]: what a service offers;
//! - [`Participant`]: serves services to a coordinator;
//! - [`consumer_log`], [`tables`]: the idempotence contract and its tables;
//! - [`Saga`], [`Val`], `wire!`: sagas in code, typed data between their steps;
//! - [`Client`], [`Run`], [`Outcome`]: starts sagas and follows them;
//! - [`Client::tcc`], [`TccRef`], [`tcc`]: branches that are held first, then confirmed or cancelled;
//! - [`Client::saga`], [`live`]: sagas whose next step is decided by code while they run;
//! - [`Client::publish`], [`NewMessage`]: publishes messages;
//! - [`ServiceBuilder::on_message`], [`Message`], [`Subscription`]: handles them, each once;
//! - [`outbox`], [`Conn::publish`]: publishes together with a local transaction;
//! - [`Client::half`], [`half`]: publishes if and only if a local transaction commits;
//! - [`Access`]: the token and certificates for a coordinator that wants them;
//! - [`testing`]: the test kit.

#[cfg(not(any(feature = "sqlite", feature = "postgres", feature = "mysql")))]
compile_error!("enable at least one of the features `sqlite`, `postgres` and `mysql`");

/// The API's own types, where public functions take or give them.
pub use amends_proto::v1 as proto;

pub mod access;
mod backoff;
pub mod client;
pub mod conn;
mod consumer;
pub mod consumer_log;
pub mod half;
pub mod live;
pub mod message;
pub mod outbox;
pub mod participant;
pub mod saga;
pub mod service;
pub mod step;
pub mod step_ref;
pub mod tables;
pub mod tcc;
pub mod testing;

pub use access::{Access, AccessError};
pub use client::{Client, ClientError, Gid, Outcome, Published, Run};
pub use conn::{Conn, Database, DatabaseError, Row, Value};
pub use consumer_log::{Seen, first_delivery};
pub use futures_util::future::BoxFuture;
pub use half::{
    ExternalHalfRef, HalfCx, HalfError, HalfRef, HalfVerdict, NewHalf, Producer, RunningProducer,
};
pub use live::{LiveTx, NewLiveSaga, NextLiveStep};
pub use message::{
    Dedupe, ExternalMessage, LocalMessage, Message, MessageBody, MessageCx, MessageError,
    NewMessage, Raw, Subscription,
};
pub use participant::{Participant, ParticipantError, RunningParticipant};
pub use saga::{DefinitionError, Saga, SagaBuilder, SagaRef, StepHandle, ToVal, Val, Wire};
pub use service::{
    ExternalDo, ExternalUndo, LocalDo, LocalUndo, Service, ServiceBuilder, ServiceDef, StepData,
};
pub use step::{BoxError, StepCx, StepError, StepResult};
pub use step_ref::{Compensation, Effects, Retry, StepRef};
pub use tcc::{NewTcc, OwnBranch, Tcc, TccError, TccOutcome, TccRef};

#[cfg(feature = "macros")]
pub use amends_macros::{Wire, service, wire};
