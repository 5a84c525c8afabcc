//! The Amends SDK: write steps that take effect once, combine them into
//! sagas, and test both.
//!
//! A *service* is a struct with steps. A step changes the service's own
//! database through [`Conn`], the open local transaction that also holds the
//! step's row in the consumer log; the SDK begins and commits it. So a step
//! and its undo take effect at most once, however often they are called and
//! in whatever order the calls arrive.
//!
//! What is here:
//! - [`Database`] and [`Conn`]: SQLite, PostgreSQL, MySQL and MariaDB;
//! - [`StepResult`], [`reject!`], [`StepCx`]: what a step sees and answers;
//! - [`StepRef`], [`Service`], [`ServiceBuilder`]: what a service offers;
//! - [`Participant`]: serves services to a coordinator;
//! - [`consumer_log`], [`tables`]: the idempotence contract and its tables;
//! - [`testing`]: the test kit.

#[cfg(not(any(feature = "sqlite", feature = "postgres", feature = "mysql")))]
compile_error!("enable at least one of the features `sqlite`, `postgres` and `mysql`");

/// The API's own types, where public functions take or give them.
pub use amends_proto::v1 as proto;

mod backoff;
pub mod client;
pub mod conn;
pub mod consumer_log;
pub mod participant;
pub mod saga;
pub mod service;
pub mod step;
pub mod step_ref;
pub mod tables;
pub mod testing;

pub use client::{Client, ClientError, Gid, Outcome, Run};
pub use conn::{Conn, Database, DatabaseError, Row, Value};
pub use consumer_log::{Seen, first_delivery};
pub use futures_util::future::BoxFuture;
pub use participant::{Participant, ParticipantError, RunningParticipant};
pub use saga::{DefinitionError, Saga, SagaBuilder, SagaRef, StepHandle, ToVal, Val, Wire};
pub use service::{
    ExternalDo, ExternalUndo, LocalDo, LocalUndo, Service, ServiceBuilder, ServiceDef, StepData,
};
pub use step::{BoxError, StepCx, StepError, StepResult};
pub use step_ref::{Compensation, Effects, Retry, StepRef};

#[cfg(feature = "macros")]
pub use amends_macros::{Wire, service, wire};
