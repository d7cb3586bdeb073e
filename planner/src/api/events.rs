//! Events: what takes place when, from every calendar, and the events that are made here.
mod view;

use super::{
    ApiState, payload,
    query::Query,
    regressors::Removed,
    time_text::{parse, rfc3339},
};
use crate::{
    audit::Kind,
    calendar::{EventError, Put},
    causes::chain,
    problem::Problem,
};
use axum::{
    Json,
    body::Body,
    extract::{FromRequest, FromRequestParts as _, Path, Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use foremesh_calendar::EventSpec;
use foremesh_core::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use view::{EventView, Events, OccurrenceView, event, occurrence, source};

/// Largest body of one event.
const MAX_BODY_BYTES: usize = 64 << 10;
/// Occurrences that one answer gives at most.
const MAX_SHOWN: usize = 1000;
const DAY_MS: i64 = 24 * 3_600_000;
/// Time that an answer looks ahead when nothing is said.
const AHEAD_MS: i64 = 7 * DAY_MS;
/// Longest time that one answer covers.
const LONGEST_MS: i64 = 400 * DAY_MS;

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
#[into_params(parameter_in = Query)]
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
    let sources = set.sources().iter().map(|status| source(status, now)).collect();
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
        .map(|made| event(&id, made))
        .ok_or_else(|| problem(&EventError::Unknown(id)))
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
    Ok((status, event(&id, made)))
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
    change: Change,
) -> Result<Json<OccurrenceView>, Problem> {
    change.make(&state, true).await
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
    change: Change,
) -> Result<Json<OccurrenceView>, Problem> {
    change.make(&state, false).await
}

/// A change of one occurrence: which one, and who makes it.
pub(super) struct Change {
    id: String,
    by: Option<String>,
    start: Timestamp,
}

impl FromRequest<ApiState> for Change {
    type Rejection = Response;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let Path(id) =
            Path::from_request_parts(&mut parts, state).await.map_err(IntoResponse::into_response)?;
        let read = async {
            let Query(ByQuery { by }) = Query::from_request_parts(&mut parts, state).await?;
            let start: Start = payload::json(&payload::read(&parts.headers, body, MAX_BODY_BYTES).await?)?;
            Ok(Self { id, by, start: time("start", &start.start)? })
        };
        read.await.map_err(|problem: Problem| problem.into_response())
    }
}

impl Change {
    async fn make(self, state: &ApiState, cancel: bool) -> Result<Json<OccurrenceView>, Problem> {
        let Self { id, by, start } = self;
        let found = state.calendars.cancel(&id, start, cancel).await.map_err(|error| problem(&error))?;
        let what = if cancel { "calendar_occurrence_cancelled" } else { "calendar_occurrence_restored" };
        note(state, what, &id, by.as_deref(), &json!({"start": rfc3339(start)}))?;
        Ok(Json(occurrence(found, &state.calendars.learned(), None)))
    }
}
