//! The only replica of a Deployment moves to another node under load, without a change of its pod template and without a
//! failed request: the protocol that a rollout follows, by hand.
//!
//! ```text
//! label source ─► subsets ─► route 100/0 ─► scale 2 ─► ready, label target ─► 90/10 ─► 50/50 ─► 0/100 ─► scale 1 ─► route off ─► subsets off
//! ```
//!
//! A cordon stands for the planner's placement webhook.
use foremesh_tests::{
    Cluster, Namespace, WorkloadSpec,
    cluster::{Load, Pod},
    until,
};
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Requests per second; the load runs before, during and after the move.
const RATE: u64 = 250;
const LOAD_SECONDS: u64 = 40;
/// How long the traffic stays at each share: so many requests see it.
const AT_EACH_SHARE: Duration = Duration::from_secs(2);
const SOON: Duration = Duration::from_secs(30);
const COST: &str = "controller.kubernetes.io/pod-deletion-cost";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails() {
    let space = Namespace::meshed(Cluster::shared().await, "move").await;
    let web = WorkloadSpec { nodes: vec!["node-2", "node-3"], ..WorkloadSpec::service("web") };
    space.start(&[web, WorkloadSpec { nodes: vec!["node-3"], ..WorkloadSpec::idle("client") }]).await;
    let client = space.pod("app=client").await.name;
    let old = space.pod("app=web").await;
    let template = template(&space).await;
    let url = format!("http://web.{}:8080/", space.name());
    let options = ["--rate", &RATE.to_string(), "--seconds", &LOAD_SECONDS.to_string()];
    let mut load = Load::start(&space, &client, &url, &options, Duration::from_secs(90));
    let mover = Mover { space: &space, client: &client };
    until("the load to be on its way", SOON, async || {
        let served = space.served(&old).await?;
        if served > RATE { Ok(()) } else { Err(format!("{served} requests are served")) }
    })
    .await;
    let began = Instant::now();
    let new = mover.surge(&old).await;
    let ready = began.elapsed();
    for share in [10, 50, 100] {
        mover.route(100 - share, share).await;
        sleep(AT_EACH_SHARE).await;
    }
    let by_old = space.served(&old).await.unwrap_or_else(|error| panic!("{error}"));
    mover.retire(&old, &new).await;
    mover.leave().await;
    let moved = began.elapsed();
    assert!(load.runs(), "the load ended before the move, which took {moved:?}");
    let result = load.finish().await;

    let left = space.pod("app=web").await;
    assert_eq!((&left.name, left.node != old.node), (&new.name, true), "{left:?} after {old:?}");
    assert_eq!(self::template(&space).await, template, "the pod template is as it was");
    println!(
        "moved {} -> {} in {:.1} s (ready after {:.1} s): {} requests, {} failed, P50 {} ms, P99 {} ms",
        old.node,
        new.node,
        moved.as_secs_f64(),
        ready.as_secs_f64(),
        result["offered"],
        result["failed"],
        result["latency_ms"]["p50"],
        result["latency_ms"]["p99"]
    );
    assert_eq!(result["failed"], 0, "{:#}", result["failures"]);
    let by_new = space.served(&new).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        result["ok"],
        by_old + by_new,
        "served once each: {by_old} by the source, {by_new} by the target"
    );
    assert!(result["ok"].as_u64() >= Some(RATE * LOAD_SECONDS - 1), "{result:#}");
}

/// The generation counts changes of the Deployment's specification; the template is compared itself, since scaling counts.
async fn template(space: &Namespace) -> serde_json::Value {
    space.get(&["deployment", "web"]).await.expect("the Deployment is there")["spec"]["template"].clone()
}

/// The steps, each of which is over when the sidecar of the client knows it.
struct Mover<'a> {
    space: &'a Namespace,
    client: &'a str,
}

