//! Cron patterns, rules and iCal texts, case by case, and any text at all.
use crate::calendars::{at, calendar, checked, document, moment, spans};
use foremesh_calendar::FeedReport;
use proptest::prelude::*;

/// What takes place in a window, in UTC.
fn listed(event: &str, from: &str, to: &str) -> Vec<String> {
    spans(&calendar(event).all_occurrences(moment(from), moment(to)))
}

#[test]
fn cron_patterns() {
    let berlin = |pattern: &str| format!("zone: Europe/Berlin, when: {{cron: \"{pattern}\"}}, duration: 1h");
    // 29 March 2026: 02:00 becomes 03:00 in Berlin, 01:00 UTC. 25 October 2026: 03:00 becomes 02:00, 01:00 UTC.
    let cases: [(&str, &str, &str, &[&str]); 9] = [
        (
            "30 2 * * *",
            "2026-03-28T00:00Z",
            "2026-03-31T00:00Z",
            &["2026-03-28T01:30 60m", "2026-03-29T01:00 60m", "2026-03-30T00:30 60m"],
        ),
        (
            "30 2 * * *",
            "2026-10-24T00:00Z",
            "2026-10-27T00:00Z",
            &["2026-10-24T00:30 60m", "2026-10-25T00:30 60m", "2026-10-26T01:30 60m"],
        ),
        (
            "30 */2 * * *",
            "2026-10-24T23:30Z",
            "2026-10-25T04:00Z",
            &["2026-10-25T00:30 60m", "2026-10-25T01:30 60m", "2026-10-25T03:30 60m"],
        ),
        (
            "30 */2 * * *",
            "2026-03-29T00:00Z",
            "2026-03-29T04:00Z",
            &["2026-03-28T23:30 60m", "2026-03-29T02:30 60m"],
        ),
        (
            "0 9 * * MON",
            "2026-01-01T00:00Z",
            "2026-01-15T00:00Z",
            &["2026-01-05T08:00 60m", "2026-01-12T08:00 60m"],
        ),
        (
            "0 0 1,15 * *",
            "2026-06-30T00:00Z",
            "2026-07-20T00:00Z",
            &["2026-06-30T22:00 60m", "2026-07-14T22:00 60m"],
        ),
        ("0 0 L * *", "2028-02-01T00:00Z", "2028-03-01T00:00Z", &["2028-02-28T23:00 60m"]),
        ("0 12 29 2 *", "2026-01-01T00:00Z", "2029-01-01T00:00Z", &["2028-02-29T11:00 60m"]),
        ("0 12 30 2 *", "1970-01-01T00:00Z", "2200-01-01T00:00Z", &[]),
    ];
    for (pattern, from, to, want) in cases {
        assert_eq!(listed(&berlin(pattern), from, to), want, "{pattern} from {from}");
    }
}

#[test]
fn rules_of_rfc_5545() {
    let rule = |lines: &str| format!("when: {{rrule: \"{lines}\"}}, duration: 30m");
    let cases: [(&str, &str, &str, &[&str]); 8] = [
        // A weekly meeting keeps its hour when summer begins.
        (
            "DTSTART;TZID=Europe/Berlin:20260323T090000\\nRRULE:FREQ=WEEKLY;BYDAY=MO;COUNT=2",
            "2026-01-01T00:00Z",
            "2027-01-01T00:00Z",
            &["2026-03-23T08:00 30m", "2026-03-30T07:00 30m"],
        ),
        // The skipped 02:30 is as long after the gap as it would be after its begin; the repeated one is the first.
        (
            "DTSTART;TZID=Europe/Berlin:20260328T023000\\nRRULE:FREQ=DAILY;COUNT=3",
            "2026-01-01T00:00Z",
            "2027-01-01T00:00Z",
            &["2026-03-28T01:30 30m", "2026-03-29T01:30 30m", "2026-03-30T00:30 30m"],
        ),
        (
            "DTSTART;TZID=Europe/Berlin:20261024T023000\\nRRULE:FREQ=DAILY;COUNT=3",
            "2026-01-01T00:00Z",
            "2027-01-01T00:00Z",
            &["2026-10-24T00:30 30m", "2026-10-25T00:30 30m", "2026-10-26T01:30 30m"],
        ),
        (
            "DTSTART:20260101T080000Z\\nRRULE:FREQ=DAILY;UNTIL=20260104T080000Z\\nEXDATE:20260102T080000Z",
            "2026-01-01T00:00Z",
            "2027-01-01T00:00Z",
            &["2026-01-01T08:00 30m", "2026-01-03T08:00 30m", "2026-01-04T08:00 30m"],
        ),
        (
            "DTSTART:20260101T080000Z\\nRRULE:FREQ=DAILY;UNTIL=20260102\\nRDATE:20260110T120000Z",
            "2026-01-01T00:00Z",
            "2027-01-01T00:00Z",
            &["2026-01-01T08:00 30m", "2026-01-02T08:00 30m", "2026-01-10T12:00 30m"],
        ),
        (
            "DTSTART:20260101T080000Z\\nRDATE;VALUE=PERIOD:20260110T120000Z/20260110T130000Z,20260111T120000Z/PT2H",
            "2026-01-02T00:00Z",
            "2027-01-01T00:00Z",
            &["2026-01-10T12:00 60m", "2026-01-11T12:00 120m"],
        ),
        (
            "DTSTART:19970902T090000Z\\nRRULE:FREQ=MONTHLY;BYDAY=-1FR",
            "2026-01-01T00:00Z",
            "2026-03-01T00:00Z",
            &["2026-01-30T09:00 30m", "2026-02-27T09:00 30m"],
        ),
        // Far from its start: every third day since 1990 must still be every third day.
        (
            "DTSTART:19900101T060000Z\\nRRULE:FREQ=DAILY;INTERVAL=3",
            "2026-01-01T00:00Z",
            "2026-01-08T00:00Z",
            &["2026-01-01T06:00 30m", "2026-01-04T06:00 30m", "2026-01-07T06:00 30m"],
        ),
    ];
    for (lines, from, to, want) in cases {
        assert_eq!(listed(&rule(lines), from, to), want, "{lines}");
    }
}

