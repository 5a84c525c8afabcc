//! Half messages: delivered if and only if the local transaction commits, on
//! every database.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use amends::proto::{HalfState, HalfVerdict};
use amends::{
    Client, Conn, Database, HalfError, NewHalf, NewMessage, Participant, RunningParticipant,
    StepError, StepResult, args, reject,
};
use tokio::sync::Notify;
use tonic::Status;

use crate::databases::on_every_database;
use crate::halves::{Fault, Halves, ask};

on_every_database!(
    a_commit_delivers_all_messages,
    what_fails_locally_is_never_delivered,
    a_panic_and_a_dropped_future_roll_back,
    a_check_that_comes_first_makes_the_local_transaction_fail,
    a_check_waits_for_the_local_transaction,
    a_check_of_a_long_local_transaction_is_unknown,
    checks_and_local_transactions_race,
    an_id_names_one_local_transaction,
    the_local_answer_counts_when_the_coordinator_is_away,
    attempts_with_one_id_race,
    questions_that_the_log_cannot_answer,
);

/// How often races are run.
const RACES: u32 = 60;

pub(crate) async fn tables(database: &Database) {
    let mut conn = database.begin().await.unwrap();
    conn.execute_text("create table paid (id varchar(128) not null)")
        .await
        .unwrap();
    conn.commit().await.unwrap();
}

pub(crate) async fn pay(conn: &mut Conn, id: &str) -> StepResult<u32> {
    conn.execute("insert into paid (id) values (?)", args![id])
        .await?;
    Ok(7)
}

pub(crate) async fn paid(database: &Database) -> i64 {
    count(database, "select count(*) from paid").await
}

pub(crate) async fn count(database: &Database, sql: &str) -> i64 {
    let mut conn = database.begin().await.unwrap();
    conn.fetch_one(sql, args![]).await.unwrap().at(0).unwrap()
}

/// Answers for the group `payments`, in a process of its own as it were.
pub(crate) async fn producer(database: &Database, halves: &Halves) -> RunningParticipant {
    Participant::builder(database.clone())
        .producer("payments")
        .coordinator(halves.url())
        .start()
        .await
        .unwrap()
}

pub(crate) fn half<'a>(client: &'a Client, id: &str) -> NewHalf<'a> {
    client.half("payTopic", id).tag("pay_success").id(id)
}

async fn a_commit_delivers_all_messages(database: Database) {
    tables(&database).await;
    let halves = Halves::start().await;
    let second = NewMessage::new("ledgerTopic", &2)
        .with_id("own")
        .order_key("account");
    let answer = halves
        .client()
        .half("payTopic", ("order-1", 500))
        .id("pay-1")
        .tag("pay_success")
        .key("order-1")
        .order_key("account")
        .header("amount", "500")
        .delay(Duration::from_secs(60))
        .and(second)
        .check_after(Duration::from_secs(30))
        .in_tx(&database, async |conn| pay(conn, "order-1").await)
        .await;
    assert_eq!(answer.unwrap(), 7);
    let stored = halves.decided().await;
    assert_eq!(stored.state, HalfState::Committed);
    assert_eq!(stored.request.producer, "payments");
    assert_eq!(stored.request.check_after.unwrap().seconds, 30);
    let [first, second] = stored.request.messages.try_into().unwrap();
    assert_eq!(first.delay.unwrap().seconds, 60);
    let (first, second) = (first.message.unwrap(), second.message.unwrap());
    let texts = [
        first.id,
        first.topic,
        first.tag,
        first.key,
        first.order_key,
        second.id,
        second.order_key,
    ];
    assert_eq!(
        texts,
        [
            "pay-1.0",
            "payTopic",
            "pay_success",
            "order-1",
            "account",
            "own",
            "account"
        ]
    );
    assert_eq!(first.headers["amount"], "500");
    assert_eq!(paid(&database).await, 1);
    let rows = "select count(*) from consumer_log where group_name = 'payments' \
                and msg_tag = 'half' and msg_key = 'pay-1' and status = 'succeeded' \
                and written_by = 'half'";
    assert_eq!(count(&database, rows).await, 1);
}

