use super::shop::{Shop, pod, stray};
use foremesh_core::topology::{Spread, TopologyKey};
use serde_json::{Value, json};

const HOST: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

fn term(labels: &Value, key: &str) -> Value {
    json!({"labelSelector": {"matchLabels": labels}, "topologyKey": key})
}

fn rules(kind: &str, terms: &[Value]) -> Value {
    json!({"affinity": {kind: {
        "requiredDuringSchedulingIgnoredDuringExecution": terms,
        "preferredDuringSchedulingIgnoredDuringExecution": [{
            "weight": 1, "podAffinityTerm": {"topologyKey": "rack"}
        }]
    }}})
}

fn away(terms: &[Value]) -> Value {
    rules("podAntiAffinity", terms)
}

fn near(terms: &[Value]) -> Value {
    rules("podAffinity", terms)
}

/// In words, so that a table can be read: `apart node`, `not with shop/pay by zone`.
fn said(shop: &Shop) -> Vec<String> {
    let cart = shop.workload("shop/cart");
    let scheduling = cart.scheduling;
    let mut said: Vec<String> = scheduling.apart.iter().map(|over| format!("apart by {over}")).collect();
    said.extend(scheduling.not_with.iter().map(|(other, over)| format!("not with {other} by {over}")));
    said.extend(scheduling.only_with.iter().map(|(other, over)| format!("only with {other} by {over}")));
    said.extend(scheduling.spread.iter().map(|Spread { over, max_skew }| format!("{max_skew} over {over}")));
    said.extend(cart.pinned.map(|reason| format!("pinned: {reason}")));
    said
}

#[test]
fn affinity_between_pods_is_between_workloads_or_pins() {
    let (cart, pay) = (json!({"app": "cart"}), json!({"app": "pay"}));
    let elsewhere = json!({"labelSelector": {"matchLabels": {"app": "pay"}}, "namespaces": ["other"], "topologyKey": HOST});
    let by_label = json!({"labelSelector": {"matchLabels": {"app": "pay"}}, "namespaceSelector": {"matchLabels": {"team": "shop"}}, "topologyKey": HOST});
    let all = json!({"labelSelector": {}, "topologyKey": HOST});
    let none = json!({"topologyKey": HOST});
    let cases: Vec<(&str, Value, Vec<&str>)> = vec![
        ("itself", away(&[term(&cart, HOST)]), vec!["apart by node"]),
        ("another", away(&[term(&pay, ZONE)]), vec!["not with shop/pay by zone"]),
        (
            "the stricter of two",
            away(&[term(&pay, ZONE), term(&pay, HOST)]),
            vec!["not with shop/pay by zone"],
        ),
        ("everybody", away(&[all]), vec!["apart by node", "not with shop/pay by node"]),
        ("nobody without a selector", away(&[none]), vec![]),
        ("nobody there", away(&[elsewhere]), vec![]),
        ("a namespace by its label", away(&[by_label]), vec!["not with shop/pay by node"]),
        (
            "a rack",
            away(&[term(&cart, "rack")]),
            vec![
                "pinned: its pod anti-affinity has topology key `rack`, and only kubernetes.io/hostname and \
                 topology.kubernetes.io/zone are known",
            ],
        ),
        ("beside another", near(&[term(&pay, ZONE)]), vec!["only with shop/pay by zone"]),
        (
            "the stricter of two beside",
            near(&[term(&pay, ZONE), term(&pay, HOST)]),
            vec!["only with shop/pay by node"],
        ),
        (
            "beside itself",
            near(&[term(&cart, ZONE)]),
            vec!["pinned: its pod affinity has itself for a neighbour: its replicas must stay together"],
        ),
        (
            "beside nobody",
            near(&[term(&json!({"app": "x"}), ZONE)]),
            vec!["pinned: its pod affinity has a selector that selects no managed workload"],
        ),
        (
            "beside one of several",
            near(&[term(&json!({}), ZONE)]),
            vec!["pinned: its pod affinity has a selector that several workloads can satisfy"],
        ),
    ];
    for (what, spec, want) in cases {
        let mut shop = Shop::open();
        shop.cart_pods(&spec);
        assert_eq!(said(&shop), want, "{what}");
    }
}

