//! Coupons bought with balance and points: held everywhere, then taken
//! everywhere or let go everywhere, whoever is killed.

use std::time::Duration;

use amends::proto::{Transaction, TransactionState};
use axum::http::Method;

use crate::domain::{Cents, PRICE_IN_MONEY, PRICE_IN_POINTS, PurchaseId, UserId};
use crate::front::PurchaseRequest;
use crate::holds;
use crate::http::{Answer, send};
use crate::role::Role;
use crate::runner::RunnerError;
use crate::runner::stage::{Placing, Stage, expect, expect_answer, in_time, joined};
use crate::runner::story::Tone;
use crate::samples;
use crate::services::user::table::UserRow;

/// A purchase is at its end by then.
const MAX_SETTLE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What a front gives a purchase whose end is awaited.
const SOON: &str = "5s";
const BUY_WITHIN: &str = "30s";

const BALANCE: Cents = Cents::units(50);
const FIRST_BUYER: i64 = 650_000_000_000_000_000;

/// A purchase to be.
struct Purchase {
    chosen: PurchaseId,
    user: UserId,
}

impl Purchase {
    /// By a customer of their own, who has so many points.
    async fn of(stage: &Stage, number: i64, points: i64) -> Result<Self, RunnerError> {
        let user = UserId::new(FIRST_BUYER + number);
        let row = UserRow {
            user_id: user,
            name: format!("Collector {number}"),
            mobile: "555 0102".to_owned(),
            money: BALANCE,
            score: points,
        };
        samples::add_user(&stage.world.databases, &row).await?;
        let text = format!("a coupon for {PRICE_IN_MONEY} and {PRICE_IN_POINTS} points");
        let has = format!("{BALANCE} and {points} points in hand");
        stage.story.tell("asked", format!("{text}; {has}"));
        let chosen = PurchaseId::unique();
        Ok(Self { chosen, user })
    }

    /// The id of its TCC.
    fn gid(&self) -> String {
        format!("{}-{}", self.user, self.chosen)
    }

    /// Buys without waiting.
    fn begin(&self, stage: &Stage) -> Placing {
        let front = stage.world.front();
        let body = serde_json::to_value(PurchaseRequest {
            purchase_id: Some(self.chosen.clone()),
            user_id: self.user,
        });
        tokio::spawn(async move {
            let body = body.unwrap_or_default();
            send(front, Method::POST, "/coupons", Some(&body)).await
        })
    }

