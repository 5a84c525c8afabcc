//! What must be true of the shop when everything has come to rest, whatever
//! happened before: read from the services' own databases, and from nothing
//! that a coordinator or a service says about itself.
//!
//! While orders are being placed it need not hold: between two services
//! there is no moment at which both are right.

mod books;
mod judge;

use amends::{Database, DatabaseError};

pub use books::{Books, CouponEntry, MoneyEntry, OrderEntry, StockEntry};
pub use judge::judge;

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
}

/// What the check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// One line for each thing that is wrong.
    pub breaches: Vec<String>,
    /// What it was read from.
    pub books: Books,
}

/// Reads all four databases and judges them.
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
