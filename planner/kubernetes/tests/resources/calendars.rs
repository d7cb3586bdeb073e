//! Calendars that a file would be refused for.
use super::{By, Case, compare};
use foremesh_calendar::{CalendarDocument, validate};
use serde_json::{Value, json};

/// What the planner says of a file with these events.
fn checked(spec: &Value) -> Result<(), String> {
    let document = json!({
        "apiVersion": "foremesh.dev/v1alpha1", "kind": "EventCalendar", "metadata": {"name": "shop"}, "spec": spec
    });
    let document: CalendarDocument = serde_json::from_value(document).map_err(|error| error.to_string())?;
    let said = |problems: Vec<foremesh_core::document::SpecProblem>| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    validate(&document).map(drop).map_err(said)
}

fn event(event: Value) -> Value {
    let mut event = event;
    if event["name"].is_null() {
        event["name"] = json!("sale");
    }
    json!({"events": [event]})
}

/// An event of an hour on a day, and more of it.
fn day(more: Value) -> Value {
    let mut event = json!({"name": "sale", "when": {"at": "2026-01-02"}, "duration": "1h"});
    if let Value::Object(more) = more {
        event.as_object_mut().unwrap().extend(more);
    }
    json!({"events": [event]})
}

fn wrong() -> Vec<(Value, By)> {
    let length = By::Planner("whether a text or a mapping states an end");
    let cron = By::Planner("what a cron pattern may say");
    let rule = By::Planner("what a rule of RFC 5545 may say");
    let zone = By::Planner("which time zones there are");
    let date = By::Planner("which days a month has, and which time is later");
    let rrule = |text: &str| event(json!({"when": {"rrule": text}, "duration": "1h"}));
    vec![
        (event(json!({"when": {}})), By::Server),
        (event(json!({"duration": "1h"})), By::Server),
        (event(json!({"when": {"cron": "1 2 3 4 5", "at": "2026-01-01"}, "duration": "1h"})), By::Server),
        (event(json!({"when": {"cron": "0 3 * * *"}})), By::Server),
        (event(json!({"when": {"cron": "61 * * * *"}, "duration": "1h"})), cron),
        (event(json!({"when": {"cron": ""}, "duration": "1h"})), By::Server),
        (
            event(json!({"when": {"cron": "* * * * *"}, "duration": "1s"})),
            By::Planner("how often a pattern matches"),
        ),
        (event(json!({"when": {"at": "tomorrow"}, "duration": "1h"})), By::Server),
        (event(json!({"when": {"at": "2026-02-30"}, "duration": "1h"})), date),
        (event(json!({"when": {"at": "2026-01-02"}})), length),
        (event(json!({"when": {"at": {"start": "2026-01-02", "end": "2026-01-01"}}})), date),
        (event(json!({"when": {"at": {"start": "2026-01-02", "end": "soon"}}})), By::Server),
        (event(json!({"when": {"at": {"start": "2026-01-02"}}})), By::Server),
        (day(json!({"duration": "soon"})), By::Server),
        (day(json!({"duration": "32d"})), By::Server),
        (day(json!({"duration": "0s"})), By::Server),
        (day(json!({"zone": "Mars/Olympus"})), zone),
        (day(json!({"zone": ""})), By::Server),
        (json!({"zone": " ", "events": []}), By::Server),
        (json!({"zone": "UTC"}), By::Server),
        (day(json!({"name": " "})), By::Server),
        (day(json!({"expectedEffect": "1.8x"})), By::Server),
        (day(json!({"expectedEffect": "x0"})), By::Server),
        (day(json!({"expectedEffect": "x1001"})), By::Server),
        (day(json!({"expectedEffect": "200"})), By::Server),
        (day(json!({"expectedEffect": "+2 m s"})), By::Server),
        (day(json!({"expectedEffect": 200})), By::Server),
        (day(json!({"cancelled": ["never"]})), By::Server),
        (day(json!({"scope": {"nodes": [""]}})), By::Server),
        (day(json!({"scope": {"node": ["a"]}})), By::Server),
        (day(json!({"tags": [" "]})), By::Server),
        (day(json!({"tag": "sale"})), By::Server),
        (rrule("RRULE:FREQ=DAILY"), By::Server),
        (rrule("DTSTART:20260101T000000Z\nRRULE:FREQ=SECONDLY"), rule),
        (rrule("DTSTART:20260101T000000Z\nRRULE:FREQ=NEVER"), rule),
        (event(json!({"when": {"rrule": "DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY"}})), rule),
        (event(json!({"when": {"ical": {"url": "webcal://a"}}})), By::Server),
        (event(json!({"when": {"ical": {}}})), By::Server),
        (event(json!({"when": {"ical": {"url": "https://a", "text": "b"}}})), By::Server),
        (event(json!({"when": {"ical": {"url": "https://a", "refresh": "1s"}}})), By::Server),
        (event(json!({"when": {"ical": {"text": "nothing"}}})), By::Planner("what an iCal text may say")),
        (
            json!({"events": [
                {"name": "a", "when": {"at": "2026-01-02"}, "duration": "1h"},
                {"name": "a", "when": {"at": "2026-01-03"}, "duration": "1h"},
            ]}),
            By::Server,
        ),
    ]
}

fn right() -> Vec<Value> {
    vec![
        json!({"events": []}),
        day(json!({"expectedEffect": "x1.8", "tags": ["a", "b"], "zone": "America/New_York"})),
        day(json!({"expectedEffect": " x 0.5 "})),
        day(json!({"expectedEffect": "+200"})),
        day(json!({"expectedEffect": "-15"})),
        day(json!({"expectedEffect": "+200ms"})),
        day(json!({"expectedEffect": "+2.5 rps"})),
        day(json!({"cancelled": ["2026-12-24", "2026-12-25T02:30", "2026-12-26T01:30:00Z"]})),
        day(json!({"scope": {"services": ["db*"], "metrics": ["latency_*"]}})),
        event(json!({"when": {"at": {"start": "2026-12-22T08:00", "end": "2026-12-23"}}})),
        event(json!({"when": {"at": "2026-12-22 12:00"}, "duration": "15m"})),
        event(json!({"when": {"cron": "30 2 * * *"}, "duration": "1h"})),
        event(json!({
            "when": {"rrule": "DTSTART;TZID=Europe/Berlin:20260105T090000\nRRULE:FREQ=WEEKLY;BYDAY=MO"},
            "duration": "30m",
        })),
        event(json!({"when": {"ical": {"url": "https://calendar.example/campaigns.ics", "refresh": "15m"}}})),
    ]
}

#[tokio::test]
#[ignore = "needs an API server, by KUBECONFIG"]
async fn the_api_server_refuses_what_files_are_refused_for() {
    let wrong = wrong().into_iter().map(|(spec, by)| (spec, Some(by)));
    let all = wrong.chain(right().into_iter().map(|spec| (spec, None)));
    let cases = all.map(|(spec, by)| Case { name: spec.to_string(), wrong: checked(&spec), spec, by });
    compare("eventcalendars", "EventCalendar", cases.collect()).await;
}

/// A file may name another file; a resource may not, wherever it is written.
#[tokio::test]
#[ignore = "needs an API server, by KUBECONFIG"]
async fn a_resource_has_no_files() {
    let server = super::server::Server::connect().await;
    let spec = event(json!({"when": {"ical": {"file": "/etc/passwd"}}}));
    assert_eq!(checked(&spec), Ok(()), "as a file");
    let said = server.try_to_create("eventcalendars", "EventCalendar", &spec).await.unwrap_err();
    assert!(said.contains("a custom resource has no files; use `url` or `text`"), "{said}");
}
