//! `foremesh bench`: runs a benchmark and prints what it measured.
use crate::{
    args::{IngestBenchArgs, IngestServerArgs, Output},
    bench::ingest::{IngestBench, IngestReport, run, server},
};
use comfy_table::{Table, presets};
use std::process::ExitCode;

/// Measures durable summaries per second of one core.
///
/// # Errors
/// When the benchmark's server fails, or does not hold exactly what was acknowledged.
pub async fn ingest(args: &IngestBenchArgs) -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe()?.into_os_string();
    let bench = IngestBench {
        proxies: args.proxies,
        routes: args.routes,
        seconds: args.seconds,
        seed: args.seed,
        runs: args.runs,
        history_hours: args.history_hours,
        folder: args.folder.clone(),
        ..IngestBench::new(vec![program, "bench".into(), "ingest-server".into()])
    };
    let report = run(&bench).await?;
    match args.output {
        Output::Table => println!("{}", table(&report)),
        Output::Json => println!("{}", serde_json::to_string(&report)?),
        Output::Yaml => print!("{}", yaml_serde::to_string(&report)?),
    }
    Ok(ExitCode::SUCCESS)
}

/// The server side of [`ingest`].
///
/// # Errors
/// When the store or the listener fails.
pub async fn ingest_server(args: &IngestServerArgs) -> anyhow::Result<ExitCode> {
    let mode = server::Mode::from_name(&args.mode)
        .ok_or_else(|| anyhow::anyhow!("mode `{}` is not known; `foremesh bench ingest` starts this itself", args.mode))?;
    server::run(&args.folder, mode).await?;
    Ok(ExitCode::SUCCESS)
}

fn table(report: &IngestReport) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "RUN", "PER CPU SECOND", "PER SECOND", "ACK P50 MS", "ACK P99 MS", "PEAK MIB", "COMMITS", "STORED",
    ]);
    for (number, run) in report.runs.iter().enumerate() {
        table.add_row([
            (number + 1).to_string(),
            format!("{:.0}", run.per_cpu_second),
            format!("{:.0}", run.per_wall_second),
            format!("{:.2}", run.ack_p50_ms),
            format!("{:.2}", run.ack_p99_ms),
            format!("{:.0}", run.peak_rss_mib),
            run.commits.to_string(),
            run.observations_stored.to_string(),
        ]);
    }
    let mut text = format!(
        "durable summaries of {} routes ({:.0} bytes each), {} proxies\n{table}",
        report.routes, report.summary_bytes, report.proxies
    );
    if let Some(history) = &report.history {
        text.push_str(&format!("\nhistory: {}", serde_json::to_string(history).unwrap_or_default()));
    }
    text
}
