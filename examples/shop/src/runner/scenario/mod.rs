//! The scenarios, in the order in which they are played.

mod buy;
mod crash;
mod crowd;
mod live;
mod mail;
mod order;
mod pay;
mod refusal;
mod undo_dies;

use amends::BoxFuture;

use super::RunnerError;
use super::stage::Stage;

/// A story with an end that is known beforehand.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) play: for<'a> fn(&'a mut Stage) -> BoxFuture<'a, Result<(), RunnerError>>,
}

/// All of them.
pub(super) static ALL: [Scenario; 28] = [
    Scenario {
        name: "order",
        title: "An order with a coupon and a part from the balance",
        play: |stage| Box::pin(order::succeeds(stage)),
    },
    Scenario {
        name: "twice",
        title: "The same order sent twice at once is one order",
        play: |stage| Box::pin(order::twice(stage)),
    },
    Scenario {
        name: "no-stock",
        title: "More than there is: refused by the goods service",
        play: |stage| Box::pin(refusal::no_stock(stage)),
    },
    Scenario {
        name: "no-coupon",
        title: "Somebody else's coupon: refused by the coupon service",
        play: |stage| Box::pin(refusal::no_coupon(stage)),
    },
    Scenario {
        name: "no-money",
        title: "More than the balance: refused by the user service",
        play: |stage| Box::pin(refusal::no_money(stage)),
    },
    Scenario {
        name: "cancelled",
        title: "Cancelled while it is placed: refused by the order service",
        play: |stage| Box::pin(refusal::cancelled(stage)),
    },
    Scenario {
        name: "service-dies",
        title: "The goods service is killed in the middle of its step",
        play: |stage| Box::pin(crash::service_dies(stage)),
    },
    Scenario {
        name: "coordinator-dies",
        title: "The coordinator is killed in the middle of an order",
        play: |stage| Box::pin(crash::coordinator_dies(stage)),
    },
    Scenario {
        name: "undo-waits",
        title: "Cancelled while goods is away, and the coordinator dies",
        play: |stage| Box::pin(crash::undo_waits(stage)),
    },
    Scenario {
        name: "mail-away",
        title: "The mail service is away: orders go on, each mail comes once",
        play: |stage| Box::pin(mail::mail_is_away(stage)),
    },
    Scenario {
        name: "crowd",
        title: "200 buyers at once for 100 tickets",
        play: |stage| Box::pin(crowd::crowd(stage)),
    },
    Scenario {
        name: "undo-dies",
        title: "Each process is killed in turn, in the middle of an undo",
        play: |stage| Box::pin(undo_dies::each_in_turn(stage)),
    },
    Scenario {
        name: "pay",
        title: "An order is paid: order, points and payment log hear of it",
        play: |stage| Box::pin(pay::paid::paid(stage)),
    },
    Scenario {
        name: "callbacks",
        title: "Callbacks repeated, late, forged and out of order",
        play: |stage| Box::pin(pay::callbacks::callbacks(stage)),
    },
    Scenario {
        name: "pay-dies",
        title: "The pay service dies between its commit and the message",
        play: |stage| Box::pin(pay::crash::pay_dies(stage)),
    },
    Scenario {
        name: "points-away",
        title: "The user service is away: its points come when it is back",
        play: |stage| Box::pin(pay::crash::points_away(stage)),
    },
    Scenario {
        name: "unpaid",
        title: "Orders that are not paid in time, and those that were",
        play: |stage| Box::pin(pay::unpaid::unpaid(stage)),
    },
    Scenario {
        name: "late",
        title: "A payment that comes after its order was given up",
        play: |stage| Box::pin(pay::unpaid::late(stage)),
    },
    Scenario {
        name: "reconcile",
        title: "A payment of which the shop never heard: reconciled",
        play: |stage| Box::pin(pay::reconcile::reconcile(stage)),
    },
    Scenario {
        name: "pay-crowd",
        title: "200 payments at once, while everybody is killed",
        play: |stage| Box::pin(pay::crowd::crowd(stage)),
    },
    Scenario {
        name: "buy",
        title: "A coupon bought with balance and points",
        play: |stage| Box::pin(buy::bought(stage)),
    },
    Scenario {
        name: "buy-no-points",
        title: "The points do not suffice: the balance is let go",
        play: |stage| Box::pin(buy::refused(stage)),
    },
    Scenario {
        name: "buy-caller-dies",
        title: "The front is killed when everything is held",
        play: |stage| Box::pin(buy::caller_dies(stage)),
    },
    Scenario {
        name: "buy-service-dies",
        title: "The user service is killed while it confirms",
        play: |stage| Box::pin(buy::service_dies(stage)),
    },
    Scenario {
        name: "buy-coordinator-dies",
        title: "The coordinator is killed while it calls tries",
        play: |stage| Box::pin(buy::coordinator_dies(stage)),
    },
    Scenario {
        name: "live",
        title: "A live saga: its code decides, repeated, cancelled",
        play: |stage| Box::pin(live::decides(stage)),
    },
    Scenario {
        name: "live-caller-dies",
        title: "A live saga: its caller is killed in each step",
        play: |stage| Box::pin(live::caller_dies(stage)),
    },
    Scenario {
        name: "live-coordinator-dies",
        title: "A live saga: the coordinator is killed in a step",
        play: |stage| Box::pin(live::coordinator_dies(stage)),
    },
];

/// What `--scenario` takes.
pub(super) fn names() -> clap::builder::PossibleValuesParser {
    use clap::builder::PossibleValue;
    let value = |scenario: &Scenario| PossibleValue::new(scenario.name).help(scenario.title);
    clap::builder::PossibleValuesParser::new(ALL.iter().map(value))
}
