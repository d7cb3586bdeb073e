use super::shop::{Shop, node, stray};
use crate::usage::Usage;
use foremesh_core::{ids::NodeId, topology::NodeState};
use serde_json::json;

#[test]
fn a_node_is_what_it_can_give_and_where_it_is() {
    let mut shop = Shop::open();
    shop.change(
        "Node",
        "n1",
        json!({
            "metadata": {"annotations": {"foremesh.dev/cost-per-hour": "0.42", "other.io/long": "x"}},
            "spec": {"taints": [
                {"key": "gpu", "value": "yes", "effect": "NoSchedule"},
                {"key": "old", "effect": "PreferNoSchedule"},
                {"key": "new", "effect": "NoIdea"},
            ]}
        }),
    );
    let node = shop.node("n1");
    assert_eq!(
        (node.capacity.get(), node.memory_bytes, node.replica_limit),
        (4000.0, Some(8.0 * 1_073_741_824.0), Some(110))
    );
    assert_eq!(node.zone.map(|zone| zone.to_string()).as_deref(), Some("a"));
    assert!((node.cost_per_hour - 0.42).abs() < 1e-12);
    let taints: Vec<String> = node.taints.iter().map(ToString::to_string).collect();
    assert_eq!(taints, ["gpu=yes:NoSchedule", "old:PreferNoSchedule", "new:NoSchedule"]);
    assert_eq!((node.state, node.used), (NodeState::Ready, None));
    assert_eq!(node.labels["disk"], "ssd");
}

#[test]
fn a_node_that_takes_nothing_says_why() {
    let ready = |status: &str| {
        json!({"status": {"conditions": [
            {"type": "Ready", "status": status, "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting"}
        ]}})
    };
    let unreachable = |reason: &str| NodeState::Unreachable(reason.to_owned());
    for (change, want) in [
        (json!({"spec": {"unschedulable": true}}), NodeState::Cordoned),
        (
            ready("Unknown"),
            unreachable("its condition Ready is Unknown: NodeStatusUnknown, Kubelet stopped posting"),
        ),
        (ready("True"), NodeState::Ready),
        (json!({"status": {"conditions": []}}), unreachable("it does not say whether it is ready")),
        (json!({"status": {"allocatable": null}}), unreachable("it does not say how much CPU it has")),
        (
            json!({"metadata": {"deletionTimestamp": "2026-11-29T12:00:00Z"}}),
            unreachable("it is being deleted"),
        ),
    ] {
        let mut shop = Shop::open();
        shop.change("Node", "n2", change.clone());
        assert_eq!(shop.node("n2").state, want, "{change}");
    }
}

#[test]
fn what_is_no_replica_takes_up_room() {
    let mut shop = Shop::open();
    shop.add(stray("exporter", "monitoring", &json!({}), "n1"));
    shop.add(stray("ended", "monitoring", &json!({}), "n1")).change(
        "Pod",
        "ended",
        json!({"status": {"phase": "Succeeded"}}),
    );
    shop.add(stray("pending", "monitoring", &json!({}), ""));
    // A replica that is ending holds its room until it has ended.
    shop.change("Pod", "cart-2", json!({"metadata": {"deletionTimestamp": "2026-11-29T12:00:00Z"}}));
    let (n1, n2, n3) = (shop.node("n1").besides, shop.node("n2").besides, shop.node("n3").besides);
    assert_eq!((n1.replicas, n1.requests.cpu_millicores, n1.requests.memory_bytes), (1, Some(100.0), None));
    assert_eq!(n1.host_ports, [9100].into());
    assert_eq!((n2.replicas, n2.requests.cpu_millicores), (1, Some(250.0)));
    assert!(n3.is_nothing());
}

#[test]
fn workloads_of_a_namespace_that_has_not_opted_in_are_only_room() {
    for label in [json!(null), json!("false"), json!("")] {
        let mut shop = Shop::open();
        shop.change("Namespace", "shop", json!({"metadata": {"labels": {"foremesh.dev/managed": label}}}));
        let snapshot = shop.snapshot();
        assert!(snapshot.workloads.is_empty());
        let room: Vec<u32> = snapshot.nodes.values().map(|node| node.besides.replicas).collect();
        assert_eq!(room, [1, 1, 1]);
    }
}

#[test]
fn use_that_was_not_measured_is_not_known() {
    let shop = {
        let mut shop = Shop::open();
        shop.add(node("n4", "b"));
        shop
    };
    let mut usage = Usage::default();
    usage.set_node("n1", 1500.0);
    usage.set_pod("shop", "cart-1", 200.0);
    usage.set_pod("shop", "pay-1", 50.0);
    let snapshot = shop.snapshot_with(&usage);
    let used = |name: &str| snapshot.nodes[&NodeId::new(name)].used.map(f64::from);
    assert_eq!((used("n1"), used("n4")), (Some(1500.0), None));
    let used: Vec<Option<f64>> =
        snapshot.workloads.values().map(|workload| workload.used.map(f64::from)).collect();
    assert_eq!(used, [None, Some(50.0)], "one replica of cart was not measured");
}
