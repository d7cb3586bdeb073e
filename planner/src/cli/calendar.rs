//! `foremesh calendar`: what takes place, asked of a running planner or read from a file.
use super::{escape, print, rows, text};
use crate::{
    api::{parse_time, rfc3339},
    args::{
        CalendarAddArgs, CalendarCancelArgs, CalendarCheckArgs, CalendarCommand, CalendarListArgs,
        CalendarRemoveArgs, Output,
    },
    calendar::{CalendarSet, CalendarSettings, Calendars},
    client::{request, send},
    clock::Clock,
};
use anyhow::{Context as _, bail};
use foremesh_core::time::Timestamp;
use hyper::Method;
use serde_json::{Map, Value, json};
use std::{fmt::Write as _, process::ExitCode};

const DAY_MS: i64 = 24 * 3_600_000;

/// Runs one of the commands.
///
/// # Errors
/// When the planner does not answer or refuses, or a file cannot be accepted.
pub async fn calendar(command: &CalendarCommand) -> anyhow::Result<ExitCode> {
    match command {
        CalendarCommand::List(args) => list(args).await,
        CalendarCommand::Add(args) => add(args).await,
        CalendarCommand::Cancel(args) => cancel(args).await,
        CalendarCommand::Remove(args) => remove(args).await,
        CalendarCommand::Check(args) => check(args).await,
    }
}

/// A table of occurrences, and a line for each source that is not well.
fn shown(answer: &Value) -> String {
    let table = rows(
        answer,
        "occurrences",
        &[
            ("ID", "/id"),
            ("EVENT", "/event"),
            ("START", "/start"),
            ("END", "/end"),
            ("TAGS", "/tags"),
            ("EXPECTED", "/expected_effect"),
            ("LEARNED", "/learned_effects/0/effect"),
            ("FROM", "/source"),
            ("CANCELLED", "/cancelled"),
        ],
    );
    let mut shown = table.to_string();
    for source in super::items(answer, "sources") {
        let name = text(source, "/name");
        if source.pointer("/error").is_some_and(|error| !error.is_null()) {
            let (error, good_at) = (text(source, "/error"), text(source, "/good_at"));
            let _ = write!(shown, "\nsource {name}: {error}; read successfully last: {good_at}");
        }
        for problem in super::items(source, "problems") {
            let _ = write!(shown, "\nsource {name}: {}", text(problem, ""));
        }
    }
    shown
}

async fn list(args: &CalendarListArgs) -> anyhow::Result<ExitCode> {
    let mut query = Vec::new();
    for (key, value) in [("from", &args.from), ("to", &args.to), ("service", &args.service)] {
        query.extend(value.as_ref().map(|value| format!("{key}={}", escape(value))));
    }
    let path = format!("/api/v1/events?{}", query.join("&"));
    let answer = request(&args.query.server, Method::GET, &path).await?;
    print(&answer, args.query.output, shown);
    Ok(ExitCode::SUCCESS)
}

/// The event that the options say, as in a calendar file.
fn event(args: &CalendarAddArgs) -> anyhow::Result<Value> {
    if let Some(file) = &args.file {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("`{}` cannot be read", file.display()))?;
        let event: Value = yaml_serde::from_str(&text)
            .with_context(|| format!("`{}` is no event as in a calendar file", file.display()))?;
        if !event.is_object() {
            bail!("`{}` is no event as in a calendar file: it must have `name` and `when`", file.display());
        }
        return Ok(event);
    }
    let when = match (&args.start, &args.cron, &args.rrule) {
        (Some(start), None, None) => match &args.end {
            Some(end) => json!({"at": {"start": start, "end": end}}),
            None => json!({"at": start}),
        },
        (None, Some(cron), None) => json!({"cron": cron}),
        (None, None, Some(rrule)) => json!({"rrule": rrule}),
        _ => bail!("say when the event takes place: --start with --end or --duration, --cron, or --rrule"),
    };
    let mut event = Map::from_iter([("name".to_owned(), json!(args.name)), ("when".to_owned(), when)]);
    for (key, value) in [("duration", &args.duration), ("zone", &args.zone), ("expectedEffect", &args.effect)]
    {
        if let Some(value) = value {
            event.insert(key.to_owned(), json!(value));
        }
    }
    if !args.tags.is_empty() {
        event.insert("tags".to_owned(), json!(args.tags));
    }
    let mut scope = Map::new();
    for (key, patterns) in [("services", &args.services), ("nodes", &args.nodes), ("metrics", &args.metrics)]
    {
        if !patterns.is_empty() {
            scope.insert(key.to_owned(), json!(patterns));
        }
    }
    event.insert("scope".to_owned(), Value::Object(scope));
    Ok(Value::Object(event))
}

