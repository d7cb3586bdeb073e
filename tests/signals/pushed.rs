//! Metrics pushed by the real SDK of Python: protobuf, gzip, cumulative.
use super::rig::Running;
use foremesh::store::{GaugeMetric, GaugeSubject};
use std::path::Path;
use tokio::process::Command;

#[tokio::test]
async fn what_an_sdk_pushes_becomes_gauges() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(folder.path(), 2000, "otlp: {enabled: true}").await;
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pushed = Command::new("python3")
        .arg(here.join("signals/push.py"))
        .arg(format!("http://{}/v1/metrics", running.server))
        .env("PYTHONPATH", here.join("../build/otlp"))
        .output()
        .await
        .expect("python3 is there");
    let said = String::from_utf8_lossy(&pushed.stderr);
    assert!(pushed.status.success(), "run `scripts/setup signals`; {said}");
    assert!(!said.contains("Failed"), "the SDK was refused: {said}");
    let status = running.status("otlp");
    assert!(status.reads >= 9 && status.failures == 0 && status.left_out == 0, "{status:?}");
    let steps = running.steps(0).await;
    let values = |metric| -> Vec<f64> {
        let mine = steps.iter().filter(|step| step.metric == metric);
        mine.inspect(|step| assert_eq!(step.subject, GaugeSubject::Node("n7".into())))
            .map(|step| step.mean)
            .collect()
    };
    let disk = values(GaugeMetric::DiskIoBytesPerSecond);
    assert!(disk.len() >= 2, "{steps:?}");
    for value in &disk {
        assert!((value / 2e6 - 1.0).abs() < 0.25, "2 MB each second: {disk:?}");
    }
    let memory = values(GaugeMetric::MemoryUsedBytes);
    assert!(memory.len() >= 2 && memory.iter().all(|value| (value - 5e8).abs() < 1.0), "{memory:?}");
}
