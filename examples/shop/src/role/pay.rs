//! What the pay service needs: the order service, and the provider.

use std::net::SocketAddr;
use std::time::Duration;

use amends::{Client, Database};
use clap::Args;
use tonic::transport::Endpoint;

use super::RoleError;
use super::provider::KeyAt;
use crate::holds::Holds;
use crate::provider::ProviderClient;
use crate::services::pay::{CALLBACK_PATH, GROUP, Payments};

/// The provider waits no longer: without a coordinator it has to say it again.
const PATIENCE: Duration = Duration::from_secs(2);

/// Arguments of `shop service pay`.
#[derive(Clone, Debug, Args)]
pub struct PayArgs {
    /// The queries of the order service.
    #[arg(long, value_name = "URL", required_if_eq("role", "pay"))]
    pub order: Option<String>,
    /// The payment provider.
    #[arg(long, value_name = "URL", required_if_eq("role", "pay"))]
    pub provider: Option<String>,
    /// Where customers find the provider, if not there.
    #[arg(long, value_name = "URL")]
    pub pay_at: Option<String>,
    /// What the provider signs with.
    #[command(flatten)]
    pub key: KeyAt,
    /// Where the provider finds the pay service, if not where it answers queries: `http://host:port`.
    #[arg(long, value_name = "URL")]
    pub notify: Option<String>,
}

impl PayArgs {
    /// The pay service, which answers at this address.
    ///
    /// # Errors
    /// When an address is none, or there is no key.
    pub async fn open(
        &self,
        client: Client,
        database: &Database,
        holds: Holds,
        queries: SocketAddr,
    ) -> Result<Payments, RoleError> {
        let order = self.order.clone().unwrap_or_default();
        let orders = Endpoint::from_shared(order.clone());
        let orders = orders.map_err(|_| RoleError::Address(order))?;
        let provider = self.provider.clone().unwrap_or_default();
        let notify = self.notify.clone();
        let notify = notify.unwrap_or_else(|| format!("http://{queries}"));
        Ok(Payments {
            database: database.clone(),
            client: client.with_producer(GROUP).with_patience(PATIENCE),
            orders: orders
                .timeout(crate::front::QUERY_TIMEOUT)
                .connect_timeout(crate::front::QUERY_TIMEOUT)
                .connect_lazy(),
            provider: ProviderClient::new(&provider),
            pay_at: self.pay_at.clone().unwrap_or(provider),
            key: self.key.read().await?,
            notify_url: format!("{}{CALLBACK_PATH}", notify.trim_end_matches('/')),
            holds,
        })
    }
}
