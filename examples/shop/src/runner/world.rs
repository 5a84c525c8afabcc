//! [`World`]: the coordinator, the services, the payment provider and the front, each a
//! process of its own, and what the runner knows about them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use amends::Client;
use tokio::task::JoinSet;
use uuid::Uuid;

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
    pub(super) provider: Process,
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
        self.database_of(role.as_str())
    }

    /// The database of this name.
    pub(super) fn database_of(&self, name: &str) -> String {
        match &self.shop_database {
            Some(template) => template.replace("{service}", name),
            None => {
                let file = self.folder.join(name).with_extension("db");
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

    /// What the provider signs with.
    fn provider_key(&self) -> PathBuf {
        self.folder.join("provider.key")
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
        let databases = Databases::connect(|name| setting.database_of(name)).await?;
        samples::fill(&databases).await?;
        let program = std::env::current_exe()?;
        let keep = setting.kept.then_some(setting.folder.as_path());
        let broker = Broker::start(&setting.broker, keep, setting.log("rabbitmq")).await?;
        let coordinator = start_coordinator(&setting, &program, &broker).await?;
        let url = url(coordinator.address);
        let provider = start_provider(&setting, &program).await?;
        let services = start_services(&setting, &program, &url, &provider).await?;
        let front = start_front(&setting, &program, &url, &services).await?;
        Ok(Self {
            client: Client::connect(url)?,
            setting,
            broker,
            coordinator,
            services,
            provider,
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

    /// The process that customers talk to.
    pub(super) fn front_process(&mut self) -> &mut Process {
        &mut self.front
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
            .chain([&self.provider, &self.front]);
        all.map(Process::log).chain(self.broker.log()).collect()
    }

    /// Ends everything in order: customers first.
    pub(super) async fn stop(self) {
        self.front.stop().await;
        for (_, process) in self.services {
            process.stop().await;
        }
        self.provider.stop().await;
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
    plan.environment = vec![
        ("AMENDS_BROKER__URL", broker.url()?),
        // Who asked a dead process what became of a payment soon asks another one.
        ("AMENDS_HALF__CHECK_INTERVAL", "1s".to_owned()),
    ];
    Ok(Process::start(plan).await?)
}

/// A key that this run's provider and shop have, and nobody else.
async fn start_provider(setting: &Setting, program: &Path) -> Result<Process, RunnerError> {
    let key = setting.provider_key();
    if !key.exists() {
        let secret = format!("{}{}", Uuid::new_v4(), Uuid::new_v4());
        std::fs::write(&key, secret)?;
    }
    let database = setting.database_of(Databases::PROVIDER);
    let key = key.display().to_string();
    let args = [
        "provider",
        "--until-stdin-ends",
        "--database",
        &database,
        "--provider-key-file",
        &key,
    ];
    Ok(Process::start(setting.plan(program, Databases::PROVIDER, &args)).await?)
}

/// The pay service last: it has to know where the order service is.
async fn start_services(
    setting: &Setting,
    program: &Path,
    coordinator: &str,
    provider: &Process,
) -> Result<Vec<(Role, Process)>, RunnerError> {
    let mut starting = JoinSet::new();
    for role in Role::ALL.into_iter().filter(|role| *role != Role::Pay) {
        let plan = service_plan(setting, program, coordinator, role, &[]);
        starting.spawn(async move { Process::start(plan).await.map(|process| (role, process)) });
    }
    let mut started = Vec::new();
    while let Some(service) = starting.join_next().await {
        started.push(service.map_err(std::io::Error::other)??);
    }
    let order = started.iter().find(|(role, _)| *role == Role::Order);
    let order = order.and_then(|(_, process)| process.queries);
    let more = [
        ("--order", order.map(url).unwrap_or_default()),
        ("--provider", url(provider.address)),
        (
            "--provider-key-file",
            setting.provider_key().display().to_string(),
        ),
    ];
    let pay = service_plan(setting, program, coordinator, Role::Pay, &more);
    started.push((Role::Pay, Process::start(pay).await?));
    started.sort_by_key(|(role, _)| *role as u8);
    Ok(started)
}

fn service_plan(
    setting: &Setting,
    program: &Path,
    coordinator: &str,
    role: Role,
    more: &[(&str, String)],
) -> Plan {
    let (database, holds) = (
        setting.database(role),
        setting.holds().display().to_string(),
    );
    let mut args = vec!["service", role.as_str(), "--until-stdin-ends"];
    args.extend(["--database", &database, "--coordinator", coordinator]);
    args.extend(["--holds", &holds]);
    args.extend(more.iter().flat_map(|(flag, value)| [*flag, value]));
    setting.plan(program, role.as_str(), &args)
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
    let holds = setting.holds().display().to_string();
    args.extend(["--holds".to_owned(), holds]);
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
