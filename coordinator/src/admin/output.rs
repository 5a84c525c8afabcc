//! Data on standard output: as a table, as one JSON document, or a JSON object a line.

use std::io::{self, Write as _};

use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde::Serialize;

use super::error::CommandError;

/// The form of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Format {
    /// For people
    #[default]
    Table,
    /// One JSON document
    Json,
    /// One JSON object a line
    Jsonl,
}

/// Writes text as it is, and flushes: a reader of a pipe sees it at once.
pub(super) fn print(text: &str) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(CommandError::Output)
}

/// Writes a line.
pub(super) fn print_line(line: &str) -> Result<(), CommandError> {
    print(&format!("{line}\n"))
}

/// Writes one object as JSON, or as the text that `table` makes of it.
pub(super) fn print_one<T: Serialize>(
    format: Format,
    item: &T,
    table: impl FnOnce(&T) -> String,
) -> Result<(), CommandError> {
    match format {
        Format::Table => print(&table(item)),
        Format::Json => print_json(item),
        Format::Jsonl => print_json_line(item),
    }
}

/// Writes one object as JSON that is easy to edit.
pub(super) fn print_json<T: Serialize>(item: &T) -> Result<(), CommandError> {
    print_line(&pretty(item)?)
}

/// Writes one object on one line of JSON.
pub(super) fn print_json_line<T: Serialize>(item: &T) -> Result<(), CommandError> {
    print_line(&serde_json::to_string(item).map_err(no_json)?)
}

/// A list that arrives in pages. JSON lines are written as they come; a table
/// and a JSON document need all of it first.
pub(super) struct Listing<T> {
    format: Format,
    headers: &'static [&'static str],
    cells: fn(&T) -> Vec<String>,
    items: Vec<T>,
}

impl<T: Serialize> Listing<T> {
    pub(super) fn new(
        format: Format,
        headers: &'static [&'static str],
        cells: fn(&T) -> Vec<String>,
    ) -> Self {
        Self {
            format,
            headers,
            cells,
            items: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, page: Vec<T>) -> Result<(), CommandError> {
        if self.format == Format::Jsonl {
            return page.iter().try_for_each(print_json_line);
        }
        self.items.extend(page);
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), CommandError> {
        match self.format {
            Format::Table => print(&table(self.headers, self.items.iter().map(self.cells))),
            Format::Json => print_line(&pretty(&self.items)?),
            Format::Jsonl => Ok(()),
        }
    }
}

/// Columns with two spaces between them and no frame.
pub(super) fn table(headers: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = columns();
    table.set_header(headers.to_vec());
    for row in rows {
        table.add_row(row.iter().map(|cell| plain(cell)));
    }
    rendered(&mut table)
}

/// Names and values below each other; what has no value is left out.
pub(super) fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut table = columns();
    for (name, value) in pairs {
        if !value.is_empty() {
            table.add_row([name.to_owned(), plain(&value)]);
        }
    }
    rendered(&mut table)
}

fn columns() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn rendered(table: &mut Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = table.trim_fmt();
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// Texts of others may hold control characters; a terminal must not obey them.
fn plain(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', " ")
}

fn pretty<T: Serialize>(item: &T) -> Result<String, CommandError> {
    serde_json::to_string_pretty(item).map_err(no_json)
}

#[allow(clippy::needless_pass_by_value, reason = "used as a function value")]
fn no_json(error: serde_json::Error) -> CommandError {
    CommandError::Failed(format!("cannot write JSON: {error}"))
}
