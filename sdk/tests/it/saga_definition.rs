//! What a saga in code becomes on the wire.

use std::collections::BTreeMap;
use std::time::Duration;

use amends::proto::{CompensateVia as Via, Fencing, SagaDefinition, StepDefinition, StepKind};
use amends::saga::{CompensateVia, GrpcPayload};
use amends::{Retry, Saga, StepRef, Val, Wire, wire};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::shop::{Inventory, PlaceOrder, Receipt, ReserveReq, confirm_order};

fn json_of(data: &[u8]) -> Value {
    serde_json::from_slice(data).unwrap()
}

fn input_of(step: &StepDefinition) -> Value {
    json_of(&step.input.as_ref().unwrap().data)
}

fn step<'a>(saga: &'a SagaDefinition, name: &str) -> &'a StepDefinition {
    saga.steps.iter().find(|step| step.name == name).unwrap()
}

#[test]
fn the_example_of_the_documentation() {
    let saga = confirm_order();
    let saga = saga.definition().unwrap();
    assert_eq!(
        (saga.name.as_str(), saga.version),
        ("shop.confirm-order", 1)
    );

    let reserve = step(saga, "reserve-stock");
    assert_eq!(reserve.target, "inventory/reserve");
    assert_eq!(reserve.compensation, "inventory/reserve");
    assert!(reserve.after.is_empty());
    assert_eq!(reserve.kind(), StepKind::Compensable);
    assert_eq!(reserve.fencing(), Fencing::ConsumerLog);
    assert_eq!(reserve.timeout.unwrap().seconds, 5);
    assert_eq!(reserve.retry.unwrap().max_attempts, 4);
    let expected =
        json!({"goods": {"$ref": "$.input.goods"}, "number": {"$ref": "$.input.number"}});
    assert_eq!(input_of(reserve), expected);

    let coupon = step(saga, "use-coupon");
    assert_eq!(coupon.fencing(), Fencing::ConsumerLog);
    assert!(coupon.after.is_empty());

    let confirm = step(saga, "confirm");
    assert_eq!(
        (confirm.kind(), confirm.compensation.as_str()),
        (StepKind::Pivot, "")
    );
    assert_eq!(confirm.after, ["reserve-stock", "use-coupon"]);
    let expected = json!({"order": {"$ref": "$.input.order"}, "price": {"$ref": "$.steps.reserve-stock.price"}});
    assert_eq!(input_of(confirm), expected);

    let output = saga.output.as_ref().unwrap();
    assert_eq!(json_of(&output.data), json!({"$ref": "$.steps.confirm"}));
}

#[derive(Serialize, Deserialize, Wire)]
#[serde(rename_all = "camelCase")]
struct Address {
    post_code: String,
    #[serde(rename = "any key")]
    odd: u32,
    #[serde(skip)]
    #[allow(dead_code)]
    cached: u8,
}

#[derive(Serialize, Deserialize, Wire)]
struct Everything {
    address: Address,
    copy: Address,
    tags: Vec<String>,
    note: Option<String>,
    count: Option<u32>,
    odd: u32,
    first: String,
    by_key: u32,
    gid: String,
    raw: Value,
}

#[derive(Serialize, Deserialize, Wire)]
struct In {
    address: Address,
    lines: Vec<Address>,
    prices: BTreeMap<String, u32>,
    user: String,
}

const EVERYTHING: StepRef<Everything, ()> = StepRef::new("svc", "everything");
const PLAIN: StepRef<In, In> = StepRef::new("svc", "plain");

