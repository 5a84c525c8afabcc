//! A coordinator that answers from a script, to see what the client makes of it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amends::proto::saga_service_server::{SagaService, SagaServiceServer};
use amends::proto::transaction_service_server::{TransactionService, TransactionServiceServer};
use amends::proto::*;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, async_trait};

/// More than any test asks.
const MAX_ASKED: usize = 64;

/// What the coordinator was asked.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there are few of them")]
pub enum Asked {
    Start(StartSagaRequest),
    Wait(WaitTransactionRequest),
    Cancel(CancelTransactionsRequest),
    Other,
}

/// How it answers; starts and waits take the transaction, cancels the result.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there are few of them")]
pub enum Say {
    Transaction(Transaction),
    Result(ActionResult),
    /// An answer with nothing in it.
    Empty,
    Error(Status),
    /// Never answers.
    Hang,
}

/// The running server. Dropping it, or [`Fake::kill`], cuts every connection.
pub struct Fake {
    runtime: Option<Runtime>,
    pub address: SocketAddr,
    pub asked: mpsc::Receiver<Asked>,
}

impl Fake {
    pub fn start(script: impl IntoIterator<Item = Say>) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), script)
    }

    pub fn start_at(address: SocketAddr, script: impl IntoIterator<Item = Say>) -> Self {
        let (service, asked) = Scripted::new(script);
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            tonic::transport::Server::builder()
                .add_service(SagaServiceServer::new(service.clone()))
                .add_service(TransactionServiceServer::new(service))
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
        });
        Self {
            runtime: Some(runtime),
            address,
            asked,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends it as a crash would: no answer, every connection cut.
    pub fn kill(mut self) -> SocketAddr {
        self.cut();
        self.address
    }

    fn cut(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // On a thread of its own, because it waits until the port is free.
            let end = move || runtime.shutdown_timeout(Duration::from_secs(10));
            std::thread::spawn(end).join().unwrap();
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.cut();
    }
}

/// The services alone, for a server of the test's own.
#[derive(Clone)]
pub struct Scripted {
    script: Arc<Mutex<VecDeque<Say>>>,
    tell: mpsc::Sender<Asked>,
}

impl Scripted {
    pub fn new(script: impl IntoIterator<Item = Say>) -> (Self, mpsc::Receiver<Asked>) {
        let (tell, asked) = mpsc::channel(MAX_ASKED);
        let script = Arc::new(Mutex::new(script.into_iter().collect()));
        (Self { script, tell }, asked)
    }

    async fn say(&self, asked: Asked) -> Result<Say, Status> {
        self.tell
            .try_send(asked)
            .map_err(|_| Status::data_loss("asked too often"))?;
        let next = self.script.lock().unwrap().pop_front();
        match next {
            Some(Say::Error(status)) => Err(status),
            Some(Say::Hang) => std::future::pending().await,
            Some(say) => Ok(say),
            None => Err(Status::data_loss("the script is over")),
        }
    }
}

fn transaction(say: Say) -> Option<Transaction> {
    match say {
        Say::Transaction(transaction) => Some(transaction),
        _ => None,
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[async_trait]
impl SagaService for Scripted {
    async fn start_saga(&self, request: Request<StartSagaRequest>) -> Answer<StartSagaResponse> {
        let say = self.say(Asked::Start(request.into_inner())).await?;
        Ok(Response::new(StartSagaResponse {
            transaction: transaction(say),
            created: true,
        }))
    }

    async fn register_definition(
        &self,
        request: Request<RegisterDefinitionRequest>,
    ) -> Answer<RegisterDefinitionResponse> {
        let definition = Definition {
            saga: request.into_inner().saga,
            ..Definition::default()
        };
        Ok(Response::new(RegisterDefinitionResponse {
            definition: Some(definition),
            created: true,
        }))
    }

    async fn get_definition(
        &self,
        _: Request<GetDefinitionRequest>,
    ) -> Answer<GetDefinitionResponse> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn list_definitions(
        &self,
        _: Request<ListDefinitionsRequest>,
    ) -> Answer<ListDefinitionsResponse> {
        Err(Status::unimplemented("not scripted"))
    }
}

#[async_trait]
impl TransactionService for Scripted {
    async fn get_transaction(
        &self,
        _: Request<GetTransactionRequest>,
    ) -> Answer<GetTransactionResponse> {
        let say = self.say(Asked::Other).await?;
        Ok(Response::new(GetTransactionResponse {
            transaction: transaction(say),
        }))
    }

    async fn list_transactions(
        &self,
        _: Request<ListTransactionsRequest>,
    ) -> Answer<ListTransactionsResponse> {
        self.say(Asked::Other).await?;
        Ok(Response::new(ListTransactionsResponse::default()))
    }

    async fn wait_transaction(
        &self,
        request: Request<WaitTransactionRequest>,
    ) -> Answer<WaitTransactionResponse> {
        let say = self.say(Asked::Wait(request.into_inner())).await?;
        Ok(Response::new(WaitTransactionResponse {
            transaction: transaction(say),
            finished: false,
        }))
    }

    type WatchTransactionStream =
        Pin<Box<dyn tokio_stream::Stream<Item = Result<WatchTransactionResponse, Status>> + Send>>;

    async fn watch_transaction(
        &self,
        _: Request<WatchTransactionRequest>,
    ) -> Answer<Self::WatchTransactionStream> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn list_transaction_records(
        &self,
        _: Request<ListTransactionRecordsRequest>,
    ) -> Answer<ListTransactionRecordsResponse> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn cancel_transactions(
        &self,
        request: Request<CancelTransactionsRequest>,
    ) -> Answer<CancelTransactionsResponse> {
        let results = match self.say(Asked::Cancel(request.into_inner())).await? {
            Say::Result(result) => vec![result],
            _ => Vec::new(),
        };
        Ok(Response::new(CancelTransactionsResponse { results }))
    }

    async fn retry_transactions(
        &self,
        _: Request<RetryTransactionsRequest>,
    ) -> Answer<RetryTransactionsResponse> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn mark_step_undone(
        &self,
        _: Request<MarkStepUndoneRequest>,
    ) -> Answer<MarkStepUndoneResponse> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn force_transactions(
        &self,
        _: Request<ForceTransactionsRequest>,
    ) -> Answer<ForceTransactionsResponse> {
        Err(Status::unimplemented("not scripted"))
    }
}
