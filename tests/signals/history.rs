//! A long past, made by promtool, in a server with narrow limits.
use super::rig::{Running, SOON, blocks, now, port, prometheus};
use foremesh::{
    signals::prometheus::{ClientSettings, PrometheusClient, PrometheusError},
    store::GaugeMetric,
};
use foremesh_core::time::{Step, Timestamp};
use foremesh_tests::until;
use std::{fmt::Write as _, fs, path::Path};

/// More than a server gives of one series at once.
const SAMPLES: i64 = 12_000;
const MINUTE_MS: i64 = 60_000;

/// Twelve thousand minutes that ended four hours ago, with a counter that began again after five thousand of them.
fn write_past(directory: &Path) -> Timestamp {
    let end = Step::MINUTE.floor(now()).plus_ms(-240 * MINUTE_MS);
    let begin = end.plus_ms(-(SAMPLES - 1) * MINUTE_MS);
    let mut text = String::from("# TYPE node_cpu_seconds counter\n");
    let mut busy = 1e6;
    for n in 0..SAMPLES {
        busy = if n == 5000 { 15.0 } else { busy + 15.0 };
        let at = begin.plus_ms(n * MINUTE_MS).unix_ms() / 1000;
        writeln!(text, "node_cpu_seconds_total{{instance=\"n1:9100\",cpu=\"0\",mode=\"user\"}} {busy} {at}")
            .unwrap();
    }
    text.push_str("# TYPE node_memory_MemTotal_bytes gauge\n");
    for n in 0..SAMPLES {
        let at = begin.plus_ms(n * MINUTE_MS).unix_ms() / 1000;
        writeln!(text, "node_memory_MemTotal_bytes{{instance=\"n1:9100\"}} {} {at}", 1_000_000 + n).unwrap();
    }
    text.push_str("# EOF\n");
    let file = directory.join("past.om");
    fs::write(&file, text).unwrap();
    blocks(&file, &directory.join("tsdb"));
    begin
}

#[tokio::test]
async fn a_long_range_is_read_whole_and_the_past_fills_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let begin = write_past(folder.path());
    let port = port();
    // So few samples that even what a server gives by the number of points is too much.
    let _server = prometheus(folder.path(), port, None, &["--query.max-samples=4000"]).await;
    let url = format!("http://127.0.0.1:{port}");
    let client = PrometheusClient::new(&url, ClientSettings::default()).unwrap();
    let (from, to) = (begin, begin.plus_ms((SAMPLES - 1) * MINUTE_MS));
    let query = "node_memory_MemTotal_bytes";
    let series = until("the server to be ready", SOON, async || {
        client.query_range(query, from, to, Step::MINUTE).await.map_err(|error| error.to_string())
    })
    .await;
    assert_eq!(series.len(), 1);
    let want: Vec<(Timestamp, f64)> =
        (0..SAMPLES).map(|n| (begin.plus_ms(n * MINUTE_MS), (1_000_000 + n) as f64)).collect();
    assert_eq!(series[0].samples.len(), want.len());
    assert_eq!(series[0].samples, want, "each minute once, none missing");

    let error = client.query("sum(", to).await.unwrap_err();
    assert!(matches!(error, PrometheusError::Refused { status: 400, .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&url) && text.contains("`sum(`") && text.contains("correct the query"), "{text}");

    let settings = format!("prometheus: {{url: '{url}', interval: 1s, backfill: 9d}}");
    let running = Running::start(folder.path(), MINUTE_MS, &settings).await;
    until("the first read", SOON, async || {
        let status = running.status("prometheus");
        if status.reads > 0 { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    let hours = running.steps(2).await;
    let cpu: Vec<f64> =
        hours.iter().filter(|s| s.metric == GaugeMetric::CpuUsedMillicores).map(|s| s.mean).collect();
    // 8.3 days; the first hour has no sample before it.
    assert!(cpu.len() >= 198, "{} hours", cpu.len());
    let wrong: Vec<&f64> = cpu.iter().filter(|value| (**value - 250.0).abs() > 2.5).collect();
    assert!(wrong.len() <= 2, "a quarter of a core in every hour, also in that of the reset: {wrong:?}");
    let capacity: Vec<_> = hours.iter().filter(|s| s.metric == GaugeMetric::MemoryCapacityBytes).collect();
    assert!(capacity.len() >= 198 && capacity.is_sorted_by(|a, b| a.mean < b.mean));

    // Another start reads the same past, and adds nothing.
    let count = hours.iter().map(|step| step.readings).sum::<u64>();
    drop(running);
    let again = until("the store to be free", SOON, async || {
        let path = folder.path().join("series.db");
        fs::metadata(path).map(drop).map_err(|error| error.to_string())
    });
    again.await;
    let copy = tempfile::tempdir().unwrap();
    for name in ["series.db", "series.db-wal"] {
        let _ = fs::copy(folder.path().join(name), copy.path().join(name));
    }
    let running = Running::start(copy.path(), MINUTE_MS, &settings).await;
    until("the first read", SOON, async || {
        let status = running.status("prometheus");
        if status.reads > 0 { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    let count_again = running.steps(2).await.iter().map(|step| step.readings).sum::<u64>();
    assert_eq!(count_again, count);
}
