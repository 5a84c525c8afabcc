//! Tries, confirms and cancels of many branches at once: what has taken
//! effect is compared with what was answered and with what the log says.

use std::collections::BTreeMap;
use std::sync::Arc;

use amends::consumer_log::{
    CANCEL_AFTER_CONFIRM, CONFIRM_AFTER_CANCEL, CONFIRM_WITHOUT_TRY, TRY_AFTER_CANCEL,
};
use amends::testing::Direct;
use amends::{Database, Service, args};
use tokio::task::JoinSet;

use super::purse::{CENTS, Purse, freeze, purse};
use crate::databases::on_every_database;
use crate::shelf::code;

on_every_database!(
    a_branch_that_everybody_wants_has_one_outcome,
    a_try_and_its_cancel_at_the_same_time_hold_nothing,
);

const BRANCHES: usize = 40;
/// Callers of each kind for each branch.
const CALLERS: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Call {
    Try,
    Confirm,
    Cancel,
}

/// What was answered to whom, by branch.
type Answers = BTreeMap<String, Vec<(Call, String)>>;

async fn a_branch_that_everybody_wants_has_one_outcome(database: Database) {
    let (_, calls) = Purse::filled(&database).await;
    let calls = Arc::new(calls);
    // A third of the branches is tried before; the others race for it too.
    for branch in (0..BRANCHES).filter(|branch| branch % 3 == 0) {
        let gid = format!("g{branch}");
        calls
            .try_branch(Purse::FREEZE, &gid, &freeze(1))
            .await
            .unwrap();
    }
    let kinds = [Call::Confirm, Call::Try, Call::Cancel];
    let answers = race(&calls, &kinds).await;
    judge(&database, &answers).await;
}

async fn a_try_and_its_cancel_at_the_same_time_hold_nothing(database: Database) {
    let (_, calls) = Purse::filled(&database).await;
    let answers = race(&Arc::new(calls), &[Call::Try, Call::Cancel]).await;
    judge(&database, &answers).await;
    assert_eq!(purse(&database).await, [CENTS, 0, 0]);
}

/// Every call of every branch in a task of its own; another kind comes first
/// for each branch.
async fn race(calls: &Arc<Direct>, kinds: &[Call]) -> Answers {
    let mut tasks = JoinSet::new();
    for branch in 0..BRANCHES {
        for at in 0..CALLERS * kinds.len() {
            let (call, calls) = (kinds[(at + branch) % kinds.len()], Arc::clone(calls));
            tasks.spawn(async move {
                let gid = format!("g{branch}");
                let req = freeze(1);
                let answer = match call {
                    Call::Try => calls
                        .try_branch(Purse::FREEZE, &gid, &req)
                        .await
                        .map(|frozen| assert_eq!(frozen.cents, 1)),
                    Call::Confirm => calls.confirm(Purse::FREEZE, &gid, &req).await,
                    Call::Cancel => calls.cancel(Purse::FREEZE, &gid, &req).await,
                };
                (
                    gid,
                    call,
                    answer.map_or_else(|e| code::<()>(Err(e)), |()| "ok".to_owned()),
                )
            });
        }
    }
    let mut answers = Answers::new();
    for (gid, call, answer) in tasks.join_all().await {
        answers.entry(gid).or_default().push((call, answer));
    }
    answers
}

/// Of each branch: the rows of the log, the effects and the answers tell the
/// same story, and the money is where that story says.
async fn judge(database: &Database, answers: &Answers) {
    let mut log = pairs(
        database,
        "select msg_key, msg_tag, written_by, status from consumer_log order by msg_tag",
        &format!("/{}", Purse::FREEZE.name()),
    )
    .await;
    let mut effects = pairs(
        database,
        "select gid, kind, '', '' from effects order by kind",
        "",
    )
    .await;
    let mut spent = 0;
    assert_eq!(answers.len(), BRANCHES);
    for (gid, answers) in answers {
        let log = log.remove(gid).unwrap_or_default();
        let effects = effects.remove(gid).unwrap_or_default();
        let log: Vec<&str> = log.iter().map(String::as_str).collect();
        let effects: Vec<&str> = effects.iter().map(|effect| effect.trim()).collect();
        let (outcome, wanted): (_, &[&str]) = match log.as_slice() {
            ["settle do succeeded", "try do succeeded"] => (Call::Confirm, &["freeze", "settle"]),
            ["settle undo succeeded", "try do succeeded"] => {
                (Call::Cancel, &["freeze", "unfreeze"])
            }
            ["settle undo succeeded", "try undo void"] => (Call::Cancel, &[]),
            rows => panic!("{gid}: {rows:?} is no outcome of a branch"),
        };
        assert_eq!(effects, wanted, "{gid}: {log:?}");
        let tried = !wanted.is_empty();
        for (call, answer) in answers {
            let expected: &[&str] = match (call, outcome) {
                (Call::Try, _) if tried => &["ok"],
                (Call::Try, _) => &[TRY_AFTER_CANCEL],
                // A confirm that comes before the try is early, whatever comes later.
                (Call::Confirm, Call::Confirm) => &["ok", CONFIRM_WITHOUT_TRY],
                (Call::Confirm, _) => &[CONFIRM_AFTER_CANCEL, CONFIRM_WITHOUT_TRY],
                (Call::Cancel, Call::Confirm) => &[CANCEL_AFTER_CONFIRM],
                (Call::Cancel, _) => &["ok"],
            };
            assert!(
                expected.contains(&answer.as_str()),
                "{gid}: {call:?} was answered {answer}, the log says {log:?}"
            );
        }
        spent += i64::from(outcome == Call::Confirm);
    }
    assert!(log.is_empty() && effects.is_empty(), "{log:?} {effects:?}");
    assert_eq!(purse(database).await, [CENTS - spent, 0, spent]);
}

/// The first column, without what it ends in, and the others as one text.
async fn pairs(database: &Database, sql: &str, end: &str) -> BTreeMap<String, Vec<String>> {
    let mut conn = database.begin().await.unwrap();
    let mut pairs = BTreeMap::<String, Vec<String>>::new();
    for row in conn.fetch_all(sql, args![]).await.unwrap() {
        let [key, a, b, c] = [0, 1, 2, 3].map(|at| row.at::<String>(at).unwrap());
        let key = key
            .strip_suffix(end)
            .expect("the key of a branch")
            .to_owned();
        pairs.entry(key).or_default().push(format!("{a} {b} {c}"));
    }
    pairs
}

#[test]
fn the_service_has_the_name_that_its_branch_says() {
    assert_eq!(Purse::NAME, Purse::FREEZE.service());
}
