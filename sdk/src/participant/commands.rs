//! Undo commands that come as messages: on the service's own topic, and as
//! the cancel message of a saga.
//!
//! Each call is executed through the consumer log exactly as `Execute` does,
//! reported to the coordinator, and only then is the message settled. So an
//! undo that is told twice, or reported twice, happens once. A call whose
//! outcome is unknown, or whose report does not get through, comes again.

use std::sync::Arc;
use std::time::Duration;

use amends_proto::v1;
use amends_proto::v1::execute_response::Answer;
use amends_proto::v1::report_service_client::ReportServiceClient;
use futures_util::future::BoxFuture;
use prost::Message;
use tonic::{Code, Status};

use super::server::Calls;
use crate::ServiceDef;
use crate::access::Wire;
use crate::consumer::{Verdict, Work};
use crate::message::Subscription;
use crate::step_ref::Compensation;

/// Before the service's name: the topic of its commands.
const TOPIC_PREFIX: &str = "amends.commands.";

/// Commands come again soon, and the coordinator tells them anew by itself.
const RETRY: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// Longest topic, in characters.
const MAX_TOPIC_CHARS: usize = 128;

/// Bounds one report.
pub(super) const REPORT_TIMEOUT: Duration = Duration::from_secs(3);

/// Where a service is told to undo: its own topic, if it can undo anything,
/// and the cancel messages it wants.
pub(super) fn subscriptions(service: &ServiceDef) -> Vec<Subscription> {
    if !service
        .steps()
        .any(|step| step.compensation() == Compensation::Undo && !step.is_tcc())
    {
        return Vec::new();
    }
    let topic = format!("{TOPIC_PREFIX}{}", service.name());
    if topic.len() > MAX_TOPIC_CHARS {
        tracing::warn!(
            service = service.name(),
            "its name is too long for a command topic"
        );
        return Vec::new();
    }
    let own = Subscription::to(topic);
    let cancels = service.cancels.iter();
    let cancels = cancels.map(|(topic, tag)| Subscription::to(topic.as_str()).tags(tag.as_str()));
    let all = std::iter::once(own).chain(cancels);
    all.map(|subscription| subscription.group(service.name()).retry(RETRY))
        .collect()
}

/// Executes the calls of one service.
pub(super) struct CommandWork {
    pub(super) service: &'static str,
    pub(super) calls: Arc<Calls>,
    pub(super) reports: ReportServiceClient<Wire>,
}

impl Work for CommandWork {
    fn work(&self, message: v1::Message, _attempt: u32) -> BoxFuture<'_, Verdict> {
        Box::pin(async move {
            let body = message.payload.unwrap_or_default().data;
            let command = match v1::UndoCommand::decode(body) {
                Ok(command) => command,
                Err(error) => {
                    let error = format!("the body is no undo command: {error}");
                    return Verdict::Dead { error };
                }
            };
            let mine = command
                .calls
                .into_iter()
                .filter(|call| call.service == self.service);
            let mut worst = Verdict::Done;
            for call in mine {
                if let Err(verdict) = self.execute(&command.gid, call).await {
                    worst = verdict;
                }
            }
            worst
        })
    }
}

impl CommandWork {
    /// Executes a call and reports it; what is not over is told.
    async fn execute(&self, gid: &str, call: v1::ExecuteRequest) -> Result<(), Verdict> {
        let (branch, phase) = (call.branch.clone(), call.phase);
        let response = self
            .calls
            .execute(call, None)
            .await
            .map_err(|status| unknown(&status))?;
        if let Some(Answer::InProgress(progress)) = &response.answer {
            let after = progress
                .retry_after
                .and_then(|after| Duration::try_from(after).ok());
            let error = "an attempt is under way".to_owned();
            return Err(Verdict::Again { after, error });
        }
        let report = v1::ReportStepRequest {
            gid: gid.to_owned(),
            branch,
            phase,
            answer: Some(response),
        };
        match self.reports.clone().report_step(report).await {
            Ok(_) => Ok(()),
            // The transaction is over and forgotten: nobody waits for this.
            Err(status) if status.code() == Code::NotFound => Ok(()),
            Err(status) => Err(unknown(&status)),
        }
    }
}

fn unknown(status: &Status) -> Verdict {
    Verdict::Again {
        after: None,
        error: status.message().to_owned(),
    }
}
