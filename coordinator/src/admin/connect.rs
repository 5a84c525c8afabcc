//! The connection to a coordinator.

use std::path::PathBuf;
use std::time::Duration;

use amends_proto::v1::admin_service_client::AdminServiceClient;
use amends_proto::v1::consumer_service_client::ConsumerServiceClient;
use amends_proto::v1::dead_letter_service_client::DeadLetterServiceClient;
use amends_proto::v1::half_message_service_client::HalfMessageServiceClient;
use amends_proto::v1::message_service_client::MessageServiceClient;
use amends_proto::v1::registry_service_client::RegistryServiceClient;
use amends_proto::v1::saga_service_client::SagaServiceClient;
use amends_proto::v1::transaction_service_client::TransactionServiceClient;
use clap::Args;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

use super::error::{CommandError, innermost};
use super::exit::Exit;
use super::output::Format;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection is given up when a ping, sent this often, is not answered within the timeout.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// Pages of large transactions may exceed the 4 MiB that tonic allows by itself.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// Where the coordinator is and how its answers are shown.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection and output")]
pub(super) struct ConnectArgs {
    /// Form of the data on standard output
    #[arg(
        short,
        long,
        value_enum,
        default_value_t,
        global = true,
        value_name = "FORMAT"
    )]
    pub(super) output: Format,
    /// Address of the coordinator
    #[arg(
        long,
        env = "AMENDS_SERVER",
        default_value = "http://127.0.0.1:7431",
        global = true,
        value_name = "URL"
    )]
    server: String,
    /// File with the bearer token to send
    #[arg(long, env = "AMENDS_TOKEN_FILE", global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates that the coordinator's must be signed by, PEM; needed for https
    #[arg(long, env = "AMENDS_TLS_CA", global = true, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Own certificate, PEM, where the coordinator asks for one
    #[arg(long, env = "AMENDS_TLS_CERT", global = true, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Private key of the own certificate, PEM
    #[arg(long, env = "AMENDS_TLS_KEY", global = true, value_name = "FILE")]
    tls_key: Option<PathBuf>,
}

impl ConnectArgs {
    /// Connects, runs the calls, and returns what they return.
    pub(super) fn with(
        &self,
        calls: impl AsyncFnOnce(Remote) -> Result<Exit, CommandError>,
    ) -> Result<Exit, CommandError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| CommandError::Failed(format!("cannot start the runtime: {error}")))?;
        runtime.block_on(async { calls(self.connect().await?).await })
    }

    async fn connect(&self) -> Result<Remote, CommandError> {
        let server = if self.server.contains("://") {
            self.server.clone()
        } else {
            format!("http://{}", self.server)
        };
        let wrong = |reason: String| CommandError::Usage(format!("--server {server}: {reason}"));
        let mut endpoint = Endpoint::from_shared(server.clone())
            .map_err(|error| wrong(error.to_string()))?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        match endpoint.uri().scheme_str() {
            Some("http") => {}
            Some("https") => {
                let secured = endpoint.tls_config(self.tls()?);
                endpoint = secured.map_err(|error| wrong(innermost(&error)))?;
            }
            _ => {
                return Err(wrong(
                    "expected http://host:port or https://host:port".to_owned(),
                ));
            }
        }
        let token = Token(self.token()?);
        let channel = endpoint
            .connect()
            .await
            .map_err(|error| CommandError::Unreachable {
                server,
                reason: innermost(&error),
            })?;
        Ok(Remote {
            wire: InterceptedService::new(channel, token),
        })
    }

    fn tls(&self) -> Result<ClientTlsConfig, CommandError> {
        let Some(ca) = &self.tls_ca else {
            return Err(CommandError::Usage("https needs --tls-ca FILE".to_owned()));
        };
        let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca)?));
        match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => {
                Ok(config.identity(Identity::from_pem(read(cert)?, read(key)?)))
            }
            (None, None) => Ok(config),
            _ => Err(CommandError::Usage(
                "--tls-cert and --tls-key go together".to_owned(),
            )),
        }
    }

    fn token(&self) -> Result<Option<MetadataValue<Ascii>>, CommandError> {
        let Some(path) = &self.token_file else {
            return Ok(None);
        };
        let mut value: MetadataValue<Ascii> = format!("Bearer {}", read(path)?.trim())
            .parse()
            .map_err(|_| {
                CommandError::Usage(format!("{}: not the text of a token", path.display()))
            })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// Adds the bearer token to each call.
#[derive(Clone)]
pub(super) struct Token(Option<MetadataValue<Ascii>>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", token.clone());
        }
        Ok(request)
    }
}

type Wire = InterceptedService<Channel, Token>;

/// A coordinator's services.
pub(super) struct Remote {
    wire: Wire,
}

macro_rules! services {
    ($($(#[doc = $doc:literal])* $name:ident: $Client:ident;)*) => {
        impl Remote { $(
            $(#[doc = $doc])*
            pub(super) fn $name(&self) -> $Client<Wire> {
                $Client::new(self.wire.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
            }
        )* }
    };
}

services! {
    /// Transactions of every kind.
    transactions: TransactionServiceClient;
    /// Sagas and their definitions.
    sagas: SagaServiceClient;
    /// Participants.
    registry: RegistryServiceClient;
    /// Messages.
    messages: MessageServiceClient;
    /// Half messages.
    halves: HalfMessageServiceClient;
    /// Consumer groups.
    consumers: ConsumerServiceClient;
    /// Dead letters.
    dead_letters: DeadLetterServiceClient;
    /// The coordinator itself.
    admin: AdminServiceClient;
}

fn read(path: &PathBuf) -> Result<String, CommandError> {
    std::fs::read_to_string(path)
        .map_err(|error| CommandError::Usage(format!("cannot read {}: {error}", path.display())))
}
