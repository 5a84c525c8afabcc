//! Whether all transfers are where their decision says, and no cent is lost.

use std::collections::BTreeMap;

use amends::{Client, ClientError, Database};

use super::bank::{self, CLOSED};
use super::world::{ALL, confirmed};

/// One transfer as the callers make it: `caller-number`.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    pub number: i64,
}

impl Transfer {
    pub fn is_southward(self) -> bool {
        self.number % 2 == 0
    }

    pub fn source(self) -> i64 {
        self.number % bank::ACCOUNTS
    }

    /// One in four goes to an account that takes nothing.
    pub fn target(self) -> i64 {
        (self.number / 2) % bank::ACCOUNTS
    }

    pub fn cents(self) -> i64 {
        10 + self.number % 7
    }
}

/// What came of all transfers.
#[derive(Debug, Default)]
pub struct Verdict {
    pub made: usize,
    pub let_go: usize,
    /// Given up before they began.
    pub never: usize,
}

/// Waits until every transfer has ended, and compares the effects at both
/// banks with what the coordinator says.
pub async fn judge(client: &Client, banks: [&Database; 2], keys: &[(String, Transfer)]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut expected: [i64; 2] = [ALL, ALL];
    let mut outcomes = BTreeMap::new();
    for (key, transfer) in keys {
        match client.get(key).await {
            Err(ClientError::NotFound { .. }) => verdict.never += 1,
            Err(error) => panic!("{key}: {error}"),
            Ok(_) => {
                let made = confirmed(client, key).await;
                outcomes.insert(key.clone(), (*transfer, made));
            }
        }
    }
    let mut effects = [by_key(banks[0]).await, by_key(banks[1]).await];
    for (key, (transfer, made)) in outcomes {
        let north = usize::from(!transfer.is_southward());
        let out = effects[north].remove(&key).unwrap_or_default();
        let into = effects[1 - north].remove(&key).unwrap_or_default();
        let of = |kinds: &[String]| kinds.join(" ");
        if made {
            assert_eq!(
                (of(&out), of(&into)),
                ("debit hold".into(), "announce credit".into()),
                "{key}"
            );
            assert_ne!(transfer.target(), CLOSED, "{key}");
            expected[north] -= transfer.cents();
            expected[1 - north] += transfer.cents();
            verdict.made += 1;
        } else {
            let out_ok = ["", "hold unhold"].contains(&of(&out).as_str());
            let in_ok = ["", "announce forget"].contains(&of(&into).as_str());
            assert!(out_ok && in_ok, "{key} is cancelled: {out:?} and {into:?}");
            verdict.let_go += 1;
        }
    }
    assert!(
        effects.iter().all(BTreeMap::is_empty),
        "{effects:?} belong to nothing"
    );
    let money = [bank::money(banks[0]).await, bank::money(banks[1]).await];
    assert_eq!(money, [[expected[0], 0, 0], [expected[1], 0, 0]]);
    assert_eq!(expected.iter().sum::<i64>(), 2 * ALL);
    verdict
}

async fn by_key(database: &Database) -> BTreeMap<String, Vec<String>> {
    let mut effects = BTreeMap::<String, Vec<String>>::new();
    for (key, kind) in bank::effects(database).await {
        effects.entry(key).or_default().push(kind);
    }
    effects
}
