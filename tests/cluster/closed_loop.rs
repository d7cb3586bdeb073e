//! The whole loop in a real cluster, as `scripts/demo --cluster` shows it: sidecars report, a breach is forecast, the move is
//! tried in the staging mesh, traffic goes over, and it is settled before the breach that the same service beside it has.
//! Every decision is the product's own; here is looked at what came of them.
use foremesh_tests::place::root;
use serde_json::Value;
use std::{process::Stdio, time::Duration};
use tokio::{process::Command, time::timeout};

/// Three days of two and a half minutes, the start of the testbed, and the first build of the planner on a busy machine.
const WITHIN: Duration = Duration::from_secs(1_800);
/// States in the order in which a move with a trial enters them.
const STATES: [&str; 8] = [
    "Trial",
    "Reserving",
    "Surging",
    "Ramping(0)",
    "Draining",
    "Settling",
    "Settling(retiring)",
    "Succeeded",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_moved_before_the_breach_that_comes_without() {
    let mut demo = Command::new(root().join("scripts/demo"));
    demo.args(["--cluster", "--quick", "--verify", "-o", "json"])
        // Beside the shared testbed, if that is up: they do not collide.
        .env("TESTBED_STATE", root().join("build/testbed/test-demo"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    // With what cargo says to a test, another cargo builds half of the planner anew.
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            demo.env_remove(name);
        }
    }
    let output =
        timeout(WITHIN, demo.output()).await.expect("it ends in time").expect("scripts/demo can be run");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    let told: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert!(output.status.success(), "{}: {}", output.status, told["broken"]);
    let number = |name: &str| told[name].as_f64().unwrap_or_else(|| panic!("no `{name}` in {told:#}"));

    assert_eq!((&told["moves"], &told["failed_requests"]["with"]), (&1.into(), &0.into()), "{told:#}");
    assert!(told["requests"]["with"].as_u64() > Some(10_000), "{}", told["requests"]);
    let states: Vec<&str> =
        told["move"]["states"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!(states, STATES, "{told:#}");
    let trial = told["move"]["trial"].as_str().unwrap_or_default();
    assert!(trial.starts_with("passed: "), "{trial}");
    assert!(trial.contains("target on node-2") && trial.contains("source on node-1"), "{trial}");

    // Settled before the breach that was predicted, and before the one that came.
    assert!(number("settled_s") < number("breach_predicted_s"), "{told:#}");
    assert!(number("settled_s") < number("breach_without_s"), "{told:#}");
    let seconds = |side: &str| told["violation_seconds"][side].as_u64().expect("a number");
    assert!(
        seconds("without") >= 5 && seconds("with") * 5 <= seconds("without"),
        "{}",
        told["violation_seconds"]
    );

    // The resource tells the same story as the planner.
    let rows: Vec<Vec<&str>> = told["relocations"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|row| Some(row.as_str()?.split_whitespace().collect()))
        .collect();
    assert_eq!(rows.len(), 2, "a head and a row: {rows:?}");
    assert_eq!(rows[0], ["NAMESPACE", "NAME", "WORKLOAD", "FROM", "TO", "STATE", "TRAFFIC", "WHY", "AGE"]);
    let id = told["move"]["id"].as_str().expect("an id");
    assert_eq!(
        rows[1][..8],
        ["shop", id, "web", "node-1", "node-2", "Succeeded", "100", "slow-soon"],
        "{rows:?}"
    );
    let events = told["events"].as_array().expect("events");
    let reasons: Vec<&str> = events.iter().filter_map(|event| event["reason"].as_str()).collect();
    let phases: Vec<&str> = STATES.iter().map(|state| state.split('(').next().unwrap_or(state)).collect();
    // Once what was predicted has passed, the move is judged.
    assert_eq!(reasons, [&phases[..], &["WorthIt"]].concat(), "{events:#?}");
}
