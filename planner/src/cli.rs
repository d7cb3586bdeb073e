//! The commands that ask a running planner and print its answer.
mod approve;
mod calendar;
mod explain;
mod regressors;
mod simulate;

pub use approve::{approve, undo};
pub use calendar::calendar;
pub use explain::explain;
pub use regressors::regressors;
pub use simulate::{plan, simulate};

use crate::{
    args::{AccuracyArgs, ForecastArgs, Output, QueryArgs, RelocationArgs},
    client::request,
};
use comfy_table::{Table, presets};
use hyper::Method;
use serde_json::Value;
use std::{fmt::Write as _, process::ExitCode};

/// Exit code for "something is at risk or would change".
const AT_RISK: u8 = 3;

/// Lists services; the exit code says whether one is at risk.
///
/// # Errors
/// When the planner does not answer.
pub async fn services(args: &QueryArgs) -> anyhow::Result<ExitCode> {
    let answer = request(&args.server, Method::GET, "/api/v1/services").await?;
    print(&answer, args.output, |answer| {
        rows(
            answer,
            "services",
            &[
                ("SERVICE", "/id"),
                ("P99 MS", "/measured/latency_p99_ms"),
                ("RPS", "/measured/throughput_rps"),
                ("PREDICTED MS", "/predicted/worst_ms"),
                ("OBJECTIVE MS", "/objective_ms"),
                ("RISK", "/predicted/breach_probability"),
                ("NODES", "/nodes"),
                ("SAYS", "/verdict"),
            ],
        )
    });
    let risky = items(&answer, "services")
        .iter()
        .any(|s| s.pointer("/verdict").and_then(Value::as_str) == Some("breach"));
    Ok(if risky { ExitCode::from(AT_RISK) } else { ExitCode::SUCCESS })
}

/// Shows one forecast: its bands, the models behind it with their weights, the events in force.
///
/// # Errors
/// When the planner does not answer, or has no such forecast.
pub async fn forecast(args: &ForecastArgs) -> anyhow::Result<ExitCode> {
    let path = match (&args.service, &args.node, &args.workload) {
        (Some(service), ..) => {
            let horizon =
                args.horizon.map_or_else(String::new, |horizon| format!("&horizon={}ms", horizon.ms()));
            let metric = args.metric.as_deref().unwrap_or("latency");
            format!("services/{service}/forecast?metric={metric}&quantile={}{horizon}", args.quantile)
        }
        (None, Some(node), _) => format!("nodes/{node}/forecast{}", metric_query(args)),
        (None, None, workload) => {
            format!("workloads/{}/forecast{}", workload.as_deref().unwrap_or_default(), metric_query(args))
        }
    };
    let answer = request(&args.query.server, Method::GET, &format!("/api/v1/{path}")).await?;
    print(&answer, args.query.output, |answer| {
        let steps = rows(
            answer,
            "steps",
            &[
                ("FROM", "/start"),
                ("Q05", "/quantiles/0.05"),
                ("Q50", "/quantiles/0.5"),
                ("Q95", "/quantiles/0.95"),
            ],
        );
        let parts = rows(
            answer,
            "parts",
            &[
                ("STEPS FROM", "/first"),
                ("TO", "/end"),
                ("MODEL", "/model"),
                ("WEIGHT", "/weight"),
                ("ERROR", "/mae"),
            ],
        );
        let events = rows(
            answer,
            "events",
            &[("EVENT", "/event"), ("START", "/start"), ("END", "/end"), ("EFFECT", "/effect")],
        );
        let events = if items(answer, "events").is_empty() { String::new() } else { format!("\n{events}") };
        format!(
            "{}: model {}, made {}, data {} ms old, backtest error {} over {} origins\n{steps}\n{parts}{events}",
            text(answer, "/metric"),
            text(answer, "/model"),
            text(answer, "/made_at"),
            text(answer, "/data_age_ms"),
            text(answer, "/backtest/mae"),
            text(answer, "/backtest/origins")
        )
    });
    Ok(ExitCode::SUCCESS)
}

fn metric_query(args: &ForecastArgs) -> String {
    args.metric.as_ref().map_or_else(String::new, |metric| format!("?metric={metric}"))
}

/// Shows how good the forecasts turned out to be.
///
/// # Errors
/// When the planner does not answer.
pub async fn accuracy(args: &AccuracyArgs) -> anyhow::Result<ExitCode> {
    let mut path = format!("/api/v1/accuracy?limit={}", args.limit);
    for (name, value) in [("subject", &args.subject), ("metric", &args.metric)] {
        if let Some(value) = value {
            let _ = write!(path, "&{name}={value}");
        }
    }
    let answer = request(&args.query.server, Method::GET, &path).await?;
    print(&answer, args.query.output, |answer| {
        rows(
            answer,
            "series",
            &[
                ("KIND", "/kind"),
                ("SUBJECT", "/subject"),
                ("METRIC", "/metric"),
                ("ERROR / LAST VALUE", "/relative_mae"),
                ("IN 80 % BAND", "/at/0/coverage_80"),
                ("BELOW Q90", "/at/0/below_q90"),
                ("MODEL", "/parts/0/model"),
                ("DRIFTS", "/drifts"),
            ],
        )
    });
    Ok(ExitCode::SUCCESS)
}

