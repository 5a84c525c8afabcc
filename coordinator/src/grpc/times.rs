//! Measured times on the wire.

use std::time::Duration;

use amends_core::took::Took;
use amends_proto::v1;
use amends_proto::v1::part_of_time;

use crate::engine::{Counted, Part, Profile};

pub(super) fn profile(profile: &Profile) -> v1::Profile {
    v1::Profile {
        sagas: parts(&profile.sagas),
        calls: parts(&profile.calls),
    }
}

pub(super) fn took(took: Took) -> v1::Took {
    let micros = |micros| Some(span(Duration::from_micros(micros)));
    v1::Took {
        queue: micros(took.queue),
        commit: micros(took.commit),
        call: micros(took.call),
        scheduling: micros(took.scheduling),
    }
}

fn parts(parts: &[(Part, Counted)]) -> Vec<v1::PartOfTime> {
    let shown = parts.iter().map(|(part, counted)| v1::PartOfTime {
        part: match part {
            Part::Whole => part_of_time::Part::Whole,
            Part::Queue => part_of_time::Part::Queue,
            Part::Commit => part_of_time::Part::Commit,
            Part::Call => part_of_time::Part::Call,
            Part::Scheduling => part_of_time::Part::Scheduling,
            Part::Backoff => part_of_time::Part::Backoff,
        }
        .into(),
        sum: Some(span(counted.sum)),
        buckets: counted.buckets.iter().map(bucket).collect(),
    });
    shown.collect()
}

fn bucket(&(up_to, count): &(Duration, u64)) -> v1::TimeBucket {
    v1::TimeBucket {
        up_to: Some(span(up_to)),
        count,
    }
}

fn span(time: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(time.subsec_nanos()).unwrap_or(0),
    }
}
