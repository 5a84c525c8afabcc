//! What `#[amends::service]` generates.

use std::sync::Arc;
use std::time::Duration;

use amends::{Compensation, Effects, Retry, Service, StepCx};

use crate::shop::{Coupons, Inventory, Orders, UseReq};

#[test]
fn constants_carry_what_the_attribute_says() {
    let reserve = Inventory::RESERVE;
    assert_eq!(reserve.target(), "inventory/reserve");
    assert_eq!(reserve.timeout(), Some(Duration::from_secs(5)));
    let backoff = Duration::from_millis(200);
    let expected = Retry {
        max_attempts: 4,
        initial_backoff: backoff,
        ..Retry::DEFAULT
    };
    assert_eq!(reserve.retry(), Some(expected));
    assert_eq!(
        (reserve.compensation(), reserve.effects()),
        (Compensation::Undo, Effects::Local)
    );

    let coupon = Coupons::USE;
    assert_eq!(
        (coupon.target().as_str(), coupon.timeout(), coupon.retry()),
        ("coupons/use", None, None)
    );
    assert_eq!(
        (coupon.compensation(), coupon.effects()),
        (Compensation::Undo, Effects::External)
    );

    let confirm = Orders::CONFIRM;
    assert_eq!(confirm.target(), "orders/confirm-order");
    assert_eq!(
        (confirm.compensation(), confirm.effects()),
        (Compensation::None, Effects::Local)
    );
}

#[test]
fn definitions_agree_with_the_constants() {
    let def = Arc::new(Inventory { left: 1 }).define();
    assert_eq!((Inventory::NAME, def.name()), ("inventory", "inventory"));
    let steps: Vec<_> = def
        .steps()
        .map(|s| (s.name(), s.description(), s.compensation(), s.effects()))
        .collect();
    let expected = [(
        "reserve",
        "Takes stock out of sale.",
        Compensation::Undo,
        Effects::Local,
    )];
    assert_eq!(steps, expected);

    let def = Arc::new(Orders).define();
    let step = def.step("confirm-order").unwrap();
    assert_eq!(
        step.description(),
        "Confirms an order.\n\nIt becomes visible."
    );
    assert_eq!(step.compensation(), Compensation::None);

    let def = Arc::new(Coupons).define();
    assert_eq!(def.step("use").unwrap().effects(), Effects::External);
}

#[tokio::test]
async fn methods_stay_ordinary_methods() {
    let cx = StepCx::new("gid", "use-coupon", "use");
    let req = UseReq {
        coupon: None,
        order: "o1".to_owned(),
    };
    assert_eq!(Coupons.use_(&cx, req).await.unwrap(), "gid/use-coupon:o1");
}

/// A service over a type parameter, so that a test can put a double in its place.
mod generic {
    use amends::{Service, StepCx, StepResult};

    pub trait Provider: Send + Sync + 'static {
        fn charge(&self) -> u64;
    }

    pub struct Payments<P> {
        pub provider: P,
    }

    #[amends::service(name = "payments")]
    impl<P: Provider> Payments<P> {
        #[step(compensate = none, effects = external)]
        async fn charge(&self, _cx: &StepCx, cents: u64) -> StepResult<u64> {
            Ok(cents + self.provider.charge())
        }

        #[cfg(any())]
        #[step(compensate = none)]
        async fn absent(&self, _conn: &mut NoSuchType, _n: u64) -> StepResult<u64> {
            Ok(0)
        }
    }

    struct Fake;

    impl Provider for Fake {
        fn charge(&self) -> u64 {
            1
        }
    }

    #[tokio::test]
    async fn works() {
        let payments = Payments { provider: Fake };
        let cx = StepCx::new("g", "b", "charge");
        assert_eq!(payments.charge(&cx, 2).await.unwrap(), 3);
        assert_eq!(Payments::<Fake>::CHARGE.target(), "payments/charge");
        let def = std::sync::Arc::new(payments).define();
        assert_eq!(
            def.steps()
                .map(amends::service::StepDef::name)
                .collect::<Vec<_>>(),
            ["charge"]
        );
    }
}
