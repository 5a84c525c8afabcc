use amends::{Val, Wire, wire};
use serde::Serialize;

#[derive(Serialize, Wire)]
enum Either {
    One,
}

#[derive(Serialize, Wire)]
struct Pair(u32, u32);

#[derive(Serialize, Wire)]
struct Outer {
    #[serde(flatten)]
    inner: Inner,
}

#[derive(Serialize)]
struct Inner {
    a: u32,
}

fn main() {
    let _: Val<Inner> = wire!(Inner { a: 1 });
    let _: Val<u32> = wire!(5);
}
