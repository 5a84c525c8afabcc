//! The payment provider as a process, for a shop without a real one.

use std::path::PathBuf;

use amends::Database;
use clap::Args;
use tokio::net::TcpListener;

use super::{RoleError, announce, the_end};
use crate::provider::{Key, KeyError, Provider};

/// Arguments of `shop provider`.
#[derive(Clone, Debug, Args)]
pub struct ProviderArgs {
    /// Its database: sqlite:FILE, postgres://.. or mysql://..
    #[arg(
        long,
        env = "SHOP_DATABASE",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub database: String,
    /// What it signs with.
    #[command(flatten)]
    pub key: KeyAt,
    /// Where shops and customers come; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: String,
    /// End when standard input ends.
    #[arg(long)]
    pub until_stdin_ends: bool,
}

/// The key that the provider and the shop have.
#[derive(Clone, Debug, Args)]
pub struct KeyAt {
    /// File with the key that the provider signs with.
    #[arg(long, env = "SHOP_PROVIDER_KEY_FILE", value_name = "FILE")]
    pub provider_key_file: Option<PathBuf>,
}

impl KeyAt {
    /// The key, read now.
    ///
    /// # Errors
    /// When there is none.
    pub async fn read(&self) -> Result<Key, KeyError> {
        let path = self.provider_key_file.as_ref().ok_or(KeyError::Missing)?;
        Key::read(path).await
    }
}

/// Runs the provider until the process is told to end.
///
/// # Errors
/// When the database, the key or the address cannot be used.
pub async fn run_provider(args: ProviderArgs) -> Result<(), RoleError> {
    let key = args.key.read().await?;
    let database = Database::connect(&args.database).await?;
    let provider = Provider::open(database.clone(), key).await?;
    let listener = TcpListener::bind(&args.listen).await?;
    announce(&format!(
        "shop provider listening on {}",
        listener.local_addr()?
    ));
    provider.resume().await?;
    provider
        .serve(listener, the_end(args.until_stdin_ends))
        .await?;
    database.close().await;
    Ok(())
}
