//! What a node is, and the room that it has.
use super::{Row, cart, hold, level, node, runs, workload};
use crate::topology::{Effect, NodeState, Operator, Requirement, Taint, Toleration, Volume};
use std::collections::BTreeSet;

const MIB: f64 = 1_048_576.0;

fn taint(effect: Effect) -> Taint {
    Taint { key: "gpu".to_owned(), value: "yes".to_owned(), effect }
}

fn requires(operator: Operator, values: &[&str]) -> Vec<Requirement> {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    vec![Requirement { key: "disk".to_owned(), operator, values }]
}

fn volume(zones: &[&str], nodes: &[&str]) -> Vec<Volume> {
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    vec![Volume { name: "data".to_owned(), zones: named(zones), nodes: named(nodes), exclusive: false }]
}

fn tolerate(key: &str, value: Option<&str>, effect: Option<Effect>) -> Vec<Toleration> {
    vec![Toleration { key: key.to_owned(), value: value.map(str::to_owned), effect }]
}

const OF_ITSELF: &[Row] = &[
    ("nothing binds it", |_| {}, "a", "b", ""),
    ("to itself", |_| {}, "a", "a", "it runs there already"),
    ("cordoned", |w| node(w, "b").state = NodeState::Cordoned, "a", "b", "takes no new replicas"),
    ("another is cordoned", |w| node(w, "c").state = NodeState::Cordoned, "a", "b", ""),
    ("away", |w| node(w, "b").state = NodeState::Unreachable("no route".into()), "a", "b", "no route"),
    ("not allowed", |w| cart(w).allowed_nodes = ["c".into()].into(), "a", "b", "may not run there"),
    ("allowed", |w| cart(w).allowed_nodes = ["b".into()].into(), "a", "b", ""),
    ("taint", |w| node(w, "b").taints = vec![taint(Effect::NoSchedule)], "a", "b", "`gpu=yes:NoSchedule`"),
    ("hard taint", |w| node(w, "b").taints = vec![taint(Effect::NoExecute)], "a", "b", "gpu=yes:NoExecute"),
    ("soft taint", |w| node(w, "b").taints = vec![taint(Effect::PreferNoSchedule)], "a", "b", ""),
    (
        "tolerated",
        |w| {
            node(w, "b").taints = vec![taint(Effect::NoSchedule)];
            cart(w).scheduling.tolerations = tolerate("gpu", Some("yes"), Some(Effect::NoSchedule));
        },
        "a",
        "b",
        "",
    ),
    (
        "another value tolerated",
        |w| {
            node(w, "b").taints = vec![taint(Effect::NoSchedule)];
            cart(w).scheduling.tolerations = tolerate("gpu", Some("no"), None);
        },
        "a",
        "b",
        "does not tolerate",
    ),
    (
        "another effect tolerated",
        |w| {
            node(w, "b").taints = vec![taint(Effect::NoExecute)];
            cart(w).scheduling.tolerations = tolerate("gpu", None, Some(Effect::NoSchedule));
        },
        "a",
        "b",
        "does not tolerate",
    ),
    (
        "all tolerated",
        |w| {
            node(w, "b").taints = vec![taint(Effect::NoExecute)];
            cart(w).scheduling.tolerations = tolerate("", None, None);
        },
        "a",
        "b",
        "",
    ),
    (
        "no label",
        |w| cart(w).scheduling.requires = requires(Operator::In, &["ssd"]),
        "a",
        "b",
        "requires `disk in (ssd)`, but the node has no label `disk`",
    ),
    (
        "another label",
        |w| {
            cart(w).scheduling.requires = requires(Operator::In, &["ssd"]);
            node(w, "b").labels = [("disk".to_owned(), "hdd".to_owned())].into();
        },
        "a",
        "b",
        "but the node has `disk=hdd`",
    ),
    (
        "the label",
        |w| {
            cart(w).scheduling.requires = requires(Operator::In, &["nvme", "ssd"]);
            node(w, "b").labels = [("disk".to_owned(), "ssd".to_owned())].into();
        },
        "a",
        "b",
        "",
    ),
];

#[test]
fn a_node_is_judged_by_its_state_name_taints_and_labels() {
    hold(OF_ITSELF);
}

#[test]
fn labels_are_compared_as_the_operator_says() {
    let cases: [(Operator, &[&str], Option<&str>, bool); 14] = [
        (Operator::In, &["1", "2"], Some("2"), true),
        (Operator::In, &["1", "2"], None, false),
        (Operator::NotIn, &["1"], Some("1"), false),
        (Operator::NotIn, &["1"], Some("2"), true),
        (Operator::NotIn, &["1"], None, true),
        (Operator::Exists, &[], Some("1"), true),
        (Operator::Exists, &[], None, false),
        (Operator::DoesNotExist, &[], None, true),
        (Operator::DoesNotExist, &[], Some("1"), false),
        (Operator::Above, &["3"], Some("4"), true),
        (Operator::Above, &["3"], Some("3"), false),
        (Operator::Above, &["3"], Some("many"), false),
        (Operator::Below, &["3"], Some("2"), true),
        (Operator::Below, &["3"], None, false),
    ];
    for (operator, values, actual, holds) in cases {
        let requirement = &requires(operator, values)[0];
        let actual = actual.map(str::to_owned);
        assert_eq!(requirement.holds(actual.as_ref()), holds, "{requirement} with {actual:?}");
    }
}

