//! `SagaService`: start sagas, keep their definitions.

use std::sync::Arc;
use std::time::Duration;

use amends_core::id::{Gid, MAX_GID_CHARS};
use amends_core::payload::Payload;
use amends_core::saga::{CompiledSaga, MAX_DEADLINE};
use amends_core::target::Target;
use amends_core::time::Millis;
use amends_proto::v1::saga_service_server::SagaService;
use amends_proto::v1::{self, start_saga_request::Source};
use tonic::{Code, Request, Response, Status};

use crate::clock::runtime_now;
use crate::config::{AllowList, HostPort};
use crate::engine::{Engine, Start, View, to_stored};
use crate::store::{Registered, StoredDefinition};

use super::status::{invalid, status, store_error};
use super::{page, read, show};

/// Longest wait of one call.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(60);
/// What ids made from a request id begin with.
const REQUEST_GID_PREFIX: &str = "request:";

/// The service over an engine.
pub(super) struct Sagas {
    pub(super) engine: Engine,
    pub(super) max_bytes: u64,
    pub(super) allow: AllowList,
}

#[tonic::async_trait]
impl SagaService for Sagas {
    async fn start_saga(
        &self,
        request: Request<v1::StartSagaRequest>,
    ) -> Result<Response<v1::StartSagaResponse>, Status> {
        let request = request.into_inner();
        let wait = read::span("wait", request.wait)?.map(|wait| Duration::from(wait).min(MAX_WAIT));
        let gid = gid_of(&request.gid, &request.request_id)?;
        let deadline = read::span("deadline", request.deadline)?;
        if deadline.is_some_and(|span| span == Millis(0) || span > MAX_DEADLINE) {
            return Err(invalid(
                "deadline",
                "DURATION_INVALID",
                "must be 1ms to 366 days",
            ));
        }
        let input =
            read::payload("input", request.input, self.max_bytes)?.unwrap_or_else(Payload::null);
        let definition = self.definition(request.source).await?;
        let start = Start {
            gid,
            definition,
            input,
            deadline,
        };
        let started = match wait {
            Some(wait) => {
                let until = runtime_now() + wait;
                self.engine.start_and_wait(start, until).await?
            }
            None => self.engine.start(start).await?,
        };
        Ok(Response::new(v1::StartSagaResponse {
            transaction: Some(self.show(&started.view)),
            created: started.created,
        }))
    }

    async fn register_definition(
        &self,
        request: Request<v1::RegisterDefinitionRequest>,
    ) -> Result<Response<v1::RegisterDefinitionResponse>, Status> {
        let saga = request
            .into_inner()
            .saga
            .ok_or_else(|| invalid("saga", "MISSING", "must be set"))?;
        let compiled = self.checked(saga)?;
        let now = self.engine.clock().now();
        let stored = StoredDefinition {
            registered_at: Some(now),
            ..to_stored(&compiled, now)
        };
        let (stored, created) = match self
            .engine
            .store()
            .register_definition(&stored)
            .await
            .map_err(|e| store_error(&e))?
        {
            Registered::Created(stored) => (stored, true),
            Registered::Existed(stored) => (stored, false),
            Registered::Different(stored) => {
                let message = format!(
                    "definition {} version {} is registered with other content (hash {}, not {}): give the new content a new version",
                    stored.name,
                    stored.version,
                    stored.hash.0,
                    compiled.hash().0
                );
                return Err(status(Code::AlreadyExists, "DEFINITION_DIFFERS", message));
            }
        };
        let definition = Some(show::definition(&stored, &compiled));
        Ok(Response::new(v1::RegisterDefinitionResponse {
            definition,
            created,
        }))
    }

    async fn get_definition(
        &self,
        request: Request<v1::GetDefinitionRequest>,
    ) -> Result<Response<v1::GetDefinitionResponse>, Status> {
        let reference = request
            .into_inner()
            .r#ref
            .ok_or_else(|| invalid("ref", "MISSING", "must be set"))?;
        let stored = self
            .engine
            .store()
            .registered_definition(&reference.name, reference.version)
            .await
            .map_err(|e| store_error(&e))?;
        let stored = stored.ok_or_else(|| not_registered(&reference))?;
        Ok(Response::new(v1::GetDefinitionResponse {
            definition: Some(show_stored(&stored)?),
        }))
    }

