//! Evictions although there is nowhere to go.
use crate::{
    mesh::shopper,
    story::Story,
    world::{World, millicores},
};
use foremesh_core::topology::{Effect, NodeState, Requests, Taint, TopologyKey, Volume};

/// A pod was evicted although no node had room for what it asks for.
#[test]
fn kubernetes_131814_evicted_though_no_node_fits() {
    let mut world = World::new();
    world.workload("cart").requests = Requests { cpu_millicores: Some(600.0), memory_bytes: None };
    for node in ["b", "c"] {
        // Hardly used, but promised to others.
        world.node_mut(node).besides.requests.cpu_millicores = Some(500.0);
    }
    let story = Story::of(&world);
    assert!(story.moves().is_empty());
    for node in ["b", "c"] {
        let why = &story.refusals("cart")[node];
        assert!(why.contains("asks for 600 millicores"), "{node}: {why}");
    }
    insta::assert_snapshot!(story);
}

/// Memory is not compressible: a node that has CPU to spare but no memory is no place.
#[test]
fn kubernetes_131814_cpu_to_spare_but_no_memory() {
    let mut world = World::new();
    world.workload("cart").requests = Requests { cpu_millicores: None, memory_bytes: Some(2e9) };
    for node in ["b", "c"] {
        world.node_mut(node).memory_bytes = Some(4e9);
        world.node_mut(node).besides.requests.memory_bytes = Some(3e9);
    }
    let story = Story::of(&world);
    assert!(story.moves().is_empty());
    assert!(story.refusals("cart")["b"].contains("MiB"), "{:?}", story.refusals("cart"));
    insta::assert_snapshot!(story);
}

/// In a dry run ten evictions were each judged against the same free slot. Each judges what those before it have taken.
#[test]
fn descheduler_1584_ten_evictions_judged_against_the_same_free_slot() {
    let mut world = World::new();
    world.settings.max_concurrent_moves = 20;
    world.without("cart");
    world.node_mut("c").state = NodeState::Cordoned;
    for name in ["s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9"] {
        world.service(&shopper(name, "a", 30.0));
        world.workload(name).requests = Requests { cpu_millicores: Some(50.0), memory_bytes: None };
    }
    // By what is asked for there is room for exactly one more.
    world.node_mut("b").besides.requests.cpu_millicores = Some(930.0);
    let story = Story::of(&world);
    assert_eq!(story.arrivals().get("b"), Some(&1), "{:?}", story.moves());
    assert_eq!(story.moves().len(), 1);
    insta::assert_snapshot!(story);
}

/// The same with CPU in use: all ten would fit one by one, together they would fill the node.
#[test]
fn descheduler_1584_ten_fit_one_by_one() {
    let mut world = World::new();
    world.settings.max_concurrent_moves = 20;
    world.without("cart");
    world.node_mut("c").state = NodeState::Cordoned;
    for name in ["s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9"] {
        world.service(&shopper(name, "a", 90.0));
    }
    let story = Story::of(&world);
    // 200 millicores are in use on b, and 700 may be.
    let arrivals = story.arrivals().get("b").copied().unwrap_or(0);
    assert!((1..=5).contains(&arrivals), "{:?}", story.moves());
    insta::assert_snapshot!(story);
}

/// A pod whose volume is in one zone was evicted and could not be placed again.
#[test]
fn descheduler_6_volume_in_another_zone() {
    let mut world = World::new();
    world.zone("north", &["a"]);
    world.zone("south", &["b", "c"]);
    world.workload("cart").scheduling.volumes.push(volume(&["north"], &[]));
    let story = Story::of(&world);
    assert!(story.moves().is_empty());
    assert!(story.refusals("cart")["b"].contains("volume `records`"), "{:?}", story.refusals("cart"));
    insta::assert_snapshot!(story);

    // A node in the zone of the volume is a place, although it is the warmer one.
    world.zone("north", &["c"]);
    assert_eq!(Story::of(&world).moves(), ["cart-1: a to c"]);
}

