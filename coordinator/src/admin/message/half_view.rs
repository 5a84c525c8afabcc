//! Halves, their checks, and producer groups in the API's own field names.

use amends_proto::v1::{GetHalfResponse, Half, HalfCheck, Producer};
use serde::Serialize;

use super::view::{text, time};
use crate::admin::show;

/// A half as it stands.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct HalfView {
    half_id: String,
    producer: String,
    state: &'static str,
    message_ids: Vec<String>,
    prepare_time: Option<String>,
    checks: u32,
    next_check_time: Option<String>,
    decide_time: Option<String>,
    decided_by: Option<String>,
    decide_reason: Option<String>,
    note: Option<String>,
}

impl From<&Half> for HalfView {
    fn from(half: &Half) -> Self {
        Self {
            half_id: half.half_id.clone(),
            producer: half.producer.clone(),
            state: show::short(half.state().as_str_name(), "HALF_STATE_"),
            message_ids: half.message_ids.clone(),
            prepare_time: time(half.prepare_time.as_ref()),
            checks: half.checks,
            next_check_time: time(half.next_check_time.as_ref()),
            decide_time: time(half.decide_time.as_ref()),
            decided_by: text(&half.decided_by),
            decide_reason: text(&half.decide_reason),
            note: text(&half.note),
        }
    }
}

impl HalfView {
    pub(in crate::admin) const HEADERS: &[&str] = &[
        "HALF ID",
        "PRODUCER",
        "STATE",
        "PREPARED",
        "CHECKS",
        "NEXT CHECK",
        "DECIDED BY",
        "NOTE",
    ];

    pub(in crate::admin) fn cells(&self) -> Vec<String> {
        let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            self.half_id.clone(),
            self.producer.clone(),
            self.state.to_owned(),
            or_empty(&self.prepare_time),
            self.checks.to_string(),
            or_empty(&self.next_check_time),
            or_empty(&self.decided_by),
            or_empty(&self.note),
        ]
    }

    pub(in crate::admin) fn pairs(self) -> Vec<(&'static str, String)> {
        vec![
            ("half id", self.half_id),
            ("producer", self.producer),
            ("state", self.state.to_owned()),
            ("messages", self.message_ids.join("\n")),
            ("prepared", self.prepare_time.unwrap_or_default()),
            ("checks", self.checks.to_string()),
            ("next check", self.next_check_time.unwrap_or_default()),
            ("decided", self.decide_time.unwrap_or_default()),
            ("decided by", self.decided_by.unwrap_or_default()),
            ("reason", self.decide_reason.unwrap_or_default()),
            ("note", self.note.unwrap_or_default()),
        ]
    }
}

/// A half with its latest checks.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct HalfWithChecks {
    #[serde(flatten)]
    half: HalfView,
    check_history: Vec<CheckView>,
}

impl From<&GetHalfResponse> for HalfWithChecks {
    fn from(answer: &GetHalfResponse) -> Self {
        Self {
            half: HalfView::from(&answer.half.clone().unwrap_or_default()),
            check_history: answer.checks.iter().map(Into::into).collect(),
        }
    }
}

/// One check.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct CheckView {
    time: Option<String>,
    instance_id: Option<String>,
    verdict: &'static str,
    counted: bool,
    error: Option<String>,
}

impl From<&HalfCheck> for CheckView {
    fn from(check: &HalfCheck) -> Self {
        let verdict = show::short(check.verdict().as_str_name(), "HALF_VERDICT_");
        Self {
            time: time(check.time.as_ref()),
            instance_id: text(&check.instance_id),
            verdict: match verdict {
                "UNSPECIFIED" => "UNKNOWN",
                verdict => verdict,
            },
            counted: check.counted,
            error: text(&check.error),
        }
    }
}

impl CheckView {
    pub(in crate::admin) const HEADERS: &[&str] =
        &["CHECKED", "INSTANCE", "VERDICT", "COUNTED", "NOTE"];

    pub(in crate::admin) fn cells(self) -> Vec<String> {
        vec![
            self.time.unwrap_or_default(),
            self.instance_id.unwrap_or_default(),
            self.verdict.to_owned(),
            if self.counted { "yes" } else { "no" }.to_owned(),
            self.error.unwrap_or_default(),
        ]
    }
}

/// A producer group.
#[derive(Debug, Serialize)]
pub(in crate::admin) struct ProducerView {
    producer: String,
    instance_ids: Vec<String>,
    prepared: u64,
    stuck: u64,
    oldest_prepare_time: Option<String>,
}

impl From<&Producer> for ProducerView {
    fn from(producer: &Producer) -> Self {
        Self {
            producer: producer.producer.clone(),
            instance_ids: producer.instance_ids.clone(),
            prepared: producer.prepared,
            stuck: producer.stuck,
            oldest_prepare_time: time(producer.oldest_prepare_time.as_ref()),
        }
    }
}

impl ProducerView {
    pub(in crate::admin) const HEADERS: &[&str] =
        &["PRODUCER", "INSTANCES", "PREPARED", "STUCK", "OLDEST"];

    pub(in crate::admin) fn cells(&self) -> Vec<String> {
        vec![
            self.producer.clone(),
            match self.instance_ids.as_slice() {
                [] => "none live".to_owned(),
                ids => ids.join(" "),
            },
            self.prepared.to_string(),
            self.stuck.to_string(),
            self.oldest_prepare_time.clone().unwrap_or_default(),
        ]
    }
}
