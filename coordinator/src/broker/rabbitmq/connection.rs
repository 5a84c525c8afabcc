//! One connection to a RabbitMQ server: how it is opened, and how it is ended for certain.
//!
//! Guarantees: opening ends within [`CONNECT_DEADLINE`]; dropping a connection ends its
//! socket, so that a server which has fallen silent holds nothing of ours; no password is in
//! what is logged or shown.
//! Not here: what to do when it breaks. The library's own recovery stays off: it would
//! bring channels back under promises that were given on the old ones.

use std::fmt;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::auth::AuthProvider;
use lapin::tcp::{AMQPUriTcpExt as _, AsyncTcpStream, OwnedTLSConfig, TLSConfig};
use lapin::types::{LongString, ShortString};
use lapin::uri::{AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Channel, Connection, ConnectionProperties};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::RabbitOptions;
use super::fault::{self, Fault};
use crate::broker::BrokerError;
use crate::config::Secret;

/// How long opening a connection may take, TLS and login included.
const CONNECT_DEADLINE: Duration = Duration::from_secs(15);
/// How long one request on a channel may take, such as declaring a queue.
pub(super) const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// How long saying goodbye may take.
const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// Where the server is and how to log in. `Debug` shows no credentials.
pub(super) struct Endpoint {
    /// Without user and password: the library logs it.
    uri: AMQPUri,
    login: Login,
    tls_ca: Option<String>,
}

#[derive(Clone)]
struct Login {
    user: String,
    password: Secret,
}

impl Endpoint {
    /// Reads the URL and the file with the certificates.
    ///
    /// # Errors
    /// `BROKER_URL_INVALID`, `BROKER_TLS_CA_INVALID`.
    pub(super) fn new(options: &RabbitOptions) -> Result<Self, BrokerError> {
        let unusable = |code, message| BrokerError::Unusable { code, message };
        let uri = options.url.expose().parse::<AMQPUri>();
        // The library's own text may repeat the URL.
        let mut uri = uri.map_err(|_| {
            let message = "broker.url cannot be read as amqp://user:password@host:port/vhost";
            unusable("BROKER_URL_INVALID", message.to_owned())
        })?;
        let nobody = AMQPUserInfo {
            username: String::new(),
            password: String::new(),
        };
        let AMQPUserInfo { username, password } =
            std::mem::replace(&mut uri.authority.userinfo, nobody);
        uri.query.heartbeat = u16::try_from(options.heartbeat.as_secs()).ok();
        // Smaller frames than the server's would not hold the headers of every message.
        uri.query.frame_max = None;
        let tls_ca = options.tls_ca.as_ref().map(|path| {
            std::fs::read_to_string(path).map_err(|error| {
                let message = format!("broker.tls_ca: {}: {error}", path.display());
                unusable("BROKER_TLS_CA_INVALID", message)
            })
        });
        Ok(Self {
            uri,
            login: Login {
                user: username,
                password: Secret::new(password),
            },
            tls_ca: tls_ca.transpose()?,
        })
    }

    /// Opens a connection; `name` is shown by the server's own tools.
    pub(super) async fn open(&self, name: &str) -> Result<Live, Fault> {
        let socket = Arc::new(Mutex::new(None::<TcpStream>));
        let slot = Arc::clone(&socket);
        let tls = OwnedTLSConfig {
            identity: None,
            cert_chain: self.tls_ca.clone(),
        };
        let properties = ConnectionProperties::default()
            .with_connection_name(name.into())
            .with_client_property("product".into(), "Amends".into())
            .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into())
            .with_auth_provider(self.login.clone());
        let runtime = lapin::runtime::default_runtime().map_err(|error| fault::of(&error))?;
        let opening = Connection::connector(
            self.uri.clone(),
            runtime,
            async move |uri: AMQPUri, runtime| {
                let mut plain = uri.clone();
                plain.scheme = AMQPScheme::AMQP;
                let stream = plain.connect_with_config_async(TLSConfig::default(), &runtime);
                let stream = timeout(CONNECT_DEADLINE, stream)
                    .await
                    .map_err(std::io::Error::from)??;
                if let AsyncTcpStream::Plain(plain) = &stream {
                    let socket = plain.get_ref();
                    socket.set_nodelay(true)?;
                    let twin = socket.as_fd().try_clone_to_owned()?;
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(twin.into());
                }
                match uri.scheme {
                    AMQPScheme::AMQP => Ok(stream),
                    AMQPScheme::AMQPS => {
                        Ok(stream.into_tls(&uri.authority.host, tls.as_ref()).await?)
                    }
                }
            },
            properties,
        );
        let opened = timeout(CONNECT_DEADLINE, opening).await;
        let socket = socket.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (connection, socket) = match (opened, socket) {
            (Ok(Ok(connection)), Some(socket)) => (connection, socket),
            (opened, socket) => {
                // Its thread waits on the socket: without this it would wait for ever.
                socket.inspect(end);
                return Err(match opened {
                    Ok(Err(error)) => fault::of(&error),
                    _ => Fault::silent("the server did not complete the login", CONNECT_DEADLINE),
                });
            }
        };
        Ok(Live {
            connection,
            socket,
            suspect: CancellationToken::new(),
        })
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uri.authority.host, self.uri.authority.port)
    }
}

impl AuthProvider for Login {
    fn mechanism(&self) -> ShortString {
        "PLAIN".into()
    }

    fn auth_starter(&self) -> Result<LongString, String> {
        Ok(format!("\0{}\0{}", self.user, self.password.expose()).into())
    }
}

/// An open connection. Dropping it ends it at once.
pub(super) struct Live {
    pub(super) connection: Connection,
    /// A second handle of its socket.
    socket: TcpStream,
    /// Cancelled by whoever finds that nothing comes back on it any more.
    pub(super) suspect: CancellationToken,
}

impl Live {
    /// A channel of its own for one purpose.
    pub(super) async fn channel(&self) -> Result<Channel, Fault> {
        within(self.connection.create_channel()).await
    }

    /// Ends it now: everything on it fails.
    pub(super) fn cut(&self) {
        end(&self.socket);
    }

    /// Says goodbye, then ends it.
    pub(super) async fn close(&self) {
        let goodbye = self.connection.close(200, "OK".into());
        let _ = timeout(CLOSE_DEADLINE, goodbye).await;
        self.cut();
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.cut();
    }
}

fn end(socket: &TcpStream) {
    // It fails where the other side was faster.
    let _ = socket.shutdown(Shutdown::Both);
}

/// Waits for the answer to one request, at most [`REQUEST_DEADLINE`].
pub(super) async fn within<T>(request: impl Future<Output = lapin::Result<T>>) -> Result<T, Fault> {
    match timeout(REQUEST_DEADLINE, request).await {
        Ok(answer) => answer.map_err(|error| fault::of(&error)),
        Err(_) => Err(Fault::silent(
            "the server does not answer",
            REQUEST_DEADLINE,
        )),
    }
}
