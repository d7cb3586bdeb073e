//! What containers do, by a real cAdvisor that a real Prometheus scrapes, against the kernel's own counters.
//!
//! A control group of a process stands for a container; the labels that a kubelet gives are made by relabelling. The
//! root group stands for a pod's sandbox, which is the group that has a network.
use super::{
    cgroup::{Cgroup, Counted},
    rig::{Running, SOON, cadvisor, now, port, prometheus_with},
    wire::Wire,
};
use foremesh::store::{GaugeMetric, GaugeStep, GaugeSubject};
use foremesh_core::time::Timestamp;
use foremesh_demo::{Child, ChildSpec};
use foremesh_tests::until;
use std::{
    fs,
    net::UdpSocket,
    path::Path,
    process,
    sync::{Arc, Mutex},
    time::Duration,
};

const STEP_MS: i64 = 2000;
const WINDOW_MS: i64 = 8000;
const MILLICORES: u64 = 300;
const MEBIBYTES: u64 = 64;
/// Of one write each second; one more or less may be in a window.
const WRITE_BYTES: f64 = 1_048_576.0;
/// Devices that cAdvisor leaves out.
const INNER_NETWORKS: [&str; 4] = ["lo", "veth", "docker", "nerdctl"];

type Counter = fn(&Look) -> f64;

/// One look at the kernel's counters.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Timestamp,
    group: Counted,
    network_bytes: f64,
}

fn network_bytes() -> f64 {
    let text = fs::read_to_string("/proc/1/net/dev").expect("the kernel tells its network devices");
    let devices = text.lines().filter_map(|line| line.trim().split_once(':'));
    let counted = devices.filter(|(name, _)| !INNER_NETWORKS.iter().any(|inner| name.starts_with(inner)));
    let bytes = |fields: &str| -> f64 {
        let fields: Vec<f64> = fields.split_whitespace().filter_map(|field| field.parse().ok()).collect();
        fields[0] + fields[8]
    };
    counted.map(|(_, fields)| bytes(fields)).sum()
}

/// Looks at the counters of the kernel, and sends a little over a wire, until it is dropped.
struct Kernel {
    _wire: Wire,
    looks: Arc<Mutex<Vec<Look>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Kernel {
    fn watch(group: Arc<Cgroup>) -> Self {
        let looks = Arc::<Mutex<Vec<Look>>>::default();
        let into = Arc::clone(&looks);
        let wire = Wire::lay();
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(100));
            loop {
                ticks.tick().await;
                let look = Look { at: now(), group: group.counted(), network_bytes: network_bytes() };
                into.lock().expect("no look panics").push(look);
                for _ in 0..5 {
                    // The far end answers that nobody listens, which is an error of the next call only.
                    let _ = socket.send_to(&[0; 1000], Wire::FAR);
                }
            }
        });
        Self { _wire: wire, looks, task }
    }

    /// Mean growth of a counter by second over the window that ends at a time; `None` where it was not watched.
    fn rate(&self, end: Timestamp, counter: Counter) -> Option<f64> {
        let looks = self.looks.lock().expect("no look panics");
        let from = end.plus_ms(-WINDOW_MS);
        // A window in which a series began tells less than the whole of it.
        looks.first().filter(|first| first.at.plus_ms(2 * STEP_MS) <= from)?;
        let (first, last) =
            (looks.iter().rfind(|look| look.at <= from)?, looks.iter().find(|look| look.at >= end)?);
        Some((counter(last) - counter(first)) * 1e3 / last.at.ms_since(first.at) as f64)
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The labels of a kubelet, made of the names of the groups.
fn scrape(port: u16, group: &str) -> String {
    format!(
        "[{{job_name: cadvisor, static_configs: [{{targets: ['127.0.0.1:{port}']}}], metric_relabel_configs: [
           {{source_labels: [id], regex: '/{group}/.*', target_label: namespace, replacement: test}},
           {{source_labels: [id], regex: '/{group}/([^/]+)(/.*)?', target_label: pod, replacement: '$1'}},
           {{source_labels: [id], regex: '/{group}/[^/]+/(.+)', target_label: container, replacement: '$1'}},
           {{source_labels: [__name__, id], regex: 'container_network_.*;/', target_label: namespace, replacement: test}},
           {{source_labels: [__name__, id], regex: 'container_network_.*;/', target_label: pod, replacement: wires}}]}}]"
    )
}

