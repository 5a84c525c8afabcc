//! `trade_goods` and `trade_goods_number_log`.

use amends::{Conn, Database, DatabaseError, args};

use crate::clock;
use crate::database::create_tables;
use crate::domain::{Cents, GoodsId, OrderId};

const TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS trade_goods (
        goods_id BIGINT NOT NULL PRIMARY KEY,
        goods_name VARCHAR(200) NOT NULL,
        goods_number BIGINT NOT NULL CHECK (goods_number >= 0),
        goods_price BIGINT NOT NULL CHECK (goods_price > 0),
        goods_desc VARCHAR(1000) NOT NULL,
        add_time BIGINT NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS trade_goods_number_log (
        goods_id BIGINT NOT NULL,
        order_id VARCHAR(64) NOT NULL,
        operation VARCHAR(16) NOT NULL CHECK (operation IN ('open', 'reserve', 'release')),
        goods_number BIGINT NOT NULL,
        log_time BIGINT NOT NULL,
        PRIMARY KEY (goods_id, order_id, operation)
    )",
];

/// The log's row of the first stock belongs to no order.
const NO_ORDER: &str = "";

/// What changed the stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The first stock.
    Open,
    /// An order takes goods.
    Reserve,
    /// An order gives them back.
    Release,
}

/// Goods as they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoodsRow {
    /// Their id.
    pub goods_id: GoodsId,
    /// Their name.
    pub name: String,
    /// How many are left.
    pub number: i64,
    /// The price of one.
    pub price: Cents,
    /// Text for people.
    pub description: String,
}

impl Operation {
    /// As it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Reserve => "reserve",
            Self::Release => "release",
        }
    }
}

/// Creates the tables where they are missing.
///
/// # Errors
/// As the database says; so for everything below.
pub async fn create(database: &Database) -> Result<(), DatabaseError> {
    create_tables(database, &TABLES).await
}

/// Puts goods on sale, unless they are already.
pub async fn add(conn: &mut Conn, goods: &GoodsRow) -> Result<(), DatabaseError> {
    if find(conn, goods.goods_id).await?.is_some() {
        return Ok(());
    }
    conn.execute(
        "INSERT INTO trade_goods
            (goods_id, goods_name, goods_number, goods_price, goods_desc, add_time)
         VALUES (?, ?, ?, ?, ?, ?)",
        args![
            goods.goods_id,
            &goods.name,
            goods.number,
            goods.price,
            &goods.description,
            clock::now(),
        ],
    )
    .await?;
    insert_log(
        conn,
        goods.goods_id,
        NO_ORDER,
        Operation::Open,
        goods.number,
    )
    .await
}

/// All goods by id.
pub async fn list(conn: &mut Conn) -> Result<Vec<GoodsRow>, DatabaseError> {
    let rows = conn
        .fetch_all(
            "SELECT goods_id, goods_name, goods_number, goods_price, goods_desc
             FROM trade_goods ORDER BY goods_id",
            args![],
        )
        .await?;
    rows.iter().map(read).collect()
}

/// One kind of goods.
pub async fn find(conn: &mut Conn, goods: GoodsId) -> Result<Option<GoodsRow>, DatabaseError> {
    let row = conn
        .fetch_optional(
            "SELECT goods_id, goods_name, goods_number, goods_price, goods_desc
             FROM trade_goods WHERE goods_id = ?",
            args![goods],
        )
        .await?;
    row.as_ref().map(read).transpose()
}

/// Takes goods out of sale if that many are left; `false` if not.
pub async fn take(conn: &mut Conn, goods: GoodsId, number: i64) -> Result<bool, DatabaseError> {
    let taken = conn
        .execute(
            "UPDATE trade_goods SET goods_number = goods_number - ?
             WHERE goods_id = ? AND goods_number >= ?",
            args![number, goods, number],
        )
        .await?;
    Ok(taken == 1)
}

/// Puts goods back on sale.
pub async fn put_back(conn: &mut Conn, goods: GoodsId, number: i64) -> Result<(), DatabaseError> {
    conn.execute(
        "UPDATE trade_goods SET goods_number = goods_number + ? WHERE goods_id = ?",
        args![number, goods],
    )
    .await?;
    Ok(())
}

/// Whether the log has this row.
pub async fn is_logged(
    conn: &mut Conn,
    goods: GoodsId,
    order: &OrderId,
    operation: Operation,
) -> Result<bool, DatabaseError> {
    let row = conn
        .fetch_optional(
            "SELECT 1 FROM trade_goods_number_log
             WHERE goods_id = ? AND order_id = ? AND operation = ?",
            args![goods, order, operation.as_str()],
        )
        .await?;
    Ok(row.is_some())
}

/// Writes a change of stock down; negative is taken.
pub async fn log(
    conn: &mut Conn,
    goods: GoodsId,
    order: &OrderId,
    operation: Operation,
    change: i64,
) -> Result<(), DatabaseError> {
    insert_log(conn, goods, order.as_str(), operation, change).await
}

async fn insert_log(
    conn: &mut Conn,
    goods: GoodsId,
    order: &str,
    operation: Operation,
    change: i64,
) -> Result<(), DatabaseError> {
    conn.execute(
        "INSERT INTO trade_goods_number_log
            (goods_id, order_id, operation, goods_number, log_time)
         VALUES (?, ?, ?, ?, ?)",
        args![goods, order, operation.as_str(), change, clock::now()],
    )
    .await?;
    Ok(())
}

fn read(row: &amends::Row) -> Result<GoodsRow, DatabaseError> {
    Ok(GoodsRow {
        goods_id: GoodsId::new(row.get("goods_id")?),
        name: row.get("goods_name")?,
        number: row.get("goods_number")?,
        price: row.get("goods_price")?,
        description: row.get("goods_desc")?,
    })
}
