use super::shop::{Shop, owner, pod, stray};
use foremesh_core::{ids::ReplicaId, topology::Tier};
use serde_json::{Value, json};

const MEBI: f64 = 1_048_576.0;

#[test]
fn a_workload_is_its_replicas_and_what_callers_call_it() {
    let mut shop = Shop::open();
    shop.change("Pod", "cart-2", json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}));
    let cart = shop.workload("shop/cart");
    assert_eq!(cart.service.as_str(), "cart.shop.svc.cluster.local");
    assert_eq!(
        (cart.namespace.as_deref(), cart.pinned.as_deref(), cart.tier),
        (Some("shop"), None, Tier::Standard)
    );
    let replicas: Vec<(&str, &str, bool)> = cart
        .replicas
        .iter()
        .map(|(id, replica)| (id.as_str(), replica.node.as_str(), replica.ready))
        .collect();
    assert_eq!(replicas, [("cart-1", "n1", true), ("cart-2", "n2", false)]);
    assert_eq!((cart.requests.cpu_millicores, cart.requests.memory_bytes), (Some(250.0), Some(64.0 * MEBI)));
    assert_eq!(cart.cpu_limit, None);
    assert!(cart.scheduling.is_free(), "{:?}", cart.scheduling);
}

/// What the scheduler counts: `pod::requests` of Kubernetes.
#[test]
fn a_pod_asks_for_the_most_that_it_needs_at_any_time() {
    let of = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
    let sidecar = |cpu: &str| json!({"restartPolicy": "Always", "resources": {"requests": {"cpu": cpu}}});
    let spec = |containers: Value, init: Value| json!({"containers": containers, "initContainers": init});
    let pod_level = json!({
        "containers": [of("1")], "resources": {"requests": {"cpu": "300m"}}, "overhead": {"cpu": "50m"}
    });
    for (what, spec, want) in [
        ("containers are summed", spec(json!([of("100m"), of("200m")]), json!([])), Some(300.0)),
        (
            "a small init container is over by then",
            spec(json!([of("300m")]), json!([of("200m")])),
            Some(300.0),
        ),
        ("a large one counts", spec(json!([of("300m")]), json!([of("500m"), of("400m")])), Some(500.0)),
        ("a sidecar goes on", spec(json!([of("300m")]), json!([sidecar("100m")])), Some(400.0)),
        (
            "an init container runs beside the sidecars before it",
            spec(json!([of("100m")]), json!([sidecar("100m"), of("350m"), sidecar("50m")])),
            Some(450.0),
        ),
        (
            "and not beside those after it",
            spec(json!([of("100m")]), json!([of("350m"), sidecar("100m")])),
            Some(350.0),
        ),
        ("no requests are none", spec(json!([{"name": "main"}]), json!([])), None),
        ("the pod's own word overrules, overhead comes on top", pod_level, Some(350.0)),
    ] {
        let mut shop = Shop::open();
        shop.cart_pods(&spec);
        let got = shop.workload("shop/cart").requests.cpu_millicores;
        let same = match (got, want) {
            (Some(got), Some(want)) => (got - want).abs() < 1e-6,
            (got, want) => got == want,
        };
        assert!(same, "{what}: {got:?}, not {want:?}");
    }
}

#[test]
fn a_limit_is_one_only_when_every_container_has_it() {
    let with = |cpu: Option<&str>| match cpu {
        Some(cpu) => json!({"resources": {"limits": {"cpu": cpu}}}),
        None => json!({}),
    };
    for (limits, want) in [([Some("1"), Some("500m")], Some(1500.0)), ([Some("1"), None], None)] {
        let mut shop = Shop::open();
        shop.cart_pods(&json!({"containers": limits.map(with)}));
        assert_eq!(shop.workload("shop/cart").cpu_limit.map(f64::from), want, "{limits:?}");
    }
}

#[test]
fn the_largest_replica_counts_because_admission_changes_pods() {
    let mut shop = Shop::open();
    shop.change("Pod", "cart-2", json!({"spec": {"containers": [
        {"resources": {"requests": {"cpu": "250m"}}}, {"name": "istio-proxy", "resources": {"requests": {"cpu": "100m"}}}
    ]}}));
    assert_eq!(shop.workload("shop/cart").requests.cpu_millicores, Some(350.0));
}

#[test]
fn pods_that_end_or_wait_are_no_replicas() {
    let gone = json!({"metadata": {"deletionTimestamp": "2026-11-29T12:00:00Z"}});
    for (change, changing) in [
        (gone, Some("it has 1 replicas and is to have 2")),
        (json!({"status": {"phase": "Failed"}}), Some("it has 1 replicas and is to have 2")),
        (json!({"spec": {"nodeName": null}}), Some("1 of its pods are on no node that is known")),
        (json!({"spec": {"nodeName": "n9"}}), Some("1 of its pods are on no node that is known")),
        (json!({"metadata": {"labels": {"extra": "yes"}}}), None),
    ] {
        let mut shop = Shop::open();
        shop.change("Pod", "cart-2", change.clone());
        let cart = shop.workload("shop/cart");
        assert_eq!(cart.replicas.contains_key(&ReplicaId::new("cart-2")), changing.is_none(), "{change}");
        assert_eq!(cart.scheduling.changing.as_deref(), changing, "{change}");
    }
}

