//! What happens on this machine now, read in two ways, with servers that go away and come back.
use super::rig::{Running, SOON, node_exporter, now, port, prometheus};
use foremesh::store::{GaugeMetric, GaugeSource, GaugeStep};
use foremesh_core::time::Timestamp;
use foremesh_tests::until;
use std::fs;

const STEP_MS: i64 = 2000;

/// Seconds that all cores were busy, by the kernel: user, nice, system, irq, softirq, steal.
fn busy_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let fields: Vec<f64> =
        stat.lines().next().unwrap().split_whitespace().skip(1).map(|field| field.parse().unwrap()).collect();
    // In hundredths of a second (USER_HZ); fields 3 and 4 are idle and iowait.
    [0, 1, 2, 5, 6, 7].iter().map(|field| fields[*field]).sum::<f64>() / 100.0
}

fn total_memory() -> f64 {
    let info = fs::read_to_string("/proc/meminfo").unwrap();
    let line = info.lines().find(|line| line.starts_with("MemTotal:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
}

fn of(steps: &[GaugeStep], source: GaugeSource, metric: GaugeMetric) -> Vec<(Timestamp, f64)> {
    let mine = steps.iter().filter(|step| step.source == source && step.metric == metric);
    mine.map(|step| (step.start, step.mean)).collect()
}

#[tokio::test]
async fn both_sources_agree_with_the_kernel_and_survive_outages() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter_port, server_port) = (port(), port());
    let mut exporter = node_exporter(folder.path(), exporter_port).await;
    let mut server = prometheus(folder.path(), server_port, Some(exporter_port), &[]).await;
    let settings = format!(
        "{{prometheus: {{url: 'http://127.0.0.1:{server_port}', interval: 500ms, lag: 1s, rateWindow: 4s, timeout: 5s,
           backfill: 10m, nodes: {{'127.0.0.1:{exporter_port}': here}}}},
         nodeExporters: [{{node: here, url: 'http://127.0.0.1:{exporter_port}/metrics', interval: 500ms, timeout: 5s}}]}}"
    );
    let running = Running::start(folder.path(), STEP_MS, &settings).await;
    let direct = "node_exporter/here";
    let (before, from) = (busy_seconds(), now());
    let sources = [GaugeSource::Prometheus, GaugeSource::NodeExporter];
    let cpu = GaugeMetric::CpuUsedMillicores;
    let steps = until("ten steps of CPU from both", SOON, async || {
        let steps = running.steps(0).await;
        let enough = |source| of(&steps, source, cpu).iter().filter(|(at, _)| *at >= from).count() >= 10;
        if sources.iter().all(|source| enough(*source)) { Ok(steps) } else { Err(format!("{steps:?}")) }
    })
    .await;
    let true_mean = (busy_seconds() - before) / (now().ms_since(from) as f64 / 1e3) * 1000.0;
    for source in sources {
        let values = of(&steps, source, cpu);
        let mine: Vec<f64> = values.iter().filter(|(at, _)| *at >= from).map(|(_, value)| *value).collect();
        let mean = mine.iter().sum::<f64>() / mine.len() as f64;
        assert!(
            (mean - true_mean).abs() < 0.2 * true_mean + 100.0,
            "{source:?}: {mean} m, the kernel says {true_mean} m"
        );
        for (_, capacity) in of(&steps, source, GaugeMetric::MemoryCapacityBytes) {
            assert!((capacity / total_memory() - 1.0).abs() < 1e-9, "{source:?}: {capacity}");
        }
        for metric in [
            GaugeMetric::CpuCapacityMillicores,
            GaugeMetric::MemoryUsedBytes,
            GaugeMetric::DiskIoBytesPerSecond,
            GaugeMetric::FilesystemUsedBytes,
        ] {
            assert!(!of(&steps, source, metric).is_empty(), "{source:?} has no {metric:?}");
        }
    }

    // The server goes away: a typed error, an age that grows, and the exporter is still read.
    server.kill().await.unwrap();
    let failed = until("the failure to be seen", SOON, async || {
        let status = running.status("prometheus");
        if status.error.is_some() { Ok(status) } else { Err(format!("{status:?}")) }
    })
    .await;
    assert!(failed.error.as_ref().unwrap().contains("does not answer the query"), "{failed:?}");
    let read_before = running.status(direct).reads;
    until("the age to grow", SOON, async || {
        let (age, other) =
            (running.status("prometheus").age_ms(now()).unwrap(), running.status(direct).reads);
        if age > 10_000 && other > read_before { Ok(()) } else { Err(format!("{age} ms, {other} reads")) }
    })
    .await;

    // It comes back and goes on, with a gap where nobody scraped.
    let _server = prometheus(folder.path(), server_port, Some(exporter_port), &[]).await;
    until("the server to be read again", SOON, async || {
        let status = running.status("prometheus");
        let fresh = status.age_ms(now()).is_some_and(|age| age < 8000);
        if status.error.is_none() && fresh { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;

    // So does the exporter, and no rate is out of the world after it.
    exporter.kill().await.unwrap();
    until("the exporter's failure", SOON, async || {
        let status = running.status(direct);
        if status.error.is_some() { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    let _exporter = node_exporter(folder.path(), exporter_port).await;
    let back = now();
    let steps = until("steps after the restart", SOON, async || {
        let steps = running.steps(0).await;
        let after = of(&steps, GaugeSource::NodeExporter, cpu).iter().filter(|(at, _)| *at > back).count();
        if after >= 3 { Ok(steps) } else { Err(format!("{after} steps; {:?}", running.status(direct))) }
    })
    .await;
    let cores = std::thread::available_parallelism().unwrap().get() as f64;
    for (at, value) in of(&steps, GaugeSource::NodeExporter, cpu) {
        assert!((0.0..=cores * 1000.0 * 1.5).contains(&value), "{value} m at {at:?} on {cores} cores");
    }
}
