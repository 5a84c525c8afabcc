//! Coordinators that want a token, TLS, or both.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use amends::proto::ListTransactionsRequest;
use amends::proto::registry_service_server::RegistryServiceServer;
use amends::proto::transaction_service_server::TransactionServiceServer;
use amends::{
    Access, Client, ClientError, Database, Participant, ParticipantError, RunningParticipant,
    Service, ServiceBuilder, ServiceDef,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::net::TcpListener;
use tonic::service::Interceptor;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Code, Request, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::databases::on_sqlite;
use crate::fake::{Say, Scripted};
use crate::registry::Registry;

const LONG: Duration = Duration::from_secs(600);
/// Enough for a first attempt.
const SHORT: Duration = Duration::from_millis(1);

/// Refuses calls without the token `s3cret`, as the coordinator does, and counts them.
#[derive(Clone, Default)]
struct Guard(Arc<AtomicU32>);

impl Guard {
    fn refused(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Interceptor for Guard {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let given = request.metadata().get("authorization");
        if given.is_some_and(|value| value == "Bearer s3cret") {
            return Ok(request);
        }
        self.0.fetch_add(1, Ordering::SeqCst);
        let details = ErrorDetails::with_error_info("TOKEN_INVALID", "amends", HashMap::new());
        let code = Code::Unauthenticated;
        Err(Status::with_error_details(code, "no token", details))
    }
}

/// A coordinator behind the guard; what it returns is `host:port`.
async fn serve(guard: &Guard, registry: &Registry, tls: Option<ServerTlsConfig>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (scripted, asked) = Scripted::new((0..9).map(|_| Say::Empty));
    let mut server = Server::builder();
    if let Some(tls) = tls {
        server = server.tls_config(tls).unwrap();
    }
    let transactions = TransactionServiceServer::with_interceptor(scripted, guard.clone());
    let registry = RegistryServiceServer::with_interceptor(registry.clone(), guard.clone());
    let server = server.add_service(transactions).add_service(registry);
    tokio::spawn(async move {
        let _asked = asked;
        server
            .serve_with_incoming(TcpIncoming::from(listener))
            .await
    });
    address.to_string()
}

async fn list(url: &str, access: &Access, patience: Duration) -> Result<(), ClientError> {
    let client = Client::connect_with(url, access)?.with_patience(patience);
    let listed = client.list(ListTransactionsRequest::default()).await;
    listed.map(|_| ())
}

/// Has nothing to offer, but registers.
struct Idle;

impl Service for Idle {
    const NAME: &'static str = "idle";

    fn define(self: Arc<Self>) -> ServiceDef {
        ServiceBuilder::new(Self::NAME, self).build()
    }
}

async fn participate(
    database: &Database,
    url: &str,
    access: Access,
) -> Result<RunningParticipant, ParticipantError> {
    let builder = Participant::builder(database.clone()).service(Idle);
    builder.coordinator(url).access(access).start().await
}

#[tokio::test]
async fn a_client_shows_its_token_and_gives_up_without_it() {
    let guard = Guard::default();
    let address = serve(&guard, &Registry::default(), None).await;
    let url = format!("http://{address}");
    list(&url, &Access::new().token("s3cret\n"), LONG)
        .await
        .unwrap();
    assert_eq!(guard.refused(), 0);
    for (asked, access) in [(1, Access::new()), (2, Access::new().token("other"))] {
        let error = list(&url, &access, LONG).await.unwrap_err();
        assert!(matches!(error, ClientError::Denied { .. }), "{error}");
        assert_eq!(error.reason(), "TOKEN_INVALID");
        assert_eq!(guard.refused(), asked, "asked again in vain");
    }
}

#[tokio::test]
async fn a_participant_shows_its_token_and_gives_up_without_it() {
    on_sqlite(async |database| {
        let (guard, registry) = (Guard::default(), Registry::default());
        let url = format!("http://{}", serve(&guard, &registry, None).await);

        let refused = participate(&database, &url, Access::new()).await;
        let ParticipantError::Rejected { source, .. } = refused.unwrap_err() else {
            panic!("another error");
        };
        let status = source.downcast_ref::<Status>().unwrap();
        assert_eq!(status.code(), Code::Unauthenticated);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.reason, "TOKEN_INVALID");
        assert_eq!(guard.refused(), 1);

        let access = Access::new().token("s3cret");
        let running = participate(&database, &url, access).await.unwrap();
        registry.next("register").await;
        registry.next("heartbeat").await;
        running.shutdown().await;
        registry.next("deregister").await;
        assert_eq!(guard.refused(), 1);
    })
    .await;
}

/// An authority, and a certificate with its key that it signed for 127.0.0.1.
struct Signed {
    ca: String,
    certificate: String,
    key: String,
}

fn signed() -> Signed {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(params, ca_key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap().pem();
    Signed {
        ca,
        certificate,
        key: key.serialize_pem(),
    }
}

#[tokio::test]
async fn both_sides_prove_who_they_are() {
    on_sqlite(async |database| {
        let (guard, registry, own, other) =
            (Guard::default(), Registry::default(), signed(), signed());
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(&own.certificate, &own.key))
            .client_ca_root(Certificate::from_pem(&own.ca));
        let url = format!("https://{}", serve(&guard, &registry, Some(tls)).await);
        let trusting = |ca: &Signed| Access::new().token("s3cret").ca(&ca.ca);
        let known = |access: Access, by: &Signed| access.identity(&by.certificate, &by.key);

        let access = known(trusting(&own), &own);
        list(&url, &access, LONG).await.unwrap();
        for stranger in [
            known(trusting(&other), &own),
            known(trusting(&own), &other),
            trusting(&own),
        ] {
            let error = list(&url, &stranger, SHORT).await.unwrap_err();
            assert!(matches!(error, ClientError::Unavailable { .. }), "{error}");
        }

        let running = participate(&database, &url, access).await.unwrap();
        registry.next("register").await;
        registry.next("heartbeat").await;
        running.shutdown().await;
        registry.next("deregister").await;
        assert_eq!(guard.refused(), 0);
    })
    .await;
}

#[tokio::test]
async fn what_makes_no_connection_is_said_at_once() {
    let own = signed();
    let check = |url: &str, access: Access, expected: &str| {
        let error = Client::connect_with(url, &access).unwrap_err();
        assert!(matches!(error, ClientError::Access(_)), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!format!("{error:?} {access:?}").contains("s3cret"));
    };
    let (http, https) = ("http://127.0.0.1:1", "https://127.0.0.1:1");
    let trusting = || Access::new().ca(&own.ca);
    check(https, Access::new().token("s3cret"), "Access::ca");
    check(http, trusting(), "say https://");
    check("ftp://127.0.0.1:1", Access::new(), "expected http://");
    check("127.0.0.1:1", Access::new(), "expected http://");
    check(http, Access::new().token("s3cret\ns3cret"), "the token");
    check(http, Access::new().token(" \n"), "the token");
    check(https, Access::new().ca("s3cret"), "no PEM certificate");
    let no_key = trusting().identity(&own.certificate, "s3cret");
    check(https, no_key, "cannot be used");

    on_sqlite(async |database| {
        let error = participate(&database, https, Access::new()).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("Access::ca"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn secrets_are_not_shown() {
    let access = Access::new()
        .token("s3cret")
        .ca("s3cret")
        .identity("s3cret", "s3cret");
    assert!(!format!("{access:?}").contains("s3cret"));
    let access = Access::new().token("s3cret");
    let client = Client::connect_with("http://127.0.0.1:1", &access).unwrap();
    let shown = format!("{client:?}");
    assert!(!shown.contains("s3cret"), "{shown}");
}
