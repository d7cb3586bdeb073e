//! Zones and daylight saving, held against another library with its own copy of the zone database.

use crate::calendars::{calendar, starts};
use jiff::{
    civil::{DateTime, date},
    tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase},
};
use proptest::prelude::*;

/// Zones with changes of an hour, of half an hour, at midnight, of a whole day, without any, and with odd offsets.
const ZONES: [&str; 12] = [
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Africa/Casablanca",
    "Asia/Tehran",
    "America/Santiago",
    "UTC",
];

fn zone(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).unwrap()
}

/// The moment of a wall time by the rules of RFC 5545, 3.3.5, and whether the clock skips it.
fn by_offset_before(zone: &TimeZone, wall: DateTime) -> (i64, bool) {
    let ambiguous = zone.to_ambiguous_zoned(wall);
    let skipped = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
    (ambiguous.compatible().unwrap().timestamp().as_millisecond(), skipped)
}

/// The moment of a wall time, or the end of the gap that it lies in.
fn by_gap_end(zone: &TimeZone, wall: DateTime) -> i64 {
    let ambiguous = zone.to_ambiguous_zoned(wall);
    if !matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. }) {
        return ambiguous.earlier().unwrap().timestamp().as_millisecond();
    }
    let after = ambiguous.compatible().unwrap().timestamp();
    let change = zone.preceding(after + jiff::SignedDuration::from_secs(1)).next().unwrap();
    change.timestamp().as_millisecond()
}

/// A day within two days of a change of the clock, so that every second case meets one.
fn day(zone: &TimeZone, from_day: i32, near: Option<i8>) -> jiff::civil::Date {
    let some_day = date(2000, 1, 1).checked_add(jiff::Span::new().days(from_day)).unwrap();
    let start = some_day.to_zoned(zone.clone()).unwrap().timestamp();
    match (near, zone.following(start).next()) {
        (Some(near), Some(change)) => {
            let change = change.timestamp().to_zoned(zone.clone()).date();
            change.checked_add(jiff::Span::new().days(near)).unwrap()
        }
        _ => some_day,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_cron_time_is_where_the_other_library_puts_it(
        zone_name in proptest::sample::select(&ZONES[..]),
        from_day in 0..9_000_i32,
        near in proptest::option::of(-1..=1_i8),
        hour in 0..24_i8,
        minute in 0..60_i8,
    ) {
        let zone = zone(zone_name);
        let day = day(&zone, from_day, near);
        let wall = day.at(hour, minute, 0, 0);
        let pattern = format!("{minute} {hour} {} {} *", day.day(), day.month());
        let calendar = calendar(&format!("zone: {zone_name}, when: {{cron: \"{pattern}\"}}, duration: 10m"));
        let want = by_gap_end(&zone, wall);
        let day_ms = 86_400_000;
        prop_assert_eq!(starts(&calendar, want - 3 * day_ms, want + 3 * day_ms), vec![want], "{} {}", wall, zone_name);
    }

    #[test]
    fn a_rule_gives_the_same_wall_time_each_day(
        zone_name in proptest::sample::select(&ZONES[..]),
        from_day in 0..9_000_i32,
        hour in 0..24_i8,
        minute in 0..60_i8,
        interval in 1..4_i32,
    ) {
        let zone = zone(zone_name);
        let first = day(&zone, from_day, Some(-1));
        let start = first.at(hour, minute, 0, 0);
        // A start that the clock skips is no day of its own to begin with.
        prop_assume!(!by_offset_before(&zone, start).1);
        let rule = format!(
            "DTSTART;TZID={zone_name}:{}\\nRRULE:FREQ=DAILY;INTERVAL={interval};COUNT=40",
            start.strftime("%Y%m%dT%H%M%S"),
        );
        let calendar = calendar(&format!("when: {{rrule: \"{rule}\"}}, duration: 10m"));
        let mut want: Vec<i64> = (0..40)
            .map(|nth| first.checked_add(jiff::Span::new().days(nth * interval)).unwrap())
            .map(|day| by_offset_before(&zone, day.at(hour, minute, 0, 0)).0)
            .collect();
        // A day that was left out altogether falls onto the next one.
        want.dedup();
        prop_assert_eq!(starts(&calendar, want[0] - 1, want[want.len() - 1] + 1), want);
    }

    #[test]
    fn a_day_is_as_long_as_its_zone_says(
        zone_name in proptest::sample::select(&ZONES[..]),
        from_day in 0..9_000_i32,
        near in -1..=1_i8,
    ) {
        let zone = zone(zone_name);
        let day = day(&zone, from_day, Some(near));
        let next = day.tomorrow().unwrap();
        let text = format!(
            "BEGIN:VCALENDAR\\nBEGIN:VEVENT\\nUID:1\\nDTSTART;VALUE=DATE:{}\\nEND:VEVENT\\nEND:VCALENDAR\\n",
            day.strftime("%Y%m%d"),
        );
        let calendar = calendar(&format!("zone: {zone_name}, when: {{ical: {{text: \"{text}\"}}}}"));
        let (start, end) = (by_gap_end(&zone, day.at(0, 0, 0, 0)), by_gap_end(&zone, next.at(0, 0, 0, 0)));
        let found = calendar.all_occurrences(
            foremesh_core::time::Timestamp::from_unix_ms(start - 200_000_000),
            foremesh_core::time::Timestamp::from_unix_ms(end + 200_000_000),
        );
        // A day that was left out has no length, and so does not take place.
        let want = if start == end { vec![] } else { vec![(start, end)] };
        let found: Vec<_> = found.iter().map(|one| (one.start.unix_ms(), one.end.unix_ms())).collect();
        prop_assert_eq!(found, want);
    }
}
