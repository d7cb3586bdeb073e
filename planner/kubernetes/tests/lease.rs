//! Two planners and a real API server: `KUBECONFIG=... cargo test -p foremesh-kubernetes --test lease -- --ignored --nocapture`.
//! It makes a namespace `lease-test` and deletes it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use foremesh_core::time::Timestamp;
use foremesh_kubernetes::{
    ClusterSettings, client,
    lease::{Elector, LeaseSettings},
};
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Namespace};
use kube::{Api, Client, api::DeleteParams};
use serde_json::json;
use std::{
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep};

const NAMESPACE: &str = "lease-test";
const ME: &str = "FOREMESH_TEST_CANDIDATE";

#[expect(clippy::disallowed_methods, reason = "a real server is asked in real time")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap())
}

fn elector(client: Client, me: String) -> Elector {
    let begun = Instant::now();
    let settings = LeaseSettings::new(NAMESPACE, Duration::from_secs(15));
    Elector::new(client, settings, me, Arc::new(move || begun.elapsed()), Arc::new(now))
}

/// A candidate in a process of its own, which the test below starts and kills.
#[tokio::test]
#[ignore = "is started by the test beside it"]
#[expect(clippy::disallowed_methods, reason = "how the test tells its children who they are")]
async fn a_candidate() {
    let Ok(me) = std::env::var(ME) else { return };
    let client = client(&ClusterSettings::default()).await.unwrap();
    elector(client, me).run(sleep(Duration::from_secs(300))).await;
}

struct Candidate(Child);

impl Candidate {
    fn start(me: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "a_candidate"]).env(ME, me).stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn held_by(leases: &Api<Lease>, who: &str) -> Duration {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(40) {
        let lease = leases.get_opt("foremesh-planner").await.unwrap();
        if lease.and_then(|lease| lease.spec?.holder_identity).is_some_and(|holder| holder == who) {
            return begun.elapsed();
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("{who} does not lead: {:?}", leases.get_opt("foremesh-planner").await);
}

#[tokio::test]
#[ignore = "needs an API server, by KUBECONFIG"]
async fn a_killed_leader_is_followed() {
    let client = client(&ClusterSettings::default()).await.unwrap();
    let namespaces = Api::<Namespace>::all(client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}})).unwrap();
    namespaces.create(&kube::api::PostParams::default(), &namespace).await.unwrap();
    let leases = Api::<Lease>::namespaced(client.clone(), NAMESPACE);

    let mut first = Candidate::start("first");
    println!("a first leader after {:?}", held_by(&leases, "first").await);
    let second = Candidate::start("second");
    sleep(Duration::from_secs(6)).await;
    held_by(&leases, "first").await;
    first.kill();
    let took = held_by(&leases, "second").await;
    println!("killed with -9, followed after {took:?}");
    assert!(took > Duration::from_secs(12) && took < Duration::from_millis(17_500), "{took:?}");

    let third = elector(client, "third".to_owned());
    let leadership = third.leadership();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let third = tokio::spawn(third.run(async {
        let _ = stopped.await;
    }));
    sleep(Duration::from_secs(4)).await;
    println!("meanwhile: {}", leadership.term().unwrap_err());
    drop(second);
    let took = held_by(&leases, "third").await;
    println!("killed again, followed after {took:?}: {:?}", leadership.term());
    let fourth = Candidate::start("fourth");
    sleep(Duration::from_secs(4)).await;
    stop.send(()).unwrap();
    third.await.unwrap();
    let took = held_by(&leases, "fourth").await;
    println!("stopped in order, followed after {took:?}");
    assert!(took < Duration::from_secs(4), "{took:?}");
    drop(fourth);
    namespaces.delete(NAMESPACE, &DeleteParams::default()).await.unwrap();
}