async fn burn(directory: &Path, group: &Cgroup) -> Child {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("signals/burn.py");
    let mut arguments = vec![script.into(), directory.join("written").into(), MEBIBYTES.to_string().into()];
    arguments.extend(group.procs().into_iter().map(Into::into));
    let log = directory.join("burn.log");
    let spec = ChildSpec { name: "burn".to_owned(), program: "/usr/bin/python3".into(), arguments, log };
    Child::start(spec).await.expect("python3 is there; run `scripts/setup signals`")
}

fn of(steps: &[GaugeStep], workload: &str, metric: GaugeMetric) -> Vec<(Timestamp, f64)> {
    let subject = GaugeSubject::Workload(workload.into());
    let mine = steps.iter().filter(|step| step.subject == subject && step.metric == metric);
    mine.map(|step| (step.start.plus_ms(STEP_MS), step.mean)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_by_cadvisor_agree_with_the_kernel() {
    // On a disk: a file in memory is written to none.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let name = format!("foremesh-{}", process::id());
    let group = Arc::new(Cgroup::make(&name, "web-0/main", MILLICORES));
    let mut burning = burn(folder.path(), &group).await;
    let (exporter_port, server_port) = (port(), port());
    let _cadvisor = cadvisor(folder.path(), exporter_port, &format!("/{name}")).await;
    let _server = prometheus_with(folder.path(), server_port, &scrape(exporter_port, &name), &[]).await;
    let kernel = Kernel::watch(Arc::clone(&group));
    let settings = format!(
        "prometheus: {{url: 'http://127.0.0.1:{server_port}', interval: 500ms, lag: 1s, rateWindow: {WINDOW_MS}ms,
           timeout: 5s, backfill: 1m}}"
    );
    let running = Running::start(folder.path(), STEP_MS, &settings).await;

    let counters: [(&str, GaugeMetric, Counter, f64); 3] = [
        ("test/web", GaugeMetric::CpuUsedMillicores, |look| look.group.cpu_seconds * 1e3, 10.0),
        (
            "test/web",
            GaugeMetric::DiskIoBytesPerSecond,
            |look| look.group.disk_bytes,
            WRITE_BYTES * 1e3 / WINDOW_MS as f64,
        ),
        ("test/wires", GaugeMetric::NetworkBytesPerSecond, |look| look.network_bytes, 5e3),
    ];
    let enough = 6;
    let compared = until("six steps of every quantity that the kernel tells too", SOON, async || {
        let steps = running.steps(0).await;
        let mut all = Vec::new();
        for (workload, metric, counter, _) in counters {
            let found = of(&steps, workload, metric).into_iter();
            let both: Vec<(f64, f64)> =
                found.filter_map(|(end, value)| Some((value, kernel.rate(end, counter)?))).collect();
            if both.len() < enough {
                let status = running.status("prometheus");
                return Err(format!("{} of {metric:?}; {status:?}; {steps:?}", both.len()));
            }
            all.push(both);
        }
        Ok(all)
    })
    .await;
    for ((workload, metric, _, slack), both) in counters.iter().zip(&compared) {
        let mean = |of: fn(&(f64, f64)) -> f64| both.iter().map(of).sum::<f64>() / both.len() as f64;
        let (got, want) = (mean(|both| both.0), mean(|both| both.1));
        println!("{workload} {metric:?}: {got:.0}, the kernel says {want:.0}, in {} steps", both.len());
        assert!((got - want).abs() <= 0.1 * want + slack, "{workload} {metric:?}: {both:?}");
    }
    // Else the agreement would be one about nothing.
    let usual =
        |place: usize| compared[place].iter().map(|both| both.0).sum::<f64>() / compared[place].len() as f64;
    let share = MILLICORES as f64;
    assert!((0.5 * share..1.1 * share).contains(&usual(0)), "it may use {share} m: {:?}", compared[0]);
    assert!((0.5e6..1.5e6).contains(&usual(1)), "it writes a mebibyte each second: {:?}", compared[1]);

    let memory = of(&running.steps(0).await, "test/web", GaugeMetric::MemoryUsedBytes);
    let want = group.counted().memory_bytes;
    assert!(want > (MEBIBYTES << 20) as f64 && memory.len() >= enough, "{want}, {memory:?}");
    let got = memory.last().expect("there are some").1;
    println!("memory: {got:.0}, the kernel says {want:.0}");
    assert!((got / want - 1.0).abs() < 0.05, "{got}, the kernel says {want}");

    // The groups above are sums of those below, and no workload.
    let named: std::collections::BTreeSet<String> =
        running.steps(0).await.iter().map(|step| format!("{:?}", step.subject)).collect();
    assert_eq!(named.len(), 2, "{named:?}");
    burning.kill().await.unwrap();
}
