//! coordinator/core
