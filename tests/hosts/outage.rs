//! The planner goes away, in order or not: traffic goes on, and what was accepted stays.
use foremesh_demo::unix_ms;
use foremesh_summary::{CONTENT_TYPE, PUSH_PATH, encode, wire::WindowSummary};
use foremesh_tests::hosts::{HOME, Mesh, SERVICE, outbound, post};
use std::{net::SocketAddr, time::Duration};
use tokio::task::JoinSet;

/// Longer than the first two waits of a filter between its tries.
const DOWN: Duration = Duration::from_secs(4);
/// Requests in each summary of a sender.
const REQUESTS: u64 = 10;
const SENDERS: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_goes_on_without_a_planner() {
    let mut mesh = Mesh::prepare("observe").await;
    mesh.planner.start().await;
    mesh.start_load().await;
    mesh.run_for(Duration::from_secs(1)).await;
    let weights = mesh.weights();
    mesh.planner.kill().await;
    mesh.run_for(DOWN).await;
    assert_eq!(mesh.weights(), weights);
    mesh.planner.start().await;
    mesh.run_for(Duration::from_secs(1)).await;
    let report = mesh.end_load().await;
    mesh.assert_all_observed(&report).await;
    mesh.assert_only_on(HOME).await;
}

/// What became of one sender.
#[derive(Debug)]
struct Sender {
    pod: String,
    acknowledged: u64,
}

impl Sender {
    fn summary(&self, sequence: u64) -> WindowSummary {
        let latencies_us = (0..REQUESTS).map(|request| 1_000 + request);
        let end_unix_ms = unix_ms();
        WindowSummary {
            start_unix_ms: end_unix_ms - 10,
            end_unix_ms,
            cumulative: sequence * REQUESTS,
            ..outbound("batch", &self.pod, SERVICE, (77, sequence), latencies_us)
        }
    }

    async fn send(&self, server: SocketAddr, sequence: u64) -> Result<(), String> {
        let body = encode(&self.summary(sequence));
        let answer = post(server, PUSH_PATH, Some((CONTENT_TYPE, body))).await?;
        if answer.status == 200 { Ok(()) } else { Err(answer.body) }
    }
}

/// Senders push one summary after the other while the planner gets SIGTERM. Each acknowledged one is there after the
/// restart, and the one that was on its way is counted once when it is sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_order_it_finishes_what_it_accepted() {
    let mut mesh = Mesh::prepare("observe").await;
    mesh.planner.start().await;
    mesh.start_load().await;
    let server = mesh.planner.server();
    let mut senders = JoinSet::new();
    for number in 0..SENDERS {
        senders.spawn(async move {
            let mut sender = Sender { pod: format!("batch-{number}"), acknowledged: 0 };
            while sender.send(server, sender.acknowledged + 1).await.is_ok() {
                sender.acknowledged += 1;
            }
            sender
        });
    }
    mesh.run_for(Duration::from_secs(2)).await;
    let status = mesh.planner.stop().await;
    assert!(status.success(), "ended with {status}");
    let senders = senders.join_all().await;

    mesh.planner.start().await;
    for sender in &senders {
        assert!(sender.acknowledged > 2, "the planner was busy when it was stopped: {sender:?}");
        sender.send(server, sender.acknowledged + 1).await.expect("the planner takes it again");
    }
    let answer = mesh.planner.json("/api/v1/proxies").await.expect("proxies are listed");
    for sender in &senders {
        let streams = answer["proxies"].as_array().cloned().unwrap_or_default();
        let stream = streams.into_iter().find(|stream| stream["pod"] == *sender.pod).expect("it is known");
        let want = (sender.acknowledged + 1, (sender.acknowledged + 1) * REQUESTS, 0);
        let number = |field: &str| stream[field].as_u64().unwrap_or(u64::MAX);
        assert_eq!((number("summaries"), number("observations"), number("lost")), want, "{stream:#}");
    }
    let report = mesh.end_load().await;
    mesh.assert_all_observed_but(&report, "batch").await;
    let audit = mesh.planner.audit().await;
    let events: Vec<&str> = audit
        .iter()
        .filter(|entry| entry["kind"] == "event")
        .filter_map(|entry| entry["record"]["event"].as_str())
        .filter(|event| event.starts_with("planner_"))
        .collect();
    assert_eq!(events, ["planner_started", "planner_stopped", "planner_started"]);
    let log = std::fs::read_to_string(mesh.planner.log()).expect("the planner writes a log");
    let loud: Vec<&str> =
        log.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).collect();
    assert!(loud.is_empty(), "a restart after an orderly end has nothing to complain of: {loud:#?}");
    println!(
        "{} summaries were acknowledged before the end",
        senders.iter().map(|s| s.acknowledged).sum::<u64>()
    );
}
