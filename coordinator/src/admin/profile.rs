//! Where the time of sagas goes, for people: is the coordinator slow, or a service?

use std::collections::BTreeMap;
use std::time::Duration;

use amends_proto::v1::part_of_time::Part;
use amends_proto::v1::{PartOfTime, Profile};
use serde::Serialize;

use super::output::table;
use super::show;

/// How the parts are named and explained, in the order in which they are shown.
const PARTS: [(Part, &str, &str); 6] = [
    (Part::Call, "call", "on the wire and in participants"),
    (Part::Commit, "commit", "waiting for the store to commit"),
    (
        Part::Queue,
        "queue",
        "waiting for a place: shard, calls per target",
    ),
    (
        Part::Scheduling,
        "scheduling",
        "waiting for the coordinator itself",
    ),
    (
        Part::Backoff,
        "backoff",
        "waiting as planned: retries, timers",
    ),
    (Part::Whole, "whole", ""),
];

/// Lengths of one part.
#[derive(Debug, Clone, Default)]
struct Lengths {
    sum: Duration,
    buckets: BTreeMap<Duration, u64>,
}

/// Everything that was counted up to a moment, or between two.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    sagas: BTreeMap<i32, Lengths>,
    calls: BTreeMap<i32, Lengths>,
}

impl From<&Profile> for Counts {
    fn from(profile: &Profile) -> Self {
        Self {
            sagas: lengths(&profile.sagas),
            calls: lengths(&profile.calls),
        }
    }
}

impl Counts {
    /// What was counted after `before`.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            sagas: difference(&self.sagas, &before.sagas),
            calls: difference(&self.calls, &before.calls),
        }
    }
}

fn lengths(parts: &[PartOfTime]) -> BTreeMap<i32, Lengths> {
    let read = parts.iter().map(|part| {
        let buckets = part.buckets.iter();
        let lengths = Lengths {
            sum: show::length(part.sum.as_ref()),
            buckets: buckets
                .map(|bucket| (show::length(bucket.up_to.as_ref()), bucket.count))
                .collect(),
        };
        (part.part, lengths)
    });
    read.collect()
}

fn difference(
    after: &BTreeMap<i32, Lengths>,
    before: &BTreeMap<i32, Lengths>,
) -> BTreeMap<i32, Lengths> {
    let mut difference = after.clone();
    for (part, lengths) in &mut difference {
        let Some(before) = before.get(part) else {
            continue;
        };
        lengths.sum = lengths.sum.saturating_sub(before.sum);
        for (up_to, count) in &mut lengths.buckets {
            let earlier = before.buckets.get(up_to).copied().unwrap_or_default();
            *count = count.saturating_sub(earlier);
        }
    }
    difference
}

impl Lengths {
    fn count(&self) -> u64 {
        self.buckets.values().sum()
    }

    /// The shortest length that so many per mille do not exceed.
    fn at(&self, per_mille: u64) -> Option<Duration> {
        let rank = (self.count() * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        let mut buckets = self.buckets.iter();
        let found = buckets.find(|(_, count)| {
            seen += **count;
            seen >= rank
        });
        found.map(|(up_to, _)| *up_to)
    }
}

/// A profile as `-o json` shows it. Times in milliseconds, shares of the whole.
#[derive(Debug, Serialize)]
pub(super) struct ProfileView {
    /// One line: where most of the time went.
    pub(super) summary: String,
    sagas: GroupView,
    calls: GroupView,
}

#[derive(Debug, Serialize)]
struct GroupView {
    count: u64,
    parts: Vec<PartView>,
}

#[derive(Debug, Serialize)]
struct PartView {
    part: &'static str,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    share: f64,
}

impl From<&Counts> for ProfileView {
    fn from(counts: &Counts) -> Self {
        let sagas = GroupView::from(&counts.sagas);
        Self {
            summary: sagas.summary(),
            sagas,
            calls: GroupView::from(&counts.calls),
        }
    }
}

impl From<&BTreeMap<i32, Lengths>> for GroupView {
    fn from(group: &BTreeMap<i32, Lengths>) -> Self {
        let nothing = Lengths::default();
        let of = |part: Part| group.get(&part.into()).unwrap_or(&nothing);
        let whole = of(Part::Whole).sum.as_secs_f64();
        let parts = PARTS.into_iter().map(|(part, name, _)| {
            let lengths = of(part);
            let ms = |per_mille| lengths.at(per_mille).map(show::millis);
            PartView {
                part: name,
                p50_ms: ms(500),
                p99_ms: ms(990),
                share: if whole > 0.0 {
                    (lengths.sum.as_secs_f64() / whole * 10_000.0).round() / 10_000.0
                } else {
                    0.0
                },
            }
        });
        Self {
            count: of(Part::Whole).count(),
            parts: parts.collect(),
        }
    }
}

impl GroupView {
    fn share(&self, name: &str) -> f64 {
        let found = self.parts.iter().find(|part| part.part == name);
        found.map_or(0.0, |part| part.share)
    }