async fn what_fails_locally_is_never_delivered(database: Database) {
    tables(&database).await;
    let refuse = async |conn: &mut Conn| -> StepResult<u32> {
        pay(conn, "x").await?;
        reject!("NO_MONEY", "{} left", 3);
    };
    let halves = Halves::start().await;
    let refused = half(&halves.client(), "a").in_tx(&database, refuse).await;
    assert_eq!(
        refused.unwrap_err().to_string(),
        "refused: NO_MONEY: 3 left"
    );
    assert_eq!(halves.decided().await.state, HalfState::RolledBack);

    let fail = async |conn: &mut Conn| -> StepResult<u32> {
        pay(conn, "x").await?;
        conn.execute("insert into nowhere (id) values (1)", args![])
            .await?;
        Ok(7)
    };
    let halves = Halves::start().await;
    let failed = half(&halves.client(), "b").in_tx(&database, fail).await;
    assert!(matches!(failed, Err(HalfError::Failed(_))), "{failed:?}");
    assert_eq!(halves.decided().await.state, HalfState::RolledBack);

    let halves = Halves::start().await;
    halves.fault_prepare(Fault::Refuse(Status::invalid_argument("not this one")));
    let error = half(&halves.client(), "c")
        .in_tx(&database, async |conn| pay(conn, "x").await)
        .await
        .unwrap_err();
    assert!(matches!(error, HalfError::NotPrepared(_)), "{error}");
    assert_eq!(paid(&database).await, 0);
}

