//! How compensations travel: by call, by message, or by the saga's cancel message.

use amends_proto::v1;

use super::builder::SagaBuilder;
use super::convert;
use super::expr::Root;
use super::val::Val;

/// Before the target of a plain gRPC method; no message reaches one.
const PLAIN: &str = "grpc://";

/// How the undo of a step reaches its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CompensateVia {
    /// A durable message to the service's own topic, which every service of
    /// the SDK reads.
    Queue,
    /// A direct call.
    Call,
    /// The saga's cancel message; see [`SagaBuilder::cancel_message`].
    Broadcast,
}

impl CompensateVia {
    pub(crate) fn to_proto(self) -> v1::CompensateVia {
        match self {
            Self::Queue => v1::CompensateVia::Queue,
            Self::Call => v1::CompensateVia::Call,
            Self::Broadcast => v1::CompensateVia::Broadcast,
        }
    }
}

impl SagaBuilder {
    /// Undoes the saga's steps by one durable message, which every service that
    /// asked for it with `cancel_on(topic = .., tag = ..)` receives in a group
    /// of its own. It knows no order: all undos may run at the same time.
    ///
    /// It is for all steps that are undone and do not say otherwise with
    /// [`NextStep::compensate_via`](super::NextStep::compensate_via), except plain
    /// gRPC methods, which are called. `key` may refer to the saga's input and
    /// its [`gid`](Self::gid), not to steps: those may not have answered.
    pub fn cancel_message<K>(
        &mut self,
        topic: impl Into<String>,
        tag: impl Into<String>,
        key: &Val<K>,
    ) {
        let mut steps = Vec::new();
        key.expr().references(&mut |reference| {
            if matches!(reference.root, Root::Step(_)) {
                steps.push(format!(
                    "the key of the cancel message refers to `{reference}`: a step may not have answered"
                ));
            }
        });
        self.problems.append(&mut steps);
        let key = self.render("the key of the cancel message", key.expr());
        self.cancel_message = Some(v1::CancelMessage {
            topic: topic.into(),
            tag: tag.into(),
            key: Some(convert::json_payload(key)),
        });
    }

    /// Decides for the steps that leave it to the saga.
    pub(super) fn settle_compensations(&mut self) {
        if self.cancel_message.is_none() {
            return;
        }
        for step in &mut self.steps {
            let is_undone = !step.compensation.is_empty() && !step.compensation.starts_with(PLAIN);
            if is_undone && step.compensate_via() == v1::CompensateVia::Unspecified {
                step.compensate_via = v1::CompensateVia::Broadcast.into();
            }
        }
    }
}
