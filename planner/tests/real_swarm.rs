//! A move through the ports of the platform on a real Docker Swarm, whose manager is at `DOCKER_HOST` (`scripts/testbed swarm`):
//! what the endpoint file says at each step.
#![allow(missing_docs, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
use foremesh::{
    clock::Clock,
    endpoints::EndpointFiles,
    platform::{Inventory as _, Relocator as _, TrafficShifter as _},
    settings::SwarmSettings,
    swarm::Swarm,
};
use foremesh_core::{
    ids::{NodeId, ReplicaId, ServiceId, WorkloadId},
    topology::Snapshot,
};
use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};
use tokio::time::{Instant, sleep};

const NAME: &str = "ported";

fn docker(args: &[&str]) -> String {
    let out = Command::new("docker").args(args).output().unwrap();
    assert!(out.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// Addresses of its endpoints with their replicas and weights.
async fn endpoints(files: &EndpointFiles) -> BTreeMap<String, (String, u32)> {
    let read = files.read(&ServiceId::from(NAME)).await.unwrap().unwrap();
    assert_eq!(read.cluster, format!("outbound|80||{NAME}"));
    let each = read.endpoints.into_iter();
    each.map(|(at, of)| (at.to_string(), (of.replica.unwrap().to_string(), of.weight))).collect()
}

/// Two tasks of a service, and the platform that knows where they are.
async fn platform(state: &Path) -> Swarm {
    #[expect(clippy::disallowed_methods, reason = "as docker itself is told")]
    let manager = std::env::var("DOCKER_HOST").expect("DOCKER_HOST is a manager");
    let settings = SwarmSettings { endpoint: manager.parse().unwrap(), ..SwarmSettings::default() };
    for service in docker(&["service", "ls", "--quiet", "--filter", "name=ported"]).lines() {
        docker(&["service", "rm", service]);
    }
    if !docker(&["network", "ls", "--format", "{{.Name}}"]).lines().any(|line| line == "shop") {
        docker(&["network", "create", "--driver", "overlay", "shop"]);
    }
    let create = "service create --detach --no-resolve-image --name ported --network shop --replicas 2 \
                  --label foremesh.dev/port=8080 --label foremesh.dev/healthcheck=image localhost/workload:1 serve";
    docker(&create.split_whitespace().collect::<Vec<_>>());
    Swarm::open(&settings, state, Clock::System).await.unwrap()
}

/// Once both run and have whole shares.
async fn served(platform: &Swarm) -> Snapshot {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        platform.followed().await.unwrap();
        let snapshot = platform.snapshot().await.unwrap();
        let of = &snapshot.workloads[&WorkloadId::from(NAME)];
        if of.replicas.values().filter(|replica| replica.ready && replica.weight == 100).count() == 2 {
            return snapshot;
        }
        assert!(Instant::now() < deadline, "{of:?}");
        sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
#[ignore = "needs a Docker Swarm"]
async fn the_endpoint_file_tells_the_story_of_a_move() {
    let directory = tempfile::tempdir().unwrap();
    let platform = platform(directory.path()).await;
    let snapshot = served(&platform).await;
    let (workload, service, files) = (WorkloadId::from(NAME), ServiceId::from(NAME), platform.endpoints());
    assert!(snapshot.capabilities.weights);
    assert_eq!(snapshot.workloads[&workload].pinned, None);
    let before = endpoints(&files).await;
    let leaving = snapshot.workloads[&workload].replicas.keys().next().unwrap().clone();
    let source = snapshot.workloads[&workload].replicas[&leaving].node.clone();
    let taken: Vec<&NodeId> =
        snapshot.workloads[&workload].replicas.values().map(|replica| &replica.node).collect();
    let to = snapshot.nodes.keys().find(|node| !taken.contains(node)).unwrap().clone();

    platform.prepare(&workload, &to).await.unwrap();
    let coming = platform.place(&workload, &to, Some(&leaving)).await.unwrap();
    platform.followed().await.unwrap();
    assert_eq!(endpoints(&files).await, before, "it gets no traffic by itself");
    let weights = |pairs: &[(&ReplicaId, u32)]| {
        let mut all: BTreeMap<ReplicaId, u32> =
            pairs.iter().map(|(id, weight)| ((*id).clone(), *weight)).collect();
        let other = snapshot.workloads[&workload].replicas.keys().find(|id| **id != leaving).unwrap();
        all.insert(other.clone(), 100);
        all
    };
    for (at_source, at_target) in [(50, 50), (0, 100)] {
        let wanted = weights(&[(&leaving, at_source), (&coming, at_target)]);
        platform.set_weights(&service, &wanted).await.unwrap();
        platform.followed().await.unwrap();
        let mut wanted = wanted;
        wanted.retain(|_, weight| *weight > 0);
        assert_eq!(platform.weights(&service).await.unwrap(), wanted);
    }
    let stood_in = endpoints(&files).await;
    platform.retire(&workload, &source, Some(&leaving)).await.unwrap();
    platform.retire(&workload, &source, Some(&leaving)).await.unwrap();
    platform.restore(&service).await.unwrap();
    platform.followed().await.unwrap();
    let after = endpoints(&files).await;
    assert_eq!(after.len(), 2);
    let at = |of: &BTreeMap<String, (String, u32)>| {
        let found = of.iter().find(|(_, (replica, _))| replica == coming.as_str()).unwrap();
        (found.0.clone(), found.1.1)
    };
    assert_eq!((at(&after).1, at(&stood_in).1), (100, 100));
    assert_ne!(at(&after).0, at(&stood_in).0, "its own task has it now");
    let snapshot = platform.snapshot().await.unwrap();
    let of = &snapshot.workloads[&workload];
    assert!(of.replicas.contains_key(&coming) && !of.replicas.contains_key(&leaving), "{of:?}");
    assert!(of.replicas.values().all(|replica| replica.weight == 100 && replica.ready));
    assert_eq!(platform.overtaken(&workload).await.unwrap(), None);
    assert_eq!(docker(&["service", "ls", "--quiet", "--filter", "name=ported"]).lines().count(), 1);

    follows_new_tasks(&platform, &after).await;
    docker(&["service", "rm", NAME]);
}

/// Tasks that end are followed by others at other addresses, which have their weights.
async fn follows_new_tasks(platform: &Swarm, before: &BTreeMap<String, (String, u32)>) {
    let service = ServiceId::from(NAME);
    let had: u32 = platform.weights(&service).await.unwrap().values().sum();
    docker(&["service", "update", "--detach", "--force", NAME]);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        platform.followed().await.unwrap();
        let now = endpoints(&platform.endpoints()).await;
        if now.len() == 2 && now.keys().all(|at| !before.contains_key(at)) {
            break;
        }
        assert!(Instant::now() < deadline, "{now:?}");
        sleep(Duration::from_millis(200)).await;
    }
    let now: u32 = platform.weights(&service).await.unwrap().values().sum();
    assert_eq!(now, had);
}
