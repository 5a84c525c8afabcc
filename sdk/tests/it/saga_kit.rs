//! The test kit for sagas.

use std::panic::{AssertUnwindSafe, catch_unwind};

use amends::testing::{self, SagaTest};
use amends::{Outcome, Saga, StepRef};
use serde_json::json;

use crate::shop::{PlaceOrder, Receipt, Reservation, confirm_order};

fn order() -> PlaceOrder {
    PlaceOrder {
        order: "o1".into(),
        goods: "g1".into(),
        number: 2,
        coupon: None,
    }
}

fn reservation() -> Reservation {
    Reservation {
        price: 500,
        lines: vec![],
    }
}

fn confirming() -> SagaTest<PlaceOrder, Receipt> {
    testing::saga(confirm_order())
        .input(order())
        .answer("reserve-stock", reservation())
}

#[test]
fn all_goes_well() {
    let receipt = Receipt {
        order: "o1".into(),
        paid: 500,
    };
    let report = confirming()
        .answer("confirm", &receipt)
        .expect_completed()
        .expect_called(["reserve-stock", "use-coupon", "confirm"])
        .expect_input("reserve-stock", json!({"goods": "g1", "number": 2}))
        .expect_input("confirm", json!({"order": "o1", "price": 500}))
        .expect_undone([]);
    assert_eq!(*report.outcome(), Outcome::Completed(receipt));
}

#[test]
fn a_refusal_undoes_what_was_done() {
    let report = confirming()
        .fail_at("confirm", "DECLINED")
        .expect_undone(["reserve-stock", "use-coupon"]);
    let expected = Outcome::Compensated {
        step: "confirm".into(),
        code: "DECLINED".into(),
        message: String::new(),
    };
    assert_eq!(*report.outcome(), expected);

    confirming()
        .fail_at("reserve-stock", "OUT_OF_STOCK")
        .expect_undone(["use-coupon"])
        .expect_called(["reserve-stock", "use-coupon"]);
}

#[test]
fn what_may_have_run_is_undone_too() {
    confirming()
        .unknown_at("use-coupon")
        .expect_undone(["reserve-stock", "use-coupon"]);
    let report = confirming().unknown_at("confirm").expect_undone([]);
    assert_eq!(
        *report.outcome(),
        Outcome::Stuck {
            reason: "step `confirm`: UNKNOWN".into()
        }
    );
}

const STEP: StepRef<(), ()> = StepRef::new("svc", "step");

/// a -> b -> d -> e, a -> c -> d
fn diamond() -> SagaTest<(), ()> {
    testing::saga(Saga::<(), ()>::define("diamond", 1, |s, _| {
        let a = s.step("a", STEP, ());
        let b = s.after(&a).step("b", STEP, ());
        let c = s.after(&a).step("c", STEP, ());
        let d = s.after((&b, &c)).step("d", STEP, ());
        s.after(&d).step("e", STEP, ())
    }))
}

#[test]
fn undo_goes_backwards() {
    diamond()
        .expect_completed()
        .expect_called(["a", "b", "c", "d", "e"]);
    diamond()
        .fail_at("e", "NO")
        .run()
        .expect_undone_in_order(["d", "c", "b", "a"]);
    diamond()
        .unknown_at("e")
        .run()
        .expect_undone_in_order(["e", "d", "c", "b", "a"]);
    diamond()
        .fail_at("b", "NO")
        .run()
        .expect_undone_in_order(["c", "a"]);
}

#[test]
fn a_stuck_undo_holds_up_only_what_came_before_it() {
    let report = diamond()
        .fail_at("d", "NO")
        .undo_fails_at("b")
        .run()
        .expect_undone_in_order(["c", "b"]);
    let expected = Outcome::Stuck {
        reason: "the undo of `b` does not succeed".into(),
    };
    assert_eq!(*report.outcome(), expected);
}

#[test]
fn failed_checks_tell_the_story() {
    let check = |test: &dyn Fn(), expected: &str| {
        let panic = catch_unwind(AssertUnwindSafe(test)).unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert_eq!(text, expected);
    };
    check(
        &|| {
            confirming()
                .fail_at("confirm", "NO")
                .expect_undone(["confirm"]);
        },
        r#"expected these steps to be undone: ["confirm"], but it was ["reserve-stock", "use-coupon"]
saga shop.confirm-order version 1
  do   reserve-stock {"goods":"g1","number":2}
  do   use-coupon {"coupon":null,"order":"o1"}
  do   confirm {"order":"o1","price":500}
  undo use-coupon
  undo reserve-stock
  compensated: `confirm` failed with NO"#,
    );
    check(
        &|| {
            testing::saga(confirm_order()).input(order()).run();
        },
        "step `confirm` cannot be called: `$.steps.reserve-stock.price` names nothing; \
         say what earlier steps answer with `.answer(step, ..)`",
    );
    check(
        &|| {
            let _ = confirming().fail_at("confrim", "NO");
        },
        "the saga has no step `confrim`; it has reserve-stock, use-coupon, confirm",
    );
    check(
        &|| {
            let _ = confirming().answer("reserve-stock", 5);
        },
        "the step `reserve-stock` cannot answer 5: invalid type: integer `5`, expected struct Reservation",
    );
}
