//! The files of `envoy-config/swarm`, deployed as they are: requests are served by the planner's endpoints, and without the planner
//! and through other addresses by Swarm's DNS.
use foremesh_tests::{Swarm, place::root, until};
use std::{path::Path, time::Duration};
use tokio::time::sleep;

const SOON: Duration = Duration::from_secs(60);
/// Where the edge and the planner publish their ports.
const EDGE: &str = "http://172.30.0.11:80/";
const PLANNER: &str = "http://172.30.0.11:8700/api/v1/services";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_served_with_the_planner_and_without_it() {
    let swarm = Swarm::shared().await;
    let folder = tempfile::TempDir::new().expect("a folder can be made");
    swarm.load_planner(folder.path(), "localhost/foremesh:test").await;

    let files = root().join("envoy-config/swarm");
    let filter = root().join("build/foremesh_filter.wasm").display().to_string();
    let images = [
        ("FOREMESH_IMAGE", "localhost/foremesh:test"),
        ("ENVOY_IMAGE", "localhost/envoy:1"),
        ("FILTER", &filter),
    ];
    let deployed = swarm.deploy("foremesh", &files.join("stack.yaml"), &images).await;
    deployed.unwrap_or_else(|error| panic!("{error}"));
    let shop = folder.path().join("shop.yaml");
    std::fs::write(&shop, shop_with_our_image(&files.join("shop.yaml"))).expect("a file can be written");
    swarm.deploy("shop", &shop, &[]).await.unwrap_or_else(|error| panic!("{error}"));

    until("an answer through the edge", SOON, async || answer(swarm, EDGE).await).await;
    until("an answer of the planner", SOON, async || answer(swarm, PLANNER).await).await;
    // The planner's endpoint is that of the task, and is well.
    until("the planner's endpoint in the edge", SOON, async || planned(swarm).await).await;

    // The planner goes, and twice the task gets another address.
    let before = address(swarm).await.expect("it has an address");
    let options = ["--rate", "50", "--seconds", "40"];
    let load = swarm.load(EDGE, &options, Duration::from_secs(80));
    let disturb = async {
        sleep(Duration::from_secs(3)).await;
        swarm.docker(&["service", "scale", "--detach", "foremesh_planner=0"]).await?;
        for _ in 0..2 {
            swarm.docker(&["service", "update", "--quiet", "--force", "shop_web"]).await?;
        }
        Ok::<_, String>(())
    };
    let (result, disturbed) = tokio::join!(load, disturb);
    disturbed.unwrap_or_else(|error| panic!("{error}"));
    let result = result.unwrap_or_else(|error| panic!("{error}"));
    println!(
        "without the planner, with a task at new addresses: {} offered, {} failed: {}",
        result["offered"], result["failed"], result["failures"]
    );
    let after = address(swarm).await.expect("it has an address");
    assert_ne!(before, after, "the task has another address");
    assert!(answer(swarm, PLANNER).await.is_err(), "the planner is away");
    assert_eq!(result["failed"], 0, "{result}");

    // A planner that comes back takes over again, with the task that there is.
    swarm.docker(&["service", "scale", "--detach", "foremesh_planner=1"]).await.expect("it can be scaled");
    until("the planner's endpoint in the edge", SOON, async || planned(swarm).await).await;
    until("an answer through the edge", SOON, async || answer(swarm, EDGE).await).await;
    swarm.remove_stacks(&["shop", "foremesh"]).await;
}

/// The example service, as the demo application: its image, its command and its health check are other ones.
fn shop_with_our_image(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let ours = text.lines().map(|line| match line.trim_start().split(' ').next() {
        Some("image:") => "    image: localhost/workload:1\n    command: [serve, --drain-ms, \"3000\"]",
        Some("test:") => {
            "      test: [CMD, /workload, call, --expect, \"200\", \"http://127.0.0.1:8081/ready\"]"
        }
        _ => line,
    });
    ours.collect::<Vec<_>>().join("\n")
}

async fn answer(swarm: &Swarm, url: &str) -> Result<(), String> {
    let answer = swarm.call(url).await?;
    if answer["status"] == 200 { Ok(()) } else { Err(answer.to_string()) }
}

/// Address of the task in the network of the Envoys.
async fn address(swarm: &Swarm) -> Result<String, String> {
    let tasks =
        swarm.docker(&["service", "ps", "--quiet", "--filter", "desired-state=running", "shop_web"]).await?;
    let [task] = tasks.lines().collect::<Vec<_>>()[..] else { return Err(format!("tasks {tasks:?}")) };
    let task = swarm.inspect(&["inspect", "--type", "task", task]).await?;
    let addresses = &task[0]["NetworksAttachments"][0]["Addresses"][0];
    addresses.as_str().and_then(|text| text.split('/').next()).map(str::to_owned).ok_or(format!("{task}"))
}

/// Whether the edge has the task's address from the planner, and finds it well.
async fn planned(swarm: &Swarm) -> Result<(), String> {
    let address = address(swarm).await?;
    let line = "nsenter -n -t $(docker inspect -f '{{.State.Pid}}' $(docker ps -q --filter name=foremesh_edge)) \
                curl -sS http://127.0.0.1:15000/clusters";
    let clusters = swarm.on("node-1", &["sh", "-c", line]).await?;
    let wanted = format!("outbound|80|planned|shop_web::{address}:8080::health_flags::healthy");
    if clusters.contains(&wanted) {
        return Ok(());
    }
    let has: Vec<&str> = clusters.lines().filter(|line| line.contains("health_flags")).collect();
    Err(format!("the edge has {has:?} instead of {wanted}"))
}