    async fn list_definitions(
        &self,
        request: Request<v1::ListDefinitionsRequest>,
    ) -> Result<Response<v1::ListDefinitionsResponse>, Status> {
        let request = request.into_inner();
        let after: Option<(String, u32)> = page::place(&request.page_token)?;
        let size = read::page_size(request.page_size);
        let after = after
            .as_ref()
            .map(|(name, version)| (name.as_str(), *version));
        let found = self
            .engine
            .store()
            .list_definitions(&request.name_prefix, after, size)
            .await
            .map_err(|e| store_error(&e))?;
        let full = found.len() >= size as usize;
        let next = found
            .last()
            .filter(|_| full)
            .map(|last| page::token(&(&last.name, last.version)));
        let definitions = found.iter().map(show_stored).collect::<Result<_, _>>()?;
        Ok(Response::new(v1::ListDefinitionsResponse {
            definitions,
            next_page_token: next.unwrap_or_default(),
        }))
    }
}

impl Sagas {
    async fn definition(&self, source: Option<Source>) -> Result<Arc<CompiledSaga>, Status> {
        match source {
            None => Err(invalid(
                "source",
                "MISSING",
                "must be set: a definition, or the name of a registered one",
            )),
            Some(Source::Definition(saga)) => self.checked(saga).map(Arc::new),
            Some(Source::Registered(reference)) => {
                read::name("registered.name", &reference.name)?;
                let found = self
                    .engine
                    .definitions()
                    .registered(&reference.name, reference.version)
                    .await
                    .map_err(|e| store_error(&e))?;
                found.ok_or_else(|| not_registered(&reference))
            }
        }
    }

    /// A definition that keeps all rules and calls allowed addresses only.
    fn checked(&self, saga: v1::SagaDefinition) -> Result<CompiledSaga, Status> {
        let compiled = read::definition(saga, self.max_bytes)?;
        for (ix, step) in compiled.steps().iter().enumerate() {
            for (field, target) in [
                ("target", Some(&step.target)),
                ("compensation", step.compensation.as_ref()),
            ] {
                let field = || format!("steps[{ix}].{field}");
                target.map_or(Ok(()), |target| check_address(&self.allow, target, field))?;
            }
        }
        Ok(compiled)
    }

    fn show(&self, view: &View) -> v1::Transaction {
        show::transaction(view, self.engine.incarnation())
    }
}

/// The coordinator never calls an address that no configuration allows.
pub(super) fn check_address(
    allow: &AllowList,
    target: &Target,
    field: impl Fn() -> String,
) -> Result<(), Status> {
    let Target::Grpc { authority, .. } = target else {
        return Ok(());
    };
    let Ok(address) = authority.parse::<HostPort>() else {
        return Err(invalid(
            &field(),
            "ADDRESS_INVALID",
            format!("names {authority:?}, which is not an address"),
        ));
    };
    if allow.allows(&address) {
        return Ok(());
    }
    let message = format!(
        "names {address}, to which the configuration allows no calls: see participants.allow"
    );
    Err(invalid(&field(), "ADDRESS_NOT_ALLOWED", message))
}

/// The caller's id, or one made from its request id, or a new one.
pub(super) fn gid_of(gid: &str, request_id: &str) -> Result<Gid, Status> {
    if !gid.is_empty() {
        return read::gid(gid);
    }
    if request_id.is_empty() {
        return read::gid(&uuid::Uuid::now_v7().to_string());
    }
    Gid::new(&format!("{REQUEST_GID_PREFIX}{request_id}")).map_err(|_| {
        let limit = MAX_GID_CHARS - REQUEST_GID_PREFIX.len();
        invalid(
            "request_id",
            "REQUEST_ID_INVALID",
            format!("must be at most {limit} printable ASCII characters without blanks"),
        )
    })
}

fn not_registered(reference: &v1::DefinitionRef) -> Status {
    let message = match reference.version {
        0 => format!("no definition {:?} is registered", reference.name),
        version => format!(
            "no definition {:?} version {version} is registered",
            reference.name
        ),
    };
    status(Code::NotFound, "DEFINITION_NOT_FOUND", message)
}

fn show_stored(stored: &StoredDefinition) -> Result<v1::Definition, Status> {
    let compiled = CompiledSaga::from_json(&stored.json)
        .map_err(|problem| status(Code::DataLoss, "STORE_CORRUPT", problem))?;
    Ok(show::definition(stored, &compiled))
}
