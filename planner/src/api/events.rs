//! Events: what takes place when, from every calendar, and the events that are made here.
use super::{
    ApiState, payload,
    query::Query,
    regressors::Removed,
    time_text::{parse, rfc3339},
};
use crate::{
    audit::Kind,
    calendar::{EventError, Found, LearnedEffect, MadeEvent, Put},
    causes::chain,
    problem::Problem,
};
use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use foremesh_calendar::EventSpec;
use foremesh_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

/// Largest body of one event.
const MAX_BODY_BYTES: usize = 64 << 10;
/// Occurrences that one answer gives at most.
const MAX_SHOWN: usize = 1000;
const DAY_MS: i64 = 24 * 3_600_000;
/// Time that an answer looks ahead when nothing is said.
const AHEAD_MS: i64 = 7 * DAY_MS;
/// Longest time that one answer covers.
const LONGEST_MS: i64 = 400 * DAY_MS;

/// What takes place in a time.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Events {
    /// Begin of that time.
    from: String,
    /// Its end, exclusive.
    to: String,
    /// Occurrences, sorted by start; at most 1000.
    occurrences: Vec<OccurrenceView>,
    /// Whether there are more.
    truncated: bool,
    /// Files and feeds that they come from.
    sources: Vec<SourceView>,
}

/// One time that an event takes place.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OccurrenceView {
    /// Id of the event: `POST /api/v1/events/{id}/cancel` takes it.
    id: String,
    /// Its name.
    event: String,
    /// Its first moment.
    start: String,
    /// The first moment after it.
    end: String,
    /// Its tags; effects are learned by the first one.
    tags: Vec<String>,
    /// Where its calendar is from.
    source: String,
    /// Effect as far as people know it.
    expected_effect: Option<String>,
    /// Effects that were learned; of the service that was asked for, else of all.
    learned_effects: Vec<EffectView>,
    /// It was cancelled, and does not take place.
    cancelled: bool,
}

/// The effect that an event turned out to have on one series.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EffectView {
    /// The service, node or workload.
    subject: String,
    /// The quantity.
    metric: String,
    /// Mean effect, such as `x1.80` or `+200`.
    effect: String,
    /// `expected`, `like_services` or `learned`.
    #[schema(value_type = String)]
    source: foremesh_core::calendar::EffectSource,
    /// Past occurrences behind it.
    occurrences: usize,
}

/// A source of calendars.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SourceView {
    /// Its name.
    name: String,
    /// Where it is read from.
    from: String,
    /// Events that a feed gives.
    events: Option<usize>,
    /// When it was read successfully last.
    good_at: Option<String>,
    /// Milliseconds since then.
    age_ms: Option<i64>,
    /// Why the last attempt failed; what was read before is in force.
    error: Option<String>,
    /// Events in it that cannot be understood and are left out.
    problems: Vec<String>,
}

/// An event that was made here.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventView {
    /// Its id.
    id: String,
    /// When it was made or changed last.
    changed_at: String,
    /// What it says, as in a calendar file.
    #[schema(value_type = Object)]
    event: EventSpec,
}

/// What to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    /// Begin of the time, RFC 3339; now when left out.
    from: Option<String>,
    /// Its end, RFC 3339; seven days later when left out, 400 days at most.
    to: Option<String>,
    /// Only what has an effect on this service.
    service: Option<String>,
}

/// Who changes something, for the audit trail.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct ByQuery {
    /// Who.
    by: Option<String>,
}

/// Which occurrence.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    /// Its start, RFC 3339, as the list of events shows it.
    start: String,
}

/// A time in a query or body.
pub(super) fn time(field: &str, text: &str) -> Result<Timestamp, Problem> {
    parse(text).ok_or_else(|| {
        let detail = format!(
            "`{field}` is `{text}`, but must be an RFC 3339 time with its offset, such as 2026-11-24T09:30:00Z (in an \
             address `+` is written %2B)"
        );
        Problem::bad_request(detail)
    })
}

