//! A family of TCCs to be explored, and how much may go wrong in a history of it.

use amends_core::id::{Gid, StepName};
use amends_core::payload::Payload;
use amends_core::retry::RetryPolicy;
use amends_core::target::Target;
use amends_core::tcc::{Parent, Registration, Start, TriedBy, Work};
use amends_core::time::Millis;
use serde_json::json;

pub(crate) use crate::world::case::Budget;

use super::planted::Bug;

/// Most TCCs of a family.
pub(crate) const MAX_NODES: usize = 3;
/// Time that the first has to be confirmed.
const DEADLINE: Millis = Millis(1_500);
/// Time that one under a parent has to be prepared.
const NESTED_DEADLINE: Millis = Millis(700);

/// Who tries a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Coordinator,
    Caller,
    /// It is another TCC of the family.
    Nested(usize),
}

/// A family: the branches of each TCC, the first one being the root.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) nodes: Vec<Vec<Kind>>,
    pub(crate) budget: Budget,
    pub(crate) bug: Option<Bug>,
}

impl Case {
    pub(crate) fn new(nodes: Vec<Vec<Kind>>, budget: Budget) -> Self {
        assert!(nodes.len() <= MAX_NODES);
        Self {
            nodes,
            budget,
            bug: None,
        }
    }

    pub(crate) fn with_bug(mut self, bug: Bug) -> Self {
        self.bug = Some(bug);
        self
    }

    /// The TCC and branch that a TCC is, if it is one.
    pub(crate) fn parent_of(&self, node: usize) -> Option<(usize, usize)> {
        let mut nodes = self.nodes.iter().enumerate();
        nodes.find_map(|(parent, kinds)| {
            let branch = kinds.iter().position(|kind| *kind == Kind::Nested(node));
            branch.map(|branch| (parent, branch))
        })
    }

    pub(crate) fn start(&self, node: usize) -> Start {
        let parent = self.parent_of(node).map(|(parent, branch)| Parent {
            gid: gid(parent),
            branch: name(branch),
        });
        let deadline = if parent.is_some() {
            NESTED_DEADLINE
        } else {
            DEADLINE
        };
        Start {
            gid: gid(node),
            name: "world".into(),
            deadline,
            parent,
        }
    }

    pub(crate) fn registration(&self, node: usize, branch: usize) -> Registration {
        let retry = RetryPolicy {
            max_attempts: 2,
            initial_backoff: Millis(1),
            max_backoff: Millis(1),
            multiplier: 1.0,
        };
        let target = |phase: &str| {
            Target::parse(&format!("svc/{}-{phase}", name(branch))).expect("a target")
        };
        let by = |tried_by| Work::Participant {
            r#try: target("try"),
            confirm: target("confirm"),
            cancel: target("cancel"),
            tried_by,
            input: Payload::null(),
        };
        Registration {
            name: name(branch),
            work: match self.nodes[node][branch] {
                Kind::Coordinator => by(TriedBy::Coordinator),
                Kind::Caller => by(TriedBy::Caller),
                Kind::Nested(child) => Work::Nested { gid: gid(child) },
            },
            timeout: Millis(1_000),
            retry,
            settle_retry: retry,
        }
    }
}

pub(crate) fn gid(node: usize) -> Gid {
    Gid::new(&format!("t{node}")).expect("an id")
}

pub(crate) fn name(branch: usize) -> StepName {
    StepName::new(&format!("b{branch}")).expect("a name")
}

/// What a try answers.
pub(crate) fn output(branch: usize) -> Payload {
    Payload::json(&json!({ "n": branch }))
}