const FEED: &str = "BEGIN:VCALENDAR\r
VERSION:2.0\r
BEGIN:VEVENT\r
UID:weekly\r
SUMMARY:Planning, with a long name that is fold\r
 ed\r
DTSTART;TZID=W. Europe Standard Time:20260105T090000\r
DTEND;TZID=W. Europe Standard Time:20260105T100000\r
RRULE:FREQ=WEEKLY;COUNT=4\r
EXDATE;TZID=Europe/Berlin:20260112T090000\r
CATEGORIES:meeting,load\r
BEGIN:VALARM\r
TRIGGER:-PT5M\r
END:VALARM\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:weekly\r
RECURRENCE-ID;TZID=Europe/Berlin:20260119T090000\r
DTSTART:20260120T120000Z\r
DURATION:PT30M\r
SUMMARY:Moved\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:weekly\r
RECURRENCE-ID:20260126T080000Z\r
DTSTART:20260126T080000Z\r
STATUS:CANCELLED\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:holiday\r
SUMMARY:Spring forward\r
DTSTART;VALUE=DATE:20260329\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:off\r
DTSTART:20260301T000000Z\r
DTEND:20260302T000000Z\r
STATUS:CANCELLED\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:nowhere\r
DTSTART;TZID=Mars/Olympus:20260301T000000\r
END:VEVENT\r
END:VCALENDAR\r
";

#[test]
fn an_ical_feed_with_changes_and_cancellations() {
    let mut calendar = calendar("zone: Europe/Berlin, when: {ical: {file: a.ics}}, tags: [office]");
    assert_eq!(calendar.feeds()[0].refresh_ms, 3_600_000);
    let report = calendar.read_feed("event", FEED).unwrap();
    assert_eq!(report.events, 3);
    assert_eq!(
        report.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["spec.events[0].when.ical: nowhere is `Mars/Olympus`, but no such time zone is known; \
          name it as IANA does, such as Europe/Berlin"]
    );
    let found = calendar.all_occurrences(moment("2026-01-01T00:00Z"), moment("2027-01-01T00:00Z"));
    assert_eq!(spans(&found), ["2026-01-05T08:00 60m", "2026-01-20T12:00 30m", "2026-03-28T23:00 1380m"]);
    assert_eq!(found[0].event, "event/Planning, with a long name that is folded");
    assert_eq!(found[0].tags, ["office", "meeting", "load"]);

    // What it said stays in force when the next text is none.
    let problems = calendar.read_feed("event", "<html>busy</html>").unwrap_err();
    assert!(problems[0].limit.starts_with("it is no calendar of RFC 5545"), "{}", problems[0]);
    assert_eq!(calendar.all_occurrences(moment("2026-01-01T00:00Z"), moment("2027-01-01T00:00Z")), found);
    // An empty calendar is one.
    let empty = "BEGIN:VCALENDAR\nVERSION:2.0\nEND:VCALENDAR\n";
    assert_eq!(calendar.read_feed("event", empty), Ok(FeedReport::default()));
    assert!(calendar.all_occurrences(moment("2026-01-01T00:00Z"), moment("2027-01-01T00:00Z")).is_empty());
}

