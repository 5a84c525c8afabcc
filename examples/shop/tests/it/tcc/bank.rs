//! Two banks, each with a database of its own. Money that leaves is held until it is
//! decided, money that comes is announced first.

use amends::{Conn, Database, StepResult, args, reject};
use serde::{Deserialize, Serialize};

/// In each account at the beginning.
pub const CENTS: i64 = 100_000;
pub const ACCOUNTS: i64 = 4;
/// The last account of each bank takes no money.
pub const CLOSED: i64 = ACCOUNTS - 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    pub account: i64,
    pub cents: i64,
}

/// What a try answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub cents: i64,
}

pub struct North;
pub struct South;

macro_rules! bank {
    ($bank:ident, $name:literal) => {
        #[amends::service(name = $name)]
        impl $bank {
            /// Holds money that leaves.
            #[tcc(confirm = debit, cancel = unhold, timeout = "5s")]
            pub async fn hold(&self, conn: &mut Conn, req: Amount) -> StepResult<Held> {
                hold(conn, req).await
            }

            async fn debit(&self, conn: &mut Conn, req: &Amount, held: &Held) -> StepResult<()> {
                change(conn, "debit", "held = held - ?", req.account, held).await
            }

            async fn unhold(&self, conn: &mut Conn, req: &Amount, held: &Held) -> StepResult<()> {
                let back = "held = held - ?, free = free + ?";
                change(conn, "unhold", back, req.account, held).await
            }

            /// Announces money that comes.
            #[tcc(confirm = credit, cancel = forget, timeout = "5s")]
            pub async fn announce(&self, conn: &mut Conn, req: Amount) -> StepResult<Held> {
                if req.account == CLOSED {
                    reject!("CLOSED", "account {} takes no money", req.account);
                }
                let held = Held { cents: req.cents };
                let sql = "announced = announced + ?";
                change(conn, "announce", sql, req.account, &held).await?;
                Ok(held)
            }

            async fn credit(&self, conn: &mut Conn, req: &Amount, held: &Held) -> StepResult<()> {
                let sql = "announced = announced - ?, free = free + ?";
                change(conn, "credit", sql, req.account, held).await
            }

            async fn forget(&self, conn: &mut Conn, req: &Amount, held: &Held) -> StepResult<()> {
                let sql = "announced = announced - ?";
                change(conn, "forget", sql, req.account, held).await
            }
        }
    };
}

bank!(North, "north");
bank!(South, "south");

async fn hold(conn: &mut Conn, req: Amount) -> StepResult<Held> {
    let sql = "update account set free = free - ?, held = held + ? where id = ? and free >= ?";
    let values = args![req.cents, req.cents, req.account, req.cents];
    if conn.execute(sql, values).await? == 0 {
        reject!("NO_MONEY", "there are no {} cents", req.cents);
    }
    note(conn, "hold").await?;
    Ok(Held { cents: req.cents })
}

async fn change(
    conn: &mut Conn,
    kind: &str,
    set: &str,
    account: i64,
    held: &Held,
) -> StepResult<()> {
    let mut values = vec![held.cents.into(); set.matches('?').count()];
    values.push(account.into());
    let sql = format!("update account set {set} where id = ?");
    assert_eq!(conn.execute(&sql, values).await?, 1);
    note(conn, kind).await
}

async fn note(conn: &mut Conn, kind: &str) -> StepResult<()> {
    let gid = conn.cx().expect("a call").gid().to_owned();
    conn.execute("insert into effects values (?, ?)", args![gid, kind])
        .await?;
    Ok(())
}

/// Creates the tables and the accounts.
pub async fn open(url: &str) -> Database {
    let database = Database::connect(url).await.unwrap();
    let mut conn = database.begin().await.unwrap();
    for table in [
        "create table account (id bigint not null primary key, \
         free bigint not null check (free >= 0), held bigint not null check (held >= 0), \
         announced bigint not null check (announced >= 0))",
        "create table effects (gid varchar(100) not null, kind varchar(10) not null)",
    ] {
        conn.execute_text(table).await.unwrap();
    }
    for account in 0..ACCOUNTS {
        let sql = "insert into account values (?, ?, 0, 0)";
        conn.execute(sql, args![account, CENTS]).await.unwrap();
    }
    conn.commit().await.unwrap();
    database
}

/// All of a bank's money: free, held and announced.
pub async fn money(database: &Database) -> [i64; 3] {
    let sql = "select cast(sum(free) as bigint), cast(sum(held) as bigint), \
               cast(sum(announced) as bigint) from account";
    let mysql = sql.replace("bigint", "signed");
    let sql = match database.mysql() {
        Some(_) => mysql.as_str(),
        None => sql,
    };
    let mut conn = database.begin().await.unwrap();
    let row = conn.fetch_one(sql, args![]).await.unwrap();
    [0, 1, 2].map(|at| row.at(at).unwrap())
}

/// What has taken effect at a bank, as `gid kind`, in order.
pub async fn effects(database: &Database) -> Vec<(String, String)> {
    let mut conn = database.begin().await.unwrap();
    let sql = "select gid, kind from effects order by gid, kind";
    let rows = conn.fetch_all(sql, args![]).await.unwrap();
    rows.iter()
        .map(|row| (row.at(0).unwrap(), row.at(1).unwrap()))
        .collect()
}

/// The same of one transaction, without its id.
pub async fn effects_of(database: &Database, gid: &str) -> Vec<String> {
    let effects = effects(database).await.into_iter();
    effects
        .filter(|(of, _)| of == gid)
        .map(|(_, kind)| kind)
        .collect()
}
