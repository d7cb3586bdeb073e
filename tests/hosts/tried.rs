//! Moves that are tried first, with a copy of the service on both hosts under real load.
use foremesh_tests::{
    hosts::{HOME, Mesh, SERVICE, TARGET},
    until,
};
use serde_json::Value;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(90);
/// Far above the objective of 200 ms, and no failure.
const FAULT_MS: u64 = 900;
const COPY: &str = "shop-trial";

/// Plans that may be called off before their trial, one after the other.
const TRIES: u32 = 3;

/// A mesh with copies on both hosts. It begins anew when the plan was called off before that, as on a machine that is so busy
/// with other work that what was forecast does not hold: then nothing is tried, and these tests are of trials.
async fn in_trial() -> Mesh {
    for _ in 0..TRIES {
        let mesh = Mesh::start_tried().await;
        match copies(&mesh).await {
            None => return mesh,
            Some(called_off) => println!("begins anew: {called_off}"),
        }
    }
    panic!("the plan was called off {TRIES} times");
}

/// Waits for copies on both hosts, or for the reason why the plan was called off before.
async fn copies(mesh: &Mesh) -> Option<String> {
    until("copies on both hosts", WITHIN, async || {
        let there = mesh.answering_as(COPY).await;
        if there == [HOME, TARGET] {
            return Ok(None);
        }
        let all = mesh.planner.json("/api/v1/relocations").await?;
        let called_off =
            all["relocations"].as_array().into_iter().flatten().find(|of| of["state"] == "Aborted");
        called_off.map(|of| Some(of["why"].to_string())).ok_or_else(|| format!("on {there:?}"))
    })
    .await
}

/// What must hold at the end: no request of production failed, one replica and no copy, and nothing owed.
async fn conclude(mut mesh: Mesh, place: &str) {
    let report = mesh.end_load().await;
    mesh.assert_all_observed(&report).await;
    assert!(mesh.planner.stop().await.success(), "the planner ends in order");
    mesh.assert_only_on(place).await;
    assert!(mesh.answering_as(COPY).await.is_empty(), "no copy is left");
    let placements = std::fs::read_to_string(mesh.planner.files().state.join("placements.json"));
    assert!(!placements.expect("it is there").contains("owed"));
    println!("{} requests of production, 0 failed", report.totals.sent);
}

/// What the API says of the trial, which begins with the verdict.
fn trial(relocation: &Value) -> &str {
    relocation["trial"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_target_passes_and_the_move_is_made() {
    let mesh = in_trial().await;
    let ended = mesh.planner.ends(WITHIN).await;
    assert!(ended["state"] == "Succeeded" && trial(&ended).starts_with("pass"), "{ended:#}");
    println!("{}", trial(&ended));
    conclude(mesh, TARGET).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_target_fails_and_production_is_not_touched() {
    let mesh = in_trial().await;
    mesh.agent(TARGET).fault(COPY, FAULT_MS, 0.0).await.expect("a copy can be made slow");
    let ended = mesh.planner.ends(WITHIN).await;
    assert!(ended["state"] == "Aborted" && trial(&ended).starts_with("fail"), "{ended:#}");
    println!("{}", trial(&ended));
    let states: Vec<&str> = ended["history"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|change| change["to"].as_str())
        .collect();
    assert_eq!(states, ["Trial", "Aborted"], "{ended:#}");
    assert!(mesh.agent(TARGET).ready(SERVICE).await.is_err(), "nothing was started there");
    conclude(mesh, HOME).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planner_that_is_killed_in_a_trial_tries_anew_and_leaves_nothing() {
    let mut mesh = in_trial().await;
    let id = mesh.planner.reaches("Trial", WITHIN).await["id"].as_str().unwrap_or_default().to_owned();
    mesh.planner.kill().await;
    mesh.run_for(Duration::from_millis(800)).await;
    assert_eq!(mesh.answering_as(COPY).await, [HOME, TARGET], "copies outlive their planner for a while");
    mesh.planner.start().await;
    let ended = mesh.planner.ends_of(&id, WITHIN).await;
    // What was measured of production meanwhile has a gap, which may make the plan doubtful; then nothing was done.
    let place = if ended["state"] == "Succeeded" { TARGET } else { HOME };
    assert!(ended["state"] == "Succeeded" || ended["state"] == "Aborted", "{ended:#}");
    println!("killed in its trial: {}, {}", ended["state"], ended["why"]);
    conclude(mesh, place).await;
}
