//! `amends tx watch`.

use amends_proto::v1::{Transaction, WatchTransactionRequest};

use super::outcome;
use crate::admin::connect::Remote;
use crate::admin::error::CommandError;
use crate::admin::exit::Exit;
use crate::admin::output::{Format, print_json_line, print_line};
use crate::admin::show;
use crate::admin::view::{TransactionView, state, step_state};

/// Prints each change until the transaction has ended, and says how it ended.
pub(super) async fn run(
    remote: &Remote,
    format: Format,
    gid: String,
) -> Result<Exit, CommandError> {
    let mut changes = remote
        .transactions()
        .watch_transaction(WatchTransactionRequest { gid })
        .await?
        .into_inner();
    let mut seen = Transaction::default();
    while let Some(change) = changes.message().await? {
        let now = change.transaction.unwrap_or_default();
        match format {
            Format::Table => print_line(&line(&seen, &now))?,
            Format::Json | Format::Jsonl => print_json_line(&TransactionView::from(&now))?,
        }
        seen = now;
    }
    outcome::ended(&seen).ok_or_else(|| {
        CommandError::Failed(
            "the coordinator ended the watch before the transaction ended".to_owned(),
        )
    })
}

/// Time, state, and the steps that changed since `before`.
fn line(before: &Transaction, now: &Transaction) -> String {
    let summary = now.summary.clone().unwrap_or_default();
    let known = |name: &str| before.steps.iter().find(|step| step.name == name);
    let changes: Vec<String> = now
        .steps
        .iter()
        .filter(|step| {
            known(&step.name)
                .is_none_or(|old| old.state != step.state || old.attempts != step.attempts)
        })
        .map(|step| match &step.last_failure {
            Some(failure) => format!(
                "{} {} ({})",
                step.name,
                step_state(step.state()),
                show::failure(failure)
            ),
            None => format!("{} {}", step.name, step_state(step.state())),
        })
        .collect();
    let time = show::time(summary.update_time.as_ref());
    format!(
        "{time}  {:<12}  {}",
        state(summary.state()),
        changes.join(", ")
    )
    .trim_end()
    .to_owned()
}
