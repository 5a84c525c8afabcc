//! `amends msg publish`.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use amends_proto::v1::{
    Message, Payload, PublishMessage, PublishMessagesRequest, PublishedMessage,
};
use clap::Args;
use prost_types::Timestamp;
use serde::Serialize;

use crate::admin::args::duration;
use crate::admin::connect::Remote;
use crate::admin::definition_file::Span;
use crate::admin::error::CommandError;
use crate::admin::exit::Exit;
use crate::admin::message::MessageFile;
use crate::admin::output::{Format, Listing};

/// Messages of one call, kept all or none; the most the API takes.
const MAX_PER_CALL: usize = 256;
const JSON: &str = "application/json";

/// Arguments of `amends msg publish`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    amends msg publish --topic orders --tag paid --key o-7 --body '{\"order\":7}'\n  \
    amends msg publish --topic mail --body @letter.txt --content-type text/plain --delay 10m\n  \
    amends msg publish --file messages.jsonl\n\n\
    A file has a JSON object a line: topic, and if need be id, tag, key, order_key, headers, content_type, \
    delay or deliver_time, and the body as json, text or base64. Its messages are published by 256; each such batch \
    is kept whole or not at all. With ids, repeating the command is safe.")]
pub(super) struct PublishArgs {
    /// Publish the messages in this file, one JSON object a line; - is standard input
    #[arg(long, conflicts_with = "topic", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Topic
    #[arg(long, required_unless_present = "file")]
    topic: Option<String>,
    /// Kind within the topic
    #[arg(long, default_value = "", requires = "topic")]
    tag: String,
    /// What it is about, for example an order id
    #[arg(long, default_value = "", requires = "topic")]
    key: String,
    /// Messages with the same order key reach a group one after the other
    #[arg(long, default_value = "", requires = "topic")]
    order_key: String,
    /// A header; may be given several times
    #[arg(long = "header", value_parser = header, requires = "topic", value_name = "NAME=VALUE")]
    headers: Vec<(String, String)>,
    /// The body, or @FILE, or - for standard input
    #[arg(long, requires = "topic", value_name = "BODY|@FILE|-")]
    body: Option<String>,
    /// Content type of the body
    #[arg(long, default_value = JSON, requires = "topic", value_name = "TYPE")]
    content_type: String,
    /// Id; makes repeating the command safe. Without it the coordinator makes one up
    #[arg(long, default_value = "", requires = "topic")]
    id: String,
    /// Deliver it so much later
    #[arg(long, value_parser = duration, requires = "topic", conflicts_with = "at", value_name = "TIME")]
    delay: Option<Duration>,
    /// Deliver it at this time, such as 2026-01-31T08:00:00Z
    #[arg(long, requires = "topic", value_name = "TIME")]
    at: Option<Timestamp>,
}

impl PublishArgs {
    /// What to send. Bad files and bad JSON are found before any connection is made.
    pub(super) fn messages(&self) -> Result<Vec<PublishMessage>, CommandError> {
        if let Some(path) = &self.file {
            return from_lines(path);
        }
        let message = Message {
            id: self.id.clone(),
            topic: self.topic.clone().unwrap_or_default(),
            tag: self.tag.clone(),
            key: self.key.clone(),
            order_key: self.order_key.clone(),
            headers: HashMap::from_iter(self.headers.iter().cloned()),
            payload: self.payload()?,
            deliver_time: self.at,
            create_time: None,
        };
        Ok(vec![PublishMessage {
            message: Some(message),
            delay: self.delay.map(|delay| Span(delay).to_proto()),
        }])
    }

    fn payload(&self) -> Result<Option<Payload>, CommandError> {
        let Some(body) = &self.body else {
            return Ok(None);
        };
        let data = match (body.as_str(), body.strip_prefix('@')) {
            ("-", _) => read(Path::new("-"))?,
            (_, Some(path)) => read(Path::new(path))?,
            (text, None) => text.as_bytes().to_vec(),
        };
        if self.content_type == JSON {
            serde_json::from_slice::<&serde_json::value::RawValue>(&data)
                .map_err(|error| CommandError::Usage(format!("--body: not JSON: {error}")))?;
        }
        Ok(Some(Payload {
            content_type: self.content_type.clone(),
            data: data.into(),
        }))
    }
}

/// What became of a message.
#[derive(Debug, Serialize)]
struct PublishedView {
    id: String,
    created: bool,
}

impl From<&PublishedMessage> for PublishedView {
    fn from(published: &PublishedMessage) -> Self {
        Self {
            id: published.id.clone(),
            created: published.created,
        }
    }
}

pub(super) async fn run(
    remote: &Remote,
    format: Format,
    messages: Vec<PublishMessage>,
) -> Result<Exit, CommandError> {
    let cells = |published: &PublishedView| {
        let created = if published.created {
            "yes"
        } else {
            "no: it was published before"
        };
        vec![published.id.clone(), created.to_owned()]
    };
    let mut listing = Listing::new(format, &["ID", "CREATED"], cells);
    let mut client = remote.messages();
    for (sent, messages) in messages.chunks(MAX_PER_CALL).enumerate() {
        let messages = messages.to_vec();
        let request = PublishMessagesRequest { messages };
        match client.publish_messages(request).await {
            Ok(answer) => {
                let published = answer.into_inner().messages;
                listing.push(published.iter().map(Into::into).collect())?;
            }
            Err(status) if sent == 0 => return Err(status.into()),
            // What was published stands, and is shown.
            Err(status) => {
                CommandError::from(status).report();
                listing.finish()?;
                return Ok(Exit::Partly);
            }
        }
    }
    listing.finish()?;
    Ok(Exit::Done)
}

fn from_lines(path: &Path) -> Result<Vec<PublishMessage>, CommandError> {
    let text = String::from_utf8(read(path)?);
    let text = text.map_err(|_| CommandError::Usage(format!("{}: not UTF-8", path.display())))?;
    let lines = text.lines().zip(1..);
    let lines = lines.filter(|(line, _)| !line.trim().is_empty());
    let messages = lines.map(|(line, number)| {
        let file: Result<MessageFile, _> = serde_json::from_str(line);
        let message = file.map_err(|error| error.to_string());
        let message = message.and_then(MessageFile::publish);
        let place = |wrong| CommandError::Usage(format!("{}:{number}: {wrong}", path.display()));
        message.map_err(place)
    });
    messages.collect()
}

/// A file, or standard input for `-`.
fn read(path: &Path) -> Result<Vec<u8>, CommandError> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    let path = path.display();
    read.map_err(|error| CommandError::Usage(format!("cannot read {path}: {error}")))
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}
