//! Nodes are what was asked for, to the scheduler and to the kernel.
use foremesh_tests::{Cluster, Namespace, WorkloadSpec, cluster::NODES, until};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long the pod's use is measured; its quota is enforced in each tenth of a second.
const MEASURED: Duration = Duration::from_secs(5);
const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zones_quotas_and_allocatable_are_as_asked() {
    let cluster = Cluster::shared().await;
    let whole = std::thread::available_parallelism().expect("the machine has CPUs").get() as u32 * 1_000;
    for (name, zone, quota) in NODES {
        let node = cluster.get(&["node", name]).await.expect("the node is there");
        assert_eq!(node["metadata"]["labels"]["topology.kubernetes.io/zone"], zone, "zone of {name}");
        assert_eq!(node["spec"]["taints"], Value::Null, "taints of {name}");
        let allocatable = millicores(&node["status"]["allocatable"]["cpu"]);
        assert_eq!(allocatable, quota.unwrap_or(whole), "allocatable CPU of {name}");
    }
    let control = cluster.get(&["node", "control"]).await.expect("the control node is there");
    assert_eq!(control["spec"]["taints"][0]["effect"], "NoSchedule", "{:#}", control["spec"]);
}

/// Without a limit of its own, on a node of 500 millicores, under twice the load that it could carry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_cannot_use_more_than_its_nodes_quota() {
    let space = Namespace::plain(Cluster::shared().await, "quota").await;
    let burner = WorkloadSpec {
        nodes: vec!["node-1"],
        settings: vec![("CPU_MS", "100".to_owned()), ("THREADS", "4".to_owned())],
        ..WorkloadSpec::service("burner")
    };
    space.start(&[burner, WorkloadSpec { nodes: vec!["node-3"], ..WorkloadSpec::idle("client") }]).await;
    let (pod, client) = (space.pod("app=burner").await, space.pod("app=client").await);
    let url = format!("http://{}:8080/", pod.address);
    let options = ["--rate", "20", "--seconds", "24", "--timeout-ms", "1500"];
    let load =
        foremesh_tests::cluster::Load::start(&space, &client.name, &url, &options, Duration::from_secs(60));
    // Only a pod that has more to do than it may use shows the quota.
    until("requests to queue up", SOON, async || {
        let counts = space.cluster().call(&pod.admin("/counts")).await?;
        if counts["body"]["in_flight"].as_u64() > Some(8) { Ok(()) } else { Err(counts.to_string()) }
    })
    .await;
    let (before, began) = (used_seconds(&space), Instant::now());
    sleep(MEASURED).await;
    let (after, took) = (used_seconds(&space), began.elapsed());
    let used = (after - before) / took.as_secs_f64() * 1e3;
    println!("a pod on a node of 500 m used {used:.0} m over {:.1} s", took.as_secs_f64());
    // A period of the quota may lie across each end of the measurement.
    assert!(used < 500.0 * 1.06, "{used:.0} m of 500 m");
    assert!(used > 250.0, "{used:.0} m: the pod was not busy, so nothing is shown");
    // The API tells the mean of the last seconds, so it takes some to tell the same.
    until("metrics.k8s.io to tell what the kernel does", SOON, async || {
        let path = "/apis/metrics.k8s.io/v1beta1/nodes/node-1";
        let told = space.cluster().kubectl(&["get", "--raw", path]).await?;
        let told: Value = serde_json::from_str(&told).map_err(|error| format!("{error}: {told}"))?;
        let cpu = told["usage"]["cpu"].as_str().and_then(|cpu| cpu.strip_suffix('n')?.parse::<f64>().ok());
        let cpu = cpu.ok_or_else(|| format!("no nanocores: {told}"))? / 1e6;
        if (cpu / used - 1.0).abs() < 0.1 {
            Ok(())
        } else {
            Err(format!("it tells {cpu:.0} m, the kernel {used:.0} m"))
        }
    })
    .await;
    let result = load.finish().await;
    assert!(result["failed"].as_u64() > Some(0), "more was asked than the node can: {result}");
}

/// CPU time of the node `node-1`, in seconds, as the kernel has it.
fn used_seconds(space: &Namespace) -> f64 {
    let path = format!("/sys/fs/cgroup/cpuacct/{}/node-1/cpuacct.usage", space.cluster().group());
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.trim().parse::<f64>().expect("nanoseconds") / 1e9
}

/// A quantity of CPU, such as `2` or `500m`.
fn millicores(quantity: &Value) -> u32 {
    let text = quantity.as_str().unwrap_or_default();
    let number =
        |text: &str| text.parse::<u32>().unwrap_or_else(|_| panic!("{} is no quantity of CPU", json!(text)));
    text.strip_suffix('m').map_or_else(|| number(text) * 1_000, number)
}
