//! Evictors that never come to rest.
use crate::{
    mesh::shopper,
    story::Story,
    world::{ServiceShape, World, noon, policy},
};
use foremesh_core::{
    ids::NodeId,
    topology::{NodeState, Tier, TopologyKey},
};
use serde_json::json;

/// The same pod is evicted again and again, although each time it came back to the hot node and nothing was won.
/// Each move of a day doubles the rest after it.
#[test]
fn descheduler_424_never_gives_up() {
    let mut world = World::new();
    for ago in [30, 300, 600, 900] {
        world.moved("cart", "b", "a", ago);
    }
    let story = Story::of(&world);
    assert!(story.moves().is_empty());
    assert!(story.stays("cart").contains("rests"), "{}", story.stays("cart"));
    insta::assert_snapshot!(story);

    // One move, as long ago, is no reason to wait: it is the number of moves that makes the rest long.
    let mut once = World::new();
    once.moved("cart", "b", "a", 30);
    assert_eq!(Story::of(&once).moves().len(), 1);
}

/// A large pod overloads whichever node it comes to, so that it is evicted from there five minutes later. A move that only
/// carries the problem to another node is none.
#[test]
fn descheduler_1695_large_pod_overloads_any_node() {
    let mut world = World::new();
    world.service(&ServiceShape { used_millicores: 600.0, ..shopper("cart", "a", 0.0) });
    world.node("b", |_| 400.0);
    let story = Story::of(&world);
    assert!(story.moves().is_empty());
    for node in ["b", "c"] {
        let why = &story.refusals("cart")[node];
        assert!(why.contains("needs") || why.contains("full"), "{node}: {why}");
    }
    insta::assert_snapshot!(story);
}

/// The only cool node holds a replica of the same workload, and no two may be together: the pod is evicted and comes back
/// to where it was. It stays, and another service, which can go, is moved instead.
#[test]
fn descheduler_335_anti_affinity_sends_it_back() {
    let mut world = World::new();
    world.settings.max_concurrent_moves = 5;
    world.node("a", |minute| if noon(minute) { 1200.0 } else { 300.0 });
    world.node_mut("c").state = NodeState::Cordoned;
    world.replica("cart", "cart-2", "b");
    world.workload("cart").scheduling.apart = [TopologyKey::Node].into();
    world.service(&shopper("pay", "a", 80.0));
    let story = Story::of(&world);
    assert!(!story.moves().iter().any(|planned| planned.starts_with("cart-")), "{:?}", story.moves());
    assert_eq!(story.moves(), ["pay-1: a to b"]);
    assert!(story.refusals("cart")["b"].contains("replica of the workload"), "{:?}", story.refusals("cart"));
    insta::assert_snapshot!(story);
}

/// Evicted pods were placed on the node that they came from. We name the target; it is never the source, and when all
/// others are worse, nothing is moved.
#[test]
fn descheduler_994_placed_on_the_same_node_again() {
    let mut world = World::new();
    world.node("b", |minute| if noon(minute) { 990.0 } else { 300.0 });
    world.node("c", |_| 950.0);
    let story = Story::of(&world);
    assert!(story.moves().is_empty());
    assert_eq!(story.refusals("cart")["a"], "it runs there already");
    assert_eq!(story.refusals("cart").len(), 3, "every node has its reason: {:?}", story.refusals("cart"));
    insta::assert_snapshot!(story);
}

/// Pods were evicted from one node to another that was no better. A target must be better by the margin.
#[test]
fn descheduler_1707_evicted_to_a_node_that_is_no_better() {
    let mut world = World::new();
    let warm = |minute| if noon(minute) { 400.0 } else { 300.0 };
    world.node("a", warm);
    world.node("b", warm);
    world.node("c", warm);
    world.settings.max_utilisation = 0.95;
    let story = Story::of(&world);
    assert!(story.moves().is_empty());
    insta::assert_snapshot!(story);
}

/// The scheduler fills nodes to 95 %, the evictor empties them from 65 % on, and pods go round between the two. What makes
/// a rule fire on one node must keep a service from a node where it would fire as well.
#[test]
fn koordinator_2477_two_thresholds_loop() {
    let mut world = World::new();
    world.settings.max_utilisation = 0.95;
    world.node("b", |_| 640.0);
    world.node_mut("c").state = NodeState::Cordoned;
    world.policies = vec![policy(&json!({"rules": [
        {"name": "hot", "predictedUsage": {"of": "node", "resource": "cpu", "above": "65%", "within": "40m"}},
        {"name": "slow", "predictedLatency": {"quantile": 0.99, "above": "250ms", "within": "40m"}},
    ]}))];
    let story = Story::of(&world);
    // With cart it would be about 75 % full: more than 65 %, less than 95 %.
    assert!(!story.arrivals().contains_key("b"), "{:?}", story.moves());
    insta::assert_snapshot!(story);

    // A node that stays below both is taken.
    world.node_mut("c").state = NodeState::Ready;
    assert_eq!(Story::of(&world).moves(), ["cart-1: a to c"]);
}

