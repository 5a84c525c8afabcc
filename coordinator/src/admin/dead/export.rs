//! `amends dead export`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use amends_proto::v1::{DeadLetter, ListDeadLettersRequest};
use serde::Serialize;

use super::get;
use super::select::{Which, letters};
use crate::admin::connect::Remote;
use crate::admin::error::{CommandError, note};
use crate::admin::exit::Exit;
use crate::admin::message::MessageFile;
use crate::admin::show;

/// One line: the message byte for byte, and what happened to it.
#[derive(Serialize)]
struct Line {
    id: String,
    group: String,
    attempts: u32,
    first_error: String,
    last_error: String,
    create_time: String,
    message: MessageFile,
}

impl From<&DeadLetter> for Line {
    fn from(letter: &DeadLetter) -> Self {
        Self {
            id: letter.id.clone(),
            group: letter.group.clone(),
            attempts: letter.attempts,
            first_error: letter.first_error.clone(),
            last_error: letter.last_error.clone(),
            create_time: show::time(letter.create_time.as_ref()),
            message: MessageFile::exact(&letter.message.clone().unwrap_or_default()),
        }
    }
}

pub(super) async fn run(
    remote: &Remote,
    which: &Which,
    file: Option<&Path>,
) -> Result<Exit, CommandError> {
    let mut ids = Vec::new();
    let request = ListDeadLettersRequest {
        filter: Some(which.to_proto()),
        ..Default::default()
    };
    letters(remote, request, None, |page| {
        ids.extend(page.into_iter().map(|letter| letter.id));
        Ok(())
    })
    .await?;
    let Some(path) = file else {
        let mut out = std::io::stdout();
        return write(remote, ids, &mut out).await.map(|_| Exit::Done);
    };
    let failed = |error| CommandError::Failed(format!("cannot write {}: {error}", path.display()));
    let mut out = BufWriter::new(File::create(path).map_err(failed)?);
    let written = write(remote, ids, &mut out).await?;
    out.into_inner()
        .map_err(|error| failed(error.into_error()))?
        .sync_all()
        .map_err(failed)?;
    note(&format!(
        "wrote {written} dead letters to {}",
        path.display()
    ));
    Ok(Exit::Done)
}

/// Writes each with its body; returns how many.
async fn write(
    remote: &Remote,
    ids: Vec<String>,
    out: &mut impl Write,
) -> Result<usize, CommandError> {
    let count = ids.len();
    for id in ids {
        let line = Line::from(&get(remote, id).await?);
        let line = serde_json::to_string(&line)
            .map_err(|error| CommandError::Failed(format!("cannot write JSON: {error}")))?;
        writeln!(out, "{line}").map_err(CommandError::Output)?;
    }
    out.flush().map_err(CommandError::Output)?;
    Ok(count)
}