#[test]
fn an_event_that_began_before_the_window_is_in_it() {
    let event = "when: {at: {start: 2026-01-01, end: 2026-01-03}}";
    assert_eq!(listed(event, "2026-01-02T12:00Z", "2026-01-02T13:00Z"), ["2026-01-01T00:00 2880m"]);
    assert!(listed(event, "2026-01-03T00:00Z", "2026-01-04T00:00Z").is_empty());
}

#[test]
fn nested_components_do_not_end_the_process() {
    let deep = "BEGIN:A\n".repeat(100_000);
    let mut calendar = calendar("when: {ical: {file: a.ics}}");
    assert!(calendar.read_feed("event", &deep).unwrap_err()[0].limit.contains("nested deeper"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_is_a_pattern_or_a_problem(text in "[0-9*/,LW#A-Z ?-]{0,30}") {
        let yaml = document(&format!("when: {{cron: \"{text}\"}}, duration: 1m"));
        if let Ok(calendar) = checked(&yaml) {
            calendar.all_occurrences(moment("2026-01-01T00:00Z"), moment("2026-06-01T00:00Z"));
        }
    }

    #[test]
    fn any_text_is_a_feed_or_a_problem(text in "\\PC*", lines in proptest::collection::vec(line(), 0..12)) {
        let mut calendar = calendar("when: {ical: {file: a.ics}}, duration: 1h");
        let _ = calendar.read_feed("event", &text);
        let lines = lines.join("\n");
        let _ = calendar.read_feed("event", &format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\n{lines}\nEND:VEVENT\nEND:VCALENDAR"));
        calendar.all_occurrences(at(i64::MIN), at(i64::MAX));
    }

    #[test]
    fn occurrences_are_sorted_and_in_the_window(
        lines in proptest::collection::vec(line(), 1..6),
        from in 0..1_800_000_000_000_i64,
        length in 0..40_000_000_000_i64,
    ) {
        let mut calendar = calendar("when: {ical: {file: a.ics}}, duration: 1h");
        let text = format!("DTSTART:20200101T000000Z\n{}", lines.join("\n"));
        let _ = calendar.read_feed("event", &format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\n{text}\nEND:VEVENT\nEND:VCALENDAR"));
        let found = calendar.all_occurrences(at(from), at(from + length));
        for pair in found.windows(2) {
            prop_assert!(pair[0].start <= pair[1].start);
        }
        for one in &found {
            prop_assert!(one.start < one.end && one.start < at(from + length) && one.end > at(from));
        }
    }
}

/// Properties that hold a time.
const NAMES: [&str; 7] = [
    "DTSTART",
    "DTEND",
    "EXDATE",
    "RDATE",
    "RECURRENCE-ID",
    "DTSTART;TZID=Europe/Berlin",
    "DTSTART;VALUE=DATE",
];

/// Lines that are nearly right, which finds more than noise does.
fn line() -> impl Strategy<Value = String> {
    let frequency =
        proptest::sample::select(&["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "SECONDLY", "X"][..]);
    let part = prop_oneof![
        (0..70_000_u32).prop_map(|n| format!("INTERVAL={n}")),
        (0..100_u32).prop_map(|n| format!("COUNT={n}")),
        (-400..400_i32).prop_map(|n| format!("BYYEARDAY={n}")),
        (-40..40_i32).prop_map(|n| format!("BYMONTHDAY={n}")),
        (0..15_u32).prop_map(|n| format!("BYMONTH={n}")),
        (-60..60_i32).prop_map(|n| format!("BYWEEKNO={n}")),
        (-6..6_i32).prop_map(|n| format!("BYDAY={n}MO,TU")),
        (-400..400_i32).prop_map(|n| format!("BYSETPOS={n}")),
        (0..30_u32).prop_map(|n| format!("BYHOUR={n};BYMINUTE={n};BYSECOND={n}")),
        Just("UNTIL=20210101".to_owned()),
        Just("UNTIL=20210101T000000Z".to_owned()),
    ];
    let rule = (frequency, proptest::collection::vec(part, 0..4))
        .prop_map(|(frequency, parts)| format!("RRULE:FREQ={frequency};{}", parts.join(";")));
    let time = (proptest::sample::select(&NAMES[..]), 0..999_999_999_u32, 0..999_999_u32, "Z?")
        .prop_map(|(name, day, time, z)| format!("{name}:{day:08}T{time:06}{z}"));
    let near = (proptest::sample::select(&NAMES[..]), 1..29_u32, 1..13_u32)
        .prop_map(|(name, day, month)| format!("{name}:2020{month:02}{day:02}T020000"));
    prop_oneof![rule, time, near, "DURATION:P[0-9]{0,20}[DWTHMS]{0,3}", "[A-Z-]{1,9}[:;=].{0,20}"]
}
