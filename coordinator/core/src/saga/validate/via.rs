//! How compensations travel, and the cancel message.

use crate::dag::StepIx;
use crate::message::{Tag, Topic};
use crate::reference::Root;

use super::super::definition::{
    Body, CompensateVia, CompiledCancel, SagaDefinition, StepDefinition,
};
use super::Violations;

const PLAIN: &str = "grpc://";

/// How the compensation of a step travels. Messages reach registered services only.
pub(super) fn check(ix: StepIx, step: &StepDefinition, wrong: &mut Violations) -> CompensateVia {
    let plain = step
        .compensation
        .as_ref()
        .is_some_and(|target| target.starts_with(PLAIN));
    match step.compensate_via {
        None if plain => CompensateVia::Call,
        None => CompensateVia::Queue,
        Some(CompensateVia::Call) => CompensateVia::Call,
        Some(via) => {
            if plain {
                wrong.add(
                    format!("steps[{ix}].compensate_via"),
                    "COMPENSATE_VIA_INVALID",
                    "a message reaches a registered service only, not a plain gRPC method",
                );
            }
            via
        }
    }
}

/// The cancel message, which must be there when a step needs it.
pub(super) fn check_cancel_message(
    definition: &SagaDefinition,
    wrong: &mut Violations,
) -> Option<CompiledCancel> {
    let Some(cancel) = &definition.cancel_message else {
        let mut steps = definition.steps.iter().enumerate();
        if let Some((ix, _)) =
            steps.find(|(_, step)| step.compensate_via == Some(CompensateVia::Broadcast))
        {
            wrong.add(
                format!("steps[{ix}].compensate_via"),
                "CANCEL_MESSAGE_MISSING",
                "broadcasts the saga's cancel message, but it has none: set `cancel_message`",
            );
        }
        return None;
    };
    let topic = Topic::new(&cancel.topic)
        .map_err(|bad| wrong.add("cancel_message.topic", "NAME_INVALID", bad.to_string()));
    let tag = Tag::new(&cancel.tag)
        .map_err(|bad| wrong.add("cancel_message.tag", "NAME_INVALID", bad.to_string()));
    let key = cancel.key.as_ref().map(|key| Body::read(Some(key)));
    let key = key
        .transpose()
        .map_err(|message| wrong.add("cancel_message.key", "BODY_INVALID", message));
    if let Ok(Some(Body::Template(template))) = &key
        && template
            .references()
            .iter()
            .any(|reference| matches!(reference.root(), Root::Step(_)))
    {
        // A step may have failed before it answered.
        wrong.add(
            "cancel_message.key",
            "REFERENCE_NOT_BEFORE",
            "may refer to the saga's input and its gid only",
        );
    }
    Some(CompiledCancel {
        topic: topic.ok()?,
        tag: tag.ok()?,
        key: key.ok()?,
    })
}
