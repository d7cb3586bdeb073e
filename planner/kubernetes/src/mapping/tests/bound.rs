use super::shop::Shop;
use foremesh_core::topology::{Effect, Toleration};
use serde_json::{Value, json};

fn node_affinity(terms: &Value) -> Value {
    json!({"affinity": {"nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms},
        "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": {"matchExpressions": []}}]
    }}})
}

/// A spec of the pods, the conditions on labels, the nodes by name, and why it is pinned.
type Case = (Value, &'static [&'static str], &'static [&'static str], Option<&'static str>);

#[test]
fn nodes_are_selected_by_label_or_by_name() {
    let expression = |key: &str, operator: &str, values: &[&str]| json!({"key": key, "operator": operator, "values": values});
    let labels = |expressions: &[Value]| json!({"matchExpressions": expressions});
    let name = json!({"matchFields": [expression("metadata.name", "In", &["n2"])]});
    let zone_b = labels(&[expression("topology.kubernetes.io/zone", "In", &["b"])]);
    let several = labels(&[
        expression("disk", "NotIn", &["hdd"]),
        json!({"key": "gpu", "operator": "DoesNotExist"}),
        expression("cores", "Gt", &["3"]),
    ]);
    let cases: Vec<Case> = vec![
        (json!({"nodeSelector": {"disk": "ssd"}}), &["disk in (ssd)"], &[], None),
        (node_affinity(&json!([zone_b])), &["topology.kubernetes.io/zone in (b)"], &[], None),
        (
            node_affinity(&json!([several])),
            &["disk not in (hdd)", "gpu does not exist", "cores above 3"],
            &[],
            None,
        ),
        (node_affinity(&json!([name])), &[], &["n2"], None),
        (node_affinity(&json!([name, zone_b])), &[], &["n2", "n3"], None),
        (node_affinity(&json!([name, {}])), &[], &["n2"], None),
        (node_affinity(&json!([{}])), &[], &[], Some("no node fits its required node affinity")),
        (json!({"affinity": {"nodeAffinity": {}}}), &[], &[], None),
    ];
    for (spec, requires, allowed, pinned) in cases {
        let mut shop = Shop::open();
        shop.cart_pods(&spec);
        let cart = shop.workload("shop/cart");
        let got: Vec<String> = cart.scheduling.requires.iter().map(ToString::to_string).collect();
        assert_eq!(got, requires, "{spec}");
        let got: Vec<&str> = cart.allowed_nodes.iter().map(foremesh_core::ids::NodeId::as_str).collect();
        assert_eq!(got, allowed, "{spec}");
        assert_eq!(cart.pinned.as_deref(), pinned, "{spec}");
    }
}

#[test]
fn tolerations_are_read_as_the_scheduler_reads_them() {
    let toleration = |key: &str, value: Option<&str>, effect| Toleration {
        key: key.to_owned(),
        value: value.map(str::to_owned),
        effect,
    };
    for (written, want) in [
        (json!({"operator": "Exists"}), Some(toleration("", None, None))),
        (
            json!({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}),
            Some(toleration("gpu", None, Some(Effect::NoExecute))),
        ),
        (json!({"key": "gpu", "operator": "Equal", "value": "a"}), Some(toleration("gpu", Some("a"), None))),
        (
            json!({"key": "gpu", "value": "a", "effect": "NoSchedule"}),
            Some(toleration("gpu", Some("a"), Some(Effect::NoSchedule))),
        ),
        (json!({"key": "gpu"}), Some(toleration("gpu", Some(""), None))),
        (json!({"key": "gpu", "operator": "Gt", "value": "3"}), None),
    ] {
        let mut shop = Shop::open();
        shop.cart_pods(&json!({"tolerations": [written]}));
        let got = shop.workload("shop/cart").scheduling.tolerations;
        assert_eq!(got, Vec::from_iter(want), "{written}");
    }
}

#[test]
fn what_the_model_cannot_say_pins() {
    for (spec, want) in [
        (json!({"schedulerName": "volcano"}), "scheduler `volcano` places it, whose rules are not known"),
        (json!({"resourceClaims": [{"name": "gpu"}]}), "it claims devices, which are not known"),
        (
            json!({"containers": [{"resources": {"requests": {"nvidia.com/gpu": "1"}}}]}),
            "it asks for nvidia.com/gpu, of which it is not known how much nodes have",
        ),
    ] {
        let mut shop = Shop::open();
        shop.cart_pods(&spec);
        assert_eq!(shop.workload("shop/cart").pinned.as_deref(), Some(want));
    }
    let mut shop = Shop::open();
    shop.change("Pod", "cart-2", json!({"spec": {"nodeSelector": {"disk": "ssd"}}}));
    let pinned = shop.workload("shop/cart").pinned;
    assert_eq!(pinned.as_deref(), Some("its replicas are bound by different rules; restart its rollout"));
}

#[test]
fn ports_of_the_node_are_held() {
    let mut shop = Shop::open();
    shop.cart_pods(
        &json!({"containers": [{"ports": [{"containerPort": 80}, {"containerPort": 81, "hostPort": 8081}]}]}),
    );
    assert_eq!(shop.workload("shop/cart").scheduling.host_ports, [8081].into());
}
