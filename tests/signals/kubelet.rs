//! The labels that a kubelet gives to what cAdvisor says, which a control group made by hand does not have: rows of pods
//! and sandboxes beside those of containers, images, interfaces and stacked disks.
use super::rig::{Running, SOON, blocks, now, port, prometheus};
use foremesh::store::{GaugeMetric, GaugeSubject};
use foremesh_core::time::Step;
use foremesh_tests::until;
use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

const MINUTE_MS: i64 = 60_000;
const POD: &str = "namespace=\"shop\",pod=\"cart-7d9f8b6c5d-x2x5z\"";

/// Three hours that ended an hour ago. Counters grow by what is given each second, levels stay.
fn write_past(directory: &Path) {
    let counters: [(&str, &str, f64); 14] = [
        // Two containers, what the pod has of both, and the sandbox in the ways of docker and of containerd.
        ("container_cpu_usage_seconds", "container=\"cart\",image=\"i\",name=\"a\",cpu=\"total\"", 0.2),
        ("container_cpu_usage_seconds", "container=\"proxy\",image=\"i\",name=\"b\",cpu=\"total\"", 0.1),
        ("container_cpu_usage_seconds", "container=\"\",cpu=\"total\"", 0.31),
        ("container_cpu_usage_seconds", "container=\"POD\",image=\"pause\",name=\"c\",cpu=\"total\"", 0.01),
        ("container_fs_reads_bytes", "container=\"cart\",device=\"/dev/sda\"", 100.0),
        ("container_fs_writes_bytes", "container=\"cart\",device=\"/dev/sda\"", 200.0),
        // A volume on that disk: the same bytes once more.
        ("container_fs_reads_bytes", "container=\"cart\",device=\"/dev/dm-0\"", 100.0),
        ("container_fs_writes_bytes", "container=\"cart\",device=\"/dev/dm-0\"", 200.0),
        ("container_fs_reads_bytes", "container=\"proxy\",device=\"/dev/nvme0n1\"", 7.0),
        ("container_fs_writes_bytes", "container=\"proxy\",device=\"/dev/nvme0n1\"", 0.0),
        (
            "container_network_receive_bytes",
            "container=\"\",interface=\"eth0\",image=\"pause\",name=\"c\"",
            1000.0,
        ),
        (
            "container_network_receive_bytes",
            "container=\"\",interface=\"eth1\",image=\"pause\",name=\"c\"",
            10.0,
        ),
        (
            "container_network_transmit_bytes",
            "container=\"\",interface=\"eth0\",image=\"pause\",name=\"c\"",
            500.0,
        ),
        (
            "container_network_transmit_bytes",
            "container=\"\",interface=\"eth1\",image=\"pause\",name=\"c\"",
            5.0,
        ),
    ];
    let levels = [
        ("container=\"cart\"", 3e6),
        ("container=\"proxy\"", 1e6),
        ("container=\"\"", 4.1e6),
        ("container=\"POD\"", 1e5),
    ];
    let minutes = 180;
    let begin = Step::MINUTE.floor(now()).plus_ms(-(60 + minutes) * MINUTE_MS);
    let at = |n: i64| begin.plus_ms(n * MINUTE_MS).unix_ms() / 1000;
    let mut text = String::new();
    let mut family = "";
    for (name, labels, rate) in counters {
        if name != family {
            writeln!(text, "# TYPE {name} counter").unwrap();
            family = name;
        }
        for n in 0..minutes {
            let value = 1e6 + rate * 60.0 * n as f64;
            writeln!(text, "{name}_total{{{POD},{labels}}} {value} {}", at(n)).unwrap();
            // The whole node, which names no pod.
            if labels.contains("cart") && labels.contains("cpu") {
                writeln!(text, "{name}_total{{id=\"/\",cpu=\"total\"}} {} {}", value * 9.0, at(n)).unwrap();
            }
        }
    }
    text.push_str("# TYPE container_memory_working_set_bytes gauge\n");
    for (labels, value) in levels {
        for n in 0..minutes {
            writeln!(text, "container_memory_working_set_bytes{{{POD},{labels}}} {value} {}", at(n)).unwrap();
        }
    }
    text.push_str("# EOF\n");
    let file = directory.join("past.om");
    fs::write(&file, text).unwrap();
    blocks(&file, &directory.join("tsdb"));
}

#[tokio::test]
async fn each_container_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    write_past(folder.path());
    let port = port();
    let _server = prometheus(folder.path(), port, None, &[]).await;
    let settings = format!("prometheus: {{url: 'http://127.0.0.1:{port}', interval: 1s, backfill: 4h}}");
    let running = Running::start(folder.path(), MINUTE_MS, &settings).await;
    until("the first read", SOON, async || {
        let status = running.status("prometheus");
        if status.reads > 0 { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    let mut found: BTreeMap<(GaugeSubject, GaugeMetric), Vec<f64>> = BTreeMap::new();
    for step in running.steps(0).await {
        found.entry((step.subject, step.metric)).or_default().push(step.mean);
    }
    let cart = || GaugeSubject::Workload("shop/cart".into());
    let want = [
        (GaugeMetric::CpuUsedMillicores, 300.0),
        (GaugeMetric::MemoryUsedBytes, 4e6),
        (GaugeMetric::DiskIoBytesPerSecond, 307.0),
        (GaugeMetric::NetworkBytesPerSecond, 1515.0),
    ];
    assert_eq!(found.len(), want.len(), "nothing but the pod's own: {:?}", found.keys());
    for (metric, value) in want {
        let values = &found[&(cart(), metric)];
        assert!(values.len() > 170, "{metric:?}: {}", values.len());
        let wrong: Vec<&f64> = values.iter().filter(|got| (**got / value - 1.0).abs() > 1e-6).collect();
        // At the two ends of the past the server extrapolates, by half an interval at most.
        assert!(wrong.len() <= 4, "{metric:?} should be {value}: {wrong:?}");
    }
}
