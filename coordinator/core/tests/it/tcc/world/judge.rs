//! Judgements of whole worlds: what is in effect after the end, what a family
//! may decide, and what each command must be answered at any moment.

use amends_core::answer::{Answer, Failure};
use amends_core::payload::Payload;
use amends_core::public_state::PublicState;
use amends_core::tcc::{Command, Event, Record, Rejected, Work, decide, replay};
use serde_json::json;

use super::auditor::End;
use super::case::{Kind, name};
use super::state::{Node, World};
use super::view::remembered;
use crate::world::rare::Rare;

impl World {
    /// Whatever has ended has left nothing behind that does not belong there.
    pub(crate) fn judge_ends(&self) -> Result<(), String> {
        for (node, here) in self.nodes.iter().enumerate() {
            let Some(end) = here.as_ref().and_then(|here| here.audit.end()) else {
                continue;
            };
            for branch in 0..self.case.nodes[node].len() {
                self.judge_end(node, branch, end)?;
            }
        }
        Ok(())
    }

    fn judge_end(&self, node: usize, branch: usize, end: End) -> Result<(), String> {
        let registered = self.node(node).audit.registered[branch].is_some();
        let fine = if let Kind::Nested(child) = self.case.nodes[node][branch] {
            let child = self.nodes[child].as_ref().map(|child| child.audit.end());
            // An end by hand is somebody's own responsibility.
            let by_hand = child == Some(Some(End::Forced));
            match end {
                _ if by_hand => true,
                End::Succeeded => !registered || child == Some(Some(End::Succeeded)),
                End::Compensated => !registered || child == Some(Some(End::Compensated)),
                End::Forced => true,
            }
        } else {
            let there = &self.participants[node][branch];
            match end {
                End::Succeeded if registered => there.is_taken(),
                End::Succeeded | End::Compensated => there.is_as_before(),
                End::Forced => true,
            }
        };
        if fine {
            return Ok(());
        }
        let there = &self.participants[node][branch];
        Err(format!(
            "t{node} ended as {end:?}, but b{branch} is {there:?}"
        ))
    }

    /// Once prepared, a TCC decides only what its parent decided durably.
    pub(crate) fn judge_family(&self, node: usize, event: &Event) -> Result<(), String> {
        let Some((parent, branch)) = self.case.parent_of(node) else {
            return Ok(());
        };
        let Some(here) = &self.nodes[node] else {
            return Ok(());
        };
        let parent = self.node(parent);
        let durably = |number: Option<u64>| number.is_some_and(|number| number <= parent.durable);
        match event {
            Event::ConfirmDecided if here.audit.prepared.is_none() => {
                Err(format!("t{node} confirms without being prepared"))
            }
            Event::ConfirmDecided if !durably(parent.audit.confirmed) => Err(format!(
                "t{node} confirms, but its parent may forget that it did"
            )),
            Event::ConfirmDecided if parent.audit.registered[branch].is_none() => {
                Err(format!("t{node} confirms, but its parent does not know it"))
            }
            Event::CancelDecided { .. } if here.audit.prepared.is_some() => {
                let ended = parent.audit.end().is_some();
                (durably(parent.audit.cancelled) || ended && parent.audit.confirmed.is_none())
                    .then_some(())
                    .ok_or(format!(
                        "t{node} cancels although its parent did not, durably"
                    ))
            }
            _ => Ok(()),
        }
    }

    /// Notes what is rare, and asks every question that has one right answer.
    pub(crate) fn judge(&self, rare: &mut Rare) -> Result<(), String> {
        for (node, here) in self.nodes.iter().enumerate() {
            let Some(here) = here else { continue };
            if self.case.bug.is_none() {
                self.judge_commands(node, here)?;
            }
            let state = here.tcc.public_state();
            if state == PublicState::Stuck {
                *rare.entry("stuck").or_default() += 1;
            }
            if state == PublicState::Prepared {
                *rare.entry("prepared").or_default() += 1;
            }
            for there in &self.participants[node] {
                if there.is_fenced_off() {
                    *rare.entry("cancelled before it was tried").or_default() += 1;
                }
            }
        }
        Ok(())
    }

