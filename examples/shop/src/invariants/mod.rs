//! What must be true of the shop when everything has come to rest, whatever
//! happened before: read from the services' own databases, and from nothing
//! that a coordinator or a service says about itself.
//!
//! While orders are being placed it need not hold: between two services
//! there is no moment at which both are right.

mod books;
mod judge;
pub mod payments;
mod purchases;

use amends::{Database, DatabaseError};

use crate::role::Role;

pub use books::{Books, CouponEntry, MoneyEntry, OrderEntry, StockEntry};
pub use books::{ChargeEntry, PayLogEntry, PaymentEntry, ScoreEntry};
pub use judge::judge;
pub use purchases::{FrozenEntry, PurchaseEntry};

/// The databases of all services.
#[derive(Clone, Debug)]
pub struct Databases {
    /// Of the order service.
    pub order: Database,
    /// Of the goods service.
    pub goods: Database,
    /// Of the coupon service.
    pub coupon: Database,
    /// Of the user service.
    pub user: Database,
    /// Of the mail service; only its own scenario looks at it.
    pub mail: Database,
    /// Of the pay service.
    pub pay: Database,
    /// Of the payment log.
    pub paylog: Database,
    /// Of the payment provider, which stands for its statement of account.
    pub provider: Database,
}

impl Databases {
    /// The provider's name among those of the services.
    pub const PROVIDER: &str = "provider";

    /// Connects to all of them: `url` says where the one of this name is.
    ///
    /// # Errors
    /// As the databases say.
    pub async fn connect(url: impl Fn(&str) -> String) -> Result<Self, DatabaseError> {
        let open = async |name: &str| Database::connect(&url(name)).await;
        Ok(Self {
            order: open(Role::Order.as_str()).await?,
            goods: open(Role::Goods.as_str()).await?,
            coupon: open(Role::Coupon.as_str()).await?,
            user: open(Role::User.as_str()).await?,
            mail: open(Role::Mail.as_str()).await?,
            pay: open(Role::Pay.as_str()).await?,
            paylog: open(Role::PayLog.as_str()).await?,
            provider: open(Self::PROVIDER).await?,
        })
    }
}

/// What the check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// One line for each thing that is wrong.
    pub breaches: Vec<String>,
    /// What it was read from.
    pub books: Books,
}

/// Reads the databases and judges them.
///
/// # Errors
/// When one cannot be read.
pub async fn check(databases: &Databases) -> Result<Report, DatabaseError> {
    let books = books::read(databases).await?;
    Ok(Report {
        breaches: judge(&books),
        books,
    })
}
