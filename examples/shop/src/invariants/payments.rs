//! What must be true of payments: provider, payments, orders, points and
//! payment log say the same.

use std::collections::{BTreeMap, BTreeSet};

use super::books::{Books, OrderEntry, PaymentEntry};
use crate::domain::{Cents, ChargeState, OrderStatus, PayStatus, PaymentState};
use crate::services::pay::{REFUNDED, SUCCESS};
use crate::services::user::frozen::Kind;

/// Something that two of them say differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Which payment; `None` where an order has none.
    pub pay: Option<String>,
    /// For people.
    pub text: String,
}

/// What each of them says, in sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// How many payments.
    pub number: usize,
    /// How much.
    pub amount: Cents,
}

/// What came of one payment beside itself.
#[derive(Debug, Default)]
struct Traces {
    successes: usize,
    refunds: usize,
    amounts: BTreeSet<Cents>,
    points: i64,
    users: BTreeSet<i64>,
}

impl Books {
    /// What the provider has got and not paid back.
    #[must_use]
    pub fn charged(&self) -> Total {
        let paid = self.charges.values();
        total(
            paid.filter(|c| c.state == ChargeState::Paid)
                .map(|c| c.amount),
        )
    }

    /// What it has paid back.
    #[must_use]
    pub fn charged_back(&self) -> Total {
        let back = self.charges.values();
        total(
            back.filter(|c| c.state == ChargeState::Refunded)
                .map(|c| c.amount),
        )
    }

    /// Payments that were made and not paid back.
    #[must_use]
    pub fn settled(&self) -> Total {
        let paid = self.payments.values();
        total(
            paid.filter(|p| p.state == PaymentState::Paid)
                .map(|p| p.amount),
        )
    }

    /// Orders that are paid, those apart of which nothing was left to pay.
    #[must_use]
    pub fn orders_paid(&self) -> Total {
        let paid = self.orders.values().filter(|order| is_paid(order));
        total(paid.map(|order| order.pay_amount))
    }

    /// What the payment log has of this result.
    #[must_use]
    pub fn logged(&self, result: &str) -> Total {
        let rows = self.pay_log.iter().filter(|row| row.result == result);
        total(rows.map(|row| row.amount))
    }

    /// All points.
    #[must_use]
    pub fn points(&self) -> i64 {
        self.scores.values().sum()
    }
}

/// Everything that is wrong about payments, a line each.
pub(super) fn judge(books: &Books) -> Vec<String> {
    let found = compare(books).into_iter();
    let mut breaches: Vec<String> = found.map(|divergence| divergence.text).collect();
    for (user, score) in &books.scores {
        let of_user = books.score_log.iter().filter(|row| row.user == *user);
        let logged: i64 = of_user.map(|row| row.change).sum();
        let logged = logged - books.gone(*user, Kind::Points);
        if *score != logged {
            breaches.push(format!(
                "user {user} has {score} points, the log says {logged}"
            ));
        }
    }
    breaches
}

/// Compares what provider, payments, orders, points and payment log say.
#[must_use]
pub fn compare(books: &Books) -> Vec<Divergence> {
    let mut found = Vec::new();
    let mut traces = traces(books);
    for (id, charge) in &books.charges {
        let mut wrong = |text: String| found.push(divergence(id, &text));
        match books.payments.get(id) {
            None if charge.state == ChargeState::Closed => {}
            None => wrong(format!(
                "the provider has {} {}, and nobody here knows of it",
                charge.amount,
                charge.state.as_str()
            )),
            Some(payment) if !agree(charge.state, payment.state) => wrong(format!(
                "the provider says {}, the payment is {}",
                charge.state.as_str(),
                payment.state.as_str()
            )),
            Some(payment) if charge.amount != payment.amount => wrong(format!(
                "the provider has {}, the payment is over {}",
                charge.amount, payment.amount
            )),
            Some(_) => {}
        }
    }
    for (id, payment) in &books.payments {
        let traces = traces.remove(id).unwrap_or_default();
        let texts = of_payment(books, id, payment, &traces);
        found.extend(texts.iter().map(|text| divergence(id, text)));
    }
    for id in traces.keys() {
        found.push(divergence(
            id,
            "points or the payment log know it, nobody else",
        ));
    }
    let paid: BTreeSet<&str> = books
        .payments
        .values()
        .filter(|payment| payment.state == PaymentState::Paid)
        .map(|payment| payment.order.as_str())
        .collect();
    for (id, order) in &books.orders {
        let text = match (order.pay_status, order.pay_amount == Cents::ZERO) {
            (PayStatus::Paid, false) if !paid.contains(id.as_str()) => "is paid by no payment",
            (PayStatus::Unpaid | PayStatus::Paying, true) if holds(order) => {
                "has nothing left to pay, and is not paid"
            }
            _ => continue,
        };
        let text = format!("order {id} {text}");
        found.push(Divergence { pay: None, text });
    }
    found
}