/// Lists nodes.
///
/// # Errors
/// When the planner does not answer.
pub async fn nodes(args: &QueryArgs) -> anyhow::Result<ExitCode> {
    let answer = request(&args.server, Method::GET, "/api/v1/nodes").await?;
    print(&answer, args.output, |answer| {
        rows(
            answer,
            "nodes",
            &[
                ("NODE", "/id"),
                ("ZONE", "/zone"),
                ("STATE", "/state"),
                ("CAPACITY MILLICORES", "/capacity_millicores"),
                ("USED", "/used_millicores"),
                ("PREDICTED PEAK", "/predicted_peak_millicores"),
                ("MAY RUN OUT", "/exhaustion/0/metric"),
                ("LIKELY AT", "/exhaustion/0/likely_at"),
            ],
        )
    });
    Ok(ExitCode::SUCCESS)
}

/// Lists plans.
///
/// # Errors
/// When the planner does not answer.
pub async fn plans(args: &QueryArgs) -> anyhow::Result<ExitCode> {
    let answer = request(&args.server, Method::GET, "/api/v1/plans").await?;
    print(&answer, args.output, |answer| {
        rows(
            answer,
            "plans",
            &[
                ("PLAN", "/id"),
                ("MADE", "/made_at"),
                ("GENERATION", "/generation"),
                ("MOVES", "/summary"),
                ("MODE", "/mode"),
                ("STATE", "/state"),
            ],
        )
    });
    Ok(ExitCode::SUCCESS)
}

/// Lists relocations.
///
/// # Errors
/// When the planner does not answer.
pub async fn moves(args: &QueryArgs) -> anyhow::Result<ExitCode> {
    let answer = request(&args.server, Method::GET, "/api/v1/relocations").await?;
    print(&answer, args.output, |answer| {
        rows(
            answer,
            "relocations",
            &[
                ("RELOCATION", "/id"),
                ("MOVE", "/summary"),
                ("STATE", "/state"),
                ("SINCE", "/since"),
                ("BENEFIT", "/benefit/verdict"),
                ("BECAUSE", "/why"),
            ],
        )
    });
    Ok(ExitCode::SUCCESS)
}

/// Takes a running relocation back.
///
/// # Errors
/// When the planner does not answer, or the relocation is over already.
pub async fn abort(args: &RelocationArgs) -> anyhow::Result<ExitCode> {
    let query = format!("by={}&reason={}", escape(&args.by), escape(&args.reason));
    let path = format!("/api/v1/relocations/{}/abort?{query}", args.relocation);
    let answer = request(&args.query.server, Method::POST, &path).await?;
    print(&answer, args.query.output, |answer| {
        format!("relocation {} is being taken back", text(answer, "/id"))
    });
    Ok(ExitCode::SUCCESS)
}

/// Percent-encodes all but the unreserved characters of RFC 3986.
fn escape(raw: &str) -> String {
    let mut escaped = String::with_capacity(raw.len());
    for byte in raw.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => {
                let _ = write!(escaped, "%{byte:02X}");
            }
        }
    }
    escaped
}

fn print<T: std::fmt::Display>(answer: &Value, output: Output, table: impl Fn(&Value) -> T) {
    match output {
        Output::Table => println!("{}", table(answer)),
        Output::Json => println!("{answer}"),
        Output::Yaml => print!("{}", yaml_serde::to_string(answer).unwrap_or_else(|error| error.to_string())),
    }
}

fn items<'a>(answer: &'a Value, list: &str) -> &'a [Value] {
    answer.get(list).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn rows(answer: &Value, list: &str, columns: &[(&str, &str)]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(columns.iter().map(|(title, _)| *title));
    for item in items(answer, list) {
        table.add_row(columns.iter().map(|(_, pointer)| text(item, pointer)));
    }
    table
}

/// The value at a JSON pointer as a person would write it; `-` when there is none.
fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => match number.as_f64() {
            Some(float) if number.is_f64() => format!("{float:.2}"),
            _ => number.to_string(),
        },
        Some(Value::Array(items)) => items.iter().map(|item| text(item, "")).collect::<Vec<_>>().join(", "),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_carry_any_reason() {
        assert_eq!(escape("too slow & odd"), "too%20slow%20%26%20odd");
    }

    #[test]
    fn missing_values_are_shown_as_missing() {
        let value = serde_json::json!({"a": null, "b": 1.5, "c": 3, "d": ["x", "y"]});
        let shown: Vec<String> = ["/a", "/b", "/c", "/d", "/e"].iter().map(|p| text(&value, p)).collect();
        assert_eq!(shown, ["-", "1.50", "3", "x, y", "-"]);
    }
}
