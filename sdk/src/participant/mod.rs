//! Serves services to a coordinator.
use std::net::SocketAddr;
use std::sync::Arc;

use crate::{Database, Service, ServiceDef};

/// A participant.
#[derive(Debug)]
pub struct Participant {
    _services: Vec<ServiceDef>,
}

/// Builds a participant.
#[derive(Debug)]
pub struct ParticipantBuilder {
    services: Vec<ServiceDef>,
}

/// Why a participant did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParticipantError {
    /// Not yet.
    #[error("not yet")]
    NotYet,
}

/// A participant that serves.
#[derive(Debug)]
pub struct RunningParticipant {
    address: SocketAddr,
}

impl Participant {
    /// A participant whose services share this database.
    pub fn builder(_database: Database) -> ParticipantBuilder {
        ParticipantBuilder {
            services: Vec::new(),
        }
    }
}

impl ParticipantBuilder {
    /// Adds a service.
    #[must_use]
    pub fn service<S: Service>(mut self, service: S) -> Self {
        self.services.push(Arc::new(service).define());
        self
    }
    /// Where to listen; default `127.0.0.1:0`.
    #[must_use]
    pub fn listen(self, _address: impl Into<String>) -> Self {
        self
    }
    /// The address that the coordinator calls, where it differs.
    #[must_use]
    pub fn advertise(self, _address: impl Into<String>) -> Self {
        self
    }
    /// The coordinator with which it registers.
    #[must_use]
    pub fn coordinator(self, _url: impl Into<String>) -> Self {
        self
    }
    /// Starts.
    pub async fn start(self) -> Result<RunningParticipant, ParticipantError> {
        Err(ParticipantError::NotYet)
    }
}

impl RunningParticipant {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
    /// Stops.
    pub async fn shutdown(self) {}
}
