//! The sample data as a task of its own, for a shop that the runner does not start.

use clap::Args;

use super::RoleError;
use crate::invariants::Databases;
use crate::runner::with_service;
use crate::samples::fill;

/// Arguments of `shop samples`.
#[derive(Clone, Debug, Args)]
pub struct SamplesArgs {
    /// The services' databases, with {service} in the name: `postgres://localhost/shop_{service}`
    #[arg(
        long,
        env = "SHOP_DATABASES",
        hide_env_values = true,
        value_name = "URL",
        value_parser = with_service
    )]
    pub databases: String,
}

/// Creates the tables of all services and adds the sample data, where they are
/// missing. Doing it again changes nothing.
///
/// # Errors
/// As the databases say.
pub async fn run_samples(args: &SamplesArgs) -> Result<(), RoleError> {
    let url = |name: &str| args.databases.replace("{service}", name);
    let databases = Databases::connect(url).await?;
    Ok(fill(&databases).await?)
}