impl Mover<'_> {
    /// A second replica, ready on another node, and known as the target.
    async fn surge(&self, old: &Pod) -> Pod {
        self.kubectl(&["label", "pod", &old.name, "foremesh.dev/location=source"]).await;
        // Subsets before the route that uses them; while the route exists, a pod without the label gets no traffic.
        let subset = |name: &str| json!({"name": name, "labels": {"foremesh.dev/location": name}});
        let rule = json!({
            "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": {"name": "web-foremesh"},
            "spec": {"host": self.host(), "subsets": [subset("source"), subset("target")]},
        });
        self.space.apply(&rule.to_string()).await;
        self.healthy("source", &old.address).await;
        self.route(100, 0).await;
        self.kubectl(&["cordon", &old.node]).await;
        self.kubectl(&["scale", "deployment/web", "--replicas=2"]).await;
        let new = until("a second pod", SOON, async || {
            let mut pods = self.space.pods("app=web,foremesh.dev/location!=source").await?;
            pods.pop().filter(|pod| !pod.node.is_empty()).ok_or_else(|| "there is none".to_owned())
        })
        .await;
        self.kubectl(&["uncordon", &old.node]).await;
        // Until it is promoted, whoever scales down takes the new pod, and all is as it was.
        self.kubectl(&["annotate", "pod", &new.name, &format!("{COST}=-100")]).await;
        self.kubectl(&["wait", "--for=condition=Ready", "--timeout=50s", &format!("pod/{}", new.name)]).await;
        self.kubectl(&["label", "pod", &new.name, "foremesh.dev/location=target"]).await;
        let new = self.space.pod("foremesh.dev/location=target").await;
        self.healthy("target", &new.address).await;
        new
    }

    /// The source goes, now that nothing is sent to it.
    async fn retire(&self, old: &Pod, new: &Pod) {
        self.kubectl(&["annotate", "--overwrite", "pod", &new.name, &format!("{COST}=100")]).await;
        self.kubectl(&["annotate", "pod", &old.name, &format!("{COST}=-100")]).await;
        self.kubectl(&["scale", "deployment/web", "--replicas=1"]).await;
        self.kubectl(&["wait", "--for=delete", "--timeout=40s", &format!("pod/{}", old.name)]).await;
    }

    /// The route goes before the subsets that it uses.
    async fn leave(&self) {
        self.kubectl(&["delete", "virtualservice", "web-foremesh"]).await;
        self.knows_route("no route by subsets", |dump| !dump.contains("|target|")).await;
        self.kubectl(&["delete", "destinationrule", "web-foremesh"]).await;
    }

    async fn route(&self, source: u32, target: u32) {
        let part = |subset: &str, weight: u32| json!({"destination": {"host": self.host(), "subset": subset}, "weight": weight});
        let service = json!({
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "web-foremesh"},
            "spec": {"hosts": [self.host()], "http": [{"route": [part("source", source), part("target", target)]}]},
        });
        self.space.apply(&service.to_string()).await;
        let host = self.host();
        // A subset without weight is left out of the sidecar's route.
        let known = |dump: &str, subset: &str, weight: u32| match weight {
            0 => !dump.contains(&format!("|{subset}|{host}")),
            100 => dump.contains(&format!("|{subset}|{host}\"")),
            _ => dump.contains(&format!("|{subset}|{host}\",\"weight\":{weight}")),
        };
        self.knows_route("the weights", |dump| {
            known(dump, "source", source) && known(dump, "target", target)
        })
        .await;
    }

    async fn knows_route(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        self.space
            .sidecar_until(self.client, "config_dump?resource=dynamic_route_configs", what, is_so)
            .await;
    }

    async fn healthy(&self, subset: &str, address: &str) {
        let line = format!("outbound|8080|{subset}|{}::{address}:8080::health_flags::healthy", self.host());
        self.space
            .sidecar_until(self.client, "clusters", "the replica", |clusters| {
                clusters.lines().any(|it| it == line)
            })
            .await;
    }

    async fn kubectl(&self, argv: &[&str]) {
        self.space.kubectl(argv).await.unwrap_or_else(|error| panic!("{error}"));
    }

    fn host(&self) -> String {
        format!("web.{}.svc.cluster.local", self.space.name())
    }
}