#[test]
fn pods_that_are_not_managed_cannot_be_reckoned_with() {
    let mut shop = Shop::open();
    shop.cart_pods(&away(&[term(&json!({"noisy": "yes"}), HOST)]));
    assert_eq!(said(&shop), [""; 0]);
    shop.add(stray("batch", "shop", &json!({"noisy": "yes"}), "n3"));
    let want =
        "pinned: its pod anti-affinity has a selector that selects pod `shop/batch`, which is not managed";
    assert_eq!(said(&shop), [want]);
    shop.change("Pod", "batch", json!({"metadata": {"deletionTimestamp": "2026-11-29T12:00:00Z"}}));
    assert_eq!(said(&shop), [""; 0], "it is ending");
}

#[test]
fn a_selector_of_some_replicas_pins() {
    let mut shop = Shop::open();
    shop.deploy("twin", 2).add(pod("twin-1", "twin", "n1")).add(pod("twin-2", "twin", "n2"));
    shop.change("Pod", "twin-2", json!({"metadata": {"labels": {"leader": "yes"}}}));
    shop.cart_pods(&away(&[term(&json!({"leader": "yes"}), HOST)]));
    let want = "pinned: its pod anti-affinity has a selector of some replicas of `shop/twin` and not of all";
    assert_eq!(said(&shop), [want]);
}

#[test]
fn a_pod_that_is_not_managed_may_keep_it_away() {
    let mut shop = Shop::open();
    let mut keeper = stray("keeper", "ops", &json!({}), "n3");
    keeper["spec"]["affinity"] = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": "cart"}}, "namespaces": ["shop"], "topologyKey": HOST}
    ]}});
    shop.add(keeper);
    assert_eq!(said(&shop), ["pinned: pod `ops/keeper`, which is not managed, must be away from it"]);
    assert_eq!(shop.workload("shop/pay").pinned, None);
}

#[test]
fn a_spread_is_of_its_own_replicas_or_pins() {
    let spread = |more: Value| {
        let mut rule = json!({
            "maxSkew": 2, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "cart"}}
        });
        let (rule_map, more) = (rule.as_object_mut().unwrap(), more.as_object().unwrap());
        rule_map.extend(more.clone());
        json!({"topologySpreadConstraints": [rule]})
    };
    let policy = "pinned: its topology spread has a policy of which nodes count that is not the usual one";
    let alone = "pinned: its topology spread has a selector that does not select its own replicas alone";
    for (more, want) in [
        (json!({}), vec!["2 over zone"]),
        (json!({"topologyKey": HOST, "maxSkew": 1, "minDomains": 1}), vec!["1 over node"]),
        (json!({"whenUnsatisfiable": "ScheduleAnyway", "topologyKey": "rack"}), vec![]),
        (json!({"nodeAffinityPolicy": "Honor", "nodeTaintsPolicy": "Ignore"}), vec!["2 over zone"]),
        (json!({"nodeTaintsPolicy": "Honor"}), vec![policy]),
        (json!({"nodeAffinityPolicy": "Ignore"}), vec![policy]),
        (json!({"minDomains": 3}), vec!["pinned: its topology spread has minDomains, which are not known"]),
        (json!({"matchLabelKeys": ["pod-template-hash"]}), vec!["2 over zone"]),
        (
            json!({"matchLabelKeys": ["shard"]}),
            vec!["pinned: its topology spread has matchLabelKeys with `shard`, which is not known"],
        ),
        (json!({"labelSelector": {"matchLabels": {"app": "pay"}}}), vec![alone]),
        (json!({"labelSelector": {}}), vec![alone]),
    ] {
        let mut shop = Shop::open();
        shop.cart_pods(&spread(more.clone()));
        assert_eq!(said(&shop), want, "{more}");
    }
}

#[test]
fn a_zone_says_more_than_a_node() {
    assert!(TopologyKey::Zone > TopologyKey::Node, "the stricter of two rules is taken by this order");
}
