//! The rows of one group, as a store keeps them.

use amends_core::message::{MessageId, SharedMessage};
use amends_core::time::Timestamp;

use super::super::entry::{Note, What};
use crate::store::messages::{Waiting, WaitingFilter};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowState {
    Ready,
    Retrying(Timestamp),
    Done,
    Dead,
}

#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) position: i64,
    pub(super) message: SharedMessage,
    pub(super) attempts: u32,
    pub(super) state: RowState,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Rows(Vec<Row>);

impl Rows {
    pub(super) fn of(&self, id: &MessageId) -> Option<&Row> {
        self.0.iter().find(|row| row.message.id == *id)
    }

    pub(super) fn insert(&mut self, message: SharedMessage, attempts: u32, state: RowState) {
        let position = i64::try_from(self.0.len()).unwrap() + 1;
        self.0.push(Row {
            position,
            message,
            attempts,
            state,
        });
    }

    /// Whether it took effect, or had done so before.
    pub(super) fn write(&mut self, note: &Note) -> bool {
        let state = match &note.what {
            What::Done => RowState::Done,
            What::Retry { at, .. } => RowState::Retrying(*at),
            What::Dead { .. } => RowState::Dead,
            What::Keep => RowState::Ready,
        };
        let id = &note.message.id;
        let Some(row) = self.0.iter_mut().find(|row| row.message.id == *id) else {
            self.insert(note.message.clone(), note.attempts, state);
            return true;
        };
        let open = matches!(row.state, RowState::Ready | RowState::Retrying(_));
        if note.what == What::Keep || !open {
            return open || row.state == state;
        }
        if row.attempts > note.attempts && state != RowState::Done {
            return false;
        }
        row.attempts = row.attempts.max(note.attempts);
        row.state = state;
        true
    }

    pub(super) fn waiting(&self, filter: &WaitingFilter, most: u32) -> Vec<Waiting> {
        let next_at = |row: &Row| match row.state {
            RowState::Retrying(at) => Some(at),
            _ => None,
        };
        let has = |row: &&Row| {
            let key = row.message.order_key.as_ref();
            let open = matches!(row.state, RowState::Ready | RowState::Retrying(_));
            match filter {
                WaitingFilter::Ready { after } => {
                    row.state == RowState::Ready && row.position > *after
                }
                WaitingFilter::Due { until } => next_at(row).is_some_and(|at| at <= *until),
                WaitingFilter::OfKey { key: of, after } => {
                    open && key == Some(of) && row.position > *after
                }
                WaitingFilter::Blocking { after } => {
                    next_at(row).is_some() && key.is_some() && row.position > *after
                }
            }
        };
        let mut rows: Vec<&Row> = self.0.iter().filter(has).collect();
        if matches!(filter, WaitingFilter::Due { .. }) {
            rows.sort_by_key(|row| (next_at(row), row.position));
        }
        rows.truncate(most as usize);
        let waiting = |row: &Row| Waiting {
            position: row.position,
            attempts: row.attempts,
            next_at: next_at(row),
            message: row.message.clone(),
        };
        rows.into_iter().map(waiting).collect()
    }
}
