//! A host loses power in the middle of a move, and comes back: the service goes on where it can, nothing is left running
//! twice, and the planner's record of who runs where is true.
use foremesh_demo::LoadReport;
use foremesh_tests::{
    hosts::{HOME, Mesh, TARGET},
    until,
};
use serde_json::Value;
use std::time::Duration;

/// From the start of a mesh to each state, and from there to the end; every state has its own deadline.
const WITHIN: Duration = Duration::from_secs(60);
/// Inside the least time in each state, and after its first actions.
const LATE: Duration = Duration::from_millis(400);
/// How long nobody drives the rollout, where the planner goes down with the host.
const DOWN: Duration = Duration::from_millis(800);
/// From the moment at which a host dies no request may fail any more after this: the planner looks several times a second,
/// and then the edge's Envoy reads its file.
const FAILING: Duration = Duration::from_secs(5);

/// What happens to whom.
#[derive(Clone, Copy, Debug)]
struct Blow {
    state: &'static str,
    host: &'static str,
    /// The planner is killed at the same moment.
    planner_too: bool,
    /// What the host's init system does at its next start.
    comes_back_with_it: bool,
}

async fn endure(blow: Blow, end: &str, place: &str) {
    let mut mesh = Mesh::start().await;
    let seen = mesh.planner.reaches(blow.state, WITHIN).await;
    mesh.run_for(LATE).await;
    let died = foremesh_demo::unix_ms();
    mesh.kill_host(blow.host);
    if blow.planner_too {
        mesh.planner.kill().await;
        mesh.run_for(DOWN).await;
        mesh.planner.start().await;
    }
    let id = seen["id"].as_str().expect("a relocation has an id");
    let ended = mesh.planner.ends_of(id, WITHIN).await;
    assert_eq!(ended["state"], end, "{ended:#}");
    assert_eq!(mesh.answering().await, [place]);

    mesh.boot_host(blow.host, blow.comes_back_with_it).await;
    until("nothing to be owed to the host", WITHIN, async || {
        let placements = placements(&mesh);
        if placements.get("owed").is_some() { Err(format!("{placements:#}")) } else { Ok(()) }
    })
    .await;
    let (report, _) = mesh.finish_load().await;
    assert!(mesh.planner.stop().await.success(), "the planner ends in order");
    mesh.assert_only_on(place).await;
    assert_eq!(placements(&mesh)["workloads"]["shop"], serde_json::json!([place]));
    let failed_for = failing_ms(&report, died);
    let may_fail = FAILING + if blow.planner_too { DOWN + FAILING } else { Duration::ZERO };
    assert!(u128::from(failed_for) < may_fail.as_millis(), "requests failed for {failed_for} ms");
    println!(
        "{blow:?}: ended {end} on {place}; {} of {} requests failed, the last {failed_for} ms after the host died",
        report.totals.failed, report.totals.sent
    );
}

fn placements(mesh: &Mesh) -> Value {
    let content = std::fs::read(mesh.planner.files().state.join("placements.json"));
    serde_json::from_slice(&content.expect("the file is there")).expect("it is JSON")
}

/// From the moment at which a host died to the last request that failed.
fn failing_ms(report: &LoadReport, died: u64) -> u64 {
    report.failures.iter().map(|failure| failure.at_unix_ms.saturating_sub(died)).max().unwrap_or(0)
}

macro_rules! endures {
    ($($name:ident: $host:ident dies in $state:literal $(with $planner:ident)?, $boot:literal => $end:literal on $place:ident;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let blow = Blow {
                    state: $state,
                    host: $host,
                    planner_too: [$(stringify!($planner))?].contains(&"planner"),
                    comes_back_with_it: $boot,
                };
                endure(blow, $end, $place).await;
            }
        )*
    };
}

endures! {
    source_before_the_ramp: HOME dies in "Surging", true => "Succeeded" on TARGET;
    source_in_the_ramp: HOME dies in "Ramping(0)", true => "Succeeded" on TARGET;
    source_after_the_ramp: HOME dies in "Settling", false => "Succeeded" on TARGET;
    source_with_the_planner: HOME dies in "Draining" with planner, true => "Succeeded" on TARGET;
    target_before_its_start: TARGET dies in "Reserving", false => "RolledBack" on HOME;
    target_in_the_ramp: TARGET dies in "Ramping(1)", true => "RolledBack" on HOME;
    target_after_the_ramp: TARGET dies in "Settling", false => "RolledBack" on HOME;
    target_with_the_planner: TARGET dies in "Ramping(0)" with planner, true => "RolledBack" on HOME;
}