    /// Waits until it has ended like that, and tells it.
    async fn ends(&self, stage: &Stage, state: TransactionState) -> Result<(), RunnerError> {
        let gid = self.gid();
        let ended = async {
            loop {
                let found = stage.world.client.get(&gid).await?;
                if state_of(&found) == state {
                    return Ok(found);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let what = format!("the purchase to become {}", state.as_str_name());
        let found = in_time(MAX_SETTLE, &what, ended).await?;
        stage.story.steps(&found);
        Ok(())
    }

    /// What the customer has now: money, points, coupons.
    async fn has(&self, stage: &Stage) -> Result<(i64, i64, usize), RunnerError> {
        let shown = stage
            .send(Method::GET, &format!("/users/{}", self.user))
            .await?;
        let number = |field: &str| shown.body[field].as_i64().unwrap_or(-1);
        let coupons = shown.body["coupons"].as_array().map_or(0, Vec::len);
        Ok((number("user_money"), number("user_score"), coupons))
    }

    async fn must_be_made(&self, stage: &Stage, points: i64) -> Result<(), RunnerError> {
        let left = BALANCE.minus(PRICE_IN_MONEY).unwrap_or_default().get();
        let found = self.has(stage).await?;
        expect(
            found == (left, points - PRICE_IN_POINTS, 1),
            format!("money and points taken and a coupon given, found {found:?}"),
        )
    }

    async fn must_be_let_go(&self, stage: &Stage, points: i64) -> Result<(), RunnerError> {
        let found = self.has(stage).await?;
        expect(
            found == (BALANCE.get(), points, 0),
            format!("money and points back and no coupon, found {found:?}"),
        )
    }
}

pub(super) async fn bought(stage: &mut Stage) -> Result<(), RunnerError> {
    let purchase = Purchase::of(stage, 1, 800).await?;
    let (first, second) = (purchase.begin(stage), purchase.begin(stage));
    let (first, second) = (joined(first).await?, joined(second).await?);
    purchase.ends(stage, TransactionState::Succeeded).await?;
    tell(stage, &first);
    expect_answer(&first, 201, "")?;
    expect(first == second, "the same answer to the same request")?;
    let later = joined(purchase.begin(stage)).await?;
    expect(first == later, "and again, when it was made long ago")?;
    purchase.must_be_made(stage, 800).await
}

pub(super) async fn refused(stage: &mut Stage) -> Result<(), RunnerError> {
    let points = PRICE_IN_POINTS - 1;
    let purchase = Purchase::of(stage, 2, points).await?;
    let answer = joined(purchase.begin(stage)).await?;
    purchase.ends(stage, TransactionState::Compensated).await?;
    tell(stage, &answer);
    expect_answer(&answer, 409, "USER_SCORE_NOT_ENOUGH")?;
    purchase.must_be_let_go(stage, points).await
}

/// Everything is held, and whoever would confirm is dead: the deadline lets go.
pub(super) async fn caller_dies(stage: &mut Stage) -> Result<(), RunnerError> {
    front_with(stage, SOON).await?;
    let purchase = Purchase::of(stage, 3, 800).await?;
    let hold = stage.hold(holds::FRONT_BUY)?;
    let buying = purchase.begin(stage);
    expect(hold.reached().await, "everything to be held")?;
    let front = stage.world.front_process();
    let id = front.id();
    front.kill().await?;
    let text = format!("front (process {id}): everything is held, nothing is decided");
    stage.story.tell_as(Tone::Bad, "kill -9", text);
    hold.lift();
    expect(joined(buying).await.is_err(), "no answer from a dead front")?;
    purchase.ends(stage, TransactionState::Compensated).await?;
    stage
        .story
        .tell("end", "the time to buy is over: everything is let go");
    stage.world.front_process().restart().await?;
    stage
        .story
        .tell("restart", "front is back, and asked again");
    let answer = joined(purchase.begin(stage)).await?;
    tell(stage, &answer);
    expect_answer(&answer, 409, "PURCHASE_CANCELLED")?;
    purchase.must_be_let_go(stage, 800).await?;
    front_with(stage, BUY_WITHIN).await
}

/// It is decided, and the user service dies while it carries that out.
pub(super) async fn service_dies(stage: &mut Stage) -> Result<(), RunnerError> {
    let purchase = Purchase::of(stage, 4, 800).await?;
    let hold = stage.hold(holds::USER_SETTLE)?;
    let buying = purchase.begin(stage);
    expect(hold.reached().await, "what is frozen to be spent")?;
    let user = stage.world.service(Role::User)?;
    let id = user.id();
    user.kill().await?;
    let text = format!("user (process {id}): what was frozen is spent, not committed");
    stage.story.tell_as(Tone::Bad, "kill -9", text);
    hold.lift();
    stage.world.service(Role::User)?.restart().await?;
    stage.story.tell("restart", "user is back");
    let answer = joined(buying).await?;
    purchase.ends(stage, TransactionState::Succeeded).await?;
    tell(stage, &answer);
    expect_answer(&answer, 201, "")?;
    purchase.must_be_made(stage, 800).await
}

/// The coordinator dies while it calls tries: the one that comes after calls
/// them again, and the caller finds it.
pub(super) async fn coordinator_dies(stage: &mut Stage) -> Result<(), RunnerError> {
    let purchase = Purchase::of(stage, 5, 800).await?;
    let hold = stage.hold(holds::USER_FREEZE)?;
    let buying = purchase.begin(stage);
    expect(hold.reached().await, "money or points to be frozen")?;
    let id = stage.world.coordinator.id();
    stage.world.coordinator.kill().await?;
    let text = format!("coordinator (process {id}): a try is under way");
    stage.story.tell_as(Tone::Bad, "kill -9", text);
    hold.lift();
    stage.world.coordinator.restart().await?;
    stage.story.tell("restart", "the coordinator is back");
    let answer = joined(buying).await?;
    purchase.ends(stage, TransactionState::Succeeded).await?;
    tell(stage, &answer);
    expect_answer(&answer, 201, "")?;
    purchase.must_be_made(stage, 800).await
}

/// Starts the front anew, with so much time to buy.
async fn front_with(stage: &mut Stage, time: &str) -> Result<(), RunnerError> {
    let front = stage.world.front_process();
    front.set_arg("--buy-within", time);
    front.end().await;
    front.restart().await?;
    Ok(())
}

fn tell(stage: &Stage, answer: &Answer) {
    let text = match answer.code() {
        "" => format!("{} a coupon worth {}", answer.status, samples::COUPON_PRICE),
        code => format!("{} {code}", answer.status),
    };
    stage.story.tell("answer", text);
}

fn state_of(transaction: &Transaction) -> TransactionState {
    let summary = transaction.summary.as_ref();
    summary.map_or(TransactionState::Unspecified, |summary| summary.state())
}
