//! Times as they are written, in documents and in iCal.
use crate::zone::{Skipped, Zone};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use foremesh_core::time::Timestamp;

/// A time as written: not yet a moment, because a day or a wall time means one only in a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// A day.
    Day(NaiveDate),
    /// A time on the wall.
    Wall(NaiveDateTime),
    /// A moment.
    Moment(Timestamp),
}

/// Years that events may lie in; outside of them a time is mistyped, and libraries leave their usual paths.
const YEARS: std::ops::RangeInclusive<i32> = 1970..=2200;

impl Written {
    /// Reads `2026-11-27`, `2026-11-27T08:00`, `2026-11-27T08:00:00`, with a blank for the `T` too, or a time with an
    /// offset as in RFC 3339.
    pub(crate) fn from_document(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            return Self::Day(day).within_years();
        }
        let text = text.replacen(' ', "T", 1);
        let wall = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"];
        if let Some(wall) = wall.iter().find_map(|form| NaiveDateTime::parse_from_str(&text, form).ok()) {
            return Self::Wall(wall).within_years();
        }
        let moment = DateTime::parse_from_rfc3339(&text).ok()?;
        Self::Moment(Timestamp::from_unix_ms(moment.timestamp_millis())).within_years()
    }

    /// Reads `20261127`, `20261127T080000` or `20261127T080000Z`, as in RFC 5545.
    pub(crate) fn from_ical(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(day) = NaiveDate::parse_from_str(text, "%Y%m%d") {
            return Self::Day(day).within_years();
        }
        let (digits, utc) = text.strip_suffix('Z').map_or((text, false), |digits| (digits, true));
        let wall = NaiveDateTime::parse_from_str(digits, "%Y%m%dT%H%M%S").ok()?;
        let moment = Timestamp::from_unix_ms(wall.and_utc().timestamp_millis());
        if utc { Self::Moment(moment).within_years() } else { Self::Wall(wall).within_years() }
    }

    fn within_years(self) -> Option<Self> {
        use chrono::Datelike as _;
        let day = self.wall_in(Zone::UTC)?.date();
        YEARS.contains(&day.year()).then_some(self)
    }

    /// The moment that it means in a zone; the first one of a day.
    pub(crate) fn moment_in(self, zone: Zone) -> Timestamp {
        match self {
            Self::Day(day) => zone.day_start(day),
            Self::Wall(wall) => zone.moment(wall, Skipped::OffsetBefore),
            Self::Moment(moment) => moment,
        }
    }

    /// What the clock on a wall in that zone shows then.
    pub(crate) fn wall_in(self, zone: Zone) -> Option<NaiveDateTime> {
        match self {
            Self::Day(day) => Some(day.and_time(NaiveTime::MIN)),
            Self::Wall(wall) => Some(wall),
            Self::Moment(moment) => zone.wall(moment),
        }
    }

    /// Whether an occurrence that starts at `start` is meant: the same moment, or any on that day.
    pub(crate) fn names(self, start: Timestamp, zone: Zone) -> bool {
        match self {
            Self::Day(day) => zone.wall(start).is_some_and(|wall| wall.date() == day),
            Self::Wall(_) | Self::Moment(_) => self.moment_in(zone) == start,
        }
    }
}
