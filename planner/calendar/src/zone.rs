//! From clocks on a wall to moments: time zones, and the hours that daylight saving skips and repeats.
use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use foremesh_core::time::Timestamp;

/// A time zone of the IANA database, as bundled; the machine's own database is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Zone(Tz);

/// What a wall time means when the clock was put forward over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skipped {
    /// As long after the gap as it is after the gap's begin: the offset before the gap holds (RFC 5545, 3.3.5).
    OffsetBefore,
    /// The end of the gap, as cron daemons do.
    GapEnd,
}

/// Longest gap that is looked for. The longest that ever was is the day that Samoa left out in 2011.
const LONGEST_GAP_MINUTES: i64 = 25 * 60;

impl Zone {
    pub(crate) const UTC: Self = Self(Tz::UTC);

    /// A zone by its IANA name, by the path that some calendars put before it, or by the name that Windows gives it.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let name = name.trim().trim_matches('"');
        if let Ok(zone) = name.parse() {
            return Some(Self(zone));
        }
        if let Some((_, iana)) = WINDOWS_ZONES.iter().find(|(windows, _)| *windows == name) {
            return iana.parse().ok().map(Self);
        }
        // Such as `/freeassociation.sourceforge.net/Europe/Berlin`.
        let mut rest = name.strip_prefix('/')?;
        while let Some((_, after)) = rest.split_once('/') {
            if let Ok(zone) = after.parse() {
                return Some(Self(zone));
            }
            rest = after;
        }
        None
    }

    /// The moment of a wall time. A time that the clock shows twice means the first one (RFC 5545, 3.3.5).
    pub(crate) fn moment(self, wall: NaiveDateTime, skipped: Skipped) -> Timestamp {
        if let Some(moment) = self.0.from_local_datetime(&wall).earliest() {
            return timestamp(moment.with_timezone(&Utc));
        }
        let before = (1..=LONGEST_GAP_MINUTES / 15).find_map(|quarters| {
            let earlier = wall.checked_sub_signed(TimeDelta::minutes(15 * quarters))?;
            self.0.from_local_datetime(&earlier).latest()
        });
        // Without a valid time before it the wall time is outside of the calendar; any answer would do.
        let Some(before) = before else { return timestamp(wall.and_utc()) };
        let offset = before.offset().fix();
        let shifted = wall - TimeDelta::seconds(i64::from(offset.local_minus_utc()));
        match skipped {
            Skipped::OffsetBefore => timestamp(shifted.and_utc()),
            Skipped::GapEnd => timestamp(self.change_between(before.naive_utc(), shifted).and_utc()),
        }
    }

    /// Both moments of a wall time that the clock shows twice, one of most, none of one that it skips.
    pub(crate) fn moments(self, wall: NaiveDateTime) -> impl Iterator<Item = Timestamp> {
        let found = self.0.from_local_datetime(&wall);
        let second = found.latest().filter(|latest| Some(latest) != found.earliest().as_ref());
        found.earliest().into_iter().chain(second).map(|moment| timestamp(moment.with_timezone(&Utc)))
    }

    /// What the clock on the wall shows.
    pub(crate) fn wall(self, at: Timestamp) -> Option<NaiveDateTime> {
        Some(DateTime::<Utc>::from_timestamp_millis(at.unix_ms())?.with_timezone(&self.0).naive_local())
    }

    /// The first moment of a day.
    pub(crate) fn day_start(self, day: NaiveDate) -> Timestamp {
        self.moment(day.and_time(NaiveTime::MIN), Skipped::GapEnd)
    }

    /// First second of the new offset, when the offset changes once between the two moments.
    fn change_between(self, mut before: NaiveDateTime, mut after: NaiveDateTime) -> NaiveDateTime {
        let old = self.0.offset_from_utc_datetime(&before).fix();
        while after - before > TimeDelta::seconds(1) {
            let middle = before + TimeDelta::seconds((after - before).num_seconds() / 2);
            if self.0.offset_from_utc_datetime(&middle).fix() == old {
                before = middle;
            } else {
                after = middle;
            }
        }
        after
    }
}

fn timestamp(moment: DateTime<Utc>) -> Timestamp {
    Timestamp::from_unix_ms(moment.timestamp_millis())
}

/// So many days later; the last day there is when there are not so many.
pub(crate) fn plus_days(day: NaiveDate, days: u64) -> NaiveDate {
    day.checked_add_days(Days::new(days)).unwrap_or(NaiveDate::MAX)
}

/// Names that Windows, and so Outlook and Exchange, give to the zones most asked for (Unicode CLDR, windowsZones, the
/// default territory of each).
const WINDOWS_ZONES: [(&str, &str); 40] = [
    ("AUS Eastern Standard Time", "Australia/Sydney"),
    ("Arab Standard Time", "Asia/Riyadh"),
    ("Arabian Standard Time", "Asia/Dubai"),
    ("Argentina Standard Time", "America/Buenos_Aires"),
    ("Atlantic Standard Time", "America/Halifax"),
    ("Canada Central Standard Time", "America/Regina"),
    ("Cen. Australia Standard Time", "Australia/Adelaide"),
    ("Central America Standard Time", "America/Guatemala"),
    ("Central Europe Standard Time", "Europe/Budapest"),
    ("Central European Standard Time", "Europe/Warsaw"),
    ("Central Standard Time", "America/Chicago"),
    ("China Standard Time", "Asia/Shanghai"),
    ("E. Africa Standard Time", "Africa/Nairobi"),
    ("E. Australia Standard Time", "Australia/Brisbane"),
    ("E. South America Standard Time", "America/Sao_Paulo"),
    ("Eastern Standard Time", "America/New_York"),
    ("Egypt Standard Time", "Africa/Cairo"),
    ("FLE Standard Time", "Europe/Kiev"),
    ("GMT Standard Time", "Europe/London"),
    ("GTB Standard Time", "Europe/Bucharest"),
    ("Greenwich Standard Time", "Atlantic/Reykjavik"),
    ("Hawaiian Standard Time", "Pacific/Honolulu"),
    ("India Standard Time", "Asia/Calcutta"),
    ("Israel Standard Time", "Asia/Jerusalem"),
    ("Korea Standard Time", "Asia/Seoul"),
    ("Mountain Standard Time", "America/Denver"),
    ("Nepal Standard Time", "Asia/Katmandu"),
    ("New Zealand Standard Time", "Pacific/Auckland"),
    ("Newfoundland Standard Time", "America/St_Johns"),
    ("Pacific Standard Time", "America/Los_Angeles"),
    ("Romance Standard Time", "Europe/Paris"),
    ("Russian Standard Time", "Europe/Moscow"),
    ("SA Pacific Standard Time", "America/Bogota"),
    ("SE Asia Standard Time", "Asia/Bangkok"),
    ("Singapore Standard Time", "Asia/Singapore"),
    ("South Africa Standard Time", "Africa/Johannesburg"),
    ("Tokyo Standard Time", "Asia/Tokyo"),
    ("Turkey Standard Time", "Europe/Istanbul"),
    ("US Mountain Standard Time", "America/Phoenix"),
    ("W. Europe Standard Time", "Europe/Berlin"),
];
