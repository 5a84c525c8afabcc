//! The shop over HTTP.
