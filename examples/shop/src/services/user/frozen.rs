//! `trade_user_frozen`: money and points that are held for a purchase, and
//! what became of them.

use amends::{Conn, DatabaseError, StepError, StepResult, Value, args};
use serde::{Deserialize, Serialize};

use super::{Freeze, Frozen};
use crate::clock;
use crate::domain::{HeldState, PurchaseId};

pub(super) const TABLE: &str = "CREATE TABLE IF NOT EXISTS trade_user_frozen (
        purchase_id VARCHAR(64) NOT NULL,
        kind INTEGER NOT NULL CHECK (kind IN (1, 2)),
        user_id BIGINT NOT NULL,
        amount BIGINT NOT NULL CHECK (amount > 0),
        state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 2),
        create_time BIGINT NOT NULL,
        PRIMARY KEY (purchase_id, kind)
    )";

/// What is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Cents of the balance.
    Money = 1,
    /// Points.
    Points = 2,
}

impl Kind {
    /// Takes so much of a user's, if there is enough.
    fn taking(self) -> &'static str {
        match self {
            Self::Money => {
                "UPDATE trade_user SET user_money = user_money - ?
                 WHERE user_id = ? AND user_money >= ?"
            }
            Self::Points => {
                "UPDATE trade_user SET user_score = user_score - ?
                 WHERE user_id = ? AND user_score >= ?"
            }
        }
    }

    fn giving(self) -> &'static str {
        match self {
            Self::Money => "UPDATE trade_user SET user_money = user_money + ? WHERE user_id = ?",
            Self::Points => "UPDATE trade_user SET user_score = user_score + ? WHERE user_id = ?",
        }
    }
}

impl From<Kind> for Value {
    fn from(kind: Kind) -> Self {
        Self::Int(kind as i64)
    }
}

/// Takes it, and writes it down as held; `false` if there is not enough.
///
/// # Errors
/// As the database says.
pub(super) async fn take(conn: &mut Conn, req: &Freeze, kind: Kind) -> Result<bool, DatabaseError> {
    let values = args![req.amount, req.user_id, req.amount];
    if conn.execute(kind.taking(), values).await? == 0 {
        return Ok(false);
    }
    conn.execute(
        "INSERT INTO trade_user_frozen (purchase_id, kind, user_id, amount, state, create_time)
         VALUES (?, ?, ?, ?, ?, ?)",
        args![
            &req.purchase_id,
            kind,
            req.user_id,
            req.amount,
            HeldState::Held,
            clock::now()
        ],
    )
    .await?;
    Ok(true)
}

/// What was held is spent.
///
/// # Errors
/// Unknown: it is not held.
pub(super) async fn spend(conn: &mut Conn, purchase: &PurchaseId, kind: Kind) -> StepResult<()> {
    no_longer_held(conn, purchase, kind, HeldState::Taken).await
}

/// What was held is back.
///
/// # Errors
/// Unknown: it is not held.
pub(super) async fn give_back(conn: &mut Conn, req: &Freeze, held: &Frozen) -> StepResult<()> {
    no_longer_held(conn, &req.purchase_id, held.kind, HeldState::LetGo).await?;
    let values = args![held.amount, req.user_id];
    conn.execute(held.kind.giving(), values).await?;
    Ok(())
}

async fn no_longer_held(
    conn: &mut Conn,
    purchase: &PurchaseId,
    kind: Kind,
    to: HeldState,
) -> StepResult<()> {
    let sql = "UPDATE trade_user_frozen SET state = ?
         WHERE purchase_id = ? AND kind = ? AND state = ?";
    let values = args![to, purchase, kind, HeldState::Held];
    if conn.execute(sql, values).await? == 1 {
        return Ok(());
    }
    let text = format!("nothing is held of {kind:?} for purchase {purchase}");
    Err(StepError::unknown(text))
}
