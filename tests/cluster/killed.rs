//! A testbed that is killed leaves no process, mount or network behind, and its control groups and files only until the
//! next start; one whose owner ends leaves nothing at all.
use foremesh_tests::{
    Cluster, Traces,
    traces::{groups, kill, left_in},
    until,
};
use std::time::Duration;

/// The kernel ends what is killed; a busy machine may take a while to reap it.
const SOON: Duration = Duration::from_secs(20);
const SMALL: [&str; 3] = ["--nodes", "1", "--no-mesh"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_behind() {
    // Beside the shared testbed, if that is up: they do not collide.
    let cluster = Cluster::at("test-killed");
    cluster.down().await;

    let mut starting = cluster.begin_up(&SMALL);
    until("the start to be half done", SOON, async || {
        let traces = Traces::of(&cluster).ok_or("there is no sandbox")?;
        // The keeper, containerd of two nodes, etcd and the API server at least.
        if traces.processes.len() >= 6 {
            Ok(())
        } else {
            Err(format!("{} processes", traces.processes.len()))
        }
    })
    .await;
    let first = Traces::of(&cluster).expect("it is there");
    starting.kill().await.expect("the script can be killed");
    kill(first.keeper);
    first.are_gone().await;
    assert!(
        !groups(&first.group).is_empty(),
        "control groups outlive what is in them, so the next start has what to sweep"
    );

    // The next start sweeps, and is a whole cluster.
    let mut owner =
        tokio::process::Command::new("sleep").arg("600").kill_on_drop(true).spawn().expect("sleep runs");
    let up = cluster.up_with(owner.id().expect("it runs"), &SMALL).await;
    up.unwrap_or_else(|error| panic!("{error}"));
    let again = cluster.up(&SMALL).await.expect_err("two in one folder");
    assert!(again.contains("scripts/testbed down"), "{again}");
    let pod = ["run", "idle", "--image=localhost/workload:1", "--image-pull-policy=Never", "--", "idle"];
    cluster.kubectl(&pod).await.unwrap_or_else(|error| panic!("{error}"));
    let running = cluster.kubectl(&["wait", "--for=condition=Ready", "--timeout=40s", "pod/idle"]).await;
    running.unwrap_or_else(|error| panic!("{error}"));
    let second = Traces::of(&cluster).expect("it is there");
    assert!(second.processes.is_disjoint(&first.processes), "processes of the first are still there");
    assert!(
        second.names.iter().any(|name| name == "workload"),
        "the pod's process is seen: {:?}",
        second.names
    );

    // Whoever owns it ends, and so does all of it.
    owner.kill().await.expect("sleep can be killed");
    second.are_gone().await;
    until("control groups and state to be swept", SOON, async || {
        let (groups, files) = (groups(&second.group), left_in(cluster.state()));
        if groups.is_empty() && files.is_empty() {
            Ok(())
        } else {
            Err(format!("there are {groups:?}, {files:?}"))
        }
    })
    .await;
    println!(
        "ended: {} processes of a killed start, {} of a whole cluster",
        first.processes.len(),
        second.processes.len()
    );
}
