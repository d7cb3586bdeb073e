//! Injected sidecars speak mutual TLS with each other, and under STRICT with nobody else.
use foremesh_tests::{Cluster, Namespace, WorkloadSpec, until};
use serde_json::Value;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);
const STRICT: &str = "{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: strict}, \
                      spec: {mtls: {mode: STRICT}}}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_answer_each_other_and_nobody_outside() {
    let space = Namespace::meshed(Cluster::shared().await, "mtls").await;
    let front = WorkloadSpec {
        nodes: vec!["node-2"],
        settings: vec![("CALLS", "http://back:8080/".to_owned())],
        ..WorkloadSpec::service("front")
    };
    let back = WorkloadSpec { nodes: vec!["node-3"], ..WorkloadSpec::service("back") };
    let client = WorkloadSpec { nodes: vec!["node-3"], ..WorkloadSpec::idle("client") };
    space.start(&[front, back, client]).await;
    let (front, back, client) =
        (space.pod("app=front").await, space.pod("app=back").await, space.pod("app=client").await);
    let direct = format!("http://{}:8080/", back.address);

    // As long as nothing forbids it, plaintext is answered: what is refused later is refused for its plaintext.
    let plain = space.cluster().call(&direct).await.expect("a call can be made");
    assert_eq!((&plain["status"], &plain["body"]["caller"]), (&200.into(), &"".into()), "{plain}");

    space.apply(STRICT).await;
    until("plaintext from outside the mesh to be refused", SOON, async || {
        let answer = space.cluster().call(&direct).await?;
        if answer["error"].is_string() { Ok(()) } else { Err(format!("it was answered: {answer}")) }
    })
    .await;
    assert_caller(&space, &client.name, "http://front:8080/", "client", "zone-b").await;
    assert_caller(&space, &front.name, "http://back:8080/", "front", "zone-a").await;
    // And so is the call that the front makes of itself for each of its requests.
    let answer = space.call_from(&client.name, "http://front:8080/").await.expect("the front answers");
    assert_eq!(answer["body"]["calls"][0]["status"], 200, "{answer:#}");
}

/// The answer says by which certificate the sidecar of the callee knows its caller, and where the callee is.
async fn assert_caller(space: &Namespace, pod: &str, url: &str, account: &str, zone: &str) {
    let answer: Value = space.call_from(pod, url).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(answer["status"], 200, "{url} from {pod}: {answer:#}");
    let want = format!("URI=spiffe://cluster.local/ns/{}/sa/{account}", space.name());
    let caller = answer["body"]["caller"].as_str().unwrap_or_default();
    assert!(caller.contains(&want), "caller of {url} is `{caller}`, not {want}");
    assert_eq!(answer["body"]["zone"], zone, "{answer:#}");
}
