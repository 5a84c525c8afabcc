//! Many payments at once, and nobody who lives long.

use std::time::Instant;

use amends::Conn;
use axum::http::{Method, StatusCode};

use super::{LOOK_EVERY, MAX_SETTLE, all_in, provider};
use crate::domain::{Cents, GoodsId, PayId, PaymentState, PlaceOrder, UserId, shipping_fee};
use crate::provider::{CallbackPlan, CallbackStatus, PayRequest};
use crate::role::Role;
use crate::runner::RunnerError;
use crate::runner::stage::{Stage, expect_answer, in_time, joined};
use crate::runner::story::Tone;
use crate::samples;
use crate::services::goods::table::GoodsRow;
use crate::services::user::{self, table::UserRow};

const PAYMENTS: i64 = 200;
const GOODS: GoodsId = GoodsId::new(345_959_443_973_935_106);
const FIRST_USER: i64 = 600_000_000_000_000_001;
const PRICE: Cents = Cents::units(50);
/// How often a customer asks for a payment to be begun.
const MAX_ATTEMPTS: usize = 20;

/// Who dies, one after the other, each when so many more payments are made.
const VICTIMS: [Role; 4] = [Role::Pay, Role::User, Role::Order, Role::PayLog];
const BETWEEN: usize = 25;

pub(crate) async fn crowd(stage: &mut Stage) -> Result<(), RunnerError> {
    prepare(stage).await?;
    let orders: Vec<PlaceOrder> = (0..PAYMENTS).map(|buyer| ticket(stage, buyer)).collect();
    let placing: Vec<_> = orders.iter().map(|order| stage.begin(order)).collect();
    for placing in placing {
        expect_answer(&joined(placing).await?, 201, "")?;
    }
    stage.story.tell(
        "asked",
        format!("{PAYMENTS} orders are placed, now all pay at once"),
    );
    let start = Instant::now();
    let paying: Vec<_> = (0..)
        .zip(&orders)
        .map(|(nth, order)| begin(stage, nth, order))
        .collect();
    let mut pays = Vec::new();
    for paying in paying {
        pays.push(paying.await.map_err(std::io::Error::other)??);
    }
    for (nth, role) in (1..).zip(VICTIMS) {
        in_time(
            MAX_SETTLE,
            "payments to be made",
            made(stage, &pays, nth * BETWEEN),
        )
        .await?;
        kill(stage, role).await?;
    }
    let id = stage.world.coordinator.id();
    stage.world.coordinator.kill().await?;
    stage.world.coordinator.restart().await?;
    let text = format!("coordinator (process {id}), and back");
    stage.story.tell_as(Tone::Bad, "kill -9", text);
    all_in(stage, &pays, PaymentState::Paid).await?;
    let time = start.elapsed().as_secs_f64();
    let text = format!("{PAYMENTS} payments in {time:.2} s: orders, points and payment log agree");
    stage.story.tell("end", text);
    Ok(())
}

/// A customer who pays; the task ends when the provider has the money.
fn begin(
    stage: &Stage,
    nth: usize,
    order: &PlaceOrder,
) -> tokio::task::JoinHandle<Result<PayId, RunnerError>> {
    let (front, provider) = (stage.world.front(), provider(stage));
    let path = format!("/orders/{}/pay", order.order_id);
    tokio::spawn(async move {
        let mut answer = crate::http::send(front, Method::POST, &path, None).await?;
        for _ in 1..MAX_ATTEMPTS {
            if answer.status != StatusCode::SERVICE_UNAVAILABLE.as_u16() {
                break;
            }
            // So many at once: a customer who is told that a part is away asks again.
            tokio::time::sleep(LOOK_EVERY).await;
            answer = crate::http::send(front, Method::POST, &path, None).await?;
        }
        expect_answer(&answer, 201, "")?;
        let pay: PayId = answer
            .text("pay_id")
            .parse()
            .map_err(|_| RunnerError::Expected("the id of a payment".into()))?;
        provider.pay(&pay, &request(nth)).await?;
        Ok(pay)
    })
}

/// Some as they should be, some repeated, some out of order, some with a forger.
fn request(nth: usize) -> PayRequest {
    let paid = CallbackPlan::default;
    let other = |plan: CallbackPlan| PayRequest {
        callbacks: vec![plan, paid()],
        ..PayRequest::default()
    };
    match nth % 4 {
        0 => PayRequest::default(),
        1 => other(CallbackPlan { times: 3, ..paid() }),
        2 => PayRequest {
            callbacks: vec![
                paid(),
                CallbackPlan {
                    status: CallbackStatus::Paying,
                    ..paid()
                },
            ],
            ..PayRequest::default()
        },
        _ => other(CallbackPlan {
            forged: true,
            ..paid()
        }),
    }
}

async fn kill(stage: &mut Stage, role: Role) -> Result<(), RunnerError> {
    let service = stage.world.service(role)?;
    let id = service.id();
    service.kill().await?;
    service.restart().await?;
    let text = format!("{} (process {id}), and back", role.as_str());
    stage.story.tell_as(Tone::Bad, "kill -9", text);
    Ok(())
}

/// Waits until so many of the payments are made.
async fn made(stage: &Stage, pays: &[PayId], number: usize) -> Result<(), RunnerError> {
    let count = async |conn: &mut Conn| {
        let sql = "SELECT pay_id FROM trade_pay WHERE is_paid = ?";
        conn.fetch_all(sql, amends::args![PaymentState::Paid]).await
    };
    loop {
        let rows = stage.world.databases.pay.transaction(count).await?;
        let paid: Result<Vec<PayId>, _> = rows.iter().map(|row| row.at(0)).collect();
        let paid: std::collections::BTreeSet<PayId> = paid?.into_iter().collect();
        if pays.iter().filter(|pay| paid.contains(pay)).count() >= number {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn prepare(stage: &Stage) -> Result<(), RunnerError> {
    let databases = &stage.world.databases;
    let passes = GoodsRow {
        goods_id: GOODS,
        name: "Season pass".to_owned(),
        number: PAYMENTS,
        price: PRICE,
        description: "All evenings".to_owned(),
    };
    samples::add_goods(databases, &passes).await?;
    let add = async |conn: &mut Conn| {
        for buyer in 0..PAYMENTS {
            let row = UserRow {
                user_id: UserId::new(FIRST_USER + buyer),
                name: format!("Payer {}", buyer + 1),
                mobile: "555 0102".to_owned(),
                money: Cents::ZERO,
                score: 0,
            };
            user::table::add(conn, &row).await?;
        }
        Ok::<(), amends::DatabaseError>(())
    };
    Ok(databases.user.transaction(add).await?)
}

fn ticket(stage: &mut Stage, buyer: i64) -> PlaceOrder {
    let fee = shipping_fee(PRICE);
    PlaceOrder {
        user_id: UserId::new(FIRST_USER + buyer),
        goods_id: GOODS,
        goods_price: PRICE,
        shipping_fee: fee,
        order_amount: PRICE.plus(fee).unwrap_or_default(),
        consignee: format!("Payer {}", buyer + 1),
        ..stage.order()
    }
}
