//! sdk/macros
