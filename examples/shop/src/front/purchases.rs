//! Buying a coupon with balance and points: a TCC, whose caller is the front.
//!
//! A coupon is set aside first, because it says what it costs; then money and
//! points are frozen, at the same time. Only when all three are held is the purchase
//! confirmed. When the front dies on the way, the deadline lets everything go.

use amends::{StepResult, TccError};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Front, Problem};
use crate::domain::{Code, IdError, PurchaseId, UserId};
use crate::holds;
use crate::services::coupon::{Coupons, Offer, Offered};
use crate::services::user::{Freeze, Users};

/// The branch whose try says which coupon it is.
const COUPON: &str = "coupon";

/// The body of `POST /coupons`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurchaseRequest {
    /// Chosen by the customer, so that sending again is no second purchase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purchase_id: Option<PurchaseId>,
    /// Who buys.
    pub user_id: UserId,
}

/// `POST /coupons`: 201 bought, otherwise a problem. The same again is the
/// same purchase, whoever died meanwhile.
pub(super) async fn buy(
    State(front): State<Front>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let bad = |text: String| Problem::new(StatusCode::BAD_REQUEST, Code::OrderInvalid, text);
    let request: PurchaseRequest =
        serde_json::from_slice(&body).map_err(|error| bad(error.to_string()))?;
    let chosen = request.purchase_id.unwrap_or_else(PurchaseId::unique);
    // What a customer chooses is theirs: somebody else's is another purchase.
    let id = format!("{}-{chosen}", request.user_id).parse();
    let id: PurchaseId = id.map_err(|error: IdError| bad(error.to_string()))?;
    let offered = match front.buy(&id, request.user_id).await {
        Err(TccError::Confirmed { gid }) => front.bought(&gid).await?,
        other => other.map_err(problem)?,
    };
    let body = json!({
        "purchase_id": id,
        "coupon_id": offered.coupon_id,
        "coupon_price": offered.value,
        "money_paid": offered.money,
        "points_paid": offered.points,
    });
    Ok((StatusCode::CREATED, Json(body)))
}

impl Front {
    async fn buy(&self, id: &PurchaseId, user_id: UserId) -> Result<Offered, TccError> {
        let inner = &self.inner;
        let purchase = inner.client.tcc("shop.buy-coupon").key(id.as_str());
        let purchase = purchase.deadline(inner.buy_within).wait(inner.patience);
        let hold = |amount| Freeze {
            purchase_id: id.clone(),
            user_id,
            amount,
        };
        purchase
            .run(async |tx| -> StepResult<Offered> {
                let offer = Offer {
                    purchase_id: id.clone(),
                    user_id,
                };
                let offered = tx.try_named(COUPON, Coupons::OFFER, offer).await?;
                tokio::try_join!(
                    tx.try_named("money", Users::FREEZE_MONEY, hold(offered.money.get())),
                    tx.try_named("points", Users::FREEZE_POINTS, hold(offered.points)),
                )?;
                inner.holds.pass(holds::FRONT_BUY).await?;
                Ok(offered)
            })
            .await
    }

    /// What was bought when this purchase was made.
    async fn bought(&self, gid: &str) -> Result<Offered, Problem> {
        let purchase = self.inner.client.get(gid).await?;
        let coupon = purchase.steps.iter().find(|step| step.name == COUPON);
        let output = coupon.and_then(|step| step.output.as_ref());
        let offered = output.and_then(|output| serde_json::from_slice(&output.data).ok());
        offered.ok_or_else(|| Problem::unavailable("the purchase was made; look at your coupons"))
    }
}

fn problem(error: TccError) -> Problem {
    match error {
        TccError::Refused { code, message, .. } => Problem::refused(code, message),
        TccError::Cancelled { message, .. } => Problem::refused(Code::PurchaseCancelled, message),
        TccError::Coordinator(amends::ClientError::Conflict { .. }) => Problem::refused(
            Code::PurchaseIdTaken,
            "there is a purchase with this id and other content",
        ),
        other => {
            tracing::warn!(error = %other, "a purchase is not decided");
            Problem::unavailable("nothing can be bought just now; the same may be sent again")
        }
    }
}
