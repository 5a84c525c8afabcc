//! The test kit for services and sagas.
