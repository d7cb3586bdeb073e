//! A bounded open-loop load on one URL, with its result as one JSON document.

use std::collections::BTreeMap;
use std::time::Duration;

use foremesh_demo::{Arrivals, LoadReport, LoadSpec, Profile, Shape, Window, start_load, unix_ms};
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
    /// Requests per second; far from the peak, where there is one.
    #[arg(long)]
    pub(crate) rate: f64,
    #[command(flatten)]
    pub(crate) day: Day,
    /// How long to send, in seconds from the start of the first day.
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

/// A rate that comes back every day: a plateau with straight ramps at both ends.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Day {
    /// Requests per second in the middle of each day's peak; the rate is constant without it.
    #[arg(long, requires = "day_seconds")]
    pub(crate) peak: Option<f64>,
    /// Length of a day, in seconds.
    #[arg(long, requires = "peak")]
    pub(crate) day_seconds: Option<f64>,
    /// Where in the day the middle of the peak lies, from 0 to 1.
    #[arg(long, default_value_t = 0.5)]
    pub(crate) peak_at: f64,
    /// Share of the day that the peak takes, ramps included.
    #[arg(long, default_value_t = 0.3)]
    pub(crate) peak_width: f64,
    /// Share of the day that each ramp takes.
    #[arg(long, default_value_t = 0.05)]
    pub(crate) peak_ramp: f64,
    /// Start of the first day, in milliseconds since the Unix epoch; now unless it is set. Loads with the same start keep
    /// step, and nothing is sent before it.
    #[arg(long)]
    pub(crate) day_start_unix_ms: Option<u64>,
}

impl Day {
    fn profile(&self, rate: f64) -> Profile {
        let period = self.day_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let (Some(peak), Some(period)) = (self.peak, period) else { return Profile::constant(rate) };
        let shape = Shape::Plateau { width: self.peak_width, ramp: self.peak_ramp };
        Profile { period, base: rate, peak, centre: self.peak_at, shape }
    }
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
        rate: args.day.profile(args.rate),
        day_start_unix_ms: args.day.day_start_unix_ms.unwrap_or_else(unix_ms),
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

/// A second that is over, with how many requests took how many microseconds.
fn line(window: &Window) -> serde_json::Value {
    let latency_us: BTreeMap<String, u32> = window
        .latency_us
        .iter_recorded()
        .map(|bucket| (bucket.value_iterated_to().to_string(), bucket.count_at_value()))
        .collect();
    serde_json::json!({
        "over_at_unix_ms": unix_ms(), "second": window.second, "offered": window.offered, "ok": window.ok,
        "failed": window.failed, "in_flight": window.in_flight, "latency_us": latency_us,
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        load: LoadArgs,
    }

    fn read(more: &[&str]) -> Result<LoadArgs, clap::Error> {
        let given = ["load", "http://web/", "--rate", "30"];
        Only::try_parse_from(given.iter().chain(more)).map(|only| only.load)
    }

    #[test]
    fn the_rate_rises_to_its_peak_once_a_day_or_never() {
        let args =
            read(&["--peak", "60", "--day-seconds", "100", "--peak-at", "0.75", "--peak-width", "0.2"])
                .unwrap();
        let of_day = args.day.profile(args.rate);
        for (second, rate) in
            [(0.0, 30.0), (64.0, 30.0), (67.5, 45.0), (75.0, 60.0), (86.0, 30.0), (175.0, 60.0)]
        {
            assert!((of_day.at(second) - rate).abs() < 1e-9, "at {second} s: {}", of_day.at(second));
        }
        let args = read(&[]).unwrap();
        assert!((args.day.profile(args.rate).at(75.0) - 30.0).abs() < 1e-9);
    }

    #[test]
    fn a_peak_and_its_day_come_together() {
        for half in [["--peak", "60"], ["--day-seconds", "100"]] {
            assert!(read(&half).is_err(), "{half:?}");
        }
    }
}
