//! The whole demonstration, with real processes that are really killed.

use crate::databases::{with_mysql, with_postgres};
use crate::processes::run_well;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_scenario_ends_as_it_should() {
    let text = run_well(&[]).await;
    for expected in [
        "201 confirmed, 880.00 left to pay",
        "409 ORDER_ID_TAKEN",
        "✗ refused  GOODS_NUM_NOT_ENOUGH: 1000 wanted, 997 left",
        "✗ refused  COUPON_INVALID",
        "✗ refused  MONEY_PAID_INVALID: 900.01 to pay, 787.66 in the balance",
        "✗ refused  ORDER_CANCELLED",
        "goods is back as process",
        "coordinator is back as process",
        "the coordinator is back, then goods",
        "its stock is put back, not committed",
        "the balance is being paid back",
        "4 x 409 ORDER_CANCELLED",
        "mail is back",
        "100 x 201 confirmed",
        "100 x 409 GOODS_NUM_NOT_ENOUGH",
        "stock 1099 = 992 left + 107 sold; balances 4900.00 = 4184.66 + 715.34 paid",
        "404 ORDER_NO_EXIST",
        "the order is paid, the customer has 1000 points, 1 row in the log",
        "409 ORDER_PAY_STATUS_IS_PAY",
        "repeated   answered 200, 200; kept: paid, paid before; counted 1 time",
        "late       answered 200, 200; kept: paid, paying; counted 1 time",
        "reordered  answered 200, 200; kept: paid, paying; counted 1 time",
        "forged     answered 401, 200, 401; kept: paid; counted 1 time",
        "of 0.01    answered 422, 200; kept: amount invalid, paid; counted 1 time",
        "it is committed, nobody has been told",
        "3 payments are made and logged, points have to wait",
        "pay is back, and closes what is not paid",
        "409 PAY_CLOSED",
        "it is paid back, and the order is refunded",
        "the provider says paid, the payment is unpaid",
        "200 payments in",
        "payments 213 of 25000.00, 1 of 970.00 paid back; 25000 points",
        "201 a coupon worth 20.00",
        "✗ refused  USER_SCORE_NOT_ENOUGH: 500 points to pay are more than there are",
        "409 USER_SCORE_NOT_ENOUGH",
        "everything is held, nothing is decided",
        "409 PURCHASE_CANCELLED",
        "what was frozen is spent, not committed",
        "coupons sold: 3, for 30.00 and 1500 points",
        "the same id: confirmed, 950.00 left to pay",
        "CANCELLED: out of season",
        "in order.confirm",
        "CALLER_LOST",
        "Every scenario ended as it should, and the books balance.",
    ] {
        assert!(
            text.contains(expected),
            "`{expected}` is missing in\n{text}"
        );
    }
    assert_eq!(text.matches("as it should  ").count(), 28, "{text}");
    assert!(!text.contains('\u{1b}'), "no colours where nobody looks");
}

pub(crate) const NAMES: [&str; 9] = [
    "coordinator",
    "order",
    "goods",
    "coupon",
    "user",
    "mail",
    "pay",
    "paylog",
    "provider",
];

const CORE: [&str; 36] = [
    "--scenario",
    "order",
    "--scenario",
    "no-money",
    "--scenario",
    "cancelled",
    "--scenario",
    "service-dies",
    "--scenario",
    "coordinator-dies",
    "--scenario",
    "undo-waits",
    "--scenario",
    "mail-away",
    "--scenario",
    "crowd",
    "--scenario",
    "pay",
    "--scenario",
    "callbacks",
    "--scenario",
    "late",
    "--scenario",
    "reconcile",
    "--scenario",
    "points-away",
    "--scenario",
    "buy",
    "--scenario",
    "buy-no-points",
    "--scenario",
    "buy-service-dies",
    "--scenario",
    "live",
    "--scenario",
    "live-coordinator-dies",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_with_the_coordinator_too() {
    with_postgres(&NAMES, async |template| {
        let store = template.replace("{service}", "coordinator");
        let databases = ["--shop-database", template, "--store", &store];
        let text = run_well(&[&CORE[..], &databases[..]].concat()).await;
        assert!(text.contains("its log in PostgreSQL"), "{text}");
        assert!(text.contains("its tables in PostgreSQL"), "{text}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_mysql() {
    with_mysql(&NAMES, async |template| {
        let text = run_well(&[&CORE[..], &["--shop-database", template]].concat()).await;
        assert!(text.contains("its tables in MySQL"), "{text}");
    })
    .await;
}
