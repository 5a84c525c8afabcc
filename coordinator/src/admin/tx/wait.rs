//! `amends tx wait`.

use std::time::Duration;

use amends_proto::v1::WaitTransactionRequest;

use super::{outcome, transaction};
use crate::admin::connect::Remote;
use crate::admin::definition_file::Span;
use crate::admin::error::{CommandError, note};
use crate::admin::exit::Exit;
use crate::admin::output::Format;
use crate::admin::view::state;
use crate::config::value::show_duration;

/// The longest wait of one call.
const MAX_WAIT_PER_CALL: Duration = Duration::from_secs(60);

/// Waits, prints the transaction as it then is, and says how it ended.
pub(super) async fn run(
    remote: &Remote,
    format: Format,
    gid: &str,
    timeout: Duration,
) -> Result<Exit, CommandError> {
    let mut client = remote.transactions();
    let mut left = timeout;
    loop {
        let share = left.min(MAX_WAIT_PER_CALL);
        let request = WaitTransactionRequest {
            gid: gid.to_owned(),
            timeout: Some(Span(share).to_proto()),
        };
        let answer = client.wait_transaction(request).await?.into_inner();
        left -= share;
        let seen = answer.transaction.unwrap_or_default();
        if let Some(exit) = outcome::ended(&seen) {
            transaction::print(format, &seen)?;
            return Ok(exit);
        }
        if left.is_zero() {
            transaction::print(format, &seen)?;
            let now = state(seen.summary.unwrap_or_default().state());
            note(&format!(
                "not ended after {}: {now}",
                show_duration(timeout)
            ));
            return Ok(Exit::TimedOut);
        }
    }
}
