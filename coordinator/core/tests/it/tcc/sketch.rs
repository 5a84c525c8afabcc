//! Short ways to write down TCCs for tests.

use amends_core::answer::Answer;
use amends_core::id::{Gid, RecordNo, StepName};
use amends_core::payload::Payload;
use amends_core::target::Target;
use amends_core::tcc::{
    Call, Command, Decision, Effect, Parent, Record, Registration, Rejected, Start, Tcc, Tell,
    TriedBy, Work, apply, begin, decide, next_wake,
};
use amends_core::time::{Millis, Timestamp};

pub(crate) use crate::sketch::{RETRY, no, ok, unknown};

pub(crate) fn gid(text: &str) -> Gid {
    Gid::new(text).unwrap()
}

pub(crate) fn start() -> Start {
    Start {
        gid: gid("g"),
        name: "shop.pay".into(),
        deadline: Millis(60_000),
        parent: None,
    }
}

/// The same under branch `pay` of `p`.
pub(crate) fn nested_start() -> Start {
    let parent = Parent {
        gid: gid("p"),
        branch: StepName::new("pay").unwrap(),
    };
    Start {
        parent: Some(parent),
        ..start()
    }
}

/// A branch `name` that the coordinator tries.
pub(crate) fn branch(name: &str) -> Registration {
    let target = |phase: &str| Target::parse(&format!("shop/{name}-{phase}")).unwrap();
    Registration {
        name: StepName::new(name).unwrap(),
        work: Work::Participant {
            r#try: target("try"),
            confirm: target("confirm"),
            cancel: target("cancel"),
            tried_by: TriedBy::Coordinator,
            input: Payload::null(),
        },
        timeout: Millis(1_000),
        retry: RETRY,
        settle_retry: RETRY,
    }
}

/// A branch `name` that the caller tries.
pub(crate) fn own_branch(name: &str) -> Registration {
    let mut branch = branch(name);
    if let Work::Participant { tried_by, .. } = &mut branch.work {
        *tried_by = TriedBy::Caller;
    }
    branch
}

/// A branch that is the TCC `child`.
pub(crate) fn nested_branch(name: &str, child: &str) -> Registration {
    Registration {
        work: Work::Nested { gid: gid(child) },
        ..branch(name)
    }
}

/// A TCC with the calls that are under way.
pub(crate) struct Run {
    pub(crate) tcc: Tcc,
    pub(crate) now: Timestamp,
    pub(crate) calls: Vec<Call>,
    pub(crate) tells: Vec<Tell>,
    pub(crate) log: Vec<Record>,
    pub(crate) last: Decision,
}

impl Run {
    pub(crate) fn begin(start: Start) -> Self {
        let now = Timestamp(1_000_000);
        let (tcc, decision) = begin(start, now).unwrap();
        let mut run = Self {
            tcc,
            now,
            calls: Vec::new(),
            tells: Vec::new(),
            log: Vec::new(),
            last: Decision::default(),
        };
        run.take(decision);
        run
    }

    /// A TCC with branches that the coordinator tries.
    pub(crate) fn with(names: &[&str]) -> Self {
        let mut run = Self::begin(start());
        for name in names {
            run.register(branch(name)).unwrap();
        }
        run
    }

    /// The same, with every try done.
    pub(crate) fn tried(names: &[&str]) -> Self {
        let mut run = Self::with(names);
        for name in names {
            run.answer(name, ok());
        }
        run
    }

    pub(crate) fn command(&mut self, command: Command) -> Result<(), Rejected> {
        let decision = decide(&self.tcc, command, self.now)?;
        decision
            .records
            .iter()
            .for_each(|record| apply(&mut self.tcc, record));
        self.take(decision);
        Ok(())
    }

    pub(crate) fn register(&mut self, registration: Registration) -> Result<(), Rejected> {
        self.command(Command::Register(Box::new(registration)))
    }

    pub(crate) fn report(&mut self, branch: &str, answer: Answer) -> Result<(), Rejected> {
        let branch = branch.to_owned();
        self.command(Command::Report { branch, answer })
    }

    pub(crate) fn cancel(&mut self) -> Result<(), Rejected> {
        let reason = "no longer wanted".to_owned();
        self.command(Command::Cancel { reason })
    }

    /// Answers the call that is under way for a branch.
    pub(crate) fn answer(&mut self, name: &str, answer: Answer) {
        let at = self
            .calls
            .iter()
            .position(|call| call.name.as_str() == name)
            .unwrap_or_else(|| panic!("{name} is not called: {:?}", self.calls));
        let call = self.calls.remove(at);
        self.command(Command::Answered {
            branch: call.branch,
            phase: call.phase,
            attempt: call.attempt,
            answer,
            took: None,
        })
        .unwrap();
    }

    /// Lets time pass until the next wake-up.
    pub(crate) fn sleep(&mut self) {
        self.now = next_wake(&self.tcc).expect("a wake-up").max(self.now);
        self.command(Command::Wake).unwrap();
    }

    /// Calls under way, as `try a`, `cancel b`.
    pub(crate) fn under_way(&self) -> Vec<String> {
        let calls = self.calls.iter();
        let mut calls: Vec<_> = calls
            .map(|call| format!("{:?} {}", call.phase, call.name).to_lowercase())
            .collect();
        calls.sort();
        calls
    }

    /// What must be durable before the latest call of a branch.
    pub(crate) fn after(&self, name: &str) -> RecordNo {
        let found = self.last.effects.iter().find_map(|effect| match effect {
            Effect::Call { after, call } if call.name.as_str() == name => Some(*after),
            _ => None,
        });
        found.expect("a call")
    }

    fn take(&mut self, decision: Decision) {
        self.log
            .extend(decision.records.iter().filter(|r| r.is_stored()).cloned());
        for effect in &decision.effects {
            match effect {
                Effect::Call { call, .. } => {
                    self.calls.retain(|other| other.branch != call.branch);
                    self.calls.push(call.clone());
                }
                Effect::Tell { tell, .. } => self.tells.push(tell.clone()),
                _ => {}
            }
        }
        self.last = decision;
    }
}
