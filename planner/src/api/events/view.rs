//! What answers about events look like.
use crate::{
    api::time_text::rfc3339,
    calendar::{Found, LearnedEffect, MadeEvent, SourceStatus},
};
use axum::Json;
use foremesh_calendar::EventSpec;
use foremesh_core::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// What takes place in a time.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct Events {
    /// Begin of that time.
    pub(super) from: String,
    /// Its end, exclusive.
    pub(super) to: String,
    /// Occurrences, sorted by start; at most 1000.
    pub(super) occurrences: Vec<OccurrenceView>,
    /// Whether there are more.
    pub(super) truncated: bool,
    /// Files and feeds that they come from.
    pub(super) sources: Vec<SourceView>,
}

/// One time that an event takes place.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct OccurrenceView {
    /// Id of the event: `POST /api/v1/events/{id}/cancel` takes it.
    pub(super) id: String,
    /// Its name.
    pub(super) event: String,
    /// Its first moment.
    pub(super) start: String,
    /// The first moment after it.
    pub(super) end: String,
    /// Its tags; effects are learned by the first one.
    pub(super) tags: Vec<String>,
    /// Where its calendar is from.
    pub(super) source: String,
    /// Effect as far as people know it.
    pub(super) expected_effect: Option<String>,
    /// Effects that were learned; of the service that was asked for, else of all.
    pub(super) learned_effects: Vec<EffectView>,
    /// It was cancelled, and does not take place.
    pub(super) cancelled: bool,
}

/// The effect that an event turned out to have on one series.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct EffectView {
    /// The service, node or workload.
    pub(super) subject: String,
    /// The quantity.
    pub(super) metric: String,
    /// Mean effect, such as `x1.80` or `+200`.
    pub(super) effect: String,
    /// `expected`, `like_services` or `learned`.
    #[schema(value_type = String)]
    pub(super) source: foremesh_core::calendar::EffectSource,
    /// Past occurrences behind it.
    pub(super) occurrences: usize,
}

/// A source of calendars.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct SourceView {
    /// Its name.
    pub(super) name: String,
    /// Where it is read from.
    pub(super) from: String,
    /// Events that a feed gives.
    pub(super) events: Option<usize>,
    /// When it was read successfully last.
    pub(super) good_at: Option<String>,
    /// Milliseconds since then.
    pub(super) age_ms: Option<i64>,
    /// Why the last attempt failed; what was read before is in force.
    pub(super) error: Option<String>,
    /// Events in it that cannot be understood and are left out.
    pub(super) problems: Vec<String>,
}

/// An event that was made here.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct EventView {
    /// Its id.
    pub(super) id: String,
    /// When it was made or changed last.
    pub(super) changed_at: String,
    /// What it says, as in a calendar file.
    #[schema(value_type = Object)]
    pub(super) event: EventSpec,
}

pub(super) fn occurrence(found: Found, learned: &[LearnedEffect], service: Option<&str>) -> OccurrenceView {
    let concerned = learned.iter().filter(|effect| {
        effect.tag == found.occurrence.tag() && service.is_none_or(|service| service == effect.subject)
    });
    let learned_effects = concerned
        .map(|effect| EffectView {
            subject: effect.subject.clone(),
            metric: effect.metric.clone(),
            effect: effect.effect.clone(),
            source: effect.source,
            occurrences: effect.occurrences,
        })
        .collect();
    let occurrence = found.occurrence;
    OccurrenceView {
        id: found.id,
        event: occurrence.event,
        start: rfc3339(occurrence.start),
        end: rfc3339(occurrence.end),
        tags: occurrence.tags,
        source: found.source,
        expected_effect: occurrence.expected.map(|effect| effect.to_string()),
        learned_effects,
        cancelled: found.cancelled,
    }
}

/// How a source is doing.
pub(super) fn source(status: &SourceStatus, now: Timestamp) -> SourceView {
    SourceView {
        name: status.name.clone(),
        from: status.from.clone(),
        events: status.events,
        good_at: status.good_at.map(rfc3339),
        age_ms: status.good_at.map(|at| now.ms_since(at)),
        error: status.error.clone(),
        problems: status.problems.clone(),
    }
}

/// An event that was made over HTTP.
pub(super) fn event(id: &str, made: MadeEvent) -> Json<EventView> {
    Json(EventView { id: id.to_owned(), changed_at: rfc3339(made.changed_at), event: made.spec })
}
