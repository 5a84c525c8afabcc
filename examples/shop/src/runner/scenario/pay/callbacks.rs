//! Callbacks as they come in the world: several times, late, from others.

use super::{all_in, begin, new_order, pay};
use crate::domain::{Cents, PayId, PaymentState};
use crate::provider::{CallbackPlan, CallbackStatus, PayRequest, table};
use crate::runner::RunnerError;
use crate::runner::stage::{Stage, expect};
use crate::services::pay::table::verdicts;

/// A callback that comes when others have come long ago.
const LATE_MS: u32 = 700;
const TIMES: u8 = 5;

pub(crate) async fn callbacks(stage: &mut Stage) -> Result<(), RunnerError> {
    let paid = CallbackPlan::default;
    let paying = || CallbackPlan {
        status: CallbackStatus::Paying,
        ..paid()
    };
    let repeated = CallbackPlan {
        times: TIMES,
        ..paid()
    };
    let late = CallbackPlan {
        after_ms: LATE_MS,
        ..paid()
    };
    let forged = CallbackPlan {
        forged: true,
        ..paid()
    };
    let cheap = CallbackPlan {
        amount: Some(Cents::new(1)),
        ..paid()
    };
    let plays = [
        ("repeated", vec![repeated.clone(), repeated], "200, 200"),
        ("late", vec![paying(), late], "200, 200"),
        ("reordered", vec![paid(), paying()], "200, 200"),
        (
            "forged",
            vec![forged.clone(), paid(), forged],
            "401, 200, 401",
        ),
        ("of 0.01", vec![cheap, paid()], "422, 200"),
    ];
    let mut pays = Vec::new();
    for (_, callbacks, _) in &plays {
        let order = new_order(stage).await?;
        let id = begin(stage, &order).await?;
        let request = PayRequest {
            callbacks: callbacks.clone(),
            ..PayRequest::default()
        };
        pay(stage, &id, &request).await?;
        pays.push(id);
    }
    let books = all_in(stage, &pays, PaymentState::Paid).await?;
    for ((name, _, expected), id) in plays.iter().zip(&pays) {
        let answers = answered(stage, id, expected).await?;
        let look = async |conn: &mut amends::Conn| verdicts(conn, id).await;
        let kept = stage.world.databases.pay.transaction(look).await?;
        let logged = books
            .pay_log
            .iter()
            .filter(|row| row.pay == id.as_str())
            .count();
        stage.story.tell(
            name,
            format!(
                "answered {answers}; kept: {}; counted {logged} time",
                kept.join(", ")
            ),
        );
    }
    // What came after the last look has changed nothing either.
    let after = all_in(stage, &pays, PaymentState::Paid).await?;
    expect(
        after.pay_log.len() == books.pay_log.len(),
        "nothing more in the log",
    )
}

/// Waits for the answers that the provider got.
async fn answered(stage: &Stage, pay: &PayId, expected: &str) -> Result<String, RunnerError> {
    let look = async |conn: &mut amends::Conn| table::answers(conn, pay).await;
    let waiting = async {
        loop {
            let answers = stage.world.databases.provider.transaction(look).await?;
            if answers.iter().all(Option::is_some) {
                let answers: Vec<_> = answers.iter().flatten().map(u16::to_string).collect();
                return Ok(answers.join(", "));
            }
            tokio::time::sleep(super::LOOK_EVERY).await;
        }
    };
    let what = "all callbacks to be answered";
    let answers = crate::runner::stage::in_time(super::MAX_SETTLE, what, waiting).await?;
    expect(
        answers == expected,
        format!("the provider to be answered {expected}, it was {answers}"),
    )?;
    Ok(answers)
}
