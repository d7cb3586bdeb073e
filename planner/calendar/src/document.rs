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

/// What a calendar says, before it is checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendarSpec {
    /// IANA time zone of the events that name none.
    #[serde(default = "utc")]
    pub zone: String,
    /// The events.
    pub events: Vec<EventSpec>,
}

/// One event, before it is checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EventSpec {
    /// Its name, unique in the calendar.
    pub name: String,
    /// When it takes place.
    pub when: WhenSpec,
    /// IANA time zone of its times; that of the calendar when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// How long it takes, such as `1h`. Needed with `cron` and `rrule`, and with `at` that has no end; in iCal the
    /// length of events that state none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// What it has an effect on; everything when left out.
    #[serde(default)]
    pub scope: Scope,
    /// Its tags; effects are learned by the first one. Its name when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Its effect as far as people know it, such as `x1.8`, `+200` or `+200 ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_effect: Option<String>,
    /// Occurrences that do not take place: days (`2026-12-24`) or starts (`2026-12-24T02:30`) in the event's zone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cancelled: Vec<String>,
}

/// When an event takes place; exactly one of the four.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WhenSpec {
    /// Once, or at several times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<AtSpec>,
    /// A cron pattern of five fields, in the event's zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// `DTSTART` with `RRULE`, and `EXDATE`, `RDATE` where needed, as lines of RFC 5545.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rrule: Option<String>,
    /// An iCal feed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ical: Option<IcalSpec>,
}

/// When an event takes place once. Times are `2026-11-27T08:00` in the event's zone, or with an offset such as
/// `2026-11-27T08:00:00Z`; a day alone means its first moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AtSpec {
    /// Its start; the end follows from the duration.
    Start(String),
    /// Start and end.
    Window(WindowSpec),
}

/// Start and end of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowSpec {
    /// Its first moment.
    pub start: String,
    /// The first moment after it.
    pub end: String,
}

/// Where an iCal text comes from; exactly one of the three. Reading it is the matter of whoever has files and a network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IcalSpec {
    /// A file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// An address, `http` or `https`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The text itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// How often the file or address is read again; `1h` when left out.
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
