//! Recurrences of RFC 5545: a start, a length, and a rule with exceptions.
use crate::{
    written::Written,
    zone::{Zone, plus_days},
};
use chrono::{NaiveDateTime, NaiveTime, TimeDelta, Utc};
use foremesh_core::time::Timestamp;
use rrule::{Frequency, RRule, RRuleSet, Tz, Unvalidated, Validated};

/// Most starts of a rule that are looked at for one window, those before the window included. A rule with `COUNT` is
/// walked from its start.
const MOST_WALKED: usize = 100_000;

/// How long each occurrence takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// In milliseconds.
    Ms(i64),
    /// In days of the zone, which have 23 to 25 hours.
    Days(u64),
}

/// An event that takes place once or again and again.
#[derive(Clone, Debug)]
pub(crate) struct Recurrence {
    pub(crate) zone: Zone,
    pub(crate) start: Written,
    pub(crate) length: Length,
    pub(crate) rules: Vec<Rule>,
    /// Further starts, and their ends where they have one of their own.
    pub(crate) added: Vec<(Written, Option<Timestamp>)>,
    /// Starts that do not take place.
    pub(crate) removed: Vec<Written>,
}

/// A rule, on the clock of a wall: the library walks in UTC, which has no daylight saving, and what it gives is a wall
/// time of the event's zone. So a start that the clock skips or repeats is ours to place, and always is placed.
#[derive(Clone, Debug)]
pub(crate) struct Rule(RRule<Validated>);

impl Rule {
    /// Reads the value of an `RRULE` for an event that starts at `start`.
    pub(crate) fn parse(text: &str, start: Written, zone: Zone) -> Result<Self, String> {
        let wall = start.wall_in(zone).ok_or("its start is no time")?;
        let mut until = None;
        let mut parts = Vec::new();
        for part in text.trim().trim_end_matches(';').split(';') {
            match part.split_once('=') {
                Some((name, value)) if name.eq_ignore_ascii_case("UNTIL") => {
                    let end = Written::from_ical(value).ok_or_else(|| format!("UNTIL={value} is no time"))?;
                    // A day as the end means the whole of it.
                    until = match (end, start) {
                        (Written::Day(day), Written::Wall(_) | Written::Moment(_)) => {
                            day.and_hms_opt(23, 59, 59)
                        }
                        _ => end.wall_in(zone),
                    };
                }
                _ => parts.push(part),
            }
        }
        let mut rule: RRule<Unvalidated> = parts.join(";").parse().map_err(|error| format!("{error}"))?;
        if let Some(until) = until {
            rule = rule.until(in_utc(until.max(wall)));
        }
        if rule.get_interval() == 0 {
            return Err("INTERVAL=0 never goes on".to_owned());
        }
        if matches!(rule.get_freq(), Frequency::Minutely | Frequency::Secondly) {
            return Err("an event that starts every minute is no event".to_owned());
        }
        Ok(Self(rule.validate(in_utc(wall)).map_err(|error| error.to_string())?))
    }

    /// Wall times from the start on that may lie after `after`, rising; `after` only saves work.
    fn walls(
        &self,
        start: NaiveDateTime,
        after: NaiveDateTime,
    ) -> impl Iterator<Item = NaiveDateTime> + use<> {
        // Moving the start by whole periods changes nothing but where the walk begins, as long as nobody counts.
        let period = match self.0.get_freq() {
            Frequency::Hourly => Some(TimeDelta::hours(1)),
            Frequency::Daily => Some(TimeDelta::days(1)),
            Frequency::Weekly => Some(TimeDelta::weeks(1)),
            _ => None,
        };
        let period = period.and_then(|period| period.checked_mul(i32::from(self.0.get_interval())));
        let begin = match period {
            Some(period) if self.0.get_count().is_none() && after - start > period => {
                let periods = (after - start).num_seconds() / period.num_seconds() - 1;
                i32::try_from(periods)
                    .ok()
                    .and_then(|periods| period.checked_mul(periods))
                    .map_or(start, |by| start + by)
            }
            _ => start,
        };
        // `limit` makes the library give up on rules that never match, such as each 30 February.
        let set = RRuleSet::new(in_utc(begin)).rrule(self.0.clone()).limit();
        (&set).into_iter().take(MOST_WALKED).map(|wall| wall.naive_utc())
    }
}

impl Recurrence {
    /// Occurrences that overlap the window, by start and end, rising, at most `most`.
    pub(crate) fn between(&self, from: Timestamp, to: Timestamp, most: usize) -> Vec<(Timestamp, Timestamp)> {
        let mut found = Vec::new();
        let reach = match self.length {
            Length::Ms(ms) => ms,
            Length::Days(days) => {
                i64::try_from(days).unwrap_or(i64::MAX).saturating_add(1).saturating_mul(86_400_000)
            }
        };
        let early = from.plus_ms(reach.saturating_neg());
        if self.rules.is_empty() {
            found.push(self.occurrence(self.start));
        }
        if let (Some(start), Some(first), Some(last)) =
            (self.start.wall_in(self.zone), self.zone.wall(early), self.zone.wall(to))
        {
            // Two days more, because the wall's clock may differ from itself by a skipped day.
            let (first, last) = (first - TimeDelta::days(2), last + TimeDelta::days(2));
            for rule in &self.rules {
                let walls =
                    rule.walls(start, first).take_while(|wall| *wall <= last).filter(|wall| *wall >= first);
                found.extend(walls.take(most).map(|wall| self.occurrence(self.at_wall(wall))));
            }
        }
        found.extend(self.added.iter().map(|(start, end)| {
            let (start, usual) = self.occurrence(*start);
            (start, end.unwrap_or(usual))
        }));
        // A day that its zone left out has no length.
        found.retain(|(start, end)| {
            start < end
                && *start < to
                && *end > from
                && !self.removed.iter().any(|out| out.names(*start, self.zone))
        });
        found.sort_unstable();
        found.dedup_by_key(|(start, _)| *start);
        found.truncate(most);
        found
    }

    /// A wall time of the kind that the start is of.
    fn at_wall(&self, wall: NaiveDateTime) -> Written {
        if matches!(self.start, Written::Day(_)) && wall.time() == NaiveTime::MIN {
            Written::Day(wall.date())
        } else {
            Written::Wall(wall)
        }
    }

    fn occurrence(&self, start: Written) -> (Timestamp, Timestamp) {
        let first = start.moment_in(self.zone);
        let end = match (self.length, start.wall_in(self.zone)) {
            (Length::Ms(ms), _) => first.plus_ms(ms),
            (Length::Days(days), Some(wall)) => {
                Written::Wall(plus_days(wall.date(), days).and_time(wall.time())).moment_in(self.zone)
            }
            (Length::Days(_), None) => first,
        };
        (first, end)
    }
}

fn in_utc(wall: NaiveDateTime) -> chrono::DateTime<Tz> {
    wall.and_local_timezone(Utc).single().unwrap_or_default().with_timezone(&Tz::UTC)
}
