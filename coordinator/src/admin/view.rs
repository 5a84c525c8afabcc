//! The API's messages as JSON: its own field names, enums without their
//! prefix, times in UTC ISO form, JSON payloads as they are.

use amends_proto::v1::{
    self as api, Definition, GetStatusResponse, Participant, Payload, Transaction,
    TransactionRecord, TransactionSummary,
};
use base64::Engine as _;
use prost_types::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::definition_file::DefinitionFile;
pub(super) use super::names::{action_name, decision, kind, state, step_state};
use super::profile::ProfileView;
use super::show;

/// A payload: the JSON itself, or what it is instead.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Body {
    Json(Box<RawValue>),
    Bytes {
        content_type: String,
        base64: String,
    },
}

impl From<&Payload> for Body {
    fn from(payload: &Payload) -> Self {
        let text = if payload.data.is_empty() {
            &b"null"[..]
        } else {
            &payload.data[..]
        };
        if show::is_json(payload)
            && let Ok(json) = serde_json::from_slice(text)
        {
            return Self::Json(json);
        }
        Self::Bytes {
            content_type: payload.content_type.clone(),
            base64: base64::engine::general_purpose::STANDARD.encode(&payload.data),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct FailureView {
    code: String,
    message: String,
}

impl From<&api::Failure> for FailureView {
    fn from(failure: &api::Failure) -> Self {
        Self {
            code: failure.code.clone(),
            message: failure.message.clone(),
        }
    }
}

#[derive(Debug, Serialize)]
struct CauseView {
    step: String,
    failure: Option<FailureView>,
}

/// One line of a list.
#[derive(Debug, Serialize)]
pub(super) struct SummaryView {
    pub(super) gid: String,
    kind: &'static str,
    pub(super) state: &'static str,
    definition: String,
    version: u32,
    create_time: Option<String>,
    update_time: Option<String>,
    finish_time: Option<String>,
    cause: Option<CauseView>,
}

impl From<&TransactionSummary> for SummaryView {
    fn from(summary: &TransactionSummary) -> Self {
        Self {
            gid: summary.gid.clone(),
            kind: kind(summary.kind()),
            state: state(summary.state()),
            definition: summary.definition.clone(),
            version: summary.version,
            create_time: time(summary.create_time.as_ref()),
            update_time: time(summary.update_time.as_ref()),
            finish_time: time(summary.finish_time.as_ref()),
            cause: summary.cause.as_ref().map(|cause| CauseView {
                step: cause.step.clone(),
                failure: cause.failure.as_ref().map(Into::into),
            }),
        }
    }
}

impl SummaryView {
    pub(super) fn cells(&self) -> Vec<String> {
        let time = |time: &Option<String>| time.clone().unwrap_or_default();
        vec![
            self.gid.clone(),
            self.kind.to_owned(),
            self.state.to_owned(),
            show::definition(&self.definition, self.version),
            time(&self.create_time),
            time(&self.update_time),
            self.cause.as_ref().map(CauseView::text).unwrap_or_default(),
        ]
    }
}

impl CauseView {
    fn text(&self) -> String {
        show::at_step(
            &self.step,
            self.failure
                .as_ref()
                .map(FailureView::text)
                .unwrap_or_default(),
        )
    }
}

impl FailureView {
    pub(super) fn text(&self) -> String {
        show::coded(&self.code, &self.message)
    }
}

#[derive(Debug, Serialize)]
struct StepView {
    name: String,
    state: &'static str,
    target: String,
    after: Vec<String>,
    attempts: u32,
    undo_attempts: u32,
    output: Option<Body>,
    last_failure: Option<FailureView>,
    next_attempt_time: Option<String>,
    stuck_reason: Option<String>,
    /// The TCC that this branch is.
    #[serde(skip_serializing_if = "Option::is_none")]
    child_gid: Option<String>,
}

impl From<&api::Step> for StepView {
    fn from(step: &api::Step) -> Self {
        Self {
            name: step.name.clone(),
            state: step_state(step.state()),
            target: step.target.clone(),
            after: step.after.clone(),
            attempts: step.attempts,
            undo_attempts: step.undo_attempts,
            output: step.output.as_ref().map(Into::into),
            last_failure: step.last_failure.as_ref().map(Into::into),
            next_attempt_time: time(step.next_attempt_time.as_ref()),
            stuck_reason: text(&step.stuck_reason),
            child_gid: text(&step.child_gid),
        }
    }
}

#[derive(Debug, Serialize)]
struct ActionView {
    action: &'static str,
    step: Option<String>,
    enabled: bool,
    disabled_reason: Option<String>,
}

/// The TCC that decides, and which of its branches this one is.
#[derive(Debug, Serialize)]
struct ParentView {
    gid: String,
    branch: String,
}

/// What only a live saga has.
#[derive(Debug, Serialize)]
struct LiveView {
    key: String,
    caller: String,
    lease_ms: f64,
    lease_expire_time: Option<String>,
}

/// Everything about one transaction.
#[derive(Debug, Serialize)]
pub(super) struct TransactionView {
    #[serde(flatten)]
    pub(super) summary: SummaryView,
    definition_hash: String,
    input: Option<Body>,
    output: Option<Body>,
    steps: Vec<StepView>,
    deadline: Option<String>,
    available_actions: Vec<ActionView>,
    record_count: u64,
    owner: String,
    generation: u64,
    /// TCC: what was decided, once it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<ParentView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<LiveView>,
}

impl From<&Transaction> for TransactionView {
    fn from(transaction: &Transaction) -> Self {
        let action = |action: &api::AvailableAction| ActionView {
            action: action_name(action.action()),
            step: text(&action.step),
            enabled: action.enabled,
            disabled_reason: text(&action.disabled_reason),
        };
        Self {
            summary: SummaryView::from(&transaction.summary.clone().unwrap_or_default()),
            definition_hash: transaction.definition_hash.clone(),
            input: transaction.input.as_ref().map(Into::into),
            output: transaction.output.as_ref().map(Into::into),
            steps: transaction.steps.iter().map(Into::into).collect(),
            deadline: time(transaction.deadline.as_ref()),
            available_actions: transaction.available_actions.iter().map(action).collect(),
            record_count: transaction.record_count,
            owner: transaction.owner.clone(),
            generation: transaction.generation,
            decision: decision(transaction),
            parent: transaction.parent.as_ref().map(|parent| ParentView {
                gid: parent.gid.clone(),
                branch: parent.branch.clone(),
            }),
            live: transaction.live.as_ref().map(|live| LiveView {
                key: live.key.clone(),
                caller: live.caller.clone(),
                lease_ms: show::millis(show::length(live.lease.as_ref())),
                lease_expire_time: time(live.lease_expire_time.as_ref()),
            }),
        }
    }
}

/// One durable record.
#[derive(Debug, Serialize)]
pub(super) struct RecordView {
    pub(super) number: u64,
    pub(super) time: Option<String>,
    pub(super) kind: String,
    pub(super) step: Option<String>,
    pub(super) text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    took: Option<TookView>,
    record: Option<Box<RawValue>>,
}

/// Where the time of a call went, in milliseconds.
#[derive(Debug, Serialize)]
struct TookView {
    queue_ms: f64,
    commit_ms: f64,
    call_ms: f64,
    scheduling_ms: f64,
}

impl From<&api::Took> for TookView {
    fn from(took: &api::Took) -> Self {
        let ms = |time| show::millis(show::length(time));
        Self {
            queue_ms: ms(took.queue.as_ref()),
            commit_ms: ms(took.commit.as_ref()),
            call_ms: ms(took.call.as_ref()),
            scheduling_ms: ms(took.scheduling.as_ref()),
        }
    }
}

impl From<&TransactionRecord> for RecordView {
    fn from(record: &TransactionRecord) -> Self {
        Self {
            number: record.number,
            time: time(record.time.as_ref()),
            kind: record.kind.clone(),
            step: text(&record.step),
            text: record.text.clone(),
            took: record.took.as_ref().map(Into::into),
            record: RawValue::from_string(record.json.clone()).ok(),
        }
    }
}

/// How an action on one transaction went.
#[derive(Debug, Serialize)]
pub(super) struct ResultView {
    pub(super) gid: String,
    pub(super) accepted: bool,
    pub(super) state: &'static str,
    pub(super) failure: Option<FailureView>,
}

impl ResultView {
    pub(super) fn not_found(&self) -> bool {
        self.failure
            .as_ref()
            .is_some_and(|failure| failure.code.ends_with("NOT_FOUND"))
    }
}

impl From<&api::ActionResult> for ResultView {
    fn from(result: &api::ActionResult) -> Self {
        Self {
            gid: result.gid.clone(),
            accepted: result.accepted,
            state: state(result.state()),
            failure: result.failure.as_ref().map(Into::into),
        }
    }
}

/// A registered definition.
#[derive(Debug, Serialize)]
pub(super) struct DefinitionView {
    pub(super) hash: String,
    pub(super) create_time: Option<String>,
    pub(super) definition: DefinitionFile,
}

impl From<&Definition> for DefinitionView {
    fn from(definition: &Definition) -> Self {
        Self {
            hash: definition.hash.clone(),
            create_time: time(definition.create_time.as_ref()),
            definition: DefinitionFile::from_proto(&definition.saga.clone().unwrap_or_default()),
        }
    }
}

#[derive(Debug, Serialize)]
struct OfferView {
    name: String,
    description: String,
    compensable: bool,
    external: bool,
}

/// An instance of a service.
#[derive(Debug, Serialize)]
pub(super) struct ParticipantView {
    service: String,
    instance_id: String,
    address: String,
    available: bool,
    unavailable_reason: Option<String>,
    in_flight: u32,
    register_time: Option<String>,
    heartbeat_time: Option<String>,
    steps: Vec<OfferView>,
}

impl From<&Participant> for ParticipantView {
    fn from(participant: &Participant) -> Self {
        let offer = |offer: &api::StepOffer| OfferView {
            name: offer.name.clone(),
            description: offer.description.clone(),
            compensable: offer.compensable,
            external: offer.external,
        };
        Self {
            service: participant.service.clone(),
            instance_id: participant.instance_id.clone(),
            address: participant.address.clone(),
            available: participant.available,
            unavailable_reason: text(&participant.unavailable_reason),
            in_flight: participant.in_flight,
            register_time: time(participant.register_time.as_ref()),
            heartbeat_time: time(participant.heartbeat_time.as_ref()),
            steps: participant.steps.iter().map(offer).collect(),
        }
    }
}

impl ParticipantView {
    pub(super) fn cells(&self) -> Vec<String> {
        let available = match (&self.unavailable_reason, self.available) {
            (_, true) => "yes".to_owned(),
            (Some(reason), false) => format!("no: {reason}"),
            (None, false) => "no".to_owned(),
        };
        let steps: Vec<&str> = self.steps.iter().map(|step| step.name.as_str()).collect();
        vec![
            self.service.clone(),
            self.instance_id.clone(),
            self.address.clone(),
            available,
            self.in_flight.to_string(),
            self.heartbeat_time.clone().unwrap_or_default(),
            steps.join(", "),
        ]
    }
}

/// The coordinator's status.
#[derive(Debug, Serialize)]
pub(super) struct StatusView {
    pub(super) version: String,
    pub(super) incarnation: String,
    pub(super) start_time: Option<String>,
    pub(super) store: String,
    pub(super) live_transactions: u64,
    pub(super) max_live_transactions: u64,
    pub(super) recovered: bool,
    pub(super) broker: Option<BrokerView>,
    /// Producer groups that half messages wait for and that have no live instance.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) silent_producers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) profile: Option<ProfileView>,
}

impl From<&GetStatusResponse> for StatusView {
    fn from(status: &GetStatusResponse) -> Self {
        Self {
            version: status.version.clone(),
            incarnation: status.incarnation.clone(),
            start_time: time(status.start_time.as_ref()),
            store: status.store.clone(),
            live_transactions: status.live_transactions,
            max_live_transactions: status.max_live_transactions,
            recovered: status.recovered,
            broker: status.broker.as_ref().map(Into::into),
            silent_producers: status.silent_producers.clone(),
            profile: None,
        }
    }
}

/// How it stands with publishing messages.
#[derive(Debug, Serialize)]
pub(super) struct BrokerView {
    kind: String,
    state: &'static str,
    reason: Option<String>,
    unpublished: u64,
    more_unpublished: bool,
}

impl From<&api::BrokerStatus> for BrokerView {
    fn from(broker: &api::BrokerStatus) -> Self {
        Self {
            kind: broker.kind.clone(),
            state: show::short(broker.state().as_str_name(), "STATE_"),
            reason: text(&broker.reason),
            unpublished: broker.unpublished,
            more_unpublished: broker.more_unpublished,
        }
    }
}

impl BrokerView {
    /// `embedded, UP` and what waits for it.
    pub(super) fn text(&self) -> String {
        let Self { kind, state, .. } = self;
        let reason = self.reason.as_ref().map(|why| format!(": {why}"));
        let more = if self.more_unpublished {
            "more than "
        } else {
            ""
        };
        let waiting = match self.unpublished {
            0 if !self.more_unpublished => String::new(),
            count => format!("; {more}{count} messages wait to be published"),
        };
        format!("{kind}, {state}{}{waiting}", reason.unwrap_or_default())
    }
}

fn time(time: Option<&Timestamp>) -> Option<String> {
    time.map(|time| show::time(Some(time)))
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
