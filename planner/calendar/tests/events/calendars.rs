//! Short ways to make calendars and to ask them.
use foremesh_calendar::{CalendarDocument, EventCalendar, validate};
use foremesh_core::{calendar::Occurrence, document::SpecProblem, time::Timestamp};

/// The document with one event, given as the inside of a YAML map.
pub(crate) fn document(event: &str) -> String {
    format!(
        "{{apiVersion: foremesh.dev/v1alpha1, kind: EventCalendar, metadata: {{name: shop}}, \
         spec: {{events: [{{name: event, {event}}}]}}}}"
    )
}

pub(crate) fn checked(yaml: &str) -> Result<EventCalendar, Vec<SpecProblem>> {
    let document: CalendarDocument =
        yaml_serde::from_str(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    validate(&document)
}

/// The calendar with one event.
pub(crate) fn calendar(event: &str) -> EventCalendar {
    checked(&document(event)).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

pub(crate) fn starts(calendar: &EventCalendar, from: i64, to: i64) -> Vec<i64> {
    let found = calendar.all_occurrences(at(from), at(to));
    found.iter().map(|one| one.start.unix_ms()).filter(|start| (from..to).contains(start)).collect()
}

/// A moment as `2026-11-27T08:00Z`.
pub(crate) fn moment(text: &str) -> Timestamp {
    let moment: jiff::Timestamp = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
    at(moment.as_millisecond())
}

/// Occurrences as `2026-11-27T08:00Z/PT1H`, short enough to compare by eye.
pub(crate) fn spans(found: &[Occurrence]) -> Vec<String> {
    let text = |at: Timestamp| {
        jiff::Timestamp::from_millisecond(at.unix_ms()).unwrap().strftime("%Y-%m-%dT%H:%M").to_string()
    };
    let minutes = |one: &Occurrence| one.end.ms_since(one.start) / 60_000;
    found.iter().map(|one| format!("{} {}m", text(one.start), minutes(one))).collect()
}
