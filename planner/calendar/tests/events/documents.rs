//! Documents: what is accepted, and what is said about what is not.
use crate::calendars::{calendar, checked, document, moment, spans};
use foremesh_calendar::CalendarDocument;
use foremesh_core::calendar::{ExpectedEffect, Occurrence, Subject};

const WHOLE: &str = r#"
apiVersion: foremesh.dev/v1alpha1
kind: EventCalendar
metadata: {name: shop}
spec:
  zone: Europe/Berlin
  events:
    - name: nightly-backup
      when: {cron: "30 2 * * *"}
      duration: 1h
      tags: [backup, disk]
      scope: {services: ["db*"], metrics: ["latency_*"]}
      expectedEffect: x1.8
      cancelled: ["2026-12-24", "2026-12-25T02:30", "2026-12-26T01:30:00Z"]
    - name: sale
      when: {at: {start: "2026-12-22T08:00", end: "2026-12-23"}}
      expectedEffect: "+200 rps"
    - name: release
      when: {at: "2026-12-22 12:00"}
      zone: America/New_York
      duration: 15m
    - name: campaigns
      when: {ical: {url: "https://calendar.example/campaigns.ics", refresh: 15m}}
"#;

#[test]
fn a_whole_document() {
    let calendar = checked(WHOLE).unwrap();
    let (from, to) = (moment("2026-12-22T00:00Z"), moment("2026-12-28T00:00Z"));
    let latency = Subject::service("db-1", "latency_p99_ms");
    let found = calendar.occurrences(&latency, from, to);
    assert_eq!(
        spans(&found),
        [
            "2026-12-22T01:30 60m",
            "2026-12-22T07:00 960m",
            "2026-12-22T17:00 15m",
            "2026-12-23T01:30 60m",
            "2026-12-27T01:30 60m"
        ],
        "three backups are cancelled"
    );
    assert_eq!((found[0].tag(), &found[0].expected), ("backup", &Some(ExpectedEffect::Factor(1.8))));
    assert_eq!((found[1].tag(), &found[1].expected), ("sale", &None), "requests say nothing about latency");
    let rate = Subject::service("web", "throughput_rps");
    let of_rate = calendar.occurrences(&rate, from, to);
    assert_eq!(of_rate.iter().map(Occurrence::tag).collect::<Vec<_>>(), ["sale", "release"]);
    assert_eq!(of_rate[0].expected.as_ref().map(ToString::to_string).as_deref(), Some("+200 rps"));
    let feeds = calendar.feeds();
    assert_eq!((feeds.len(), feeds[0].event.as_str(), feeds[0].refresh_ms), (1, "campaigns", 900_000));
}

#[test]
fn a_document_is_written_as_it_was_read() {
    let document: CalendarDocument = yaml_serde::from_str(WHOLE).unwrap();
    let json = serde_json::to_string(&document).unwrap();
    assert_eq!(serde_json::from_str::<CalendarDocument>(&json).unwrap(), document);
}

#[test]
fn each_problem_says_what_to_do() {
    let cases = [
        (
            "when: {}",
            "spec.events[0].when is 0 of them, but an event has exactly one of at, cron, rrule, ical; keep one, and make other events of the rest",
        ),
        ("when: {cron: \"1 2 3 4 5\", at: 2026-01-01}, duration: 1h", "spec.events[0].when is 2 of them"),
        (
            "when: {cron: \"0 3 * * *\"}",
            "spec.events[0].duration is missing, but an event that states no end needs a length",
        ),
        (
            "when: {cron: \"61 * * * *\"}, duration: 1h",
            "spec.events[0].when.cron is `61 * * * *`, but a pattern has the five fields",
        ),
        (
            "when: {cron: \"* * * * *\"}, duration: 1s",
            "spec.events[0].when is 10000 times or more, but an event takes place at most 1000 times in 31 days",
        ),
        (
            "when: {at: tomorrow}, duration: 1h",
            "spec.events[0].when.at is `tomorrow`, but it must be a time from 1970 to 2200",
        ),
        (
            "when: {at: {start: 2026-01-02, end: 2026-01-01}}",
            "spec.events[0].when.at.end is `2026-01-01`, but it must be after the start, and at most 31d after it",
        ),
        (
            "when: {at: 2026-01-02}, duration: soon",
            "spec.events[0].duration is `soon`, but it must be a duration from 1s to 31d",
        ),
        (
            "when: {at: 2026-01-02}, duration: 1h, zone: Mars/Olympus",
            "spec.events[0].zone is `Mars/Olympus`, but no such time zone is known",
        ),
        (
            "when: {at: 2026-01-02}, duration: 1h, expectedEffect: 1.8x",
            "spec.events[0].expectedEffect is `1.8x`, but an effect is a factor",
        ),
        (
            "when: {at: 2026-01-02}, duration: 1h, cancelled: [never]",
            "spec.events[0].cancelled[0] is `never`",
        ),
        (
            "when: {at: 2026-01-02}, duration: 1h, scope: {nodes: [\"\"]}",
            "spec.events[0].scope.nodes[0] is empty",
        ),
        (
            "when: {rrule: \"RRULE:FREQ=DAILY\"}, duration: 1h",
            "spec.events[0].when.rrule is missing, but an event needs a DTSTART",
        ),
        (
            "when: {rrule: \"DTSTART:20260101T000000Z\\nRRULE:FREQ=SECONDLY\"}, duration: 1h",
            "spec.events[0].when.rrule is `FREQ=SECONDLY`, but an event that starts every minute is no event",
        ),
        (
            "when: {rrule: \"DTSTART:20260101T000000Z\\nRRULE:FREQ=NEVER\"}, duration: 1h",
            "spec.events[0].when.rrule is `FREQ=NEVER`, but",
        ),
        (
            "when: {rrule: \"DTSTART:20260101T000000Z\\nRRULE:FREQ=DAILY\"}",
            "spec.events[0].when.rrule is missing, but an event needs a length",
        ),
        (
            "when: {ical: {url: \"webcal://a\"}}",
            "spec.events[0].when.ical.url is `webcal://a`, but an address begins with https:// or http://",
        ),
        (
            "when: {ical: {}}",
            "spec.events[0].when.ical is not one of them, but it has exactly one of file, url, text",
        ),
        (
            "when: {ical: {text: nothing}}",
            "spec.events[0].when.ical.text is `nothing`, but it is no calendar of RFC 5545",
        ),
    ];
    for (event, want) in cases {
        let problems = checked(&document(event)).expect_err(event);
        assert!(problems[0].to_string().starts_with(want), "{event}:\n{}\nwanted\n{want}", problems[0]);
    }
}

#[test]
fn all_problems_come_at_once() {
    let yaml = "{apiVersion: v2, kind: Policy, metadata: {name: ''}, spec: {zone: Nowhere, events: [\
                {name: a, when: {}}, {name: a, when: {at: x}, duration: 1h}]}}";
    let problems = checked(yaml).unwrap_err();
    let paths: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "apiVersion",
            "kind",
            "metadata.name",
            "spec.zone",
            "spec.events[0].when",
            "spec.events[1].name",
            "spec.events[1].when.at"
        ]
    );
}

#[test]
fn an_event_without_tags_is_learnt_by_its_name() {
    let calendar = calendar("when: {at: 2026-01-02}, duration: 1h");
    let found = calendar.all_occurrences(moment("2026-01-01T00:00Z"), moment("2026-01-05T00:00Z"));
    assert_eq!(found[0].tags, ["event"]);
}
