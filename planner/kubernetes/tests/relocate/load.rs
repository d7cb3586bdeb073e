//! Requests while a replica moves.
use super::{
    space::{Space, until},
    there,
};
use kube::Client;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{process::Command, time::Instant};

/// A load through the Service, without weights: endpoints come and go by readiness alone. A replica that serves on for a
/// while after it was told to end loses nothing; of one that ends at once it is measured what is lost.
#[tokio::test]
#[ignore = "needs a cluster with Istio, by KUBECONFIG"]
async fn a_load_through_the_service_does_not_fail() {
    let client = Client::try_default().await.unwrap();
    for (name, drain_ms) in [("w-relocate-load", "3000"), ("w-relocate-load-quick", "0")] {
        let env = json!([{"name": "DRAIN_MS", "value": drain_ms}]);
        let space = Space::open(name, 1, "node-1", env).await;
        let address = space.get(&["service", "web"]).await["spec"]["clusterIP"].as_str().unwrap().to_owned();
        let url = format!("http://{address}:8080/");
        until("the service to answer", Duration::from_secs(30), async || {
            // The node's proxy follows the endpoints a moment later.
            for _ in 0..5 {
                let output = Command::new("workload").args(["call", &url]).output().await.unwrap();
                let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
                if answer["status"] != 200 {
                    return Err(answer.to_string());
                }
            }
            Ok(())
        })
        .await;
        let began = Instant::now();
        let mut load = Command::new("workload");
        let load = load.args(["load", &url, "--rate", "200", "--seconds", "25"]).kill_on_drop(true).output();
        let moves = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            for to in ["node-2", "node-1", "node-2"] {
                println!("{:?}", began.elapsed());
                there(&space, &client, to).await;
            }
        };
        let (output, ()) = tokio::join!(load, moves);
        let mut result: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
        let seconds = result["seconds"].take();
        let bad: Vec<&Value> =
            seconds.as_array().unwrap().iter().filter(|second| second["failed"] != 0).collect();
        println!("drains {drain_ms} ms: {result}; seconds with failures: {bad:?}");
        assert!(result["sent"].as_u64().unwrap() >= 4_900);
        // A request that is sent just when its idle connection is closed is lost by HTTP/1.1, not by the move.
        let crossed = &result["failures"]["no answer: connection closed before message completed"];
        let others = result["failed"].as_u64().unwrap() - crossed.as_u64().unwrap_or(0);
        assert!(drain_ms == "0" || others == 0);
        space.close().await;
    }
}
