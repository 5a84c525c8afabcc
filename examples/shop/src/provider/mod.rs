//! A payment provider, as a process of its own: what a shop pays with and has
//! no say in.
//!
//! It keeps charges, takes the customers' money, and tells the shop by signed
//! callbacks, which it repeats until they are answered. A [`PayRequest`] says
//! which callbacks a payment leads to, so that a demonstration can have them
//! repeated, delayed, forged, out of order, or not at all.

mod api;
mod callbacks;
mod client;
mod routes;
mod signature;
pub mod table;

use std::sync::Arc;

use amends::{Database, DatabaseError};
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

pub use api::{CallbackBody, CallbackPlan, CallbackStatus, Charge, NewCharge, PayRequest};
pub use client::{ProviderClient, ProviderError};
pub use signature::{Key, KeyError, SIGNATURE_HEADER};

/// Callbacks under way at the same time; the others wait.
const MAX_CALLBACKS: usize = 64;

/// The provider; cheap to clone.
#[derive(Clone, Debug)]
pub struct Provider {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    database: Database,
    key: Key,
    places: Semaphore,
}

impl Provider {
    /// A provider with its database, and the key that it signs with.
    ///
    /// # Errors
    /// When its tables cannot be created.
    pub async fn open(database: Database, key: Key) -> Result<Self, DatabaseError> {
        table::create(&database).await?;
        let places = Semaphore::new(MAX_CALLBACKS);
        let inner = Arc::new(Inner {
            database,
            key,
            places,
        });
        Ok(Self { inner })
    }

    /// Goes on with the callbacks that an earlier process left.
    ///
    /// # Errors
    /// As the database says.
    pub async fn resume(&self) -> Result<(), DatabaseError> {
        for batch in self.with(table::unanswered).await? {
            tokio::spawn(callbacks::deliver(self.clone(), batch));
        }
        Ok(())
    }

    /// Its HTTP routes.
    pub fn router(&self) -> Router {
        routes::router(self)
    }

    /// Serves until `end` is ready.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        end: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let serving = axum::serve(listener, self.router());
        serving.with_graceful_shutdown(end).await
    }

    async fn with<T>(
        &self,
        work: impl AsyncFnOnce(&mut amends::Conn) -> Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        self.inner.database.transaction(work).await
    }
}