const VOLUMES: &[Row] = &[
    (
        "zone",
        |w| cart(w).scheduling.volumes = volume(&["north"], &[]),
        "a",
        "c",
        "volume `data` cannot be reached from zone `south`",
    ),
    ("its zone", |w| cart(w).scheduling.volumes = volume(&["north"], &[]), "a", "b", ""),
    ("node", |w| cart(w).scheduling.volumes = volume(&[], &["a"]), "a", "b", "from node `b`"),
    ("its nodes", |w| cart(w).scheduling.volumes = volume(&[], &["a", "b"]), "a", "b", ""),
    (
        "no zone",
        |w| {
            cart(w).scheduling.volumes = volume(&["north"], &[]);
            node(w, "b").zone = None;
        },
        "a",
        "b",
        "the zone of the node is not known, but volume `data`",
    ),
];

#[test]
fn volumes_bind_to_nodes_and_zones() {
    hold(VOLUMES);
}

const ROOM: &[Row] = &[
    (
        "cpu is promised",
        |w| {
            runs(w, "other", &["b"]);
            workload(w, "other").requests.cpu_millicores = Some(800.0);
            cart(w).requests.cpu_millicores = Some(201.0);
        },
        "a",
        "b",
        "asks for 201 millicores, but of 1000 only 200",
    ),
    (
        "cpu just fits",
        |w| {
            runs(w, "other", &["b"]);
            workload(w, "other").requests.cpu_millicores = Some(800.0);
            cart(w).requests.cpu_millicores = Some(200.0);
        },
        "a",
        "b",
        "",
    ),
    (
        "cpu beside the workloads",
        |w| {
            node(w, "b").besides.requests.cpu_millicores = Some(900.0);
            cart(w).requests.cpu_millicores = Some(101.0);
        },
        "a",
        "b",
        "only 100 are not promised",
    ),
    (
        "memory",
        |w| {
            node(w, "b").memory_bytes = Some(100.0 * MIB);
            node(w, "b").besides.requests.memory_bytes = Some(60.0 * MIB);
            cart(w).requests.memory_bytes = Some(41.0 * MIB);
        },
        "a",
        "b",
        "asks for 41 MiB, but of 100 MiB only 40 MiB",
    ),
    (
        "memory just fits",
        |w| {
            node(w, "b").memory_bytes = Some(100.0 * MIB);
            node(w, "b").besides.requests.memory_bytes = Some(60.0 * MIB);
            cart(w).requests.memory_bytes = Some(40.0 * MIB);
        },
        "a",
        "b",
        "",
    ),
    (
        "full",
        |w| {
            node(w, "b").replica_limit = Some(2);
            node(w, "b").besides.replicas = 1;
            runs(w, "other", &["b"]);
        },
        "a",
        "b",
        "2 replicas run there, and the node takes at most 2",
    ),
    (
        "just not full",
        |w| {
            node(w, "b").replica_limit = Some(2);
            node(w, "b").besides.replicas = 1;
        },
        "a",
        "b",
        "",
    ),
    (
        "a port of a workload",
        |w| {
            runs(w, "other", &["b"]);
            workload(w, "other").scheduling.host_ports = [80, 443].into();
            cart(w).scheduling.host_ports = [443].into();
        },
        "a",
        "b",
        "port 443 of the node is taken by workload `other`",
    ),
    (
        "a port of an agent",
        |w| {
            node(w, "b").besides.host_ports = [9100].into();
            cart(w).scheduling.host_ports = [9100].into();
        },
        "a",
        "b",
        "port 9100 of the node is taken by something beside",
    ),
    (
        "other ports",
        |w| {
            runs(w, "other", &["b"]);
            workload(w, "other").scheduling.host_ports = [80].into();
            cart(w).scheduling.host_ports = [443].into();
        },
        "a",
        "b",
        "",
    ),
];

#[test]
fn a_node_has_room_for_what_is_asked_for() {
    hold(ROOM);
}

const MEMORY: &[Row] = &[
    (
        "too much",
        |w| {
            node(w, "b").memory_bytes = Some(100.0 * MIB);
            w.resources.nodes.insert("b".into(), level(60.0 * MIB));
            w.resources.workloads.insert("cart".into(), level(31.0 * MIB));
        },
        "a",
        "b",
        "needs 31 MiB of memory, but 30 MiB are free",
    ),
    (
        "just enough",
        |w| {
            node(w, "b").memory_bytes = Some(100.0 * MIB);
            w.resources.nodes.insert("b".into(), level(60.0 * MIB));
            w.resources.workloads.insert("cart".into(), level(29.0 * MIB));
        },
        "a",
        "b",
        "",
    ),
    (
        "asked for in place of a forecast",
        |w| {
            node(w, "b").memory_bytes = Some(100.0 * MIB);
            w.resources.nodes.insert("b".into(), level(60.0 * MIB));
            cart(w).requests.memory_bytes = Some(31.0 * MIB);
        },
        "a",
        "b",
        "needs 31 MiB of memory",
    ),
    (
        "of a node that is not measured",
        |w| {
            node(w, "b").memory_bytes = Some(100.0 * MIB);
            w.resources.workloads.insert("cart".into(), level(99.0 * MIB));
        },
        "a",
        "b",
        "",
    ),
];

#[test]
fn forecast_memory_leaves_a_tenth() {
    hold(MEMORY);
}
