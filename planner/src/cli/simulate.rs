//! `foremesh simulate`: what would be, if. And `foremesh plan`: what the newest pass would change.
use super::{AT_RISK, explain::read, items, print, text};
use crate::{
    api::WhatIfAnswer,
    args::{QueryArgs, SimulateArgs},
    client::{request, send},
    what_if::WhatIf,
};
use comfy_table::{Table, presets};
use foremesh_core::what_if::answer;
use hyper::Method;
use serde_json::Value;
use std::{fmt::Write as _, process::ExitCode};

/// Predicts what moves, loads and failures would bring; exits with 3 when something would breach.
///
/// # Errors
/// When the planner does not answer, a record cannot be read, or the question names what is not there.
pub async fn simulate(args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    let asked = WhatIf::parse(&args.moves, &args.load, &args.node_down, args.at.as_deref())?;
    let answer = if let Some(file) = &args.record {
        let inputs = read(file)?.inputs;
        let answered = answer(&inputs, &asked.question(inputs.now)?)?;
        serde_json::to_value(WhatIfAnswer::from(answered))?
    } else {
        let body = Some(("application/json", serde_json::to_vec(&asked)?));
        send(&args.server, Method::POST, "/api/v1/what-if", body).await?
    };
    print(&answer, args.output, told);
    let breach = answer.get("breach").and_then(Value::as_bool) == Some(true);
    Ok(if breach { ExitCode::from(AT_RISK) } else { ExitCode::SUCCESS })
}

/// The answer for people.
fn told(answer: &Value) -> String {
    let mut told = String::new();
    for refused in items(answer, "refused") {
        let (workload, node) = (text(refused, "/workload"), text(refused, "/node"));
        let _ = writeln!(told, "{workload} cannot go to {node}: {}", text(refused, "/why"));
    }
    match answer.get("accepted").and_then(Value::as_bool) {
        Some(true) => told += "the checker would accept these moves\n",
        Some(false) => told += "the checker would refuse these moves\n",
        None => {}
    }
    for objection in items(answer, "objections") {
        let _ = writeln!(told, "  {}", text(objection, ""));
    }
    let sides =
        |item: &Value, before: &str, after: &str| format!("{} -> {}", text(item, before), text(item, after));
    let mut services = table(&["SERVICE", "LATENCY MS", "OBJECTIVE MS", "RISK", "REQUESTS/S", "SAYS"]);
    for service in items(answer, "services") {
        let is = |pointer: &str| service.pointer(pointer).and_then(Value::as_bool) == Some(true);
        let says = match (is("/after/lost"), is("/after/saturated"), is("/breach")) {
            (true, _, _) => "no replica is left".to_owned(),
            (_, true, _) => "a node is full".to_owned(),
            (_, _, true) => "breach".to_owned(),
            _ => service.get("unknown").and_then(Value::as_str).unwrap_or("holds").to_owned(),
        };
        services.add_row([
            text(service, "/service"),
            sides(service, "/before/latency_ms", "/after/latency_ms"),
            text(service, "/objective_ms"),
            sides(service, "/before/risk", "/after/risk"),
            text(service, "/requests_per_second"),
            says,
        ]);
    }
    let mut nodes = table(&["NODE", "CPU IN USE", "LIMIT"]);
    for node in items(answer, "nodes") {
        nodes.add_row([text(node, "/node"), sides(node, "/use_before", "/use_after"), text(node, "/limit")]);
    }
    let cost = answer.get("cost").unwrap_or(&Value::Null);
    let _ = write!(
        told,
        "{services}\n\n{nodes}\n\nrequests/s at risk {}, disturbed by the moves {}, money per hour {}",
        sides(cost, "/risk_before", "/risk_after"),
        text(cost, "/disruption"),
        text(cost, "/money_per_hour"),
    );
    told
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    table
}

/// Shows what the newest pass would change; exits with 3 when that is something.
///
/// # Errors
/// When the planner does not answer.
pub async fn plan(args: &QueryArgs) -> anyhow::Result<ExitCode> {
    let answer = request(&args.server, Method::GET, "/api/v1/decisions/last").await?;
    print(&answer, args.output, |answer| {
        let plans = items(answer, "plans");
        if plans.is_empty() {
            return format!("nothing would change\n{}", text(answer, "/explanation"));
        }
        let mut told = String::new();
        for plan in plans {
            let _ = writeln!(told, "{} ({}):", text(plan, "/id"), text(plan, "/mode"));
            for planned in items(plan, "moves") {
                let _ = writeln!(told, "  {}", text(planned, ""));
            }
        }
        told + &text(answer, "/explanation")
    });
    Ok(if items(&answer, "plans").is_empty() { ExitCode::SUCCESS } else { ExitCode::from(AT_RISK) })
}