fn occurrence(found: Found, learned: &[LearnedEffect], service: Option<&str>) -> OccurrenceView {
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

/// What takes place in a time, from every file, feed and event made here, with what is known of the effects.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", params(EventsQuery),
    responses((status = 200, body = Events), (status = 400, description = "A time that is none", body = Problem))
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Query(query): Query<EventsQuery>,
) -> Result<Json<Events>, Problem> {
    let now = state.clock.now();
    let from = query.from.as_deref().map_or(Ok(now), |text| time("from", text))?;
    let to = query.to.as_deref().map_or(Ok(from.plus_ms(AHEAD_MS)), |text| time("to", text))?;
    if !(1..=LONGEST_MS).contains(&to.ms_since(from)) {
        let detail = format!(
            "`to` is {}, but must be after `from` ({}) and at most 400 days later",
            rfc3339(to),
            rfc3339(from)
        );
        return Err(Problem::bad_request(detail));
    }
    let set = state.calendars.current();
    let (asked, of) = (std::sync::Arc::clone(&set), query.service.clone());
    // A year of events each minute takes a while, which other requests must not wait for.
    let found = tokio::task::spawn_blocking(move || match of {
        Some(service) => asked.of_service(&service, from, to),
        None => asked.all(from, to),
    });
    let found = found.await.map_err(|error| Problem::internal(error.to_string()))?;
    let learned = state.calendars.learned();
    let truncated = found.len() > MAX_SHOWN;
    let service = query.service.as_deref();
    let occurrences =
        found.into_iter().take(MAX_SHOWN).map(|found| occurrence(found, &learned, service)).collect();
    let sources = set.sources().iter().map(|source| SourceView {
        name: source.name.clone(),
        from: source.from.clone(),
        events: source.events,
        good_at: source.good_at.map(rfc3339),
        age_ms: source.good_at.map(|at| now.ms_since(at)),
        error: source.error.clone(),
        problems: source.problems.clone(),
    });
    let sources = sources.collect();
    Ok(Json(Events { from: rfc3339(from), to: rfc3339(to), occurrences, truncated, sources }))
}

/// An event that was made here, as it was sent.
#[utoipa::path(get, path = "/api/v1/events/{id}", tag = "events",
    params(("id" = String, Path, description = "Id of the event")),
    responses((status = 200, body = EventView), (status = 404, description = "No such event", body = Problem))
)]
pub(super) async fn one(
    State(state): State<ApiState>,
    Path(id): Path<String>,
) -> Result<Json<EventView>, Problem> {
    state
        .calendars
        .made()
        .remove(&id)
        .map(|made| view(&id, made))
        .ok_or_else(|| problem(&EventError::Unknown(id)))
}

fn view(id: &str, made: MadeEvent) -> Json<EventView> {
    Json(EventView { id: id.to_owned(), changed_at: rfc3339(made.changed_at), event: made.spec })
}

fn problem(error: &EventError) -> Problem {
    let text = chain(error);
    match error {
        EventError::Id(_) | EventError::Feed | EventError::Problems(_) => Problem::bad_request(text),
        EventError::Exists(_) | EventError::TooMany => Problem::conflict(text),
        EventError::Unknown(_) | EventError::NoOccurrence { .. } => Problem::not_found(text),
        EventError::File(_) => Problem::internal(text),
    }
}

/// A name as an id: what cannot be part of one becomes `-`.
fn id_of(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '-' };
    name.chars().take(100).map(letter).collect::<String>().trim_start_matches('.').to_owned()
}

fn note(state: &ApiState, what: &str, id: &str, by: Option<&str>, more: &Value) -> Result<(), Problem> {
    let record = json!({"event": what, "id": id, "by": by.unwrap_or("unknown"), "what": more});
    state
        .audit
        .append(state.clock.now(), Kind::Event, None, &record)
        .map(drop)
        .map_err(|error| Problem::internal(format!("it is done, but not on record: {}", chain(&error))))
}

async fn put_event(
    state: &ApiState,
    id: String,
    spec: Value,
    replace: bool,
    by: Option<&str>,
) -> Result<(StatusCode, Json<EventView>), Problem> {
    let spec: EventSpec = serde_json::from_value(spec).map_err(|error| {
        Problem::bad_request(format!("the body is not the event that is expected: {error}"))
    })?;
    let shown = serde_json::to_value(&spec).unwrap_or_default();
    let put = state.calendars.put(&id, spec, replace).await.map_err(|error| problem(&error))?;
    let (status, what) = match put {
        Put::Made => (StatusCode::CREATED, Some("calendar_event_made")),
        Put::Replaced => (StatusCode::OK, Some("calendar_event_replaced")),
        Put::Unchanged => (StatusCode::OK, None),
    };
    if let Some(what) = what {
        note(state, what, &id, by, &shown)?;
    }
    let made = state.calendars.made().remove(&id).ok_or_else(|| problem(&EventError::Unknown(id.clone())))?;
    Ok((status, view(&id, made)))
}

