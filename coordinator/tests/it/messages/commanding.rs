//! Compensations that travel as messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use amends_coordinator::messages::Commands;
use amends_coordinator::participant::{Called, Caller};
use amends_coordinator::store::messages::{MessageFilter, StoredDelivery};
use amends_core::answer::{Answer, Failure};
use amends_core::id::{Gid, StepName};
use amends_core::message::{DeliveryState, MessageId, MessageState, Tag};
use amends_core::payload::Payload;
use amends_core::saga::{Broadcast, Call, Phase, Via};
use amends_core::target::Target;
use amends_core::tcc;
use amends_proto::v1;
use futures_util::future::BoxFuture;
use prost::Message as _;

use super::place::Place;
use super::world::{Consumer, Run, World, patiently, subscription, topic};

const COMMANDS: &str = "amends.commands.goods";

/// Counts direct calls, and refuses them.
#[derive(Default)]
struct Direct(AtomicUsize);

impl Caller for Direct {
    fn call<'a>(&'a self, _gid: &'a Gid, _call: &'a Call) -> BoxFuture<'a, Called> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Answer::Refused(Failure::new("CALLED", "")).into() })
    }

    fn call_branch<'a>(&'a self, _gid: &'a Gid, _call: &'a tcc::Call) -> BoxFuture<'a, Called> {
        unreachable!("commands are of sagas")
    }
}

fn undo(step: &str, attempt: u32, via: Via) -> Call {
    Call {
        step: 0,
        name: StepName::new(step).unwrap(),
        phase: Phase::Undo,
        attempt,
        target: Target::parse(&format!("goods/{step}")).unwrap().into(),
        timeout: Duration::from_secs(30).into(),
        input: Payload::json(&serde_json::json!({ "sku": "A" })),
        output: Some(Payload::json(&serde_json::json!(7))),
        via,
    }
}

fn gid() -> Gid {
    Gid::new("order-7").unwrap()
}

fn start(run: &Run) -> (Commands, Arc<Direct>) {
    let direct = Arc::new(Direct::default());
    (Commands::new(run.messages.clone(), direct.clone()), direct)
}

/// Makes a call that goes on beside the test.
fn make(commands: &Commands, call: Call) -> tokio::task::JoinHandle<Answer> {
    let commands = commands.clone();
    tokio::spawn(async move { commands.call(&gid(), &call).await.answer })
}

/// What a service does, but for the undoing.
async fn take(consumer: &mut Consumer) -> v1::UndoCommand {
    taken(consumer).await.1
}

async fn taken(consumer: &mut Consumer) -> (MessageId, v1::UndoCommand) {
    let handed = consumer.next().await;
    let message = &handed.message;
    assert_eq!(message.payload.content_type(), "application/x-protobuf");
    assert_eq!(
        message.headers.get("amends-body"),
        Some("amends.v1.UndoCommand")
    );
    consumer.done(&handed).await;
    let told = v1::UndoCommand::decode(message.payload.data().clone()).unwrap();
    (message.id.clone(), told)
}

fn report(commands: &Commands, step: &str) -> bool {
    let branch = StepName::new(step).unwrap();
    let done = Answer::Succeeded(Payload::null());
    commands.report(&gid(), &branch, Phase::Undo, done)
}

pub(super) async fn a_service_that_reads_its_commands_is_told_and_reports(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    let (commands, direct) = start(&run);
    let mut service = run.consumer(&subscription("goods", COMMANDS), 5).await;

    let call = make(&commands, undo("reserve", 1, Via::Queue));
    let told = take(&mut service).await;
    assert_eq!(told.gid, "order-7");
    let [undo] = &told.calls[..] else {
        panic!("one call: {told:?}")
    };
    assert_eq!(
        (undo.service.as_str(), undo.step.as_str()),
        ("goods", "reserve")
    );
    assert_eq!(undo.phase(), v1::Phase::Undo);
    assert_eq!(
        undo.input.as_ref().unwrap().data.as_ref(),
        b"{\"sku\":\"A\"}"
    );
    assert_eq!(undo.output.as_ref().unwrap().data.as_ref(), b"7");

    assert!(report(&commands, "reserve"), "somebody waits");
    let answer = patiently(call).await.unwrap();
    assert_eq!(answer, Answer::Succeeded(Payload::null()));
    assert!(!report(&commands, "reserve"), "nobody waits any more");
    assert_eq!(direct.0.load(Ordering::SeqCst), 0);
}

pub(super) async fn a_service_that_reads_no_commands_is_called(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    let (commands, direct) = start(&run);
    for via in [Via::Queue, Via::Call] {
        let answer = patiently(make(&commands, undo("reserve", 1, via))).await;
        assert!(matches!(answer.unwrap(), Answer::Refused(_)));
    }
    assert_eq!(direct.0.load(Ordering::SeqCst), 2);
}