async fn a_panic_and_a_dropped_future_roll_back(database: Database) {
    tables(&database).await;
    let halves = Halves::start().await;
    let (client, own) = (halves.client(), database.clone());
    let task = tokio::spawn(async move {
        let half = half(&client, "a");
        half.in_tx(&own, async |conn| -> StepResult<()> {
            pay(conn, "a").await?;
            panic!("the lamp fell over")
        })
        .await
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(halves.decided().await.state, HalfState::RolledBack);

    let halves = Halves::start().await;
    let (client, own, arrived) = (halves.client(), database.clone(), Arc::new(Notify::new()));
    let at_work = Arc::clone(&arrived);
    let task = tokio::spawn(async move {
        let half = half(&client, "b");
        half.in_tx(&own, async |conn| -> StepResult<()> {
            pay(conn, "b").await?;
            at_work.notify_one();
            std::future::pending().await
        })
        .await
    });
    arrived.notified().await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(halves.decided().await.state, HalfState::RolledBack);
    assert_eq!(paid(&database).await, 0);
}

async fn a_check_that_comes_first_makes_the_local_transaction_fail(database: Database) {
    tables(&database).await;
    let halves = Halves::start().await;
    let producer = producer(&database, &halves).await;
    let gate = Arc::new(Notify::new());
    halves.fault_prepare(Fault::HoldAnswer(Arc::clone(&gate)));
    let client = halves.client();
    let late = half(&client, "a").in_tx(&database, async |conn| pay(conn, "a").await);
    let check = async {
        halves.prepared("a").await;
        let verdict = halves.check("a", &producer).await;
        gate.notify_one();
        verdict
    };
    let (late, verdict) = tokio::join!(late, check);
    assert_eq!(verdict, HalfVerdict::Rollback);
    assert!(
        matches!(late, Err(HalfError::RolledBack { .. })),
        "{late:?}"
    );
    assert_eq!(paid(&database).await, 0);
    assert_eq!(halves.check("a", &producer).await, HalfVerdict::Rollback);
    let tombstones =
        "select count(*) from consumer_log where status = 'void' and written_by = 'check'";
    assert_eq!(count(&database, tombstones).await, 1);
}

/// Runs a local transaction that stays open until `until` has ended, then ends
/// with `end`; returns the verdict of a check that came while it was open.
async fn open_until(
    (halves, database, producer): (&Halves, &Database, &RunningParticipant),
    id: &str,
    waits: bool,
    end: StepResult<()>,
) -> (Result<(), HalfError>, HalfVerdict) {
    let (opened, close) = (Notify::new(), Notify::new());
    let client = halves.client();
    let local = half(&client, id).in_tx(database, async |conn| {
        pay(conn, id).await?;
        opened.notify_one();
        close.notified().await;
        end
    });
    let check = async {
        opened.notified().await;
        let check = halves.check(id, producer);
        tokio::pin!(check);
        if waits {
            // Asked, and not answered: whether it waits already or not yet
            // makes no difference to what it must say.
            assert!(futures_util::poll!(check.as_mut()).is_pending());
            close.notify_one();
        }
        let verdict = check.await;
        close.notify_one();
        verdict
    };
    tokio::join!(local, check)
}

async fn a_check_waits_for_the_local_transaction(database: Database) {
    tables(&database).await;
    let halves = Halves::start().await;
    let producer = producer(&database, &halves).await;
    let world = (&halves, &database, &producer);
    let (local, verdict) = open_until(world, "a", true, Ok(())).await;
    assert_eq!((local.is_ok(), verdict), (true, HalfVerdict::Commit));
    let failure = Err(StepError::unknown("no"));
    let (local, verdict) = open_until(world, "b", true, failure).await;
    assert_eq!((local.is_ok(), verdict), (false, HalfVerdict::Rollback));
    assert_eq!(paid(&database).await, 1);
}

async fn a_check_of_a_long_local_transaction_is_unknown(database: Database) {
    tables(&database).await;
    let halves = Halves::start().await;
    let producer = producer(&database, &halves).await;
    let (local, verdict) = open_until((&halves, &database, &producer), "a", false, Ok(())).await;
    local.unwrap();
    assert_eq!(verdict, HalfVerdict::Unspecified);
    assert_eq!(halves.check("a", &producer).await, HalfVerdict::Commit);
    assert_eq!(paid(&database).await, 1);
}

async fn checks_and_local_transactions_race(database: Database) {
    tables(&database).await;
    let halves = Halves::start().await;
    let (one, two) = (
        producer(&database, &halves).await,
        producer(&database, &halves).await,
    );
    let (mut committed, client) = (0, halves.client());
    for race in 0..RACES {
        let id = format!("race-{race}");
        // Half of them are never told to the coordinator.
        if race % 2 == 0 {
            halves.fault_decide(Fault::Refuse(Status::permission_denied("not heard")));
        }
        let local = half(&client, &id).in_tx(&database, async |conn| pay(conn, &id).await);
        let check = async |producer, turns: u32| {
            halves.prepared(&id).await;
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            halves.check(&id, producer).await
        };
        let (local, first, second) =
            tokio::join!(local, check(&one, race % 7), check(&two, race % 11));
        let stored = halves.get(&id).unwrap().state;
        let rows = format!("select count(*) from paid where id = '{id}'");
        let (truth, verdict) = match count(&database, &rows).await {
            1 => (HalfState::Committed, HalfVerdict::Commit),
            0 => (HalfState::RolledBack, HalfVerdict::Rollback),
            more => panic!("{more} effects"),
        };
        assert_eq!((stored, first, second), (truth, verdict, verdict), "{id}");
        assert_eq!(local.is_ok(), truth == HalfState::Committed, "{local:?}");
        committed += i64::from(local.is_ok());
    }
    assert_eq!(paid(&database).await, committed);
}

async fn an_id_names_one_local_transaction(database: Database) {
    tables(&database).await;
    let halves = Halves::start().await;
    let client = halves.client();
    let runs = AtomicU32::new(0);
    let work = async |conn: &mut Conn| {
        runs.fetch_add(1, Ordering::SeqCst);
        pay(conn, "a").await
    };
    half(&client, "a").in_tx(&database, work).await.unwrap();
    let again = half(&client, "a").in_tx(&database, work).await;
    assert!(
        matches!(again, Err(HalfError::Repeated { .. })),
        "{again:?}"
    );

    let fail = async |_: &mut Conn| -> StepResult<u32> { reject!("NO", "never") };
    half(&client, "b").in_tx(&database, fail).await.unwrap_err();
    halves.reached("b", HalfState::RolledBack).await;
    let again = half(&client, "b").in_tx(&database, work).await;
    assert!(
        matches!(again, Err(HalfError::RolledBack { .. })),
        "{again:?}"
    );

    let other = client.half("payTopic", "other").id("a");
    let other = other.in_tx(&database, work).await;
    assert!(
        matches!(
            &other,
            Err(HalfError::NotPrepared(amends::ClientError::Conflict { .. }))
        ),
        "{other:?}"
    );
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(paid(&database).await, 1);
}

async fn the_local_answer_counts_when_the_coordinator_is_away(database: Database) {
    tables(&database).await;
    let halves = Halves::start().await;
    let producer = producer(&database, &halves).await;
    halves.fault_decide(Fault::Refuse(Status::internal("it fell over")));
    let client = halves.client();
    let local = half(&client, "a").in_tx(&database, async |conn| pay(conn, "a").await);
    assert_eq!(local.await.unwrap(), 7);
    assert_eq!(halves.get("a").unwrap().state, HalfState::Prepared);
    // The same id again finds the row, and tells the coordinator.
    let again = half(&client, "a").in_tx(&database, async |conn| pay(conn, "a").await);
    assert!(matches!(again.await, Err(HalfError::Repeated { .. })));
    assert_eq!(halves.decided().await.state, HalfState::Committed);
    assert_eq!(halves.check("a", &producer).await, HalfVerdict::Commit);

    let decided_by_hand = half(&client, "b").in_tx(&database, async |conn| {
        halves.decide("b", HalfVerdict::Rollback)?;
        pay(conn, "b").await
    });
    let error = decided_by_hand.await.unwrap_err();
    assert!(
        matches!(error, HalfError::DecidedOtherwise { .. }),
        "{error}"
    );
    assert_eq!(paid(&database).await, 2);
}

async fn attempts_with_one_id_race(database: Database) {
    tables(&database).await;
    let halves = Halves::start().await;
    let client = halves.client();
    for race in 0..RACES / 4 {
        let id = format!("race-{race}");
        let attempt = || half(&client, &id).in_tx(&database, async |conn| pay(conn, &id).await);
        let (one, two) = tokio::join!(attempt(), attempt());
        let repeated =
            |other: &Result<_, HalfError>| matches!(other, Err(HalfError::Repeated { .. }));
        assert!(
            one.is_ok() && repeated(&two) || two.is_ok() && repeated(&one),
            "{one:?} {two:?}"
        );
        assert_eq!(halves.get(&id).unwrap().state, HalfState::Committed);
    }
    assert_eq!(paid(&database).await, i64::from(RACES / 4));
}

async fn questions_that_the_log_cannot_answer(database: Database) {
    tables(&database).await;
    let halves = Halves::start().await;
    let producer = producer(&database, &halves).await;
    let mut question = halves.question("unheard-of");
    question.producer = "strangers".to_owned();
    let error = ask(&producer, question).await.unwrap_err();
    assert_eq!(error.message(), "no producer group `strangers` here");

    // Its row would have been removed by now.
    let month = Duration::from_secs(30 * 24 * 60 * 60);
    let mut question = halves.question("old");
    question.messages = vec![amends::proto::Message {
        create_time: Some((std::time::SystemTime::now() - month).into()),
        ..Default::default()
    }];
    let answer = ask(&producer, question.clone()).await.unwrap();
    assert_eq!(answer.verdict(), HalfVerdict::Unspecified);
    assert!(
        answer.note.contains("a person must decide"),
        "{}",
        answer.note
    );
    let client = halves.client();
    let local = half(&client, "old").in_tx(&database, async |conn| pay(conn, "old").await);
    local.await.unwrap();
    let answer = ask(&producer, question).await.unwrap();
    assert_eq!(answer.verdict(), HalfVerdict::Commit);
}

#[tokio::test]
async fn what_cannot_be_right_is_not_sent() {
    crate::databases::on_sqlite(async |database| {
        let halves = Halves::start().await;
        let nobody = Client::connect(halves.url()).unwrap();
        let check = async |half: NewHalf<'_>, expected: &str| {
            let done = half.in_tx(&database, async |_| Ok(())).await;
            let Err(HalfError::NotPrepared(error)) = done else {
                panic!("{done:?}")
            };
            assert!(error.to_string().contains(expected), "{error}");
        };
        check(nobody.half("t", 1), "the producer is missing").await;
        let client = halves.client();
        check(client.half("t", 1).id(""), "the half_id").await;
        check(client.half("a topic", 1), "the message's topic").await;
        let poison = NewMessage::new("t", &1).header("amends-x", "");
        check(client.half("t", 1).and(poison), "is reserved").await;
        assert!(halves.get("").is_none());
    })
    .await;
}
