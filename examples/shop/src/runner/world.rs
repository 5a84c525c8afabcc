//! [`World`]: the coordinator, the five services and the front, each a
//! process of its own, and what the runner knows about them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use amends::{Client, Database};

use super::RunnerError;
use super::broker::{self, Broker, BrokerAt};
use super::process::{Plan, Process};
use crate::invariants::Databases;
use crate::role::Role;
use crate::samples;

/// A process that is not ready by then will never be.
const MAX_START: Duration = Duration::from_secs(30);
/// How long an orderly end may take.
const MAX_STOP: Duration = Duration::from_secs(5);

/// What the world is made of.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// Where files go.
    pub(super) folder: PathBuf,
    /// Whether the folder is there to stay.
    pub(super) kept: bool,
    /// What carries messages.
    pub(super) broker: BrokerAt,
    /// The coordinator's store; `None` is a file in the folder.
    pub(super) store: Option<String>,
    /// The services' databases, with `{service}` in it; `None` are files in the folder.
    pub(super) shop_database: Option<String>,
    /// Where the front listens.
    pub(super) listen: String,
}

/// Everything runs.
#[derive(Debug)]
pub(super) struct World {
    pub(super) setting: Setting,
    pub(super) broker: Broker,
    pub(super) coordinator: Process,
    services: Vec<(Role, Process)>,
    front: Process,
    pub(super) databases: Databases,
    pub(super) client: Client,
}

impl Setting {
    /// The coordinator's store.
    pub(super) fn store(&self) -> String {
        let file = || format!("sqlite:{}", self.folder.join("coordinator.db").display());
        self.store.clone().unwrap_or_else(file)
    }

    /// The database of a service.
    pub(super) fn database(&self, role: Role) -> String {
        match &self.shop_database {
            Some(template) => template.replace("{service}", role.as_str()),
            None => {
                let file = self.folder.join(role.as_str()).with_extension("db");
                format!("sqlite:{}", file.display())
            }
        }
    }

    /// The folder of holds.
    pub(super) fn holds(&self) -> PathBuf {
        self.folder.join("holds")
    }

    fn plan(&self, program: &Path, name: &'static str, args: &[&str]) -> Plan {
        Plan {
            name,
            program: program.to_owned(),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            environment: Vec::new(),
            log: self.log(name),
            max_start: MAX_START,
            max_stop: MAX_STOP,
        }
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(name).with_extension("log")
    }
}

impl World {
    /// Opens the databases, fills them, starts everything, and is ready when
    /// everything is.
    pub(super) async fn start(setting: Setting) -> Result<Self, RunnerError> {
        std::fs::create_dir_all(setting.holds())?;
        let databases = Databases {
            order: Database::connect(&setting.database(Role::Order)).await?,
            goods: Database::connect(&setting.database(Role::Goods)).await?,
            coupon: Database::connect(&setting.database(Role::Coupon)).await?,
            user: Database::connect(&setting.database(Role::User)).await?,
            mail: Database::connect(&setting.database(Role::Mail)).await?,
        };
        samples::fill(&databases).await?;
        let program = std::env::current_exe()?;
        let keep = setting.kept.then_some(setting.folder.as_path());
        let broker = Broker::start(&setting.broker, keep, setting.log("rabbitmq")).await?;
        let coordinator = start_coordinator(&setting, &program, &broker).await?;
        let url = url(coordinator.address);
        let services = start_services(&setting, &program, &url).await?;
        let front = start_front(&setting, &program, &url, &services).await?;
        Ok(Self {
            client: Client::connect(url)?,
            setting,
            broker,
            coordinator,
            services,
            front,
            databases,
        })
    }

    /// The process of a service.
    pub(super) fn service(&mut self, role: Role) -> Result<&mut Process, RunnerError> {
        let found = self.services.iter_mut().find(|(of, _)| *of == role);
        let (_, process) =
            found.ok_or(RunnerError::Expected("a process of every service".into()))?;
        Ok(process)
    }

    /// All services with where they listen.
    pub(super) fn services(&self) -> impl Iterator<Item = (Role, SocketAddr)> {
        self.services
            .iter()
            .map(|(role, process)| (*role, process.address))
    }

    /// Where customers come.
    pub(super) fn front(&self) -> SocketAddr {
        self.front.address
    }

    /// The end of every log.
    pub(super) fn logs(&self) -> Vec<(&'static str, String)> {
        let services = self.services.iter().map(|(_, process)| process);
        let all = std::iter::once(&self.coordinator)
            .chain(services)
            .chain([&self.front]);
        all.map(Process::log).chain(self.broker.log()).collect()
    }

    /// Ends everything in order: customers first.
    pub(super) async fn stop(self) {
        self.front.stop().await;
        for (_, process) in self.services {
            process.stop().await;
        }
        // What is thrown away leaves nothing behind at a server that stays.
        let forgotten = self.setting.store.is_none() && !self.setting.kept;
        if forgotten && matches!(self.broker, Broker::Url(_)) {
            broker::clear(&url(self.coordinator.address)).await.ok();
        }
        self.coordinator.stop().await;
        self.broker.stop().await;
    }
}

async fn start_coordinator(
    setting: &Setting,
    program: &Path,
    broker: &Broker,
) -> Result<Process, RunnerError> {
    let store = setting.store();
    let args = ["coordinator", "--store", &store, "--listen", "127.0.0.1:0"];
    let mut plan = setting.plan(program, "coordinator", &args);
    // Not as an argument: it holds a password, and arguments can be read by everybody.
    plan.environment = vec![("AMENDS_BROKER__URL", broker.url()?)];
    Ok(Process::start(plan).await?)
}

async fn start_services(
    setting: &Setting,
    program: &Path,
    coordinator: &str,
) -> Result<Vec<(Role, Process)>, RunnerError> {
    let holds = setting.holds().display().to_string();
    let mut starting = tokio::task::JoinSet::new();
    for role in Role::ALL {
        let database = setting.database(role);
        let args = [
            "service",
            role.as_str(),
            "--until-stdin-ends",
            "--database",
            &database,
            "--coordinator",
            coordinator,
            "--holds",
            &holds,
        ];
        let plan = setting.plan(program, role.as_str(), &args);
        starting.spawn(async move { Process::start(plan).await.map(|process| (role, process)) });
    }
    let mut started = Vec::new();
    while let Some(service) = starting.join_next().await {
        started.push(service.map_err(std::io::Error::other)??);
    }
    started.sort_by_key(|(role, _)| *role as u8);
    Ok(started)
}

async fn start_front(
    setting: &Setting,
    program: &Path,
    coordinator: &str,
    services: &[(Role, Process)],
) -> Result<Process, RunnerError> {
    let mut args = vec!["front".to_owned(), "--until-stdin-ends".to_owned()];
    args.extend(["--coordinator".to_owned(), coordinator.to_owned()]);
    args.extend(["--listen".to_owned(), setting.listen.clone()]);
    let asked = services
        .iter()
        .filter(|(role, _)| Role::ASKED.contains(role));
    for (role, process) in asked {
        let queries = process.queries.unwrap_or(process.address);
        args.extend([format!("--{}", role.as_str()), url(queries)]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    Ok(Process::start(setting.plan(program, "front", &args)).await?)
}

/// The URL of an address.
pub(super) fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}