/// Makes an event. The body is an event as in a calendar file, as JSON, with an optional `id`; else its name is its id.
/// The same body again changes nothing.
#[utoipa::path(post, path = "/api/v1/events", tag = "events", params(ByQuery),
    request_body(content = serde_json::Value, content_type = "application/json", example = json!({
        "id": "sale", "name": "sale", "zone": "Europe/Berlin", "tags": ["campaign"], "expectedEffect": "x1.8",
        "when": {"at": {"start": "2026-11-27T08:00", "end": "2026-11-30T00:00"}}, "scope": {"services": ["shop"]}
    })),
    responses(
        (status = 201, description = "It is made", body = EventView),
        (status = 200, description = "It was there already", body = EventView),
        (status = 400, description = "It cannot be accepted", body = Problem),
        (status = 409, description = "Its id has another event, or there are too many", body = Problem)
    )
)]
pub(super) async fn make(
    State(state): State<ApiState>,
    Query(query): Query<ByQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<EventView>), Problem> {
    let mut spec: Value = payload::json(&payload::read(&headers, body, MAX_BODY_BYTES).await?)?;
    let given = spec.as_object_mut().and_then(|spec| spec.remove("id"));
    let id = match given {
        None => id_of(spec.get("name").and_then(Value::as_str).unwrap_or("event")),
        Some(Value::String(id)) => id,
        Some(other) => return Err(problem(&EventError::Id(other.to_string()))),
    };
    put_event(&state, id, spec, false, query.by.as_deref()).await
}

/// Makes an event, or puts it in the place of the one with its id.
#[utoipa::path(put, path = "/api/v1/events/{id}", tag = "events",
    params(("id" = String, Path, description = "Id of the event"), ByQuery),
    request_body(content = serde_json::Value, content_type = "application/json"),
    responses(
        (status = 201, description = "It is made", body = EventView),
        (status = 200, description = "It is replaced, or was there already", body = EventView),
        (status = 400, description = "It cannot be accepted", body = Problem),
        (status = 409, description = "There are too many", body = Problem)
    )
)]
pub(super) async fn replace(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Query(query): Query<ByQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<EventView>), Problem> {
    let spec: Value = payload::json(&payload::read(&headers, body, MAX_BODY_BYTES).await?)?;
    put_event(&state, id, spec, true, query.by.as_deref()).await
}

/// Forgets an event that was made here, its past occurrences too.
#[utoipa::path(delete, path = "/api/v1/events/{id}", tag = "events",
    params(("id" = String, Path, description = "Id of the event"), ByQuery),
    responses(
        (status = 200, description = "It is gone", body = Removed),
        (status = 404, description = "No event of that id was made here", body = Problem)
    )
)]
pub(super) async fn remove(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Query(query): Query<ByQuery>,
) -> Result<Json<Removed>, Problem> {
    state.calendars.remove(&id).await.map_err(|error| problem(&error))?;
    note(&state, "calendar_event_removed", &id, query.by.as_deref(), &Value::Null)?;
    Ok(Removed::new(id))
}

/// Cancels one occurrence of any event, also of one from a file or a feed.
#[utoipa::path(post, path = "/api/v1/events/{id}/cancel", tag = "events", request_body = Start,
    params(("id" = String, Path, description = "Id of the event, as the list shows it"), ByQuery),
    responses(
        (status = 200, description = "It does not take place", body = OccurrenceView),
        (status = 404, description = "No occurrence of that event starts then", body = Problem)
    )
)]
pub(super) async fn cancel(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Query(query): Query<ByQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<OccurrenceView>, Problem> {
    change(&state, &id, query.by.as_deref(), (&headers, body), true).await
}

/// Takes a cancellation back.
#[utoipa::path(post, path = "/api/v1/events/{id}/restore", tag = "events", request_body = Start,
    params(("id" = String, Path, description = "Id of the event, as the list shows it"), ByQuery),
    responses(
        (status = 200, description = "It takes place", body = OccurrenceView),
        (status = 404, description = "No occurrence of that event starts then", body = Problem)
    )
)]
pub(super) async fn restore(
    State(state): State<ApiState>,
    Path(id): Path<String>,
    Query(query): Query<ByQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<OccurrenceView>, Problem> {
    change(&state, &id, query.by.as_deref(), (&headers, body), false).await
}

async fn change(
    state: &ApiState,
    id: &str,
    by: Option<&str>,
    (headers, body): (&HeaderMap, Body),
    cancel: bool,
) -> Result<Json<OccurrenceView>, Problem> {
    let start: Start = payload::json(&payload::read(headers, body, MAX_BODY_BYTES).await?)?;
    let start = time("start", &start.start)?;
    let found = state.calendars.cancel(id, start, cancel).await.map_err(|error| problem(&error))?;
    let what = if cancel { "calendar_occurrence_cancelled" } else { "calendar_occurrence_restored" };
    note(state, what, id, by, &json!({"start": rfc3339(start)}))?;
    Ok(Json(occurrence(found, &state.calendars.learned(), None)))
}