    fn summary(&self) -> String {
        if self.count == 0 {
            return "no saga has ended yet".to_owned();
        }
        let [call, commit, queue, scheduling, backoff] =
            ["call", "commit", "queue", "scheduling", "backoff"].map(|name| self.share(name));
        format!(
            "{} of a saga's time in participants, {} in the coordinator ({} commits, {} queues, {} itself), {} planned waits",
            percent(call),
            percent(commit + queue + scheduling),
            percent(commit),
            percent(queue),
            percent(scheduling),
            percent(backoff),
        )
    }

    fn table(&self) -> String {
        let rows = self.parts.iter().zip(PARTS).map(|(view, (_, _, text))| {
            let time = |ms: Option<f64>| {
                ms.map_or_else(String::new, |ms| {
                    show::span(Duration::from_secs_f64(ms / 1000.0))
                })
            };
            vec![
                view.part.to_owned(),
                time(view.p50_ms),
                time(view.p99_ms),
                percent(view.share),
                text.to_owned(),
            ]
        });
        table(&["PART", "P50", "P99", "SHARE", ""], rows)
    }
}

impl ProfileView {
    pub(super) fn text(&self) -> String {
        format!(
            "{}\n\n{} sagas that ended\n{}\n{} calls\n{}",
            self.summary,
            self.sagas.count,
            self.sagas.table(),
            self.calls.count,
            self.calls.table(),
        )
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_proto::v1::TimeBucket;

    fn micros(micros: u64) -> Option<prost_types::Duration> {
        Some(prost_types::Duration {
            seconds: 0,
            nanos: i32::try_from(micros * 1000).unwrap_or(0),
        })
    }

    fn part(part: Part, sum: u64, buckets: &[(u64, u64)]) -> PartOfTime {
        let bucket = |&(up_to, count): &(u64, u64)| TimeBucket {
            up_to: micros(up_to),
            count,
        };
        PartOfTime {
            part: part.into(),
            sum: micros(sum),
            buckets: buckets.iter().map(bucket).collect(),
        }
    }

    fn counts(times: u64) -> Counts {
        let sagas = vec![
            part(
                Part::Whole,
                10_000 * times,
                &[(900, 9 * times), (1_900, times)],
            ),
            part(Part::Call, 7_500 * times, &[(700, 10 * times)]),
            part(
                Part::Commit,
                2_500 * times,
                &[(200, 9 * times), (1_000, times)],
            ),
        ];
        Counts::from(&Profile {
            sagas,
            calls: Vec::new(),
        })
    }

    #[test]
    fn one_look_tells_who_is_slow() {
        let view = ProfileView::from(&counts(1));
        assert_eq!(
            view.summary,
            "75.0 % of a saga's time in participants, 25.0 % in the coordinator \
             (25.0 % commits, 0.0 % queues, 0.0 % itself), 0.0 % planned waits"
        );
        assert_eq!(view.sagas.count, 10);
        let commit = &view.sagas.parts[1];
        assert_eq!((commit.p50_ms, commit.p99_ms), (Some(0.2), Some(1.0)));
    }

    #[test]
    fn what_came_later_alone() {
        let later = ProfileView::from(&counts(3).since(&counts(1)));
        assert_eq!(later.sagas.count, 20);
        assert_eq!(later.summary, ProfileView::from(&counts(1)).summary);
        let nothing = ProfileView::from(&counts(1).since(&counts(1)));
        assert_eq!(nothing.summary, "no saga has ended yet");
        assert_eq!(nothing.sagas.parts[0].p50_ms, None);
    }
}