fn of_payment(books: &Books, id: &str, payment: &PaymentEntry, traces: &Traces) -> Vec<String> {
    let mut wrong = Vec::new();
    let name = &payment.order;
    let Some(order) = books.orders.get(name) else {
        return vec![format!("its order {name} does not exist")];
    };
    let state = payment.state;
    let made = state == PaymentState::Paid;
    if made != is_paid(order) {
        let (status, paid) = (order.status.as_str(), order.pay_status.as_str());
        wrong.push(format!(
            "it is {}, its order {name} is {status} and {paid}",
            state.as_str()
        ));
    }
    let ended = matches!(state, PaymentState::Closed | PaymentState::Refunded);
    if ended && holds(order) {
        wrong.push(format!(
            "it is {}, its order {name} still counts",
            state.as_str()
        ));
    }
    if made && order.pay_amount != payment.amount {
        wrong.push(format!(
            "it is over {}, order {name} over {}",
            payment.amount, order.pay_amount
        ));
    }
    if state == PaymentState::Refunding {
        wrong.push("it is still to be paid back".to_owned());
    }
    if made && !books.charges.contains_key(id) {
        wrong.push("the provider does not know it".to_owned());
    }
    // A payment that was paid back may have been settled before, or come too late.
    let successes = if state == PaymentState::Refunded {
        traces.successes.min(1)
    } else {
        usize::from(made)
    };
    let refunds = usize::from(state == PaymentState::Refunded);
    if (traces.successes, traces.refunds) != (successes, refunds) {
        wrong.push(format!(
            "it is {}, and logged {} times as paid and {} times as paid back",
            state.as_str(),
            traces.successes,
            traces.refunds
        ));
    }
    if traces
        .amounts
        .iter()
        .any(|amount| *amount != payment.amount)
    {
        wrong.push("the payment log has another amount".to_owned());
    }
    let points = if made { payment.amount.points() } else { 0 };
    if traces.points != points || traces.users.iter().any(|user| *user != payment.user) {
        wrong.push(format!(
            "it earned {} points, {points} are due",
            traces.points
        ));
    }
    wrong
}

fn traces(books: &Books) -> BTreeMap<String, Traces> {
    let mut traces: BTreeMap<String, Traces> = BTreeMap::new();
    for row in &books.pay_log {
        let of = traces.entry(row.pay.clone()).or_default();
        of.amounts.insert(row.amount);
        match row.result.as_str() {
            SUCCESS => of.successes += 1,
            REFUNDED => of.refunds += 1,
            _ => {}
        }
    }
    // First points belong to no payment.
    for row in books.score_log.iter().filter(|row| !row.pay.is_empty()) {
        let of = traces.entry(row.pay.clone()).or_default();
        of.points += row.change;
        of.users.insert(row.user);
    }
    traces
}

/// The states that belong together when everything has come to rest.
fn agree(charge: ChargeState, payment: PaymentState) -> bool {
    match charge {
        ChargeState::Open => payment.is_open(),
        ChargeState::Paid => payment == PaymentState::Paid,
        ChargeState::Closed => payment == PaymentState::Closed,
        ChargeState::Refunded => payment == PaymentState::Refunded,
    }
}

/// Paid by a payment.
fn is_paid(order: &OrderEntry) -> bool {
    order.pay_status == PayStatus::Paid && order.pay_amount != Cents::ZERO && holds(order)
}

fn holds(order: &OrderEntry) -> bool {
    order.status == OrderStatus::Confirmed
}

fn total(amounts: impl Iterator<Item = Cents>) -> Total {
    amounts.fold(Total::default(), |total, amount| Total {
        number: total.number + 1,
        amount: total.amount.plus(amount).unwrap_or_default(),
    })
}

fn divergence(pay: &str, text: &str) -> Divergence {
    Divergence {
        pay: Some(pay.to_owned()),
        text: format!("payment {pay}: {text}"),
    }
}
