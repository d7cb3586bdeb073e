//! A node that is killed is dead to all others without a word, and comes back with its disk.
use foremesh_tests::{Swarm, until};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Swarm misses three heartbeats of five seconds, and then starts the task elsewhere.
const NOTICED: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_is_silent_its_task_goes_elsewhere_and_it_comes_back() {
    let swarm = Swarm::shared().await;
    let create = [
        "service",
        "create",
        "--quiet",
        "--detach",
        "--name",
        "lost",
        "--constraint",
        "node.role==worker",
        "--publish",
        "mode=host,published=9081,target=8080",
        "localhost/workload:1",
        "serve",
    ];
    swarm.docker(&create).await.unwrap_or_else(|error| panic!("{error}"));
    let home = until("the task to run", SOON, async || swarm.home("lost").await).await;
    let url = format!("http://172.30.0.1{}:9081/", home.trim_start_matches("node-"));
    until("an answer", SOON, async || {
        let answer = swarm.call(&url).await?;
        if answer["status"] == 200 { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;

    swarm.kill(&home).await.unwrap_or_else(|error| panic!("{error}"));
    let again = swarm.kill(&home).await.expect_err("it is dead");
    assert!(again.contains("does not run"), "{again}");
    // Nobody is there to refuse: the caller hears nothing.
    let began = Instant::now();
    let ignored = swarm.exec(&["curl", "--silent", "--max-time", "2", &url]).await;
    assert!(
        ignored.is_err() && began.elapsed() > Duration::from_secs(1),
        "{ignored:?}, {:?}",
        began.elapsed()
    );
    until("Swarm to notice", NOTICED, async || {
        let node = swarm.inspect(&["node", "inspect", &home]).await?;
        let state = &node[0]["Status"]["State"];
        if state == "down" { Ok(()) } else { Err(state.to_string()) }
    })
    .await;
    let other = until("the task elsewhere", SOON, async || {
        let home_now = swarm.tasks("lost").await?;
        let found = home_now.iter().find(|task| task.node != home && task.state == "Running");
        found.map(|task| task.node.clone()).ok_or(format!("{home_now:?}"))
    })
    .await;
    assert_ne!(other, home);

    swarm.start(&home).await.unwrap_or_else(|error| panic!("{error}"));
    until("the node to be ready", SOON, async || {
        let node = swarm.inspect(&["node", "inspect", &home]).await?;
        let state = &node[0]["Status"]["State"];
        if state == "ready" { Ok(()) } else { Err(state.to_string()) }
    })
    .await;
    // It has its disk: the containers that died, and the images.
    let containers = swarm.on(&home, &["docker", "ps", "--all", "--format", "{{.Status}}"]).await;
    assert!(containers.as_ref().is_ok_and(|all| all.contains("Exited")), "{containers:?}");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(swarm.home("lost").await.as_deref(), Ok(&*other), "it stays where it went");
    swarm.docker(&["service", "rm", "lost"]).await.unwrap_or_else(|error| panic!("{error}"));
}
