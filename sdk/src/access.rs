//! [`Access`]: what a coordinator asks of those who call it.
//!
//! Every connection of the SDK to a coordinator is made here, so that the
//! token and the certificates apply to all of them alike. A secret never
//! appears in `Debug` output or in an error. How participants are called by
//! the coordinator is another matter, and not decided here.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Without keep-alive a connection whose other side vanished is never noticed.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The token and the certificates for a coordinator that wants them; by
/// default none. Secrets are not shown by `Debug`.
///
/// ```no_run
/// # fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use amends::{Access, Client};
/// use std::fs::read_to_string;
///
/// let access = Access::new()
///     .token(read_to_string("token")?)
///     .ca(read_to_string("ca.pem")?);
/// let client = Client::connect_with("https://coordinator:7431", &access)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct Access {
    token: Option<String>,
    ca: Option<String>,
    identity: Option<(String, String)>,
}

impl Access {
    /// No token, no certificates: what a coordinator without either wants.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The bearer token, that of the coordinator's `server.token_file`;
    /// white space around it does not count. Over `http://` it travels in the
    /// clear.
    #[must_use]
    pub fn token(mut self, token: impl AsRef<str>) -> Self {
        self.token = Some(token.as_ref().trim().to_owned());
        self
    }

    /// The certificates that the coordinator's must be signed by, PEM. Every
    /// `https://` address needs them: those of the system are not consulted.
    #[must_use]
    pub fn ca(mut self, pem: impl Into<String>) -> Self {
        self.ca = Some(pem.into());
        self
    }

    /// The own certificate and its private key, both PEM, for a coordinator
    /// with `server.tls_client_ca`.
    #[must_use]
    pub fn identity(mut self, certificate: impl Into<String>, key: impl Into<String>) -> Self {
        self.identity = Some((certificate.into(), key.into()));
        self
    }

    /// A connection, made when it is first needed and again whenever it is
    /// lost. `timeout` bounds every call.
    pub(crate) fn connect(
        &self,
        address: &str,
        timeout: Option<Duration>,
    ) -> Result<Wire, AccessError> {
        let no_address = |reason| AccessError::Address {
            address: address.to_owned(),
            reason,
        };
        let mut endpoint = Endpoint::from_shared(address.to_owned())
            .map_err(|error| no_address(innermost(&error)))?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .tcp_nodelay(true);
        if let Some(timeout) = timeout {
            endpoint = endpoint.timeout(timeout);
        }
        match endpoint.uri().scheme_str() {
            Some("https") => {
                let secured = endpoint.tls_config(self.tls(address)?);
                endpoint = secured.map_err(|error| AccessError::Certificates(innermost(&error)))?;
            }
            // Certificates say that the connection is meant to be secure.
            Some("http") if self.ca.is_some() || self.identity.is_some() => {
                let address = address.to_owned();
                return Err(AccessError::Plain { address });
            }
            Some("http") => {}
            _ => return Err(no_address("expected http:// or https://".to_owned())),
        }
        let bearer = self.bearer()?;
        Ok(InterceptedService::new(endpoint.connect_lazy(), bearer))
    }

    fn tls(&self, address: &str) -> Result<ClientTlsConfig, AccessError> {
        let Some(ca) = &self.ca else {
            let address = address.to_owned();
            return Err(AccessError::NoCa { address });
        };
        // Otherwise it would be taken for a list of none, and trust nobody.
        if !ca.contains("-----BEGIN CERTIFICATE-----") {
            let text = "there is no PEM certificate among those to trust";
            return Err(AccessError::Certificates(text.to_owned()));
        }
        let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
        Ok(match &self.identity {
            Some((certificate, key)) => config.identity(Identity::from_pem(certificate, key)),
            None => config,
        })
    }

    fn bearer(&self) -> Result<Bearer, AccessError> {
        let Some(token) = &self.token else {
            return Ok(Bearer(None));
        };
        if token.is_empty() {
            return Err(AccessError::Token);
        }
        let value = format!("Bearer {token}").parse();
        let mut value: MetadataValue<Ascii> = value.map_err(|_| AccessError::Token)?;
        value.set_sensitive(true);
        Ok(Bearer(Some(value)))
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("token", &self.token.as_ref().map(|_| "***"))
            .field("ca", &self.ca.is_some())
            .field("identity", &self.identity.as_ref().map(|_| "***"))
            .finish()
    }
}

/// Why no connection can be made with this address and [`Access`]. Trying
/// again does not help: change the configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// The address of the coordinator cannot be one.
    #[error("no address of a coordinator: `{address}`: {reason}")]
    Address {
        /// As it was given.
        address: String,
        /// Why.
        reason: String,
    },
    /// An `https://` address, and nobody to trust.
    #[error("`{address}` needs the certificates to trust: give them with `Access::ca`")]
    NoCa {
        /// As it was given.
        address: String,
    },
    /// Certificates for an address without TLS.
    #[error("`{address}` is not secure, though there are certificates: say https://")]
    Plain {
        /// As it was given.
        address: String,
    },
    /// The token is empty, or no header can carry it.
    #[error("the token is empty or has characters that no token can have")]
    Token,
    /// A certificate or a private key is not the PEM it should be.
    #[error("the certificates cannot be used: {0}")]
    Certificates(String),
}

/// A connection whose calls carry what they must.
pub(crate) type Wire = InterceptedService<Channel, Bearer>;

/// Adds the token to each call. It is marked as sensitive, hence not shown.
#[derive(Clone, Debug)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            let metadata = request.metadata_mut();
            metadata.insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// tonic's own texts, such as "transport error", do not say what is wrong.
fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
