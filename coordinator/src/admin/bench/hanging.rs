//! Many sagas that wait for a participant which does not answer.
//!
//! They are started before what is measured. At its end the participant is let
//! go, and each of them must succeed: waiting loses nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amends_proto::v1::start_saga_request::Source;
use amends_proto::v1::{SagaDefinition, StartSagaRequest, TransactionState};
use tokio::runtime::Handle;
use uuid::Uuid;

use super::driver::{Fault, Load, Tally, Work, drive};
use super::saga::{Clients, DefinitionSource, ended, source};
use super::workload::input;
use crate::admin::error::CommandError;
use crate::admin::view::state;

/// Starts or waits under way at the same time.
const CONCURRENCY: usize = 256;
/// For all to be started, and for all to end.
const MAX_TIME: Duration = Duration::from_secs(600);

/// The sagas that hang.
pub(super) struct Hanging {
    started: Arc<Starts>,
    count: usize,
}

impl Hanging {
    /// Starts so many; returns when each is durable.
    pub(super) async fn start(
        clients: Clients,
        definition: SagaDefinition,
        count: usize,
    ) -> Result<Self, CommandError> {
        let source = source(&clients, definition, DefinitionSource::Registered).await?;
        let started = Arc::new(Starts {
            clients,
            source,
            gids: Mutex::default(),
        });
        let tally = drive(&started, load(count)).await?;
        if tally.count() < count {
            let text = format!(
                "of {count} sagas that shall wait only {} were accepted: {:?}",
                tally.count(),
                tally.faults
            );
            return Err(CommandError::Failed(text));
        }
        Ok(Self { started, count })
    }

    /// Their ids.
    pub(super) fn gids(&self) -> Vec<String> {
        self.started.gids().clone()
    }

    /// Waits for them at another coordinator from here on.
    pub(super) fn moved(self, clients: Clients) -> Self {
        let started = Starts {
            clients,
            source: self.started.source.clone(),
            gids: Mutex::new(self.gids()),
        };
        Self {
            started: Arc::new(started),
            count: self.count,
        }
    }

    /// Waits until each has ended. Those that did not succeed are faults.
    pub(super) async fn finish(self) -> Result<Tally, CommandError> {
        let ends = Arc::new(Ends(self.started));
        drive(&ends, load(self.count)).await
    }
}

fn load(count: usize) -> Load {
    Load {
        concurrency: CONCURRENCY.min(count),
        time: MAX_TIME,
        count: i64::try_from(count).unwrap_or(i64::MAX),
    }
}

struct Starts {
    clients: Clients,
    source: Source,
    gids: Mutex<Vec<String>>,
}

impl Starts {
    fn gids(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.gids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Work for Starts {
    fn cores(&self) -> &[Handle] {
        self.clients.cores()
    }

    async fn once(&self) -> Result<(), Fault> {
        let gid = Uuid::now_v7().to_string();
        let request = StartSagaRequest {
            gid: gid.clone(),
            source: Some(self.source.clone()),
            input: Some(input()),
            ..StartSagaRequest::default()
        };
        self.clients.next().0.start_saga(request).await?;
        self.gids().push(gid);
        Ok(())
    }
}

struct Ends(Arc<Starts>);

impl Work for Ends {
    fn cores(&self) -> &[Handle] {
        self.0.clients.cores()
    }

    async fn once(&self) -> Result<(), Fault> {
        let Some(gid) = self.0.gids().pop() else {
            return Err(Fault("a waiting saga was not started".to_owned()));
        };
        let (_, mut client) = self.0.clients.next();
        match ended(&mut client, &gid, None).await? {
            TransactionState::Succeeded => Ok(()),
            other => Err(Fault(format!("a hanging saga ended {}", state(other)))),
        }
    }
}
