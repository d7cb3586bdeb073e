//! A testbed whose start or owner is killed leaves nothing behind.
use foremesh_tests::{
    Swarm, Traces,
    traces::{groups, kill, left_in},
    until,
};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
const SMALL: [&str; 2] = ["--nodes", "2"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_behind() {
    // Beside the shared testbed, if that is up: they do not collide.
    let swarm = Swarm::at("test-killed");
    swarm.down().await;

    let mut starting = swarm.begin_up(&SMALL);
    until("the start to be half done", SOON, async || {
        let traces = Traces::of(&swarm).ok_or("there is no sandbox")?;
        // The keeper, and a dockerd at least.
        let begun = traces.names.iter().any(|name| name == "dockerd");
        if begun { Ok(()) } else { Err(format!("{:?}", traces.names)) }
    })
    .await;
    let first = Traces::of(&swarm).expect("it is there");
    starting.kill().await.expect("the script can be killed");
    kill(first.keeper);
    first.are_gone().await;
    assert!(
        !groups(&first.group).is_empty(),
        "control groups outlive what is in them, so the next start has what to sweep"
    );

    // The next start sweeps, and is a whole Swarm.
    let mut owner =
        tokio::process::Command::new("sleep").arg("600").kill_on_drop(true).spawn().expect("sleep runs");
    let up = swarm.up_with(owner.id().expect("it runs"), &SMALL).await;
    up.unwrap_or_else(|error| panic!("{error}"));
    let again = swarm.up(&SMALL).await.expect_err("two in one folder");
    assert!(again.contains("scripts/testbed swarm down"), "{again}");
    let create =
        ["service", "create", "--quiet", "--detach", "--name", "web", "localhost/workload:1", "serve"];
    swarm.docker(&create).await.unwrap_or_else(|error| panic!("{error}"));
    let second = until("the task's process", SOON, async || {
        let traces = Traces::of(&swarm).ok_or("there is no sandbox")?;
        if traces.names.iter().any(|name| name == "workload") {
            Ok(traces)
        } else {
            Err(format!("{:?}", traces.names))
        }
    })
    .await;
    assert!(second.processes.is_disjoint(&first.processes), "processes of the first are still there");

    // Whoever owns it ends, and so does all of it.
    owner.kill().await.expect("sleep can be killed");
    second.are_gone().await;
    until("control groups and state to be swept", SOON, async || {
        let (groups, files) = (groups(&second.group), left_in(swarm.state()));
        if groups.is_empty() && files.is_empty() {
            Ok(())
        } else {
            Err(format!("there are {groups:?}, {files:?}"))
        }
    })
    .await;
}
