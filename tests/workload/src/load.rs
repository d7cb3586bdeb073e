//! A bounded open-loop load on one URL, with its result as one JSON document.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use foremesh_demo::{Arrivals, LoadReport, LoadSpec, Window, start_load};
use hyper::Uri;

use crate::call::{resolve, target};
use crate::failure::Failure;

/// Settings of a load.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LoadArgs {
    /// Where to send; its host is resolved once.
    pub(crate) url: Uri,
    /// Value of the `host` header; that of the URL unless it is set.
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// Requests per second.
    #[arg(long)]
    pub(crate) rate: f64,
    /// How long to send, in seconds.
    #[arg(long)]
    pub(crate) seconds: Option<f64>,
    /// How many requests to send.
    #[arg(long)]
    pub(crate) requests: Option<u64>,
    /// How the requests lie between each other.
    #[arg(long, value_enum, default_value = "even")]
    pub(crate) arrivals: Arrivals,
    /// Seed of the arrival times.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Most connections at a time.
    #[arg(long, default_value_t = 64)]
    pub(crate) connections: usize,
    /// How long after it was due a request may take, in milliseconds; then it has failed.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) timeout_ms: u64,
    /// Print a line for each second when it is over, with its latencies; the document comes last.
    #[arg(long)]
    pub(crate) every_second: bool,
}

/// Sends the load and prints what came of it.
pub(crate) async fn load(args: LoadArgs) -> Result<(), Failure> {
    if args.seconds.is_none() && args.requests.is_none() {
        return Err(Failure::Endless);
    }
    let target = target(&args.url)?;
    let spec = LoadSpec {
        host: args.host.unwrap_or(target.host.clone()),
        path: target.path.clone(),
        arrivals: args.arrivals,
        seed: args.seed,
        until: args.seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        requests: args.requests,
        connections: args.connections,
        request_timeout: Duration::from_millis(args.timeout_ms),
        ..LoadSpec::constant(resolve(&target).await?, args.rate)
    };
    let mut load = start_load(spec)?;
    let mut seconds = Vec::new();
    while let Some(window) = load.windows.recv().await {
        if args.every_second {
            print(&line(&window))?;
        }
        seconds.push(second(seconds.len(), &window));
    }
    let report = load.finish().await?;
    print(&document(&report, &seconds))
}

fn print(document: &serde_json::Value) -> Result<(), Failure> {
    serde_json::to_writer(std::io::stdout(), document).map_err(|source| Failure::Print { source })?;
    println!();
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "who reads the line compares it with the clock of the same machine"
)]
fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// A second that is over, with how many requests took how many microseconds.
fn line(window: &Window) -> serde_json::Value {
    let latency_us: BTreeMap<String, u32> = window
        .latency_us
        .iter_recorded()
        .map(|bucket| (bucket.value_iterated_to().to_string(), bucket.count_at_value()))
        .collect();
    serde_json::json!({
        "over_at_unix_ms": now_ms(), "offered": window.offered, "ok": window.ok,
        "failed": window.failed, "latency_us": latency_us,
    })
}

fn second(number: usize, window: &Window) -> serde_json::Value {
    serde_json::json!({
        "second": number, "offered": window.offered, "ok": window.ok, "failed": window.failed,
        "p50_ms": window.quantile_ms(0.5), "p99_ms": window.quantile_ms(0.99),
    })
}

fn document(report: &LoadReport, seconds: &[serde_json::Value]) -> serde_json::Value {
    let mut texts: BTreeMap<&str, u64> = BTreeMap::new();
    for failure in &report.failures {
        *texts.entry(&failure.text).or_default() += 1;
    }
    let quantile = |quantile| report.quantile_ms(quantile);
    serde_json::json!({
        "offered": report.totals.offered,
        "sent": report.totals.sent,
        "ok": report.totals.ok,
        "failed": report.totals.failed,
        // From the time at which a request was due, of those that succeeded.
        "latency_ms": {
            "p50": quantile(0.5), "p90": quantile(0.9), "p95": quantile(0.95), "p99": quantile(0.99), "max": quantile(1.0),
        },
        "failures": texts,
        "seconds": seconds,
    })
}
