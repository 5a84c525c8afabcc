//! One call as it is sent, whatever kind of transaction makes it.

use amends_core::id::StepName;
use amends_core::payload::Payload;
use amends_core::target::Target;
use amends_core::time::Millis;
use amends_core::{saga, tcc};
use amends_proto::v1;

/// What of a call goes over the wire; borrowed from it.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    pub(super) branch: &'a StepName,
    pub(super) phase: v1::Phase,
    pub(super) attempt: u32,
    pub(super) target: &'a Target,
    pub(super) timeout: Millis,
    pub(super) input: &'a Payload,
    pub(super) output: Option<&'a Payload>,
}

impl<'a> From<&'a saga::Call> for Call<'a> {
    fn from(call: &'a saga::Call) -> Self {
        Self {
            branch: &call.name,
            phase: match call.phase {
                saga::Phase::Do => v1::Phase::Do,
                saga::Phase::Undo => v1::Phase::Undo,
            },
            attempt: call.attempt,
            target: &call.target,
            timeout: call.timeout,
            input: &call.input,
            output: call.output.as_ref(),
        }
    }
}

impl<'a> From<&'a tcc::Call> for Call<'a> {
    fn from(call: &'a tcc::Call) -> Self {
        Self {
            branch: &call.name,
            phase: match call.phase {
                tcc::Phase::Try => v1::Phase::Try,
                tcc::Phase::Confirm => v1::Phase::Confirm,
                tcc::Phase::Cancel => v1::Phase::Cancel,
            },
            attempt: call.attempt,
            target: &call.target,
            timeout: call.timeout,
            input: &call.input,
            output: call.output.as_ref(),
        }
    }
}
