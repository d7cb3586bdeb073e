//! Traffic goes from one replica to another that runs already, or a replica goes with a part of its weight: under load,
//! through a real Envoy, with a planner that is killed on the way.
use foremesh_core::plan::{PairWeights, Traffic};
use foremesh_tests::{
    hosts::{HOME, Mesh, SERVICE, SPARE, Setup, TARGET, Way},
    until,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

const WITHIN: Duration = Duration::from_secs(60);
/// How long nobody drives the rollout.
const DOWN: Duration = Duration::from_millis(800);
/// Requests that a share is counted over, a few seconds of the load.
const COUNTED: u64 = 1_000;
/// Envoy goes round by weight: what is left is the one round that was cut at each end.
const TOLERANCE: f64 = 0.01;
/// Far above the objective, and no failure.
const FAULT_MS: u64 = 600;

const HALF: Traffic = Traffic::shifted(PairWeights { source: 100, target: 100 }, 50);
const SHIFT: Way<'_> = Way { from: HOME, to: TARGET, traffic: HALF, shift: true };

/// A mesh under load whose planner has taken up a plan, and has done nothing for it yet.
async fn taken_up(homes: &[&str], way: Way<'_>) -> Mesh {
    taken_up_as(Setup::usual("observe", homes), way).await
}

async fn taken_up_as(setup: Setup<'_>, way: Way<'_>) -> Mesh {
    let (mut mesh, homes) = (Mesh::prepare_as(setup).await, setup.homes);
    mesh.planner.start().await;
    mesh.start_load().await;
    assert_eq!(mesh.weights(), weights(&homes.iter().map(|home| (*home, 100)).collect::<Vec<_>>()));
    mesh.planner.kill().await;
    mesh.hand_over(way).await;
    mesh.planner.start().await;
    mesh
}

fn weights(of: &[(&str, u32)]) -> BTreeMap<String, u32> {
    of.iter().map(|(host, weight)| ((*host).to_owned(), *weight)).collect()
}

async fn assert_shares(mesh: &Mesh, want: &[(&str, f64)]) {
    let shares = mesh.shares_of_next(COUNTED).await;
    for (host, want) in want {
        let seen = shares.get(*host).copied().unwrap_or(0.0);
        assert!((seen - want).abs() <= TOLERANCE, "{host} serves {seen:.3}, not {want}: {shares:?}");
    }
    println!("shares of {COUNTED} requests and more: {shares:.3?}");
}

/// The weights that the planner shows for each host.
async fn shown(mesh: &Mesh) -> Result<BTreeMap<String, u32>, String> {
    let answer = mesh.planner.json("/api/v1/services").await?;
    let services = answer["services"].as_array().cloned().unwrap_or_default();
    let service = services.into_iter().find(|service| service["id"] == SERVICE).unwrap_or_default();
    let replicas = service["replicas"].as_array().cloned().unwrap_or_default();
    let of =
        |replica: &Value| Some((replica["node"].as_str()?.to_owned(), replica["weight"].as_u64()? as u32));
    Ok(replicas.iter().filter_map(of).collect())
}

/// Kills the planner in a state and starts it again.
async fn kill_in(mesh: &mut Mesh, state: &str) {
    mesh.planner.reaches(state, WITHIN).await;
    mesh.planner.kill().await;
    mesh.run_for(DOWN).await;
    mesh.planner.start().await;
}

/// No request failed, none was lost or counted twice, and what ran before runs.
async fn conclude(mut mesh: Mesh, answering: &[&str], want: &[(&str, u32)]) {
    let report = mesh.end_load().await;
    mesh.assert_all_observed(&report).await;
    assert!(mesh.planner.stop().await.success(), "the planner ends in order");
    assert_eq!(mesh.answering().await, answering);
    assert_eq!(mesh.weights(), weights(want));
    println!("{} requests, 0 failed", report.totals.sent);
}

fn states(relocation: &Value) -> Vec<&str> {
    let history = relocation["history"].as_array().into_iter().flatten();
    history.filter_map(|change| change["to"].as_str()).collect()
}

/// Killed in every state of the way on; the shares settle as planned and outlive the planner.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_of_the_traffic_goes_although_the_planner_is_killed_in_every_state() {
    let mut mesh = taken_up(&[HOME, TARGET], SHIFT).await;
    for state in ["Ramping(0)", "Ramping(1)", "Settling"] {
        kill_in(&mut mesh, state).await;
    }
    let ended = mesh.planner.ends(WITHIN).await;
    assert_eq!(states(&ended), ["Trial", "Ramping(0)", "Ramping(1)", "Settling", "Succeeded"], "{ended:#}");
    assert_eq!(ended["kind"], "shift");
    assert_eq!(ended["summary"], "shop: 50 % of the traffic of shop@host-a from host-a to host-b");
    assert_eq!(ended["weights_after"], json!({"source": 50, "target": 150}));
    let want = weights(&[(HOME, 50), (TARGET, 150)]);
    assert_eq!(mesh.weights(), want);
    assert_shares(&mesh, &[(HOME, 0.25), (TARGET, 0.75)]).await;

    assert!(mesh.planner.stop().await.success());
    mesh.planner.start().await;
    until("the planner to show the weights", WITHIN, async || {
        let shown = shown(&mesh).await?;
        if shown == want { Ok(()) } else { Err(format!("it shows {shown:?}")) }
    })
    .await;
    assert_shares(&mesh, &[(HOME, 0.25), (TARGET, 0.75)]).await;
    conclude(mesh, &[HOME, TARGET], &[(HOME, 50), (TARGET, 150)]).await;
}