pub(super) async fn what_is_still_on_its_way_is_not_sent_again(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    let (commands, _) = start(&run);
    // The service is away: what is sent waits in its group.
    let service = run.consumer(&subscription("goods", COMMANDS), 5).await;
    drop(service);
    let first = make(&commands, undo("reserve", 1, Via::Queue));
    let sent = MessageFilter {
        limit: 10,
        ..MessageFilter::default()
    };
    let is_sent = async {
        while run.messages.list(&sent).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    patiently(is_sent).await;
    first.abort();
    for attempt in 2..=3 {
        let mut lost = undo("reserve", attempt, Via::Queue);
        lost.timeout = Duration::from_millis(300).into();
        let answer = patiently(make(&commands, lost)).await.unwrap();
        assert!(
            matches!(&answer, Answer::Unknown(failure) if failure.code == "NOT_REPORTED"),
            "{answer:?}"
        );
    }
    let mut service = run.consumer(&subscription("goods", COMMANDS), 5).await;
    let (first, told) = taken(&mut service).await;
    assert_eq!(told.calls[0].attempt, 1);
    assert!(service.has_nothing(), "it was sent once");

    // Handled, and yet not reported: then it is sent again.
    let is_done = |row: &StoredDelivery| row.state == DeliveryState::Done;
    run.until(&first, "goods", is_done).await;
    let call = make(&commands, undo("reserve", 4, Via::Queue));
    assert_eq!(take(&mut service).await.calls[0].attempt, 4);
    assert!(report(&commands, "reserve"));
    patiently(call).await.unwrap();
}

/// As when a broker has lost its queue.
pub(super) async fn what_nobody_hears_of_is_sent_again_ever_more_rarely(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    let (commands, _) = start(&run);
    drop(run.consumer(&subscription("goods", COMMANDS), 5).await);
    let all = MessageFilter {
        limit: 10,
        ..MessageFilter::default()
    };
    let call = |attempt, timeout| {
        let mut call = undo("reserve", attempt, Via::Queue);
        call.timeout = Duration::from_millis(timeout).into();
        make(&commands, call)
    };
    let mut attempt = 0;
    for (passed, copies) in [(0, 1), (599, 1), (1, 2), (1_199, 2), (1, 3)] {
        run.pass(Duration::from_secs(passed)).await;
        attempt += 1;
        let before = run.messages.list(&all).await.unwrap();
        // What is in the coordinator's own store is not lost.
        let copies = if place.is_external() { copies } else { 1 };
        if before.len() == copies {
            patiently(call(attempt, 300)).await.unwrap();
            assert_eq!(run.messages.list(&all).await.unwrap(), before);
            continue;
        }
        let call = call(attempt, 60_000);
        let is_sent = async {
            while run.messages.list(&all).await.unwrap().len() < copies {
                tokio::task::yield_now().await;
            }
        };
        patiently(is_sent).await;
        call.abort();
        for sent in run.messages.list(&all).await.unwrap() {
            run.until_state(&sent.message.id, MessageState::Published)
                .await;
        }
    }
}

pub(super) async fn a_broadcast_is_one_message_for_all_its_calls(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    let (commands, _) = start(&run);
    let mut goods = run.consumer(&subscription("goods", "orderTopic"), 5).await;
    let mut coupons = run
        .consumer(&subscription("coupons", "orderTopic"), 5)
        .await;

    let calls = ["reserve", "use"].map(|step| undo(step, 1, Via::Call));
    let message = cancel(&calls);
    let made = calls.map(|call| {
        let via = Via::Broadcast(message.clone());
        make(&commands, Call { via, ..call })
    });
    for service in [&mut goods, &mut coupons] {
        let told = take(service).await;
        assert_eq!(told.calls.len(), 2);
    }
    for step in ["reserve", "use"] {
        while !report(&commands, step) {
            tokio::task::yield_now().await;
        }
    }
    for call in made {
        let answer = patiently(call).await.unwrap();
        assert_eq!(answer, Answer::Succeeded(Payload::null()));
    }
    assert!(
        goods.has_nothing() && coupons.has_nothing(),
        "one message is enough"
    );
}

/// It would not get what was published before it came.
pub(super) async fn a_service_that_does_not_read_a_broadcast_is_called(place: &Place<'_>) {
    let world = World::new(place);
    let run = world.run("a").await;
    let (commands, direct) = start(&run);
    let mut coupons = run
        .consumer(&subscription("coupons", "orderTopic"), 5)
        .await;
    let message = cancel(&[undo("reserve", 1, Via::Call)]);
    let call = undo("reserve", 1, Via::Broadcast(message));
    let answer = patiently(make(&commands, call)).await;
    assert!(matches!(answer.unwrap(), Answer::Refused(_)));
    assert_eq!(direct.0.load(Ordering::SeqCst), 1);
    assert!(coupons.has_nothing(), "there is nothing to tell");
}

fn cancel(calls: &[Call]) -> Arc<Broadcast> {
    Arc::new(Broadcast {
        topic: topic("orderTopic"),
        tag: Tag::new("order_cancel").unwrap(),
        key: "7".to_owned(),
        calls: calls.to_vec(),
    })
}
