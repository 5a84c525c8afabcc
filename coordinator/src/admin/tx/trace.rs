//! `amends tx trace`.

use std::time::Duration;

use amends_proto::v1::{ListTransactionRecordsRequest, Took, TransactionRecord};
use prost_types::Timestamp;

use crate::admin::connect::Remote;
use crate::admin::error::CommandError;
use crate::admin::exit::Exit;
use crate::admin::output::{Format, Listing, print, table};
use crate::admin::page::read_pages;
use crate::admin::show;
use crate::admin::view::RecordView;

/// Prints the records of a transaction, oldest first.
pub(super) async fn run(remote: &Remote, format: Format, gid: &str) -> Result<Exit, CommandError> {
    let mut records = Vec::new();
    let mut client = remote.transactions();
    let fetch = async |page_size, page_token| {
        let request = ListTransactionRecordsRequest {
            gid: gid.to_owned(),
            page_size,
            page_token,
        };
        let page = client.list_transaction_records(request).await?.into_inner();
        Ok((page.records, page.next_page_token))
    };
    read_pages(None, fetch, |page| {
        records.extend(page);
        Ok(())
    })
    .await?;
    if format == Format::Table {
        print(&text(&records))?;
    } else {
        let mut listing = Listing::new(format, &[], |_: &RecordView| Vec::new());
        listing.push(records.iter().map(Into::into).collect())?;
        listing.finish()?;
    }
    Ok(Exit::Done)
}

/// The first record has its time, the others how much later they came. Times
/// of calls stand with the record of their end.
fn text(records: &[TransactionRecord]) -> String {
    let first = records.first().and_then(|record| record.time);
    let row = |record: &TransactionRecord| {
        let time = if record.time == first {
            show::time(first.as_ref())
        } else {
            later(first, record.time)
        };
        vec![
            record.number.to_string(),
            time,
            record.kind.clone(),
            record.step.clone(),
            cell(record, |took| took.queue),
            cell(record, |took| took.commit),
            cell(record, |took| took.call),
            cell(record, |took| took.scheduling),
            record.text.clone(),
        ]
    };
    table(
        &[
            "NO", "TIME", "RECORD", "STEP", "QUEUE", "COMMIT", "CALL", "SCHED", "TEXT",
        ],
        records.iter().map(row),
    )
}

/// One part of the time of the call whose end the record tells of.
fn cell(record: &TransactionRecord, part: fn(&Took) -> Option<prost_types::Duration>) -> String {
    let took = record.took.as_ref();
    took.map_or_else(String::new, |took| {
        show::span(show::length(part(took).as_ref()))
    })
}

/// `+1.250s`; clocks of two coordinators may disagree, then it is `-`.
fn later(first: Option<Timestamp>, then: Option<Timestamp>) -> String {
    let since_epoch = |time: Option<Timestamp>| {
        let time = time?;
        Some(Duration::new(
            u64::try_from(time.seconds).ok()?,
            u32::try_from(time.nanos).ok()?,
        ))
    };
    match (since_epoch(first), since_epoch(then)) {
        (Some(first), Some(then)) if then >= first => {
            format!("+{:.3}s", (then - first).as_secs_f64())
        }
        (Some(first), Some(then)) => format!("-{:.3}s", (first - then).as_secs_f64()),
        _ => String::new(),
    }
}