    fn judge_commands(&self, node: usize, here: &Node) -> Result<(), String> {
        let audit = &here.audit;
        let nested = self.case.parent_of(node).is_some();
        let reason = "why".to_owned();
        let confirm = self.put_in_vain(here, Command::Confirm);
        let cancel = self.put_in_vain(here, Command::Cancel { reason });
        let by_hand = audit.end() == Some(End::Forced);
        let expected = match (audit.confirmed, audit.cancelled) {
            _ if by_hand => ["TRANSACTION_ENDED", "TRANSACTION_ENDED"],
            (Some(_), _) => ["", "ALREADY_CONFIRMED"],
            (_, Some(_)) => ["ALREADY_CANCELLED", ""],
            _ if audit.prepared.is_some() => ["", "DECIDED_BY_PARENT"],
            _ if !audit.is_all_tried() => ["TRIES_OPEN", "cancel_decided"],
            _ if nested => ["prepared", "cancel_decided"],
            _ => ["confirm_decided", "cancel_decided"],
        };
        if [&*confirm, &*cancel] != expected {
            return Err(format!(
                "t{node}: confirm and cancel give {confirm:?} and {cancel:?}, expected {expected:?}"
            ));
        }
        let over = audit.is_decided() || audit.prepared.is_some() || by_hand;
        let late = self.now >= here.tcc.deadline();
        for branch in 0..audit.registered.len() {
            let registration = self.case.registration(node, branch);
            let mut other = registration.clone();
            match &mut other.work {
                Work::Participant { input, .. } => *input = Payload::json(&json!({ "n": 2 })),
                Work::Nested { gid } => *gid = super::case::gid(9),
            }
            let known = audit.registered[branch].is_some();
            for (registration, expected) in [
                (registration, if known { "" } else { "registered" }),
                (
                    other,
                    if known {
                        "BRANCH_DIFFERS"
                    } else {
                        "registered"
                    },
                ),
            ] {
                let came = self.put_in_vain(here, Command::Register(Box::new(registration)));
                let fine = match (over, late) {
                    (true, _) => came.starts_with("ALREADY_") || DECIDED.contains(&&*came),
                    (_, true) => came == "DEADLINE_PASSED",
                    _ => came == expected,
                };
                if !fine {
                    return Err(format!("t{node}: registering b{branch} gives {came:?}"));
                }
            }
            self.judge_reports(node, branch, here)?;
        }
        Ok(())
    }

    /// A report that repeats is right, one that contradicts is not.
    fn judge_reports(&self, node: usize, branch: usize, here: &Node) -> Result<(), String> {
        if self.case.nodes[node][branch] != Kind::Caller || !here.audit.is_try_known(branch) {
            return Ok(());
        }
        let no = Answer::Refused(Failure::new("NO", "refused"));
        let report = |answer| Command::Report {
            branch: name(branch).to_string(),
            answer,
        };
        let repeated = [
            self.put_in_vain(here, report(Answer::Succeeded(super::case::output(branch)))),
            self.put_in_vain(here, report(no)),
        ];
        let mut expected = ["", "TRY_KNOWN"];
        if !here.audit.has_tried(branch) {
            expected.reverse();
        }
        let ended = here.audit.end().is_some();
        let fine = repeated == expected || ended && repeated == ["TRANSACTION_ENDED"; 2];
        let late = self.now >= here.tcc.deadline() && repeated.contains(&"cancel_decided".into());
        (fine || late)
            .then_some(())
            .ok_or(format!("t{node}: reports of b{branch} give {repeated:?}"))
    }

    /// What would come of a command: the first record, nothing, or the reason why not.
    fn put_in_vain(&self, here: &Node, command: Command) -> String {
        match decide(&here.tcc, command, self.now) {
            Ok(decision) => {
                let mut stored = decision.records.iter().filter(|record| record.is_stored());
                let first = stored.next().map(|record| record.event.kind());
                first.unwrap_or_default().to_owned()
            }
            Err(rejected) => rejected.code().to_owned(),
        }
    }

    /// Everything has ended, and each log, read from the beginning, tells of the same.
    pub(crate) fn judge_last_world(&self) -> Result<(), String> {
        for (node, here) in self.nodes.iter().enumerate() {
            let Some(here) = here else { continue };
            if here.audit.end().is_none() {
                return Err(format!("nothing can happen, but t{node} has not ended"));
            }
            // A planted bug must be caught without the reader's help.
            if self.case.bug.is_some() {
                continue;
            }
            let log: Vec<Record> = here.log.iter().map(|one| one.as_ref().clone()).collect();
            let told = replay(&log).map_err(|no| format!("its own log is refused: {no}"))?;
            if remembered(&told) != remembered(&here.tcc) {
                return Err(format!("its log tells of {told:?}"));
            }
        }
        Ok(())
    }
}

const DECIDED: [&str; 2] = [Rejected::DecidedByParent.code(), Rejected::Ended.code()];
