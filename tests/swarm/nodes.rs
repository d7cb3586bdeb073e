//! Nodes are what was asked for, to Swarm and to the kernel, and what is told of them is what the kernel counts.
use foremesh_tests::{Swarm, swarm::NODES, until};
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    time::{Instant, sleep, timeout},
};

/// How long the task's use is measured; its quota is enforced in each tenth of a second.
const MEASURED: Duration = Duration::from_secs(5);
const SOON: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zones_and_quotas_are_as_asked() {
    let swarm = Swarm::shared().await;
    for (name, zone, quota) in NODES {
        let node = swarm.inspect(&["node", "inspect", name]).await.expect("the node is there");
        let labels = &node[0]["Spec"]["Labels"];
        assert_eq!(labels["foremesh.dev/zone"], zone, "zone of {name}");
        let told = quota.map_or(Value::Null, |quota| format!("{quota}m").into());
        assert_eq!(labels["foremesh.dev/cpu"], told, "CPU of {name}");
        let manager = node[0]["Spec"]["Role"] == "manager";
        assert_eq!(manager, name == "node-1", "{name} is a {}", node[0]["Spec"]["Role"]);
        assert_eq!(swarm.on(name, &["hostname"]).await.expect("it answers"), name);
    }
}

/// Without a limit of its own, on a node of 500 millicores, under twice the load that it could carry; and what the meter tells
/// of the node and of the service meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_cannot_use_more_than_its_nodes_quota_and_the_meter_tells_what_it_uses() {
    let swarm = Swarm::shared().await;
    let create = [
        "service",
        "create",
        "--quiet",
        "--detach",
        "--name",
        "burner",
        "--constraint",
        "node.hostname==node-2",
        "--env",
        "CPU_MS=100",
        "--env",
        "THREADS=4",
        "--publish",
        "mode=host,published=9080,target=8080",
        "localhost/workload:1",
        "serve",
    ];
    swarm.docker(&create).await.unwrap_or_else(|error| panic!("{error}"));
    until("the task to run", SOON, async || swarm.home("burner").await).await;

    let options = ["--rate", "20", "--seconds", "24", "--timeout-ms", "1500"];
    let load = swarm.load("http://172.30.0.12:9080/", &options, Duration::from_secs(60));
    let measure = async {
        // Only a task that has more to do than it may use shows the quota.
        sleep(Duration::from_secs(5)).await;
        let (before, began) = (used_seconds(swarm), Instant::now());
        let told = told(swarm).await;
        let (after, took) = (used_seconds(swarm), began.elapsed());
        ((after - before) / took.as_secs_f64() * 1e3, told)
    };
    let (result, (used, told)) = tokio::join!(load, measure);
    let result = result.unwrap_or_else(|error| panic!("{error}"));
    println!("a task on a node of 500 m used {used:.0} m; told were {told:?}");
    // A period of the quota may lie across each end of the measurement.
    assert!(used < 500.0 * 1.06, "{used:.0} m of 500 m");
    assert!(used > 250.0, "{used:.0} m: the task was not busy, so nothing is shown");
    assert!(result["failed"].as_u64() > Some(0), "more was asked than the node can: {result}");
    for who in ["node-2", "burner"] {
        let told = told.get(who).unwrap_or_else(|| panic!("nothing was told of {who}: {told:?}"));
        assert!((told / used - 1.0).abs() < 0.15, "told of {who}: {told:.0} m, the kernel has {used:.0} m");
    }
    swarm.docker(&["service", "rm", "burner"]).await.unwrap_or_else(|error| panic!("{error}"));
}

/// CPU time of the node `node-2`, in seconds, as the kernel has it.
fn used_seconds(swarm: &Swarm) -> f64 {
    let path = format!("/sys/fs/cgroup/cpuacct/{}/node-2/cpuacct.usage", swarm.group());
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.trim().parse::<f64>().expect("nanoseconds") / 1e9
}

/// What the meter tells in a few seconds: millicores by node and service, from the first and the last of what it counted.
async fn told(swarm: &Swarm) -> BTreeMap<String, f64> {
    let mut meter = swarm.meter("-");
    let mut lines = BufReader::new(meter.stdout.take().expect("it is piped")).lines();
    let (mut first, mut last) = (BTreeMap::new(), BTreeMap::new());
    let began = Instant::now();
    while began.elapsed() < MEASURED {
        let line = timeout(SOON, lines.next_line()).await.expect("it tells in time").expect("it can be read");
        let push: Value = serde_json::from_str(&line.expect("it goes on")).expect("it is JSON");
        last = counted(&push);
        if first.is_empty() {
            first.clone_from(&last);
        }
    }
    let rate = |(who, (at, seconds)): (String, (f64, f64))| {
        let (before, less) = first.get(&who)?;
        Some((who, (seconds - less) / (at - before) * 1e3))
    };
    last.into_iter().filter_map(rate).collect()
}

/// Times and seconds of CPU by node and service, of one push.
fn counted(push: &Value) -> BTreeMap<String, (f64, f64)> {
    let resources = push["resourceMetrics"].as_array().into_iter().flatten();
    let read = |resource: &Value| {
        let who = |key: &str| {
            let mut attributes = resource["resource"]["attributes"].as_array()?.iter();
            let found = attributes.find(|attribute| attribute["key"] == key)?;
            found["value"]["stringValue"].as_str().map(str::to_owned)
        };
        let point = &resource["scopeMetrics"][0]["metrics"][0]["sum"]["dataPoints"][0];
        let at = point["timeUnixNano"].as_str()?.parse::<f64>().ok()? / 1e9;
        Some((who("service.name").or_else(|| who("host.name"))?, (at, point["asDouble"].as_f64()?)))
    };
    resources.filter_map(read).collect()
}
