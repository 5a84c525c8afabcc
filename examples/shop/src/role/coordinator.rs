//! Where the coordinator is, and what it wants to see.

use std::path::PathBuf;

use amends::Access;
use clap::Args;

use super::RoleError;

/// The coordinator of a process of the shop.
#[derive(Clone, Debug, Args)]
pub struct CoordinatorAt {
    /// The coordinator.
    #[arg(
        long = "coordinator",
        env = "SHOP_COORDINATOR",
        id = "coordinator",
        value_name = "URL"
    )]
    pub url: String,
    /// File with the bearer token that the coordinator wants, if it wants one.
    #[arg(long, env = "SHOP_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

impl CoordinatorAt {
    /// The token, read now.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn access(&self) -> Result<Access, RoleError> {
        let Some(path) = &self.token_file else {
            return Ok(Access::new());
        };
        let token = tokio::fs::read_to_string(path).await;
        let token = token.map_err(|source| RoleError::Token {
            path: path.clone(),
            source,
        })?;
        Ok(Access::new().token(token))
    }
}