/// Nodes were replaced all day while nothing changed. A day of noise without any change moves nothing.
#[test]
fn aws_karpenter_7146_churn_at_steady_state() {
    let mut moves = Vec::new();
    for hour in 0..24_usize {
        let mut world = World::new();
        let noise = |of: usize, step: usize| {
            // SplitMix64, so that every hour has noise of its own.
            let mut mixed =
                ((hour * 31 + of) as u64 * 1_000 + step as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
        };
        world.p99("cart", |step| 150.0 * (1.0 + 0.6 * noise(0, step)));
        world.rps("cart", |step| 50.0 * (1.0 + 0.3 * noise(1, step)));
        world.cpu("a", |step| 550.0 * (1.0 + 0.3 * noise(2, step)));
        world.cpu("b", |step| 200.0 * (1.0 + 0.3 * noise(3, step)));
        let story = Story::of(&world);
        assert!(story.stays("cart").contains("no breach is predicted"), "{}", story.stays("cart"));
        moves.extend(story.moves());
        if hour == 0 {
            insta::assert_snapshot!(story);
        }
    }
    assert_eq!(moves, Vec::<String>::new());
}

/// Thousands of evictions a day where another tool made hundreds. A budget of moves a day is never passed, and says so.
#[test]
fn karpenter_2388_thousands_of_evictions_a_day() {
    let mut world = World::new();
    world.policies = vec![policy(&json!({"limits": {"perDay": 3}}))];
    for (workload, ago) in [("pay", 100), ("search", 500), ("mail", 1437)] {
        world.moved(workload, "b", "c", ago);
    }
    let story = Story::of(&world);
    assert!(story.moves().is_empty());
    assert!(story.stays("cart").contains("3 moves in 24 h"), "{}", story.stays("cart"));
    insta::assert_snapshot!(story);

    // A little later the first one began a day ago.
    world.past_moves.retain(|past| past.workload.as_str() != "mail");
    world.moved("mail", "b", "c", 1441);
    assert_eq!(Story::of(&world).moves().len(), 1);
}

/// All pods of a replica set were evicted together. One replica of a workload moves at a time.
#[test]
fn descheduler_1712_all_replicas_at_once() {
    let mut world = World::new();
    world.settings.max_concurrent_moves = 5;
    world.node("d", |minute| if noon(minute) { 960.0 } else { 300.0 });
    world.replica("cart", "cart-2", "d");
    let story = Story::of(&world);
    assert!(story.moves().len() <= 1, "{:?}", story.moves());
    insta::assert_snapshot!(story);
}

/// Two replicas, each on a node that will be full at noon.
fn two_on_bad_nodes() -> World {
    let mut world = World::new();
    world.settings.max_concurrent_moves = 5;
    world.node("d", |minute| if noon(minute) { 960.0 } else { 300.0 });
    world.replica("cart", "cart-2", "d");
    world
}

/// One at a time must not come to never: the first of the two goes, the other one later.
#[test]
fn descheduler_1712_the_first_of_two_is_moved() {
    let world = two_on_bad_nodes();
    let story = Story::of(&world);
    assert_eq!(story.moves().len(), 1, "{story}");
    let plan = story.decision.plan.as_ref().unwrap();
    assert_eq!(plan.moves[0].then, [plan.later[0].replica.clone()]);
    assert_eq!(plan.later.len(), 1);
    let effect = &plan.effects[0];
    assert!(effect.move_ms.unwrap() < 250.0 && effect.stay_ms.is_none_or(|ms| ms > 250.0), "{effect:?}");
    insta::assert_snapshot!(story);

    // One at a time, whatever else is allowed at once.
    let mut narrow = two_on_bad_nodes();
    narrow.settings.max_concurrent_moves = 1;
    assert_eq!(Story::of(&narrow).moves(), story.moves());
}

/// Once the first has settled the second goes, though the workload rests; and what has moved stays.
#[test]
fn descheduler_1712_the_second_follows_when_the_first_has_settled() {
    let mut world = two_on_bad_nodes();
    let story = Story::of(&world);
    let first = story.decision.plan.as_ref().unwrap().moves[0].clone();
    world.workload("cart").replicas.remove(&first.replica);
    world.replica("cart", "cart-3", first.to.as_str());
    world.moved("cart", first.from.as_str(), first.to.as_str(), 1);
    let rests = Story::of(&world);
    assert!(rests.moves().is_empty() && rests.stays("cart").contains("rests"), "{rests}");

    world.past_moves[0].then.clone_from(&first.then);
    let story = Story::of(&world);
    let second = &story.decision.plan.as_ref().unwrap().moves;
    assert_eq!(second.len(), 1, "{story}");
    assert_eq!(second[0].replica, first.then[0]);
    assert!(second[0].then.is_empty(), "{second:?}");

    // When that is over too, nothing is left to do.
    world.workload("cart").replicas.remove(&second[0].replica);
    world.replica("cart", "cart-4", second[0].to.as_str());
    world.moved("cart", second[0].from.as_str(), second[0].to.as_str(), 0);
    let story = Story::of(&world);
    assert!(story.moves().is_empty(), "{story}");
}

/// Half of a cure is not begun when the other half would come too late, is not in the budget of the day, or finds no room.
#[test]
fn descheduler_1712_no_half_without_the_other() {
    type Change = (&'static str, fn(&mut World));
    let cases: &[Change] = &[
        ("the budget of the day", |world| {
            world.policies = vec![policy(&json!({"limits": {"perDay": 1}}))];
        }),
        ("too late", |world| {
            world.durations.insert("cart".into(), 16 * 60_000);
        }),
        ("no room for the second", |world| {
            world.node_mut("b").replica_limit = Some(0);
            world.node_mut("c").replica_limit = Some(1);
        }),
    ];
    for (name, change) in cases {
        let mut world = two_on_bad_nodes();
        change(&mut world);
        let story = Story::of(&world);
        assert!(story.moves().is_empty(), "case: {name}: {story}");
    }
}

/// A pod that never became ready where it was evicted to was evicted to the same node again and again. A failed start makes
/// the workload rest like any move, longer each time, and then another node is tried.
#[test]
fn descheduler_424_not_to_the_node_where_it_failed() {
    let mut world = World::new();
    let first = Story::of(&world).decision.plan.unwrap().moves[0].to.clone();
    for ago in [20, 60] {
        world.moved("cart", "a", first.as_str(), ago);
        world.past_moves.last_mut().unwrap().failed = true;
    }
    let rests = Story::of(&world);
    assert!(rests.stays("cart").contains("rests 10 min longer; moves in 24 h: 2"), "{rests}");

    for past in &mut world.past_moves {
        past.started_at = past.started_at.plus_ms(-10 * 60_000);
        past.ended_at = past.ended_at.plus_ms(-10 * 60_000);
    }
    let story = Story::of(&world);
    assert_eq!(story.moves().len(), 1, "{story}");
    assert!(!story.arrivals().contains_key(first.as_str()), "{story}");
    assert!(
        story.refusals("cart")[first.as_str()].contains("2 moves of the workload to it failed"),
        "{story}"
    );
    insta::assert_snapshot!(story);

    // Where no other takes it, the same is tried again.
    let other = if first.as_str() == "b" { "c" } else { "b" };
    world.node_mut(other).state = NodeState::Cordoned;
    assert_eq!(Story::of(&world).arrivals().get(first.as_str()), Some(&1));

    // Since it has arrived there the node is like any other.
    world.node_mut(other).state = NodeState::Ready;
    world.past_moves[0].failed = false;
    assert_eq!(Story::of(&world).arrivals().get(first.as_str()), Some(&1));
}

/// Two identical pods are both due: does the next one start when the one before runs? While one replica moves, the other
/// waits.
#[test]
fn descheduler_1668_the_next_one_waits() {
    let mut world = World::new();
    world.settings.max_concurrent_moves = 5;
    world.node("d", |minute| if noon(minute) { 960.0 } else { 300.0 });
    world.replica("cart", "cart-2", "d");
    world.in_flight.push(foremesh_core::inputs::InFlight {
        workload: "cart".into(),
        service: "cart".into(),
        replica: "cart-2".into(),
        from: "d".into(),
        to: "c".into(),
        traffic: foremesh_core::plan::Traffic::WHOLE,
        shift_to: None,
    });
    let story = Story::of(&world);
    assert!(story.moves().is_empty());
    assert!(story.stays("cart").contains("moving already"), "{}", story.stays("cart"));
    insta::assert_snapshot!(story);
}

/// A burst of pods all goes to the node that was the coolest a moment ago. What is chosen counts on its target for what is
/// chosen after it.
#[test]
fn scheduler_plugins_797_burst_to_the_same_cool_node() {
    let mut world = World::new();
    world.settings.max_concurrent_moves = 10;
    world.without("cart");
    // Each needs about 180 millicores, so b bears two of them below 70 %, and c as well.
    for name in ["s1", "s2", "s3", "s4"] {
        world.service(&shopper(name, "a", 180.0));
    }
    let story = Story::of(&world);
    let arrivals = story.arrivals();
    assert!(arrivals.get("b").copied().unwrap_or(0) <= 2, "{:?}", story.moves());
    assert!(arrivals.get("c").copied().unwrap_or(0) <= 2, "{:?}", story.moves());
    assert!(!story.moves().is_empty());
    insta::assert_snapshot!(story);
}

/// The same burst, one at a time: what is under way to the cool node counts there before it has arrived.
#[test]
fn scheduler_plugins_797_what_is_under_way_counts() {
    let mut world = World::new();
    world.settings.max_concurrent_moves = 10;
    world.without("cart");
    world.node("a", |minute| if noon(minute) { 1600.0 } else { 600.0 });
    world.node_mut("c").state = NodeState::Cordoned;
    for name in ["s1", "s2", "s3"] {
        world.service(&ServiceShape { tier: Tier::BestEffort, ..shopper(name, "a", 180.0) });
        if name != "s3" {
            world.in_flight.push(foremesh_core::inputs::InFlight {
                workload: name.into(),
                service: name.into(),
                replica: format!("{name}-1").as_str().into(),
                from: "a".into(),
                to: "b".into(),
                traffic: foremesh_core::plan::Traffic::WHOLE,
                shift_to: None,
            });
        }
    }
    let story = Story::of(&world);
    assert!(!story.moves().iter().any(|planned| planned.starts_with("s3")), "{:?}", story.moves());
    let why = &story.refusals("s3")["b"];
    assert!(why.contains("needs") || why.contains("full"), "{why}");
    insta::assert_snapshot!(story);
}

/// Consolidation replaced nodes for savings of nothing. A saving below what a move must bring moves nothing.
#[test]
fn karpenter_1293_replaced_for_pennies() {
    let saving = |price_of_a| {
        let mut world = World::new();
        world.node("a", |_| 300.0);
        world.p99("cart", |_| 15.0);
        world.node_mut("a").cost_per_hour = price_of_a;
        for node in ["b", "c"] {
            world.node_mut(node).cost_per_hour = 1.0;
        }
        world.settings.requests_per_money = 100.0;
        world.policies = vec![policy(&json!({"rules": [
            {"name": "dear", "costSaving": {"atLeast": 0.5}},
            {"name": "slow", "predictedLatency": {"quantile": 0.99, "above": "250ms", "within": "40m"}},
        ]}))];
        Story::of(&world)
    };
    let story = saving(1.1);
    assert!(story.moves().is_empty(), "{:?}", story.moves());
    insta::assert_snapshot!(story);
    assert_eq!(saving(11.0).moves().len(), 1, "{}", saving(11.0));
}

/// A node that asks not to be used where another can be was used, and the pod was evicted from there again.
#[test]
fn descheduler_1236_preferences_are_not_looked_at() {
    let mut world = World::new();
    world.node_mut("b").taints.push(foremesh_core::topology::Taint {
        key: "spot".to_owned(),
        value: String::new(),
        effect: foremesh_core::topology::Effect::PreferNoSchedule,
    });
    let story = Story::of(&world);
    // b is the cooler one, but asks for others to be taken first.
    assert_eq!(story.moves(), ["cart-1: a to c"]);
    insta::assert_snapshot!(story);
    // It is a wish, not a wall: where there is no other, it is taken.
    world.node_mut("c").state = NodeState::Cordoned;
    assert_eq!(Story::of(&world).moves(), ["cart-1: a to b"]);
}

/// Once it has moved, the service looks well where it is, and the node that it left looks cool: nothing goes back.
#[test]
fn descheduler_994_nothing_goes_back_after_the_move() {
    let mut world = World::new();
    let first = Story::of(&world);
    let planned = first.decision.plan.as_ref().unwrap().moves[0].clone();
    let target = planned.to.to_string();
    world.moved("cart", "a", &target, 20);
    world.workload("cart").replicas.clear();
    world.replica("cart", "cart-2", &target);
    world.p99("cart", |_| 12.0);
    world.cpu(&target, |_| 300.0);
    assert_ne!(planned.to, NodeId::new("a"));
    let story = Story::of(&world);
    assert!(story.moves().is_empty(), "{:?}", story.moves());
    insta::assert_snapshot!(story);
}