/// The gate turns it back because the other replica is slow, and the planner is killed meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_target_gives_its_share_back() {
    let mut mesh = taken_up(&[HOME, TARGET], SHIFT).await;
    mesh.planner.reaches("Ramping(0)", WITHIN).await;
    mesh.agent(TARGET).fault(SERVICE, FAULT_MS, 0.0).await.expect("the replica can be made slow");
    kill_in(&mut mesh, "RollingBack(shift, from Ramping)").await;
    let ended = mesh.planner.ends(WITHIN).await;
    assert_eq!(
        states(&ended),
        ["Trial", "Ramping(0)", "RollingBack(shift, from Ramping)", "RolledBack"],
        "{ended:#}"
    );
    mesh.agent(TARGET).fault(SERVICE, 0, 0.0).await.expect("the replica can be healed");
    conclude(mesh, &[HOME, TARGET], &[(HOME, 100), (TARGET, 100)]).await;
}

/// The only filter is the edge's, and the only way of endpoints the planner's server.
const EDGE_ONLY: Setup<'_> =
    Setup { served: true, edge_only: true, ..Setup::usual("observe", &[HOME, TARGET]) };

/// What both ends do is known from the metadata of the endpoints that the edge got from the planner, which is killed in every
/// state; the edge keeps what it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn served_endpoints_share_out_traffic_and_tell_who_answered() {
    let mut mesh = taken_up_as(EDGE_ONLY, SHIFT).await;
    for state in ["Ramping(0)", "Ramping(1)", "Settling"] {
        kill_in(&mut mesh, state).await;
    }
    let ended = mesh.planner.ends(WITHIN).await;
    assert_eq!(states(&ended), ["Trial", "Ramping(0)", "Ramping(1)", "Settling", "Succeeded"], "{ended:#}");
    assert_shares(&mesh, &[(HOME, 0.25), (TARGET, 0.75)]).await;
    assert!(mesh.planner.stop().await.success());
    assert_shares(&mesh, &[(HOME, 0.25), (TARGET, 0.75)]).await;
    mesh.planner.start().await;
    assert_shares(&mesh, &[(HOME, 0.25), (TARGET, 0.75)]).await;
    let metrics = mesh.planner.get("/metrics").await.expect("the planner answers").body;
    for line in ["foremesh_endpoints_streams 1", "foremesh_endpoints_nacks_total 0"] {
        assert!(metrics.lines().any(|said| said == line), "{line}: {metrics}");
    }
    conclude(mesh, &[HOME, TARGET], &[(HOME, 50), (TARGET, 150)]).await;
}

