//! One transaction, for people: `amends tx get`.

use amends_proto::v1::{
    AvailableAction, GetTransactionRequest, Step, TccDecision, Transaction, TransactionKind,
};

use crate::admin::connect::Remote;
use crate::admin::error::CommandError;
use crate::admin::exit::Exit;
use crate::admin::output::{Format, pairs, print_one, table};
use crate::admin::show;
use crate::admin::view::{TransactionView, action_name, decision, kind, state, step_state};

/// Prints one transaction.
pub(super) async fn get(
    remote: &Remote,
    format: Format,
    gid: String,
) -> Result<Exit, CommandError> {
    let answer = remote
        .transactions()
        .get_transaction(GetTransactionRequest { gid })
        .await?
        .into_inner();
    print(format, &answer.transaction.unwrap_or_default())?;
    Ok(Exit::Done)
}

/// Prints it.
pub(super) fn print(format: Format, transaction: &Transaction) -> Result<(), CommandError> {
    print_one(format, &TransactionView::from(transaction), |_| {
        text(transaction)
    })
}

fn text(transaction: &Transaction) -> String {
    let summary = transaction.summary.clone().unwrap_or_default();
    let head = pairs([
        ("gid", summary.gid.clone()),
        ("kind", kind(summary.kind()).to_owned()),
        ("state", state(summary.state()).to_owned()),
        (
            "decision",
            decision(transaction).unwrap_or_default().to_owned(),
        ),
        (
            "definition",
            show::definition(&summary.definition, summary.version),
        ),
        (
            "parent",
            transaction
                .parent
                .as_ref()
                .map(|parent| format!("{}, branch {}", parent.gid, parent.branch))
                .unwrap_or_default(),
        ),
        (
            "key",
            transaction
                .live
                .as_ref()
                .map(|live| live.key.clone())
                .unwrap_or_default(),
        ),
        ("caller", caller(transaction)),
        ("created", show::time(summary.create_time.as_ref())),
        ("updated", show::time(summary.update_time.as_ref())),
        ("finished", show::time(summary.finish_time.as_ref())),
        ("deadline", show::time(transaction.deadline.as_ref())),
        (
            "cause",
            summary.cause.as_ref().map(show::cause).unwrap_or_default(),
        ),
        (
            "input",
            transaction
                .input
                .as_ref()
                .map(show::payload)
                .unwrap_or_default(),
        ),
        (
            "output",
            transaction
                .output
                .as_ref()
                .map(show::payload)
                .unwrap_or_default(),
        ),
        ("records", transaction.record_count.to_string()),
    ]);
    let steps = table(&headers(transaction), transaction.steps.iter().map(step));
    let actions: String = transaction.available_actions.iter().map(action).collect();
    let actions = if actions.is_empty() {
        actions
    } else {
        format!("\nactions:\n{actions}")
    };
    format!("{head}\n{steps}{actions}")
}

/// Who runs the code of a live saga, and until when it may be silent.
fn caller(transaction: &Transaction) -> String {
    let Some(live) = &transaction.live else {
        return String::new();
    };
    let until = show::time(live.lease_expire_time.as_ref());
    let running = transaction
        .summary
        .as_ref()
        .is_some_and(|summary| summary.cause.is_none() && summary.finish_time.is_none());
    match running {
        true => format!("{}, may be silent until {until}", live.caller),
        false => live.caller.clone(),
    }
}

/// What the calls are called that each step or branch got.
fn headers(transaction: &Transaction) -> [&'static str; 6] {
    let summary = transaction.summary.as_ref();
    let kind = summary.map_or(TransactionKind::Unspecified, |summary| summary.kind());
    let (what, first, second) = match (kind, transaction.decision()) {
        (TransactionKind::Tcc, TccDecision::Confirm) => ("BRANCH", "TRIES", "CONFIRMS"),
        (TransactionKind::Tcc, _) => ("BRANCH", "TRIES", "CANCELS"),
        _ => ("STEP", "CALLS", "UNDOS"),
    };
    [what, "STATE", first, second, "NEXT", "NOTE"]
}

fn step(step: &Step) -> Vec<String> {
    let note = match (&step.stuck_reason, &step.last_failure, &step.output) {
        (reason, _, _) if !reason.is_empty() => reason.clone(),
        (_, Some(failure), _) => show::failure(failure),
        (_, None, _) if !step.child_gid.is_empty() => format!("TCC {}", step.child_gid),
        (_, None, Some(output)) => show::payload(output),
        _ => String::new(),
    };
    vec![
        step.name.clone(),
        step_state(step.state()).to_owned(),
        step.attempts.to_string(),
        step.undo_attempts.to_string(),
        show::time(step.next_attempt_time.as_ref()),
        note,
    ]
}

/// `  mark-undone reserve-stock`, with the reason when it cannot be done now.
fn action(action: &AvailableAction) -> String {
    let name = action_name(action.action())
        .to_lowercase()
        .replace('_', "-");
    let step = if action.step.is_empty() {
        String::new()
    } else {
        format!(" {}", action.step)
    };
    let why = if action.enabled {
        String::new()
    } else {
        format!(" (not now: {})", action.disabled_reason)
    };
    format!("  {name}{step}{why}\n")
}
