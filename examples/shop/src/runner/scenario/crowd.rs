//! Many buyers for few goods: nothing is sold twice, and nothing is left.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::domain::{Cents, GoodsId, PlaceOrder, UserId, shipping_fee};
use crate::invariants;
use crate::runner::RunnerError;
use crate::runner::stage::{Stage, expect, joined};
use crate::samples;
use crate::services::goods::table::GoodsRow;
use crate::services::user::{self, table::UserRow};

const BUYERS: i64 = 200;
const TICKETS: i64 = 100;
const GOODS: GoodsId = GoodsId::new(345_959_443_973_935_105);
const FIRST_USER: i64 = 500_000_000_000_000_001;
const PRICE: Cents = Cents::units(50);
const BALANCE: Cents = Cents::units(20);
const FROM_BALANCE: Cents = Cents::units(5);

pub(super) async fn crowd(stage: &mut Stage) -> Result<(), RunnerError> {
    prepare(stage).await?;
    let orders: Vec<PlaceOrder> = (0..BUYERS).map(|buyer| ticket(stage, buyer)).collect();
    let text = format!("1 x {PRICE} and {FROM_BALANCE} from the balance, {BUYERS} times at once");
    stage.story.tell("asked", text);
    let start = Instant::now();
    let placing: Vec<_> = orders.iter().map(|order| stage.begin(order)).collect();
    let mut answers: BTreeMap<(u16, String), i64> = BTreeMap::new();
    for placing in placing {
        let answer = joined(placing).await?;
        *answers
            .entry((answer.status, answer.code().to_owned()))
            .or_default() += 1;
    }
    let time = start.elapsed();
    for ((status, code), number) in &answers {
        let text = if code.is_empty() { "confirmed" } else { code };
        stage
            .story
            .tell("answer", format!("{number:>3} x {status} {text}"));
    }
    let each = BUYERS as f64 / time.as_secs_f64();
    stage.story.tell(
        "time",
        format!("{:.2} s, {each:.0} orders a second", time.as_secs_f64()),
    );
    let expected = BTreeMap::from([
        ((201, String::new()), TICKETS),
        ((409, "GOODS_NUM_NOT_ENOUGH".to_owned()), BUYERS - TICKETS),
    ]);
    expect(
        answers == expected,
        format!("{TICKETS} orders confirmed and the others refused"),
    )?;
    let books = invariants::check(&stage.world.databases).await?.books;
    let sold = books
        .confirmed()
        .filter(|order| order.goods == GOODS.get())
        .count();
    let left = books.stock.get(&GOODS.get()).copied();
    expect(
        (sold, left) == (usize::try_from(TICKETS).unwrap_or_default(), Some(0)),
        format!("{TICKETS} tickets sold and none left, found {sold} and {left:?}"),
    )
}

async fn prepare(stage: &Stage) -> Result<(), RunnerError> {
    let databases = &stage.world.databases;
    let tickets = GoodsRow {
        goods_id: GOODS,
        name: "Ticket".to_owned(),
        number: TICKETS,
        price: PRICE,
        description: "One evening".to_owned(),
    };
    samples::add_goods(databases, &tickets).await?;
    let add = async |conn: &mut amends::Conn| {
        for buyer in 0..BUYERS {
            user::table::add(conn, &buyer_row(buyer)).await?;
        }
        Ok::<(), amends::DatabaseError>(())
    };
    Ok(databases.user.transaction(add).await?)
}

fn buyer_row(buyer: i64) -> UserRow {
    UserRow {
        user_id: UserId::new(FIRST_USER + buyer),
        name: format!("Buyer {}", buyer + 1),
        mobile: "555 0101".to_owned(),
        money: BALANCE,
        score: 0,
    }
}

fn ticket(stage: &mut Stage, buyer: i64) -> PlaceOrder {
    let fee = shipping_fee(PRICE);
    PlaceOrder {
        user_id: UserId::new(FIRST_USER + buyer),
        goods_id: GOODS,
        goods_price: PRICE,
        shipping_fee: fee,
        order_amount: PRICE.plus(fee).unwrap_or_default(),
        money_paid: FROM_BALANCE,
        consignee: format!("Buyer {}", buyer + 1),
        ..stage.order()
    }
}
