//! SIGKILL of the planner in each state of a rollout, under load: it resumes or reverts, no request fails, the audit
//! says what happened.
use foremesh_tests::hosts::{HOME, Mesh, SERVICE, TARGET};
use serde_json::{Value, json};
use std::time::Duration;

/// From the start of a mesh to each state, and from the restart to the end; every state has its own deadline.
const WITHIN: Duration = Duration::from_secs(60);
/// How long nobody drives the rollout.
const DOWN: Duration = Duration::from_millis(800);
/// Well inside the least time in each state, and after its first actions.
const LATE: Duration = Duration::from_millis(400);
/// Far above the objective of 200 ms, and no failure.
const FAULT_MS: u64 = 600;

/// While nothing is done yet: the gap in what was observed may make the plan doubtful, and then nothing is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_anything_is_done() {
    let mut mesh = Mesh::start().await;
    let id = kill_in(&mut mesh, "Pending").await;
    let ended = mesh.planner.ends_of(&id, WITHIN).await;
    assert!(ended["state"] == "Succeeded" || ended["state"] == "Aborted", "{ended:#}");
    let place = if ended["state"] == "Succeeded" { TARGET } else { HOME };
    conclude(mesh, &["Pending"], &id, place).await;
}

/// One move that goes well, and the planner is killed in each of its states.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_every_state_of_the_way_on() {
    const STATES: [&str; 8] = [
        "Trial",
        "Reserving",
        "Surging",
        "Ramping(0)",
        "Ramping(1)",
        "Draining",
        "Settling",
        "Settling(retiring)",
    ];
    let mut mesh = Mesh::start().await;
    let mut id = String::new();
    for state in STATES {
        id = kill_in(&mut mesh, state).await;
    }
    let ended = mesh.planner.ends_of(&id, WITHIN).await;
    assert_eq!(ended["state"], "Succeeded", "{ended:#}");
    conclude(mesh, &STATES, &id, TARGET).await;
}

/// One move, and the planner is killed three times on the way, each time when the state's action is done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_action_of_a_state_is_done() {
    const STATES: [&str; 3] = ["Surging", "Draining", "Settling(retiring)"];
    let mut mesh = Mesh::start().await;
    let mut id = String::new();
    for state in STATES {
        mesh.planner.reaches(state, WITHIN).await;
        mesh.run_for(LATE).await;
        id = kill_in(&mut mesh, state).await;
    }
    let ended = mesh.planner.ends(WITHIN).await;
    assert_eq!(ended["state"], "Succeeded", "{ended:#}");
    conclude(mesh, &STATES, &id, TARGET).await;
}

/// The gate turns a move back, because the new replica is slow, and the planner is killed in each state of the way back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_every_state_of_the_way_back() {
    const STATES: [&str; 3] = [
        "RollingBack(shift, from Ramping)",
        "RollingBack(drain, from Ramping)",
        "RollingBack(stop, from Ramping)",
    ];
    let mut mesh = Mesh::start().await;
    mesh.planner.reaches("Ramping(0)", WITHIN).await;
    mesh.agent(TARGET).fault(SERVICE, FAULT_MS, 0.0).await.expect("the replica can be made slow");
    let mut id = String::new();
    for state in STATES {
        id = kill_in(&mut mesh, state).await;
    }
    let ended = mesh.planner.ends(WITHIN).await;
    assert_eq!(ended["state"], "RolledBack", "{ended:#}");
    conclude(mesh, &STATES, &id, HOME).await;
}

/// Kills the planner in a state and starts it again; gives the relocation.
async fn kill_in(mesh: &mut Mesh, state: &str) -> String {
    let seen = mesh.planner.reaches(state, WITHIN).await;
    mesh.planner.kill().await;
    mesh.run_for(DOWN).await;
    mesh.planner.start().await;
    seen["id"].as_str().expect("a relocation has an id").to_owned()
}

/// What must hold at the end: no request failed, one replica, all on record, nothing lost.
async fn conclude(mut mesh: Mesh, states: &[&str], id: &str, place: &str) {
    let report = mesh.end_load().await;
    let audit = mesh.planner.audit().await;
    assert_resumed(&audit, id, states);
    let first = mesh.planner.ends_of(id, WITHIN).await;
    assert_on_record(&mesh, &audit, &first).await;
    mesh.assert_all_observed(&report).await;
    assert!(mesh.planner.stop().await.success(), "the planner ends in order");
    mesh.assert_only_on(place).await;
    println!(
        "killed in {}: ended {} on {place} after {} transitions; {} requests, 0 failed",
        states.join(", "),
        first["state"],
        first["history"].as_array().map_or(0, Vec::len),
        report.totals.sent
    );
}

/// Each start is on record with what it took up: the first nothing, each later one this relocation in the state in which
/// the planner was killed.
fn assert_resumed(audit: &[Value], id: &str, states: &[&str]) {
    let starts =
        audit.iter().map(|entry| &entry["record"]).filter(|record| record["event"] == "planner_started");
    let resumes: Vec<&Value> = starts.map(|record| &record["resumes"]).collect();
    let killed = states.iter().map(|state| json!([{"relocation": id, "state": state}]));
    let want: Vec<Value> = [json!([])].into_iter().chain(killed).collect();
    assert_eq!(resumes, want.iter().collect::<Vec<_>>(), "what each start resumed");
}

/// Every change of state is in the audit trail once, in order, as the rollout has it; the plan's page shows the same.
async fn assert_on_record(mesh: &Mesh, audit: &[Value], relocation: &Value) {
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let history = relocation["history"].as_array().cloned().unwrap_or_default();
    let want: Vec<_> = history
        .iter()
        .zip(0..)
        .map(|(change, number)| (number, text(change, "from"), text(change, "to"), text(change, "why")))
        .collect();
    let plan = text(relocation, "plan");
    let page = mesh.planner.json(&format!("/api/v1/plans/{plan}")).await.expect("the plan has a page");
    let of_plan = page["record"].as_array().cloned().unwrap_or_default();
    for (name, entries) in [("the audit trail", audit), ("the plan's page", &of_plan)] {
        let changes: Vec<_> = entries
            .iter()
            .map(|entry| &entry["record"])
            .filter(|record| record["relocation"] == relocation["id"] && record["transition"].is_u64())
            .map(|record| {
                let number = record["transition"].as_i64().unwrap_or(-1);
                (number, text(record, "from"), text(record, "to"), text(record, "why"))
            })
            .collect();
        assert_eq!(changes, want, "changes of state in {name}");
    }
    let kinds: Vec<String> = of_plan.iter().map(|entry| text(entry, "kind")).collect();
    assert_eq!(&kinds[..2], ["decision", "plan"], "a plan is on record before anything is done");
    assert!(text(&page, "explanation").contains(TARGET), "{page:#}");
}
