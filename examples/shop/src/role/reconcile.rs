//! Compares what provider, payments, orders, points and payment log say, as a
//! task of its own, and mends what can be mended.
//!
//! It only reads the databases. What is to be mended is the pay service's
//! affair: it asks the provider, and tells everybody again.

use std::collections::BTreeSet;

use amends::DatabaseError;
use clap::Args;
use tonic::transport::Endpoint;

use super::{RoleError, announce};
use crate::invariants::payments::{Divergence, Total, compare};
use crate::invariants::{self, Books, Databases};
use crate::proto::RepairPaymentRequest;
use crate::proto::pay_service_client::PayServiceClient;
use crate::runner::with_service;
use crate::services::pay::{REFUNDED, SUCCESS};

/// Arguments of `shop reconcile`.
#[derive(Clone, Debug, Args)]
pub struct ReconcileArgs {
    /// The databases, with {service} in the name: `postgres://localhost/shop_{service}`
    #[arg(
        long,
        env = "SHOP_DATABASES",
        hide_env_values = true,
        value_name = "URL",
        value_parser = with_service
    )]
    pub databases: String,
    /// Mend what differs, by way of the pay service's queries here
    #[arg(long, value_name = "URL")]
    pub repair: Option<String>,
}

/// Prints the report; `true` when nothing differs.
///
/// # Errors
/// When a database cannot be read, or the pay service does not answer.
pub async fn run_reconcile(args: &ReconcileArgs) -> Result<bool, RoleError> {
    let url = |name: &str| args.databases.replace("{service}", name);
    let databases = Databases::connect(url).await?;
    let (books, found) = look(&databases).await?;
    for line in report(&books, &found) {
        announce(&line);
    }
    if let Some(url) = &args.repair {
        for line in repair(url, &found).await? {
            announce(&line);
        }
    }
    Ok(found.is_empty())
}

/// Reads everything and compares it.
///
/// # Errors
/// When a database cannot be read.
pub async fn look(databases: &Databases) -> Result<(Books, Vec<Divergence>), DatabaseError> {
    let books = invariants::check(databases).await?.books;
    let found = compare(&books);
    Ok((books, found))
}

/// What each of them says in sum, and what differs.
#[must_use]
pub fn report(books: &Books, found: &[Divergence]) -> Vec<String> {
    let row = |name: &str, paid: Total, back: Option<Total>| {
        let back = back.map(|back| format!(", {} of {} paid back", back.number, back.amount));
        let Total { number, amount } = paid;
        format!(
            "{name:<10}{number:>5} of {amount}{}",
            back.unwrap_or_default()
        )
    };
    let mut lines = vec![
        row("provider", books.charged(), Some(books.charged_back())),
        row("payments", books.settled(), None),
        row("orders", books.orders_paid(), None),
        row(
            "pay log",
            books.logged(SUCCESS),
            Some(books.logged(REFUNDED)),
        ),
        format!("points    {:>5}", books.points()),
    ];
    lines.extend(
        found
            .iter()
            .map(|found| format!("differs   {}", found.text)),
    );
    lines
}

/// Has the pay service mend each payment that differs; says what it did.
///
/// # Errors
/// When it does not answer.
pub async fn repair(pay: &str, found: &[Divergence]) -> Result<Vec<String>, RoleError> {
    let endpoint = Endpoint::from_shared(pay.to_owned());
    let endpoint = endpoint.map_err(|_| RoleError::Address(pay.to_owned()))?;
    let timeout = crate::front::QUERY_TIMEOUT;
    let channel = endpoint.timeout(timeout).connect_timeout(timeout);
    let mut payments = PayServiceClient::new(channel.connect_lazy());
    let mut lines = Vec::new();
    let wrong: BTreeSet<&String> = found
        .iter()
        .filter_map(|found| found.pay.as_ref())
        .collect();
    for pay_id in wrong {
        let request = RepairPaymentRequest {
            pay_id: pay_id.clone(),
        };
        let done = match payments.repair_payment(request).await {
            Ok(done) => done.into_inner().done,
            Err(status) if status.code() == tonic::Code::Unavailable => {
                return Err(RoleError::Pay(Box::new(status)));
            }
            Err(status) => format!("needs a person: {}", status.message()),
        };
        lines.push(format!("mended    payment {pay_id}: {done}"));
    }
    for found in found.iter().filter(|found| found.pay.is_none()) {
        lines.push(format!("mended    not: {}", found.text));
    }
    Ok(lines)
}
