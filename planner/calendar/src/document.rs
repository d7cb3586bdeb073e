//! A calendar as it is written, and the check that makes it one that can be asked.
//!
//! ```yaml
//! apiVersion: foremesh.dev/v1alpha1
//! kind: EventCalendar
//! metadata: {name: shop}
//! spec:
//!   zone: Europe/Berlin                # for all events; UTC when left out
//!   events:
//!     - name: nightly-backup
//!       when: {cron: "30 2 * * *"}
//!       duration: 1h
//!       tags: [backup]
//!       scope: {services: ["db*"], metrics: ["latency_*"]}
//!       expectedEffect: x1.8
//!       cancelled: ["2026-12-24"]      # a day, or a start such as 2026-12-24T02:30
//!     - name: sale
//!       when: {at: {start: "2026-11-27T08:00", end: "2026-11-30T00:00"}}
//!       expectedEffect: "+200 rps"
//!     - name: report
//!       when: {rrule: "DTSTART;TZID=Europe/Berlin:20260105T090000\nRRULE:FREQ=WEEKLY;BYDAY=MO"}
//!       duration: 30m
//!     - name: campaigns
//!       when: {ical: {url: "https://calendar.example/campaigns.ics", refresh: 1h}}
//! ```
use crate::{check::Check, event_calendar::EventCalendar};
pub use foremesh_core::document::Metadata;
use foremesh_core::{calendar::Scope, document::SpecProblem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The only kind that is understood. The version is that of policies.
pub const KIND: &str = "EventCalendar";

/// A whole calendar document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CalendarDocument {
    /// Must be that of policies, `foremesh.dev/v1alpha1`.
    pub api_version: String,
    /// Must be [`KIND`].
    pub kind: String,
    /// Name and labels.
    pub metadata: Metadata,
    /// The events.
    pub spec: CalendarSpec,
}

/// Known events: what takes place when, and on what it has an effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CalendarSpec {
    /// The time zone of the events that name none, by its IANA name. Example: `Europe/Berlin`.
    #[serde(default = "utc")]
    pub zone: String,
    /// The events, at most 1000. Example: `[{name: backup, when: {cron: "30 2 * * *"}, duration: 1h, expectedEffect: x1.8}]`.
    pub events: Vec<EventSpec>,
}

/// One event, which takes place once or again and again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EventSpec {
    /// Its name, unique in the calendar. Forecasts are explained by it.
    pub name: String,
    /// When it takes place: exactly one of `at`, `cron`, `rrule` and `ical`.
    /// Examples: `{cron: "30 2 * * *"}`, `{at: {start: "2026-11-27T08:00", end: "2026-11-30"}}`.
    pub when: WhenSpec,
    /// The time zone of its times, by its IANA name; that of the calendar when left out. Example: `America/New_York`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// How long it takes, from `1s` to `31d`. Needed with `cron`, with `rrule` that states no `DTEND` or `DURATION`, and with
    /// `at` that has no end; in iCal the length of events that state none. Example: `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// What it has an effect on; everything when left out. Example: `{services: ["db*"], metrics: ["latency_*"]}`.
    #[serde(default)]
    pub scope: Scope,
    /// Its tags; effects are learned by the first one, so events of one kind share it. Its name when left out.
    /// Example: `[backup]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Its effect as far as people know it, in force until a better one is learned: a factor from x0.001 to x1000, or a
    /// difference, with a unit where only series in that unit are meant. Examples: `x1.8`, `"+200"`, `"+200 ms"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_effect: Option<String>,
    /// Occurrences that do not take place: days or starts in the event's zone.
    /// Example: `["2026-12-24", "2026-12-25T02:30"]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cancelled: Vec<String>,
}

/// When an event takes place; exactly one of the four.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WhenSpec {
    /// Once: `{start, end}`, or only the start, which needs the event's `duration`. A time is `2026-11-27T08:00` in the event's
    /// zone, or with an offset such as `2026-11-27T08:00:00Z`; a day alone means its first moment.
    /// Examples: `{start: "2026-11-27T08:00", end: "2026-11-30"}`, `"2026-11-27T08:00"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<AtSpec>,
    /// At the times of a cron pattern, in the event's zone: minute, hour, day, month, day of the week. Needs the event's
    /// `duration`. Example: `"30 2 * * *"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// By a rule of RFC 5545: lines with `DTSTART` and `RRULE`, and `EXDATE`, `RDATE` where needed.
    /// Example: `"DTSTART;TZID=Europe/Berlin:20260105T090000\nRRULE:FREQ=WEEKLY;BYDAY=MO"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rrule: Option<String>,
    /// As an iCal feed says, which is read again and again. Example: `{url: "https://calendar.example/shop.ics", refresh: 1h}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ical: Option<IcalSpec>,
}

/// When an event takes place once. Times are `2026-11-27T08:00` in the event's zone, or with an offset such as
/// `2026-11-27T08:00:00Z`; a day alone means its first moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AtSpec {
    /// Its start; the end follows from the duration.
    Start(String),
    /// Start and end.
    Window(WindowSpec),
}

/// Start and end of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowSpec {
    /// Its first moment.
    pub start: String,
    /// The first moment after it, at most 31 days later.
    pub end: String,
}

/// Where an iCal text comes from; exactly one of `file`, `url` and `text`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IcalSpec {
    /// A file on the planner's machine, relative to the calendar's own; not in a custom resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// An address that the planner can reach, `https://` or `http://`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The text itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// How often it is read again, from `1m` to `7d`; `1h` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh: Option<String>,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// Checks a calendar as written.
///
/// # Errors
/// All problems at once, in the order of the document.
pub fn validate(document: &CalendarDocument) -> Result<EventCalendar, Vec<SpecProblem>> {
    let mut check = Check::default();
    check.head(document);
    let events = check.events(document);
    check.problems.or(|| EventCalendar { name: document.metadata.name.clone(), events })
}