#[test]
fn every_kind_of_value() {
    let saga: Saga<In, ()> = Saga::define("all", 1, |s, input| {
        let gid = s.gid();
        let odd = 7;
        let first = s.step("a.b", PLAIN, &input);
        s.step(
            "all",
            EVERYTHING,
            wire!(Everything {
                address: input.address,
                copy: Address {
                    post_code: "1000",
                    odd: first.lines.at(2).odd
                },
                tags: ["a", input.user],
                note: input.user,
                count: 3,
                odd,
                first: input.lines.at(0).post_code,
                by_key: input.prices.key("a \"b\""),
                gid,
                raw: json!({"$ref": "data"}),
            }),
        );
    });
    let saga = saga.definition().unwrap();
    assert_eq!(input_of(step(saga, "a.b")), json!({"$ref": "$.input"}));
    let expected = json!({
        "address": {"$ref": "$.input.address"},
        "copy": {"postCode": "1000", "any key": {"$ref": r#"$.steps["a.b"].lines[2]["any key"]"#}},
        "tags": ["a", {"$ref": "$.input.user"}],
        "note": {"$ref": "$.input.user"},
        "count": 3,
        "odd": 7,
        "first": {"$ref": "$.input.lines[0].postCode"},
        "by_key": {"$ref": r#"$.input.prices["a \"b\""]"#},
        "gid": {"$ref": "$.gid"},
        "raw": {"$literal": {"$ref": "data"}},
    });
    assert_eq!(input_of(step(saga, "all")), expected);
    assert_eq!(step(saga, "all").after, ["a.b"]);
    assert_eq!(json_of(&saga.output.as_ref().unwrap().data), Value::Null);
}

#[test]
fn what_is_said_about_one_step() {
    let saga: Saga<PlaceOrder, ()> = Saga::define("more", 2, |s, input| {
        s.deadline(Duration::from_secs(60));
        s.description("More.");
        let req = wire!(ReserveReq {
            goods: input.goods,
            number: 1
        });
        let a = s.step("a", Inventory::RESERVE, &req);
        let b = s
            .with()
            .timeout(Duration::from_millis(1500))
            .undo_retry(Retry {
                max_attempts: 99,
                ..Retry::DEFAULT
            })
            .step(
                "b",
                Inventory::RESERVE,
                wire!(ReserveReq { number: 2, ..req }),
            );
        let c = s.after((&a, &b)).pivot(
            "c",
            Inventory::RESERVE,
            ReserveReq {
                goods: "g".into(),
                number: 3,
            },
        );
        s.after([&a, &c]).retriable("d", Inventory::RESERVE, req);
    });
    let saga = saga.definition().unwrap();
    assert_eq!(
        (saga.deadline.unwrap().seconds, saga.description.as_str()),
        (60, "More.")
    );
    let b = step(saga, "b");
    assert_eq!(b.timeout.unwrap().nanos, 500_000_000);
    assert_eq!(
        (
            b.undo_retry.unwrap().max_attempts,
            b.retry.unwrap().max_attempts
        ),
        (99, 4)
    );
    assert_eq!(
        input_of(b),
        json!({"goods": {"$ref": "$.input.goods"}, "number": 2})
    );
    let c = step(saga, "c");
    assert_eq!(
        (c.kind(), c.after.as_slice()),
        (StepKind::Pivot, ["a".to_owned(), "b".to_owned()].as_slice())
    );
    assert_eq!(input_of(c), json!({"goods": "g", "number": 3}));
    let d = step(saga, "d");
    assert_eq!(
        (d.kind(), d.compensation.as_str()),
        (StepKind::Retriable, "")
    );
    assert_eq!(d.after, ["a", "c"]);
}

#[test]
fn plain_grpc_methods() {
    let host = "grpc://127.0.0.1:50051".to_owned();
    let saga = Saga::<PlaceOrder, ()>::define_with("grpc", 1, |s, input: Val<PlaceOrder>| {
        let a = s
            .grpc_step(
                "a",
                &format!("{host}/pkg.Svc/Do"),
                GrpcPayload::protobuf(vec![1, 2]),
            )
            .compensate_with(&format!("{host}/pkg.Svc/Undo"));
        s.after(&a)
            .grpc_step(
                "b",
                &format!("{host}/pkg.Svc/Json"),
                wire!(ReserveReq {
                    goods: input.goods,
                    number: 1
                }),
            )
            .refuses_late_calls()
            .no_compensation();
    });
    let saga = saga.definition().unwrap();
    let a = step(saga, "a");
    assert_eq!(a.compensation, "grpc://127.0.0.1:50051/pkg.Svc/Undo");
    assert_eq!(
        (a.fencing(), a.input.as_ref().unwrap().data.as_ref()),
        (Fencing::None, [1, 2].as_slice())
    );
    let b = step(saga, "b");
    assert_eq!(
        (b.fencing(), b.compensation.as_str()),
        (Fencing::ConsumerLog, "")
    );
    assert_eq!(b.after, ["a"]);
    assert_eq!(input_of(b)["goods"], json!({"$ref": "$.input.goods"}));
}

#[test]
fn mistakes_the_compiler_cannot_see() {
    let check = |saga: Saga<PlaceOrder, Receipt>, expected: &[&str]| {
        assert_eq!(saga.definition().unwrap_err().problems, expected);
    };
    fn receipt() -> Receipt {
        Receipt {
            order: String::new(),
            paid: 0,
        }
    }
    check(
        Saga::define("Shop", 0, |_, _| receipt()),
        &[
            "the saga's name `Shop` is not 1 to 128 of `a-z`, `0-9`, `-`, `_`, `.`",
            "versions count from 1",
            "it has 0 steps, not 1 to 256",
        ],
    );
    check(
        Saga::define("twice", 1, |s, _| {
            let req = || ReserveReq {
                goods: "g".to_owned(),
                number: 1,
            };
            s.step("a", Inventory::RESERVE, req());
            s.step("a", Inventory::RESERVE, req());
            s.step("", Inventory::RESERVE, req());
            receipt()
        }),
        &[
            "two steps are named `a`",
            "the step's name `` is not 1 to 64 of `a-z`, `0-9`, `-`, `_`, `.`",
        ],
    );
    let mut smuggled = None;
    let _other = Saga::<PlaceOrder, ()>::define_with("other", 1, |_, input: Val<PlaceOrder>| {
        smuggled = Some(input.goods.clone());
    });
    check(
        Saga::define_with("thief", 1, |s, _: Val<PlaceOrder>| {
            s.step(
                "a",
                Inventory::RESERVE,
                wire!(ReserveReq {
                    goods: smuggled.unwrap(),
                    number: 1
                }),
            );
            receipt()
        }),
        &["the input of step `a` refers to `$.input.goods` of another saga"],
    );
}

#[test]
fn a_cancel_message_is_for_all_steps_that_do_not_say_otherwise() {
    let saga: Saga<PlaceOrder, Value> =
        Saga::define("cancelled", 1, |s, order: Val<PlaceOrder>| {
            s.cancel_message("orderTopic", "order_cancel", &order.order);
            let reserve = || {
                wire!(ReserveReq {
                    goods: order.goods,
                    number: order.number
                })
            };
            s.step("by-message", Inventory::RESERVE, reserve());
            s.with().compensate_via(CompensateVia::Call).step(
                "by-call",
                Inventory::RESERVE,
                reserve(),
            );
            s.grpc_step("plain", "grpc://h:1/p.S/M", GrpcPayload::protobuf(""))
                .compensate_with("grpc://h:1/p.S/U");
            s.grpc_step("never", "grpc://h:1/p.S/M", GrpcPayload::protobuf(""))
                .no_compensation();
            Value::Null
        });
    let saga = saga.definition().unwrap();
    let message = saga.cancel_message.as_ref().unwrap();
    assert_eq!(
        (message.topic.as_str(), message.tag.as_str()),
        ("orderTopic", "order_cancel")
    );
    let key = json_of(&message.key.as_ref().unwrap().data);
    assert_eq!(key, json!({"$ref": "$.input.order"}));
    let via = |name: &str| step(saga, name).compensate_via();
    assert_eq!(via("by-message"), Via::Broadcast);
    assert_eq!(via("by-call"), Via::Call);
    assert_eq!(via("plain"), Via::Unspecified);
    assert_eq!(via("never"), Via::Unspecified);
}

#[test]
fn a_cancel_message_cannot_be_named_after_an_answer() {
    let saga: Saga<PlaceOrder, Value> =
        Saga::define("cancelled", 1, |s, order: Val<PlaceOrder>| {
            let req = wire!(ReserveReq {
                goods: order.goods,
                number: order.number
            });
            let stock = s.step("reserve", Inventory::RESERVE, req);
            s.cancel_message("orderTopic", "order_cancel", &stock);
            Value::Null
        });
    let error = saga.definition().unwrap_err();
    assert!(
        error.to_string().contains("may not have answered"),
        "{error}"
    );
}