/// A gate sees it without a proxy beside the replica.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_target_is_seen_from_the_edge_alone() {
    let mesh = taken_up_as(EDGE_ONLY, SHIFT).await;
    mesh.planner.reaches("Ramping(0)", WITHIN).await;
    mesh.agent(TARGET).fault(SERVICE, FAULT_MS, 0.0).await.expect("the replica can be made slow");
    let ended = mesh.planner.ends(WITHIN).await;
    assert_eq!(ended["state"], "RolledBack", "{ended:#}");
    mesh.agent(TARGET).fault(SERVICE, 0, 0.0).await.expect("the replica can be healed");
    conclude(mesh, &[HOME, TARGET], &[(HOME, 100), (TARGET, 100)]).await;
}

/// Nobody hands it a plan: the planner sees that one of two hosts will be full, and takes the traffic off it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_planner_takes_traffic_off_a_host_that_will_be_full() {
    let mesh = Mesh::start_on(&[HOME, TARGET]).await;
    mesh.planner.reaches("Settling", WITHIN).await;
    let ended = mesh.planner.ends(WITHIN).await;
    assert_eq!((&ended["state"], &ended["kind"]), (&json!("Succeeded"), &json!("shift")), "{ended:#}");
    assert_eq!(ended["summary"], "shop: 100 % of the traffic of shop@host-a from host-a to host-b");
    assert_shares(&mesh, &[(HOME, 0.0), (TARGET, 1.0)]).await;
    conclude(mesh, &[HOME, TARGET], &[(TARGET, 200)]).await;
}

/// An operator stops it in the middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_gets_even_shares_back() {
    let mesh = taken_up(&[HOME, TARGET], SHIFT).await;
    let seen = mesh.planner.reaches("Ramping(1)", WITHIN).await;
    mesh.run_for(DOWN).await;
    assert_eq!(mesh.weights(), weights(&[(HOME, 65), (TARGET, 135)]), "70 % of the way");
    let id = seen["id"].as_str().expect("a relocation has an id");
    let abort = format!("/api/v1/relocations/{id}/abort?by=ops%40example.com&reason=not%20now");
    let answer = mesh.planner.post(&abort).await.expect("the planner answers");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let ended = mesh.planner.ends(WITHIN).await;
    assert_eq!(ended["state"], "Aborted", "{ended:#}");
    assert_eq!(ended["why"], "both replicas have their shares of before");
    assert_shares(&mesh, &[(HOME, 0.5), (TARGET, 0.5)]).await;
    conclude(mesh, &[HOME, TARGET], &[(HOME, 100), (TARGET, 100)]).await;
}

/// A replica goes with half of its weight, and another one takes the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_goes_with_a_part_of_its_weight() {
    let part = Way { from: HOME, to: TARGET, traffic: Traffic::of_replica(100, 50), shift: false };
    let mut mesh = taken_up(&[HOME, SPARE], part).await;
    // Not right before the ramp: what was seen of the source then is what the target is compared with in the end.
    for state in ["Ramping(0)", "Draining", "Settling(retiring)"] {
        kill_in(&mut mesh, state).await;
    }
    let ended = mesh.planner.ends(WITHIN).await;
    assert_eq!(ended["state"], "Succeeded", "{ended:#}");
    assert_eq!(ended["summary"], "shop: host-a to host-b with 50 % of its traffic");
    assert_shares(&mesh, &[(SPARE, 2.0 / 3.0), (TARGET, 1.0 / 3.0)]).await;
    conclude(mesh, &[TARGET, SPARE], &[(TARGET, 50), (SPARE, 100)]).await;
}
