//! The test kit for services and sagas.

mod saga;

pub use saga::{Call, SagaReport, SagaTest, saga};
