//! The provider over HTTP.

use amends::DatabaseError;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};

use super::api::{Charge, NewCharge, PayRequest};
use super::{Provider, callbacks, table};
use crate::domain::{Cents, ChargeState, Code, PayId};
use crate::front::Problem;

/// No request is longer.
const MAX_BODY_BYTES: usize = 16 * 1024;

pub(super) fn router(provider: &Provider) -> Router {
    Router::new()
        .route("/", get(async || StatusCode::OK))
        .route("/charges", post(create))
        .route("/charges/{pay_id}", get(show))
        .route("/charges/{pay_id}/pay", post(pay))
        .route("/charges/{pay_id}/close", post(close))
        .route("/charges/{pay_id}/refund", post(refund))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(provider.clone())
}

/// `POST /charges`: a charge that can be paid. The same again is the same
/// charge, as it stands now.
async fn create(
    State(provider): State<Provider>,
    Json(new): Json<NewCharge>,
) -> Result<Json<Charge>, Problem> {
    let created = provider.with(async |conn| {
        if table::find(conn, &new.pay_id).await?.is_none() {
            table::add(conn, &new, ChargeState::Open).await?;
        }
        table::find(conn, &new.pay_id).await
    });
    let charge = found(created.await)?;
    let other = charge.amount != new.amount && charge.state != ChargeState::Closed;
    if other {
        return Err(conflict("the charge has another amount"));
    }
    Ok(Json(charge))
}

/// `GET /charges/{pay_id}`.
async fn show(
    State(provider): State<Provider>,
    Path(pay): Path<String>,
) -> Result<Json<Charge>, Problem> {
    let pay = id(&pay)?;
    let found_it = provider.with(async |conn| table::find(conn, &pay).await);
    found(found_it.await).map(Json)
}

/// `POST /charges/{pay_id}/pay`: the customer pays. When the charge is paid
/// already, the shop is only told again.
async fn pay(
    State(provider): State<Provider>,
    Path(pay): Path<String>,
    Json(request): Json<PayRequest>,
) -> Result<Json<Charge>, Problem> {
    let pay = id(&pay)?;
    let (open, closed, paid) = (ChargeState::Open, ChargeState::Closed, ChargeState::Paid);
    let done = provider.with(async |conn| {
        let was_open = table::change(conn, &pay, open, paid).await?;
        if !was_open && request.even_if_closed {
            table::change(conn, &pay, closed, paid).await?;
        }
        let Some(charge) = table::find(conn, &pay).await? else {
            return Ok(None);
        };
        if charge.state != paid {
            return Ok(Some((charge, None)));
        }
        let key = &provider.inner.key;
        let batch = table::keep_callbacks(conn, &charge, &request.callbacks, key).await?;
        Ok(Some((charge, Some(batch))))
    });
    let (charge, batch) = found(done.await)?;
    let batch = batch.ok_or_else(|| conflict("the charge cannot be paid any more"))?;
    tokio::spawn(callbacks::deliver(provider.clone(), batch));
    Ok(Json(charge))
}

/// `POST /charges/{pay_id}/close`: from now on it cannot be paid, unless it
/// was. A charge that does not exist yet will never be open.
async fn close(
    State(provider): State<Provider>,
    Path(pay): Path<String>,
) -> Result<Json<Charge>, Problem> {
    let pay = id(&pay)?;
    let closed = provider.with(async |conn| {
        table::change(conn, &pay, ChargeState::Open, ChargeState::Closed).await?;
        if table::find(conn, &pay).await?.is_none() {
            let never = NewCharge {
                pay_id: pay.clone(),
                amount: Cents::ZERO,
                notify_url: String::new(),
            };
            table::add(conn, &never, ChargeState::Closed).await?;
        }
        table::find(conn, &pay).await
    });
    found(closed.await).map(Json)
}

/// `POST /charges/{pay_id}/refund`: gives all of it back, once.
async fn refund(
    State(provider): State<Provider>,
    Path(pay): Path<String>,
) -> Result<Json<Charge>, Problem> {
    let pay = id(&pay)?;
    let refunded = provider.with(async |conn| {
        table::change(conn, &pay, ChargeState::Paid, ChargeState::Refunded).await?;
        table::find(conn, &pay).await
    });
    let charge = found(refunded.await)?;
    if charge.state != ChargeState::Refunded {
        return Err(conflict("the charge was not paid"));
    }
    Ok(Json(charge))
}

fn id(text: &str) -> Result<PayId, Problem> {
    text.parse().map_err(|error: crate::domain::IdError| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "REQUEST_INVALID",
            error.to_string(),
        )
    })
}

fn found<T>(found: Result<Option<T>, DatabaseError>) -> Result<T, Problem> {
    match found {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(Problem::new(
            StatusCode::NOT_FOUND,
            Code::PayNoExist,
            "there is no such charge",
        )),
        Err(error) => {
            tracing::warn!(%error, "the provider's database did not answer");
            Err(Problem::unavailable("the provider cannot answer just now"))
        }
    }
}

fn conflict(text: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, "CHARGE_STATE_INVALID", text)
}
