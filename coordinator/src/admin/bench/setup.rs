//! The processes of `amends bench saga`, and how they are started.

use std::time::Duration;

use tokio::runtime::Handle;

use super::direct::Direct;
use super::driver::Tally;
use super::filled;
use super::hanging::Hanging;
use super::place::Place;
use super::process::Process;
use super::registration::Registration;
use super::relay;
use super::run::SagaArgs;
use super::saga;
use super::workload::{HANGING_SERVICE, SERVICE, Workload, hanging_definition};
use crate::admin::error::CommandError;

/// What is measured. Fields are dropped in order: processes before their directory.
pub(super) struct Setup {
    registrations: Vec<Registration>,
    pub(super) coordinator: Process,
    /// One with an empty store, beside one whose store was filled.
    pub(super) empty: Option<Process>,
    /// One that makes the calls of a saga and nothing else.
    pub(super) relay: Option<Process>,
    pub(super) participant: Process,
    hanging: Option<(Process, Hanging)>,
    /// Connections that the coordinator has to a participant.
    pub(super) connections: usize,
    place: Place,
}

impl Setup {
    /// Starts and connects everything.
    pub(super) async fn start(args: &SagaArgs, cores: &[Handle]) -> Result<Self, CommandError> {
        let place = Place::make(&args.place)?;
        let connections = place.config.participants.connections_per_target.get() as usize;
        let participant = place.participant(args.delay).await?;
        if args.finished > 0 {
            filled::fill(&place, &participant, args, cores).await?;
        }
        let coordinator = place.coordinator(&[]).await?;
        let mut coordinators = vec![coordinator.address().to_owned()];
        let mut empty = None;
        if args.finished > 0 && args.place.store.is_own_sqlite() {
            let process = place.coordinator_on(&place.other_sqlite(), &[]).await?;
            coordinators.push(process.address().to_owned());
            empty = Some(process);
        }
        let relay = if args.calibrate {
            let workload = args.workload();
            Some(relay::start(&place, participant.address(), workload, connections).await?)
        } else {
            None
        };
        let mut registrations = Vec::new();
        for address in &coordinators {
            registrations.push(Registration::keep(address, SERVICE, participant.address()).await?);
        }
        Ok(Self {
            registrations,
            coordinator,
            empty,
            relay,
            participant,
            hanging: None,
            connections,
            place,
        })
    }

    /// Starts the participant that never answers, and the sagas that wait for it.
    pub(super) async fn start_hanging(
        &mut self,
        count: usize,
        cores: &[Handle],
    ) -> Result<(), CommandError> {
        let process = self.place.participant(Duration::ZERO).await?;
        let address = self.coordinator.address();
        let registration = Registration::keep(address, HANGING_SERVICE, process.address()).await?;
        self.registrations.push(registration);
        let clients = saga::connect(address, cores).await?;
        let sagas = Hanging::start(clients, hanging_definition(), count).await?;
        self.hanging = Some((process, sagas));
        Ok(())
    }

    /// An error when one of its processes has ended.
    pub(super) fn check(&mut self) -> Result<(), CommandError> {
        self.coordinator.check()?;
        self.participant.check()
    }

    /// Lets go what hangs and waits until all of it has ended.
    pub(super) async fn finish_hanging(
        &mut self,
        cores: &[Handle],
        workload: Workload,
    ) -> Result<Tally, CommandError> {
        let Some((process, sagas)) = self.hanging.take() else {
            return Ok(Tally::default());
        };
        let direct = Direct::connect(process.address(), 1, cores, workload.stages()).await?;
        direct.release().await?;
        sagas.finish().await
    }

    /// Ends the processes; with `--keep` cleanly, and says where the store is.
    pub(super) async fn stop(self, args: &SagaArgs) -> Result<(), CommandError> {
        if args.keep {
            self.coordinator.stop().await?;
            self.place.keep();
        }
        Ok(())
    }
}
