//! Actions on many messages or dead letters: a result for each, and the exit
//! code they add up to.

use amends_proto::v1::ItemResult;
use serde::Serialize;

use super::error::CommandError;
use super::exit::Exit;
use super::output::{Format, Listing};
use super::show;

/// Items in one call; the most the API takes.
pub(super) const MAX_ITEMS_PER_CALL: usize = 1000;

/// What became of one item.
#[derive(Debug, Serialize)]
struct ItemView {
    id: String,
    done: bool,
    new_id: Option<String>,
    code: Option<String>,
    message: Option<String>,
}

impl From<&ItemResult> for ItemView {
    fn from(result: &ItemResult) -> Self {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self {
            id: result.id.clone(),
            done: result.done,
            new_id: text(&result.new_id),
            code: text(&result.code),
            message: text(&result.message),
        }
    }
}

impl ItemView {
    fn cells(&self) -> Vec<String> {
        let reason = show::coded(
            self.code.as_deref().unwrap_or_default(),
            self.message.as_deref().unwrap_or_default(),
        );
        vec![
            self.id.clone(),
            if self.done { "yes" } else { "no" }.to_owned(),
            self.new_id.clone().unwrap_or_default(),
            reason,
        ]
    }
}

/// Collects results.
pub(super) struct Report {
    listing: Listing<ItemView>,
    done: usize,
    refused: usize,
    not_found: usize,
}

impl Report {
    pub(super) fn new(format: Format) -> Self {
        Self {
            listing: Listing::new(format, &["ID", "DONE", "NEW ID", "REASON"], ItemView::cells),
            done: 0,
            refused: 0,
            not_found: 0,
        }
    }

    pub(super) fn add(&mut self, results: &[ItemResult]) -> Result<(), CommandError> {
        for result in results {
            match (result.done, result.code.ends_with("NOT_FOUND")) {
                (true, _) => self.done += 1,
                (false, true) => self.not_found += 1,
                (false, false) => self.refused += 1,
            }
        }
        self.listing.push(results.iter().map(Into::into).collect())
    }

    pub(super) fn finish(self) -> Result<Exit, CommandError> {
        self.listing.finish()?;
        Ok(match (self.done, self.refused, self.not_found) {
            (_, 0, 0) => Exit::Done,
            (0, 0, _) => Exit::NotFound,
            (0, _, _) => Exit::Refused,
            _ => Exit::Partly,
        })
    }
}

/// Does something to all ids, in calls of a legal size.
pub(super) async fn on_each(
    format: Format,
    ids: &[String],
    call: impl AsyncFnMut(Vec<String>) -> Result<Vec<ItemResult>, CommandError>,
) -> Result<Exit, CommandError> {
    in_calls_of(MAX_ITEMS_PER_CALL, format, ids, call).await
}

/// The same in calls of this size.
pub(super) async fn in_calls_of(
    size: usize,
    format: Format,
    ids: &[String],
    mut call: impl AsyncFnMut(Vec<String>) -> Result<Vec<ItemResult>, CommandError>,
) -> Result<Exit, CommandError> {
    let mut report = Report::new(format);
    for some in ids.chunks(size) {
        match call(some.to_vec()).await {
            Ok(results) => report.add(&results)?,
            Err(error) if report.done == 0 => return Err(error),
            // What was done stands, and is shown.
            Err(error) => {
                error.report();
                report.finish()?;
                return Ok(Exit::Partly);
            }
        }
    }
    report.finish()
}
