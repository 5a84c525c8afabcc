use amends::{Saga, StepRef, Wire, wire};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Wire)]
struct Order {
    goods: String,
    number: u32,
}

const RESERVE: StepRef<Order, Order> = StepRef::new("stock", "reserve");

fn main() {
    let _saga: Saga<Order, ()> = Saga::define("shop", 1, |s, input| {
        s.step("a", RESERVE, wire!(Order { goods: input.good, number: 1 }));
        s.step("b", RESERVE, wire!(Order { goods: "g", numbr: 1, number: 1 }));
    });
}