#[test]
fn a_rollout_that_is_under_way_is_a_change() {
    for (change, want) in [
        (json!({"metadata": {"generation": 4}}), "its controller has not taken up its newest spec"),
        (json!({"spec": {"paused": true}}), "its rollout is paused"),
        (json!({"status": {"updatedReplicas": 1}}), "1 of 2 replicas are of its newest version"),
        (json!({"status": {"replicas": 3}}), "1 replicas of an older version are still there"),
        (
            json!({"spec": {"replicas": 3}, "status": {"replicas": 3, "updatedReplicas": 3}}),
            "it has 2 replicas and is to have 3",
        ),
        (json!({"metadata": {"deletionTimestamp": "2026-11-29T12:00:00Z"}}), "it is being deleted"),
        (json!({"status": null}), "its controller has not taken up its newest spec"),
    ] {
        let mut shop = Shop::open();
        shop.change("Deployment", "cart", change.clone());
        assert_eq!(shop.workload("shop/cart").scheduling.changing.as_deref(), Some(want), "{change}");
        assert_eq!(shop.workload("shop/pay").scheduling.changing, None);
    }
}

#[test]
fn a_member_of_a_stateful_set_has_no_successor_beside_it() {
    let mut shop = Shop::open();
    shop.add(json!({
        "kind": "StatefulSet",
        "metadata": {"name": "cart", "namespace": "shop", "uid": "set", "generation": 1},
        "spec": {"replicas": 1},
        "status": {"observedGeneration": 1, "currentRevision": "a", "updateRevision": "a"}
    }));
    shop.add(pod("cart-0", "cart", "n3")).change(
        "Pod",
        "cart-0",
        json!({"metadata": {"ownerReferences": [owner("StatefulSet", "set")], "labels": {"app": "db"}}}),
    );
    let set = shop.workload("shop/statefulset/cart");
    assert_eq!(set.replicas.len(), 1);
    assert_eq!(
        set.scheduling.no_surge.as_deref(),
        Some("it is a member of a stateful set, whose name no second one can have")
    );
    assert_eq!(set.scheduling.changing, None);
    shop.change("StatefulSet", "cart", json!({"status": {"updateRevision": "b"}}));
    let change = shop.workload("shop/statefulset/cart").scheduling.changing;
    assert_eq!(change.as_deref(), Some("not all replicas are of its newest version"));
    assert_eq!(
        shop.workload("shop/cart").replicas.len(),
        2,
        "the Deployment of that name is another workload"
    );
}

#[test]
fn whoever_opts_out_is_named() {
    let on = |name: &str, value: &str| json!({"metadata": {"annotations": {name: value}}});
    for (kind, object, annotation, value, want) in [
        (
            "Namespace",
            "shop",
            "foremesh.dev/pinned",
            "true",
            Some("annotation foremesh.dev/pinned of its namespace"),
        ),
        (
            "Deployment",
            "cart",
            "foremesh.dev/pinned",
            "audit until May",
            Some("annotation foremesh.dev/pinned of its Deployment: audit until May"),
        ),
        ("Deployment", "cart", "foremesh.dev/pinned", "false", None),
        (
            "Pod",
            "cart-2",
            "karpenter.sh/do-not-disrupt",
            "true",
            Some("annotation karpenter.sh/do-not-disrupt=true of its pods"),
        ),
        ("Pod", "cart-2", "karpenter.sh/do-not-disrupt", "false", None),
        (
            "Pod",
            "cart-1",
            "cluster-autoscaler.kubernetes.io/safe-to-evict",
            "false",
            Some("annotation cluster-autoscaler.kubernetes.io/safe-to-evict=false of its pods"),
        ),
        ("Pod", "cart-1", "cluster-autoscaler.kubernetes.io/safe-to-evict", "true", None),
        (
            "Pod",
            "cart-1",
            "descheduler.alpha.kubernetes.io/prefer-no-eviction",
            "true",
            Some("annotation descheduler.alpha.kubernetes.io/prefer-no-eviction=true of its pods"),
        ),
        (
            "Pod",
            "cart-1",
            "scheduling.koordinator.sh/eviction-cost",
            "2147483647",
            Some("annotation scheduling.koordinator.sh/eviction-cost=2147483647 of its pods"),
        ),
        ("Pod", "cart-1", "scheduling.koordinator.sh/eviction-cost", "100", None),
        ("Pod", "cart-1", "example.com/do-not-disrupt", "true", None),
    ] {
        let mut shop = Shop::open();
        shop.change(kind, object, on(annotation, value));
        assert_eq!(shop.workload("shop/cart").pinned.as_deref(), want, "{annotation}={value} of {kind}");
    }
}

#[test]
fn a_tier_that_nobody_knows_pins() {
    for (value, tier, pinned) in [
        ("critical", Tier::Critical, None),
        ("best-effort", Tier::BestEffort, None),
        (
            "gold",
            Tier::Standard,
            Some("annotation foremesh.dev/tier is `gold`, and not critical, standard or best-effort"),
        ),
    ] {
        let mut shop = Shop::open();
        shop.change("Deployment", "cart", json!({"metadata": {"annotations": {"foremesh.dev/tier": value}}}));
        let cart = shop.workload("shop/cart");
        assert_eq!((cart.tier, cart.pinned.as_deref()), (tier, pinned));
    }
}

#[test]
fn a_deployment_without_pods_is_there_with_none() {
    let mut shop = Shop::open();
    shop.deploy("idle", 0).add(stray("other", "shop", &json!({"app": "other"}), "n1"));
    let idle = shop.workload("shop/idle");
    assert!(idle.replicas.is_empty() && idle.pinned.is_none() && idle.used.is_none());
    assert_eq!(idle.scheduling.changing, None);
}
