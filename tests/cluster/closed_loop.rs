//! The whole loop in a real cluster, as `scripts/demo --cluster` shows it: sidecars report, a breach is forecast, the move is
//! tried in the staging mesh, traffic goes over, and it is settled before the breach that the same service beside it has.
//! Every decision is the product's own; here is looked at what came of them.
use foremesh_tests::demo::{self, STATES};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_moved_before_the_breach_that_comes_without() {
    let told = demo::told("cluster", "build/testbed/test-demo").await;
    demo::is_kept(&told);
    let trial = told["move"]["trial"].as_str().unwrap_or_default();
    assert!(trial.starts_with("passed: "), "{trial}");
    assert!(trial.contains("target on node-2") && trial.contains("source on node-1"), "{trial}");

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
