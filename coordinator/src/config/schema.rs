//! Every section and key with its type, default and documentation.
//!
//! This one list makes the structs, the defaults, the checks of the layers,
//! `amends config print` and `amends config defaults`. A default is written as
//! it would be written in an environment variable.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use super::address::AllowList;
use super::broker_url::BrokerUrl;
use super::error::Problem;
use super::layers::Layers;
use super::store_url::StoreUrl;
use super::types::{ByteSize, GiveUp, LogFilter, LogFormat, Migrate, NamePrefix, Services};
use super::value::Value;

/// What is known about a key apart from its value.
pub(super) struct KeyInfo {
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    /// `section.key`.
    pub(super) path: &'static str,
    pub(super) doc: &'static [&'static str],
    pub(super) default: &'static str,
    /// Whether names of the user's choice follow below this key.
    pub(super) is_map: bool,
}

macro_rules! schema {
    ($(
        $(#[doc = $section_doc:literal])*
        $section:ident: $Section:ident {
            $( $(#[doc = $doc:literal])* $key:ident: $Type:ty = $default:literal, )*
        }
    )*) => {
        $(
            $(#[doc = $section_doc])*
            #[derive(Debug, Clone, PartialEq, Eq)]
            pub struct $Section {
                $( $(#[doc = $doc])* pub $key: $Type, )*
            }
        )*

        /// The whole configuration.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Config {
            $( $(#[doc = $section_doc])* pub $section: $Section, )*
        }

        /// The sections in order, with their documentation.
        pub(super) static SECTIONS: &[(&str, &[&str])] =
            &[$( (stringify!($section), &[$($section_doc),*]) ),*];

        /// All keys in order.
        pub(super) static KEYS: &[KeyInfo] = &[$($( KeyInfo {
            section: stringify!($section),
            key: stringify!($key),
            path: concat!(stringify!($section), ".", stringify!($key)),
            doc: &[$($doc),*],
            default: $default,
            is_map: <$Type as Value>::IS_MAP,
        }, )*)*];

        impl Config {
            /// Turns raw values into typed ones. `None`: see `problems`.
            pub(super) fn build(layers: &Layers, problems: &mut Vec<Problem>) -> Option<Self> {
                $($( let $key = layers
                    .take::<$Type>(concat!(stringify!($section), ".", stringify!($key)), $default);
                    if let Err(problem) = $key { problems.push(problem); } )*)*
                if !problems.is_empty() {
                    return None;
                }
                Some(Self { $( $section: $Section { $(
                    $key: layers
                        .take::<$Type>(concat!(stringify!($section), ".", stringify!($key)), $default)
                        .ok()?,
                )* }, )* })
            }

            /// The value of each key, for people, in the order of [`KEYS`].
            pub(super) fn shown(&self) -> Vec<toml::Value> {
                vec![$($( Value::show(&self.$section.$key), )*)*]
            }
        }
    };
}

schema! {
    /// The gRPC server.
    server: Server {
        /// Where to listen: IP address and port. Port 0 takes a free one.
        listen: SocketAddr = "127.0.0.1:7431",
        /// The largest request accepted.
        max_request_bytes: ByteSize = "1MiB",
        /// Certificate chain of the server, PEM. Needs tls_key.
        tls_cert: Option<PathBuf> = "",
        /// Private key of the server, PEM. Needs tls_cert.
        tls_key: Option<PathBuf> = "",
        /// Certificates that client certificates must be signed by, PEM.
        /// When set, a client without one is turned away.
        tls_client_ca: Option<PathBuf> = "",
        /// Allows a listen address that others can reach without TLS.
        insecure: bool = "false",
        /// A file with the bearer token that callers must send.
        token_file: Option<PathBuf> = "",
        /// How long to wait for open calls when shutting down.
        shutdown_grace: Duration = "10s",
    }
    /// Where transactions are kept.
    store: Store {
        /// sqlite:FILE, postgres://user:password@host/database, or memory:
        /// (which forgets everything at exit).
        url: StoreUrl = "sqlite:amends.db",
        /// What to do about the schema at start: auto (bring it up to date),
        /// check (refuse to start when it is not), off.
        migrate: Migrate = "auto",
        /// The most connections to the database.
        max_connections: NonZeroU32 = "8",
    }
    /// The part that runs transactions.
    engine: Engine {
        /// Shards, each with its own share of the transactions; 0: one per core.
        shards: u32 = "0",
        /// Transactions in memory; beyond it, starting one is RESOURCE_EXHAUSTED.
        max_live: NonZeroUsize = "100000",
        /// Commands that may wait for a shard.
        queue: NonZeroUsize = "4096",
        /// A transaction that waits longer than this leaves memory until it is due.
        evict_after: Duration = "30s",
        /// Records that nobody waits for are written after this time at the latest, those of
        /// failed attempts after 25 times as long.
        flush_after: Duration = "200ms",
    }
    /// Who carries messages to consumer groups.
    broker: Broker {
        /// embedded (the coordinator itself, from its store; nothing to install), or
        /// amqp://user:password@host:port/vhost, amqps://... for RabbitMQ from 3.10 on.
        url: BrokerUrl = "embedded",
        /// Certificates that the broker's certificate may be signed by, PEM, in
        /// addition to those of the public authorities. For amqps.
        tls_ca: Option<PathBuf> = "",
        /// Channels on which messages are published to RabbitMQ independently of each
        /// other. Messages of one order key share one.
        lanes: NonZeroU32 = "4",
        /// What the names of all queues and exchanges at RabbitMQ begin with, so that coordinators with
        /// different stores can share a vhost: letters, digits, - and _, at most 32.
        prefix: NamePrefix = "",
        /// A RabbitMQ connection is given up when nothing was heard on it for twice this
        /// time. Below 5s it gives false alarms.
        heartbeat: Duration = "15s",
    }
    /// Half messages: when producers are asked what became of their local transactions.
    half: Half {
        /// The first time, unless the producer says otherwise when it prepares.
        check_after: Duration = "6s",
        /// From one check to the next.
        check_interval: Duration = "30s",
        /// Checks that bring no verdict before a half message is STUCK. Only those count
        /// that an instance of the producer group was really asked.
        max_checks: NonZeroU32 = "15",
        /// What happens then: keep (it stays until a person decides) or discard (it is
        /// rolled back).
        after_last_check: GiveUp = "keep",
        /// How long the answer to a check is waited for.
        check_timeout: Duration = "10s",
        /// Checks of one producer group under way at the same time.
        checks_in_flight: NonZeroU32 = "16",
    }
    /// The services that execute steps.
    participants: Participants {
        /// The addresses the coordinator may call: host, host:port, an IP
        /// network (10.0.0.0/8), *.suffix or *.suffix:port.
        allow: AllowList = "127.0.0.0/8,[::1]",
        /// Services with fixed instances: NAME = ["host:port", ...].
        services: Services = "{}",
        /// Calls under way to one instance.
        max_in_flight_per_target: NonZeroU32 = "256",
        /// How often a registered instance says that it lives.
        heartbeat_interval: Duration = "3s",
        /// An instance not heard of for this long gets no more calls.
        lease: Duration = "10s",
        /// Connections to one instance.
        connections_per_target: NonZeroU32 = "2",
        /// Failures in a row after which an instance is left alone for a while.
        breaker_failures: NonZeroU32 = "20",
        /// How long it is left alone.
        breaker_open: Duration = "2s",
    }
    /// How long finished transactions are kept.
    retention: Retention {
        /// The age at which a finished transaction is removed.
        finished: Duration = "7d",
        /// How many are removed at a time.
        batch: NonZeroU32 = "500",
        /// The pause between two batches.
        interval: Duration = "10s",
    }
    /// Numbers for Prometheus and what reads like it.
    metrics: Metrics {
        /// Where GET /metrics is answered, in OpenMetrics text: IP address and port. Empty: nowhere. There is
        /// no TLS and no token: whoever reaches it reads the numbers and the names of groups and topics.
        listen: Option<SocketAddr> = "",
    }
    /// What the coordinator says about itself, on standard error.
    log: Log {
        /// A level (error, warn, info, debug, trace), or levels by module:
        /// info,amends_coordinator::engine=debug.
        level: LogFilter = "info",
        /// text or json.
        format: LogFormat = "text",
    }
}

/// The key with this path.
pub(super) fn key(path: &str) -> Option<&'static KeyInfo> {
    KEYS.iter().find(|info| info.path == path)
}