/// Pods with volumes never moved, and nothing said why. Whatever stays has its reason, node by node.
#[test]
fn descheduler_1001_volume_pods_do_not_move_and_nobody_says_why() {
    let mut world = World::new();
    world.workload("cart").scheduling.volumes.push(volume(&[], &["a"]));
    let story = Story::of(&world);
    assert!(story.moves().is_empty());
    for node in ["b", "c"] {
        assert!(story.explained("cart").contains(&format!("not {node}: volume `records`")), "{story}");
    }
    insta::assert_snapshot!(story);
}

/// The zone of a volume did not match the zone of the node that was chosen, and the pod stayed pending. Where a zone is
/// not known, nothing is tried.
#[test]
fn deckhouse_281_zone_of_the_volume_does_not_match() {
    let mut world = World::new();
    world.zone("north", &["a"]);
    world.zone("south", &["b"]);
    world.workload("cart").scheduling.volumes.push(volume(&["north"], &[]));
    let story = Story::of(&world);
    assert!(story.moves().is_empty());
    assert!(story.refusals("cart")["c"].contains("zone of the node is not known"), "{story}");
    insta::assert_snapshot!(story);
}

/// A volume that one node holds at a time: the successor could never start beside the old replica.
#[test]
fn descheduler_6_volume_that_only_one_node_can_hold() {
    let mut world = World::new();
    let exclusive = Volume { exclusive: true, ..volume(&[], &[]) };
    world.workload("cart").scheduling.volumes.push(exclusive);
    let story = Story::of(&world);
    assert!(story.moves().is_empty());
    assert!(story.stays("cart").contains("volume `records`"), "{}", story.stays("cart"));
    insta::assert_snapshot!(story);
}

/// Affinity and taints were judged one by one, each node passing another check. One node must pass all of them.
#[test]
fn kubernetes_131814_each_node_fails_another_condition() {
    let mut world = World::new();
    world.node("d", |_| 100.0);
    world.node("e", |_| 100.0);
    world.node_mut("b").taints.push(Taint {
        key: "gpu".to_owned(),
        value: String::new(),
        effect: Effect::NoSchedule,
    });
    world.workload("cart").allowed_nodes = ["a", "b", "d", "e"].map(Into::into).into();
    world.workload("cart").scheduling.host_ports = [443].into();
    world.node_mut("d").besides.host_ports = [443].into();
    world.service(&shopper("pay", "e", 20.0));
    world.p99("pay", |_| 10.0);
    world.workload("cart").scheduling.not_with.insert("pay".to_owned(), TopologyKey::Node);
    let story = Story::of(&world);
    assert!(story.moves().is_empty());
    let refusals = story.refusals("cart");
    for (node, why) in [("b", "taint `gpu"), ("c", "may not run there"), ("d", "port 443"), ("e", "`pay`")] {
        assert!(refusals[node].contains(why), "{node}: {}", refusals[node]);
    }
    insta::assert_snapshot!(story);
}

/// Real use decides, not what was asked for: the node where little is asked for is the busy one.
#[test]
fn descheduler_225_wants_actual_utilisation() {
    let mut world = World::new();
    world.workload("cart").requests.cpu_millicores = Some(100.0);
    // Nothing is asked for on b, but it works hard; much is asked for on c, which idles.
    world.node("b", |_| 850.0);
    world.node("c", |_| 100.0);
    world.node_mut("c").besides.requests.cpu_millicores = Some(700.0);
    world.node_mut("b").used = Some(millicores(850.0));
    let story = Story::of(&world);
    assert_eq!(story.moves(), ["cart-1: a to c"]);
    assert!(story.refusals("cart").contains_key("b"));
    insta::assert_snapshot!(story);
}

fn volume(zones: &[&str], nodes: &[&str]) -> Volume {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Volume { name: "records".to_owned(), zones: names(zones), nodes: names(nodes), exclusive: false }
}
