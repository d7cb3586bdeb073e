//! `foremesh explain`: why a decision was made, and the proof that it follows from what is on record.
use super::{print, text};
use crate::{
    api::PortableRecord,
    args::{ExplainArgs, Output},
    audit::unpack,
    client::request,
};
use anyhow::Context as _;
use foremesh_core::{
    decide::decide,
    record::{DecisionRecord, Replay},
    report::{Facts, records},
};
use hyper::Method;
use serde_json::{Value, json};
use std::{path::Path, process::ExitCode};

/// Explains a plan, the newest decision about a service, or the last pass.
///
/// # Errors
/// When the planner does not answer, does not know that plan or service, or a record cannot be read.
pub async fn explain(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let (server, output) = (&args.query.server, args.query.output);
    if let Some(file) = &args.record {
        let record = read(file)?;
        return if args.replay { replay(&record, output) } else { of_record(&record, output) };
    }
    if args.replay || args.save.is_some() {
        let plan = args.subject.as_deref().context("name the plan; `foremesh plans` lists them")?;
        let portable = fetch(server, plan).await?;
        if let Some(file) = &args.save {
            let text = serde_json::to_string(&portable)?;
            std::fs::write(file, text).with_context(|| format!("`{}` cannot be written", file.display()))?;
            eprintln!("{plan}: saved to {}", file.display());
        }
        return if args.replay { replay(&opened(&portable)?, output) } else { Ok(ExitCode::SUCCESS) };
    }
    let path = match args.subject.as_deref() {
        Some(plan) if plan.starts_with("plan-") => format!("/api/v1/plans/{plan}"),
        Some(service) => format!("/api/v1/decisions/services/{service}"),
        None => "/api/v1/decisions/last".to_owned(),
    };
    let answer = request(server, Method::GET, &path).await?;
    print(&answer, output, |answer| text(answer, "/explanation"));
    Ok(ExitCode::SUCCESS)
}

/// The record of a plan from a running planner.
async fn fetch(server: &str, plan: &str) -> anyhow::Result<PortableRecord> {
    let answer = request(server, Method::GET, &format!("/api/v1/plans/{plan}/record")).await?;
    serde_json::from_value(answer).context("the planner's answer holds no record of a plan")
}

/// A record from a file.
pub(super) fn read(file: &Path) -> anyhow::Result<DecisionRecord> {
    let name = file.display();
    let bytes = std::fs::read(file).with_context(|| format!("`{name}` cannot be read"))?;
    let portable: PortableRecord = serde_json::from_slice(&bytes)
        .with_context(|| format!("`{name}` is no record; `foremesh explain PLAN --save FILE` writes one"))?;
    opened(&portable).with_context(|| format!("`{name}` cannot be used"))
}

fn opened(portable: &PortableRecord) -> anyhow::Result<DecisionRecord> {
    Ok(unpack(&portable.packed().context("the record is not base64")?)?)
}

/// Decides again and compares.
fn replay(record: &DecisionRecord, output: Output) -> anyhow::Result<ExitCode> {
    let came = record.replay()?;
    let answer = serde_json::to_value(&came)?;
    print(&answer, output, |_| match &came {
        Replay::Same { bytes, digest } => {
            format!("replayed: the same {bytes} bytes, digest {digest}")
        }
        Replay::Different { at_byte, recorded, now } => {
            format!("replayed: another plan from byte {at_byte}\n  recorded: {recorded}\n  now:      {now}")
        }
        Replay::NoPlan { recorded } => format!("replayed: no plan comes out, but {recorded} was recorded"),
    });
    Ok(if matches!(came, Replay::Same { .. }) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The explanation of what the record decides.
fn of_record(record: &DecisionRecord, output: Output) -> anyhow::Result<ExitCode> {
    let inputs = record.inputs.borrow();
    let decision = decide(&inputs)?;
    let plan: Value = serde_json::from_str(&record.plan)?;
    let of_plan = |service: &str| {
        let moves = plan.pointer("/moves").and_then(Value::as_array);
        moves.is_some_and(|moves| moves.iter().any(|planned| planned["service"] == service))
    };
    let records = records(&inputs, &decision, 0);
    let told = records.iter().filter(|told| of_plan(told.service.as_str()));
    let (mut explanation, mut facts) = (String::new(), Vec::new());
    for told in told {
        let of_service = Facts::new(told, &inputs, &decision);
        explanation += &told.explain();
        explanation += &of_service.in_words();
        facts.push(serde_json::to_value(of_service)?);
    }
    let answer = json!({"plan": plan, "explanation": explanation.trim_end(), "facts": facts});
    print(&answer, output, |answer| text(answer, "/explanation"));
    Ok(ExitCode::SUCCESS)
}
