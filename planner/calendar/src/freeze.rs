//! Freeze windows of policies, from clocks on a wall to moments.
//!
//! Where a clock is put forward or back, a freeze is rather longer than shorter: a begin that the clock skips is at the
//! end of the gap, when it would have been reached; a begin that it shows twice is the first one, an end that it shows
//! twice the second.
use crate::{
    cron::Pattern,
    event_calendar::MOST_OCCURRENCES,
    written::Written,
    zone::{Skipped, Zone, plus_days},
};
use chrono::{Datelike as _, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use foremesh_core::{
    document::SpecProblem,
    inputs::Freeze,
    policy::{FreezeTime, FreezeWindow, RelocationPolicy},
    time::Timestamp,
};

/// What is wrong with the freeze windows of a policy beyond their form: zones, patterns and dates. Empty when nothing is.
pub fn check_freezes(policy: &RelocationPolicy) -> Vec<SpecProblem> {
    let read = policy.freezes.iter().enumerate().filter_map(|(index, window)| {
        let problem = Times::read(window).err()?;
        let path = format!("spec.freeze[{index}].{}", problem.field);
        Some(SpecProblem {
            path,
            value: problem.value,
            limit: problem.limit,
            remedy: problem.remedy.to_owned(),
        })
    });
    read.collect()
}

/// The freezes of all policies that touch the time between `from`, inclusive, and `to`, exclusive, in the order of their
/// begins. A window that cannot be read freezes all of that time: what its policy may do is not known.
pub fn freezes(policies: &[RelocationPolicy], from: Timestamp, to: Timestamp) -> Vec<Freeze> {
    let mut found = Vec::new();
    for policy in policies {
        for window in &policy.freezes {
            let spans =
                Times::read(window).map_or_else(|_| vec![(from, to)], |times| times.between(from, to));
            found.extend(spans.into_iter().map(|(from, to)| Freeze {
                policy: policy.id.clone(),
                window: window.name.clone(),
                from,
                to,
            }));
        }
    }
    found.sort_by(|a, b| (a.from, &a.policy, &a.window).cmp(&(b.from, &b.policy, &b.window)));
    found
}

/// What is wrong with a window.
struct Unreadable {
    field: &'static str,
    value: String,
    limit: String,
    remedy: &'static str,
}

/// A window that was read.
enum Times<'a> {
    Daily { zone: Zone, from_minute: u16, to_minute: u16, days: &'a [u8] },
    Cron { zone: Zone, pattern: Box<Pattern>, duration_ms: i64 },
    Once { from: Timestamp, to: Timestamp },
}

impl<'a> Times<'a> {
    fn read(window: &'a FreezeWindow) -> Result<Self, Unreadable> {
        let zone = Zone::named(&window.time_zone).ok_or_else(|| Unreadable {
            field: "timeZone",
            value: format!("`{}`", window.time_zone),
            limit: "no time zone has that name".to_owned(),
            remedy: "use a name of the IANA database, such as Europe/Berlin",
        })?;
        match &window.when {
            FreezeTime::Daily { from_minute, to_minute, days } => {
                Ok(Self::Daily { zone, from_minute: *from_minute, to_minute: *to_minute, days })
            }
            FreezeTime::Cron { cron, duration_ms } => match Pattern::parse(cron) {
                Ok(pattern) => Ok(Self::Cron { zone, pattern: Box::new(pattern), duration_ms: *duration_ms }),
                Err(why) => Err(Unreadable {
                    field: "cron",
                    value: format!("`{cron}`"),
                    limit: format!("it must be a cron pattern of five fields: {why}"),
                    remedy: "write minute, hour, day, month and day of the week, such as `0 22 * * fri`",
                }),
            },
            FreezeTime::Once { from, to } => {
                let read = |field, text: &str| {
                    Written::from_document(text).ok_or_else(|| Unreadable {
                        field,
                        value: format!("`{text}`"),
                        limit: "it must be a day, or a day and a time".to_owned(),
                        remedy: "write for example 2026-12-20T18:00",
                    })
                };
                let (begin, end) = (read("from", from)?, read("to", to)?);
                let (begin, end) = (begin.moment_in(zone), end_of(end, zone));
                if begin >= end {
                    return Err(Unreadable {
                        field: "to",
                        value: format!("`{to}`"),
                        limit: format!("it must be after `from`, which is {from}"),
                        remedy: "correct one of them",
                    });
                }
                Ok(Self::Once { from: begin, to: end })
            }
        }
    }

    /// Spans that touch the time between two moments.
    fn between(&self, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, Timestamp)> {
        let mut spans = match self {
            Self::Once { from, to } => vec![(*from, *to)],
            Self::Cron { zone, pattern, duration_ms } => {
                let starts = pattern.starts(*zone, from.plus_ms(1 - duration_ms), to, MOST_OCCURRENCES);
                starts.into_iter().map(|start| (start, start.plus_ms(*duration_ms))).collect()
            }
            Self::Daily { zone, from_minute, to_minute, days } => {
                daily(*zone, (*from_minute, *to_minute), days, from, to)
            }
        };
        spans.retain(|(begin, end)| *begin < to && *end > from);
        spans
    }
}

fn daily(
    zone: Zone,
    (from_minute, to_minute): (u16, u16),
    days: &[u8],
    from: Timestamp,
    to: Timestamp,
) -> Vec<(Timestamp, Timestamp)> {
    let (Some(first), Some(last)) = (zone.wall(from), zone.wall(to)) else { return Vec::new() };
    // One that began two days ago ends yesterday at the latest; what the clock skips or repeats can add a day.
    let mut day = first.date() - TimeDelta::days(3);
    let last = plus_days(last.date(), 1);
    let mut spans = Vec::new();
    while day <= last {
        if days.contains(&(day.weekday().num_days_from_monday() as u8)) {
            let overnight = u64::from(to_minute <= from_minute);
            let begin = zone.moment(wall(day, from_minute), Skipped::GapEnd);
            let end = last_moment(zone, wall(plus_days(day, overnight), to_minute));
            // A window of a skipped hour is nothing.
            spans.extend((begin < end).then_some((begin, end)));
        }
        let Some(next) = day.succ_opt() else { break };
        day = next;
    }
    spans
}

/// A minute of a day, the last of which is the first of the next.
fn wall(day: NaiveDate, minute: u16) -> NaiveDateTime {
    let time = TimeDelta::minutes(i64::from(minute));
    day.and_time(NaiveTime::MIN) + time
}

fn end_of(written: Written, zone: Zone) -> Timestamp {
    match written {
        Written::Wall(wall) => last_moment(zone, wall),
        Written::Day(_) | Written::Moment(_) => written.moment_in(zone),
    }
}

/// The last moment at which the clock shows this time, or the end of the gap that skips it.
fn last_moment(zone: Zone, wall: NaiveDateTime) -> Timestamp {
    zone.moments(wall).last().unwrap_or_else(|| zone.moment(wall, Skipped::GapEnd))
}
