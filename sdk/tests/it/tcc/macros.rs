//! What `#[tcc]` generates.

use std::sync::Arc;
use std::time::Duration;

use amends::{Compensation, Conn, Retry, Service, StepResult};

struct Wallet;

#[amends::service(name = "wallet")]
impl Wallet {
    /// Holds money.
    #[tcc(
        confirm = settle,
        cancel = unfreeze,
        timeout = "3s",
        retry(max_attempts = 3),
        settle_retry(max_attempts = 5, backoff = "50ms")
    )]
    pub async fn freeze(&self, _conn: &mut Conn, cents: i64) -> StepResult<String> {
        Ok(format!("{cents} cents"))
    }

    async fn settle(&self, _conn: &mut Conn, _cents: &i64, _held: &String) -> StepResult<()> {
        Ok(())
    }

    async fn unfreeze(&self, _conn: &mut Conn, _cents: &i64, _held: &String) -> StepResult<()> {
        Ok(())
    }

    #[tcc(confirm = settle, cancel = unfreeze, name = "hold")]
    async fn freeze_more(&self, _conn: &mut Conn, cents: i64) -> StepResult<String> {
        Ok(format!("{cents} cents and more"))
    }

    #[step(compensate = none)]
    async fn look(&self, _conn: &mut Conn, _req: ()) -> StepResult<i64> {
        Ok(7)
    }
}

#[test]
fn constants_carry_what_the_attribute_says() {
    let freeze = Wallet::FREEZE;
    assert_eq!(freeze.target(), "wallet/freeze");
    assert_eq!(freeze.timeout(), Some(Duration::from_secs(3)));
    let retry = Retry {
        max_attempts: 3,
        ..Retry::DEFAULT
    };
    assert_eq!(freeze.retry(), Some(retry));
    let settle = Retry {
        max_attempts: 5,
        initial_backoff: Duration::from_millis(50),
        max_backoff: Duration::from_secs(60),
        multiplier: 2.0,
    };
    assert_eq!(freeze.settle_retry(), Some(settle));

    let more = Wallet::FREEZE_MORE;
    assert_eq!((more.service(), more.name()), ("wallet", "hold"));
    let nothing = (more.timeout(), more.retry(), more.settle_retry());
    assert_eq!(nothing, (None, None, None));
    assert_eq!(format!("{more:?}"), "TccRef(wallet/hold)");
}

#[test]
fn definitions_agree_with_the_constants() {
    let def = Arc::new(Wallet).define();
    let steps: Vec<_> = def
        .steps()
        .map(|s| (s.name(), s.description(), s.compensation(), s.is_tcc()))
        .collect();
    let expected = [
        ("freeze", "Holds money.", Compensation::Undo, true),
        ("hold", "", Compensation::Undo, true),
        ("look", "", Compensation::None, false),
    ];
    assert_eq!(steps, expected);
}
