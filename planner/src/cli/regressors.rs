//! `foremesh regressors`: external series of a running planner.
use super::{escape, print, rows, text};
use crate::{
    args::{QueryArgs, RegressorDeleteArgs, RegressorPushArgs, RegressorsCommand},
    client::{request, send},
};
use anyhow::Context as _;
use hyper::Method;
use std::process::ExitCode;

/// Runs one of the commands.
///
/// # Errors
/// When the planner does not answer or refuses, or the file cannot be read.
pub async fn regressors(command: &RegressorsCommand) -> anyhow::Result<ExitCode> {
    match command {
        RegressorsCommand::List(args) => list(args).await,
        RegressorsCommand::Push(args) => push(args).await,
        RegressorsCommand::Delete(args) => delete(args).await,
    }
}

async fn list(args: &QueryArgs) -> anyhow::Result<ExitCode> {
    let answer = request(&args.server, Method::GET, "/api/v1/regressors").await?;
    print(&answer, args.output, |answer| {
        rows(
            answer,
            "regressors",
            &[
                ("REGRESSOR", "/name"),
                ("UNIT", "/unit"),
                ("SOURCE", "/source"),
                ("POINTS", "/points"),
                ("FIRST", "/first"),
                ("KNOWN UNTIL", "/known_until"),
                ("AGE MS", "/age_ms"),
                ("ERROR", "/error"),
            ],
        )
    });
    Ok(ExitCode::SUCCESS)
}

async fn push(args: &RegressorPushArgs) -> anyhow::Result<ExitCode> {
    let file = &args.file;
    let body = std::fs::read(file).with_context(|| format!("`{}` cannot be read", file.display()))?;
    let is_json = file.extension().is_some_and(|kind| kind.eq_ignore_ascii_case("json"));
    let media_type = if is_json { "application/json" } else { "text/csv" };
    let name = match &args.name {
        Some(name) => name.clone(),
        None => file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
    };
    let mut query = Vec::new();
    query.extend(args.unit.as_ref().map(|unit| format!("unit={}", escape(unit))));
    query.extend(args.hold.map(|hold| format!("hold={hold}")));
    let path = format!("/api/v1/regressors/{}?{}", escape(&name), query.join("&"));
    let answer = send(&args.query.server, Method::POST, &path, Some((media_type, body))).await?;
    print(&answer, args.query.output, |answer| {
        format!(
            "{} points of {} are stored, {} of them in place of other values; known until {}",
            text(answer, "/accepted"),
            text(answer, "/name"),
            text(answer, "/replaced"),
            text(answer, "/known_until")
        )
    });
    Ok(ExitCode::SUCCESS)
}

async fn delete(args: &RegressorDeleteArgs) -> anyhow::Result<ExitCode> {
    let path = format!("/api/v1/regressors/{}", escape(&args.name));
    let answer = request(&args.query.server, Method::DELETE, &path).await?;
    print(&answer, args.query.output, |answer| format!("regressor {} is gone", text(answer, "/removed")));
    Ok(ExitCode::SUCCESS)
}
