// A definition is a constant; `define_with` is for those that are not.
use amends::{Saga, StepRef};

const RESERVE: StepRef<String, ()> = StepRef::new("stock", "reserve");

fn main() {
    let goods = String::from("g");
    let _saga: Saga<String, ()> = Saga::define("shop", 1, |s, _| {
        s.step("a", RESERVE, goods.clone());
    });
}