async fn add(args: &CalendarAddArgs) -> anyhow::Result<ExitCode> {
    let mut event = event(args)?;
    let by = escape(&args.by);
    let (method, path) = if args.replace {
        let id = args.id.clone().unwrap_or_else(|| text(&event, "/name"));
        (Method::PUT, format!("/api/v1/events/{}?by={by}", escape(&id)))
    } else {
        if let (Some(id), Some(event)) = (&args.id, event.as_object_mut()) {
            event.insert("id".to_owned(), json!(id));
        }
        (Method::POST, format!("/api/v1/events?by={by}"))
    };
    let body = Some(("application/json", event.to_string().into_bytes()));
    let answer = send(&args.query.server, method, &path, body).await?;
    print(&answer, args.query.output, |answer| {
        format!(
            "event {} is in the calendar; `foremesh calendar list` shows when it takes place",
            text(answer, "/id")
        )
    });
    Ok(ExitCode::SUCCESS)
}

async fn cancel(args: &CalendarCancelArgs) -> anyhow::Result<ExitCode> {
    let verb = if args.undo { "restore" } else { "cancel" };
    let path = format!("/api/v1/events/{}/{verb}?by={}", escape(&args.id), escape(&args.by));
    let body = Some(("application/json", json!({"start": args.start}).to_string().into_bytes()));
    let answer = send(&args.query.server, Method::POST, &path, body).await?;
    print(&answer, args.query.output, |answer| {
        let does = if args.undo { "takes place again" } else { "does not take place" };
        format!("{} from {} {does}", text(answer, "/event"), text(answer, "/start"))
    });
    Ok(ExitCode::SUCCESS)
}

async fn remove(args: &CalendarRemoveArgs) -> anyhow::Result<ExitCode> {
    let path = format!("/api/v1/events/{}?by={}", escape(&args.id), escape(&args.by));
    let answer = request(&args.query.server, Method::DELETE, &path).await?;
    print(&answer, args.query.output, |answer| format!("event {} is gone", text(answer, "/removed")));
    Ok(ExitCode::SUCCESS)
}

/// The settings that would read this file.
fn source(args: &CalendarCheckArgs) -> anyhow::Result<CalendarSettings> {
    let is_ical = args.file.extension().is_some_and(|kind| kind.eq_ignore_ascii_case("ics"));
    let file = args.file.display().to_string();
    let source =
        if is_ical { json!({"ical": {"name": "ical", "file": file}}) } else { json!({"file": file}) };
    Ok(serde_json::from_value(source)?)
}

async fn check(args: &CalendarCheckArgs) -> anyhow::Result<ExitCode> {
    let clock = Clock::System;
    let from = match &args.from {
        None => clock.now(),
        Some(text) => parse_time(text).with_context(|| {
            format!("--from is `{text}`, but must be an RFC 3339 time, such as 2026-11-24T09:00:00Z")
        })?,
    };
    let set = Calendars::check(&[source(args)?], args.fetch, clock).await?;
    let answer = checked(&set, from, from.plus_ms(i64::from(args.days) * DAY_MS));
    print(&answer, args.output, shown);
    let well = set.sources().iter().all(|source| source.error.is_none() && source.problems.is_empty());
    if args.output == Output::Table {
        eprintln!("{}", if well { "the calendar is good" } else { "the calendar is good in part" });
    }
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(super::AT_RISK) })
}

/// The same as the planner would answer.
fn checked(set: &CalendarSet, from: Timestamp, to: Timestamp) -> Value {
    let occurrences: Vec<Value> = set
        .all(from, to)
        .into_iter()
        .map(|found| {
            json!({
                "id": found.id,
                "event": found.occurrence.event,
                "start": rfc3339(found.occurrence.start),
                "end": rfc3339(found.occurrence.end),
                "tags": found.occurrence.tags,
                "expected_effect": found.occurrence.expected.map(|effect| effect.to_string()),
                "source": found.source,
                "cancelled": found.cancelled,
            })
        })
        .collect();
    let sources: Vec<Value> = set
        .sources()
        .iter()
        .map(|source| {
            json!({
                "name": source.name,
                "from": source.from,
                "events": source.events,
                "good_at": source.good_at.map(rfc3339),
                "error": source.error,
                "problems": source.problems,
            })
        })
        .collect();
    json!({"from": rfc3339(from), "to": rfc3339(to), "occurrences": occurrences, "sources": sources})
}
