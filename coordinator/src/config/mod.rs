//! Configuration: typed sections, each value with its source.
//!
//! Four layers, the later one wins key by key: built-in defaults, one TOML
//! file, environment variables (`AMENDS_STORE__URL`, a double underscore
//! separates section and key), command-line flags. Nothing has to be set.
//!
//! Guarantees: every problem is found in one go and names key, value, source
//! and what would have been right; an unknown key is an error in every layer;
//! a password is never part of any text this module produces.
//! It does not: open the store, read key files, or reload while running.

mod address;
mod broker_url;
mod check;
mod error;
mod layers;
mod load;
mod print;
mod schema;
mod secret;
mod store_url;
pub(crate) mod suggestion;
mod types;
pub(crate) mod value;

pub use address::{AllowList, AllowRule, HostPort};
pub use broker_url::BrokerUrl;
pub use error::{ConfigError, Problem};
pub use layers::{Setting, Source};
pub use load::{Loaded, Sources, load};
pub use print::{Row, defaults_toml};
pub use schema::{
    Broker, Config, Engine, Half, Log, Metrics, Participants, Retention, Server, Store,
};
pub use secret::Secret;
pub use store_url::StoreUrl;
pub use types::{ByteSize, GiveUp, LogFilter, LogFormat, Migrate, NamePrefix, Services};
