//! Traffic that goes elsewhere without a replica, or with a part of what the replica had.
use crate::world::{World, noon, policy};
use foremesh_core::{
    decide::decide,
    ids::ReplicaId,
    inputs::InFlight,
    plan::{Move, PairWeights, Plan, Traffic},
    policy::Mode,
    report::{checked, records},
    revalidate::revalidate,
    topology::{NodeState, Replica},
    verify::verify,
};
use serde_json::json;

/// `cart` has one replica on `a`, which is full of others at noon, and one on `b`; the platform can weigh them.
fn two() -> World {
    let mut world = World::new();
    world.snapshot.capabilities.weights = true;
    world.workload("cart").replicas.insert("cart-2".into(), Replica::new("b".into(), true));
    world
}

fn planned(world: &World) -> Option<Plan> {
    decide(&world.inputs()).unwrap().plan
}

fn one(world: &World) -> Move {
    let plan = planned(world).unwrap();
    assert_eq!(plan.moves.len(), 1, "{:?}", plan.moves);
    plan.moves[0].clone()
}

#[test]
fn a_hot_replica_gives_its_traffic_to_another_one() {
    let world = two();
    let plan = planned(&world).expect("a plan");
    let planned = &plan.moves[0];
    assert_eq!(planned.shift_to, Some("cart-2".into()));
    assert_eq!((planned.from.as_str(), planned.to.as_str()), ("a", "b"));
    assert_eq!(planned.traffic.before, PairWeights { source: 100, target: 100 });
    assert_eq!(
        planned.traffic.after,
        PairWeights { source: 0, target: 200 },
        "a node that is full of others"
    );
    let effect = &plan.effects[0];
    assert!(effect.stay_ms.unwrap() > 200.0 && effect.move_ms.unwrap() < 50.0, "{effect:?}");
    let costs = plan.costs.unwrap();
    assert!(costs.chosen.total() < costs.staying.total(), "{costs:?}");
    checked(plan.clone(), &world.inputs()).expect("checker and twin agree");
    revalidate(&world.inputs(), planned, Mode::Auto).expect("it would be decided again");
}

/// Most of what fills the node is its own: half of it is enough, and the other node has no room for all.
#[test]
fn no_more_traffic_is_shifted_than_cures() {
    let mut world = two();
    world.workload("cart").used = Some(crate::world::millicores(400.0));
    world.node("b", |_| 560.0);
    world.node("c", |_| 600.0);
    let planned = one(&world);
    assert_eq!(planned.traffic.after, PairWeights { source: 50, target: 150 });
    assert_eq!(planned.shift_to, Some("cart-2".into()));
}

#[test]
fn who_cannot_be_moved_can_give_traffic() {
    let mut world = two();
    // A third replica is not ready, so nothing of the workload is moved.
    world.workload("cart").replicas.insert("cart-3".into(), Replica::new("c".into(), false));
    assert!(one(&world).is_shift());
}

#[test]
fn when_nothing_is_shifted() {
    type Change = fn(&mut World);
    let cases: &[(&str, Change, Option<&str>)] = &[
        ("the platform has no weights", |w| w.snapshot.capabilities.weights = false, Some("c")),
        (
            "the other replica does not answer",
            |w| w.workload("cart").replicas.get_mut(&ReplicaId::new("cart-2")).unwrap().ready = false,
            None,
        ),
        ("the other one's node is to be emptied", |w| w.node_mut("b").state = NodeState::Cordoned, Some("c")),
        (
            "the other one's node is hot as well",
            |w| w.node("b", |minute| if noon(minute) { 960.0 } else { 300.0 }),
            None,
        ),
        ("it is pinned", |w| w.workload("cart").pinned = Some("by hand".to_owned()), None),
        (
            "traffic is being shifted",
            |w| {
                let shift = one(w);
                w.in_flight = vec![InFlight::of(&shift)];
            },
            None,
        ),
        (
            "no more moves are allowed now",
            |w| {
                w.in_flight = vec![InFlight {
                    workload: "other".into(),
                    service: "other".into(),
                    replica: "other-1".into(),
                    from: "c".into(),
                    to: "c".into(),
                    traffic: Traffic::WHOLE,
                    shift_to: None,
                }];
            },
            None,
        ),
        ("nobody may move it", |w| w.policies = vec![policy(&json!({"mode": "observe"}))], None),
    ];
    for (name, change, want) in cases {
        let mut world = two();
        change(&mut world);
        let plan = planned(&world);
        let to: Vec<&str> =
            plan.iter().flat_map(|plan| &plan.moves).map(|planned| planned.to.as_str()).collect();
        assert_eq!(to.first().copied(), *want, "case: {name}");
        assert!(plan.iter().flat_map(|plan| &plan.moves).all(|planned| !planned.is_shift()), "case: {name}");
        if let Some(plan) = plan {
            verify(plan, &world.inputs()).expect(name);
        }
    }
}

#[test]
fn a_shift_under_way_counts_as_done() {
    let mut world = two();
    let shift = one(&world);
    world.in_flight = vec![InFlight::of(&shift)];
    let decision = decide(&world.inputs()).unwrap();
    assert_eq!(decision.plan, None);
    let (_, why) = &decision.nothing_because[0];
    assert_eq!(why.to_string(), "workload `cart` is moving already");
}

/// No node has room for a whole replica, but the coolest one has for a part, and the other replica for the rest.
#[test]
fn where_a_whole_replica_has_no_room_a_part_may_have() {
    let mut world = World::new();
    world.snapshot.capabilities.weights = true;
    world.workload("cart").replicas.insert("cart-2".into(), Replica::new("b".into(), true));
    world.workload("cart").used = Some(crate::world::millicores(400.0));
    world.node("a", |minute| if noon(minute) { 1150.0 } else { 300.0 });
    // Each replica uses 200: there is room for 140 more on the one node and for 100 on the other.
    world.node("b", |_| 560.0);
    world.node("c", |_| 600.0);
    let planned = one(&world);
    assert_eq!(
        (planned.replica.as_str(), planned.to.as_str(), planned.shift_to.as_ref()),
        ("cart-1", "c", None)
    );
    assert_eq!(planned.traffic, Traffic::of_replica(100, 25));
    let plan = self::planned(&world).unwrap();
    assert_eq!(plan.effects.len(), 1);
    checked(plan, &world.inputs()).expect("checker and twin agree");
    // Nobody takes what is left.
    let mut alone = world.clone();
    alone.workload("cart").replicas.get_mut(&ReplicaId::new("cart-2")).unwrap().weight = 0;
    alone
        .workload("cart")
        .replicas
        .insert("cart-3".into(), Replica { weight: 0, ..Replica::new("b".into(), true) });
    assert_eq!(
        self::planned(&alone).iter().flat_map(|plan| &plan.moves).find(|m| !m.traffic.is_whole()),
        None
    );
    world.snapshot.capabilities.weights = false;
    assert_eq!(self::planned(&world), None);
}

#[test]
fn each_wrong_weight_is_named() {
    type Change = fn(&mut Move, &mut World);
    let cases: &[(&str, Change, &str)] = &[
        ("unchanged", |_, _| (), ""),
        (
            "no weights any more",
            |_, w| w.snapshot.capabilities.weights = false,
            "the traffic of workload `cart` is to be shared out by weights, which this platform cannot do",
        ),
        (
            "somebody changed them",
            |_, w| w.workload("cart").replicas.get_mut(&ReplicaId::new("cart-1")).unwrap().weight = 70,
            "the ends of the move of `cart` have the weights 70 and 100, not 100 and 100 as it was planned",
        ),
        (
            "traffic from nowhere",
            |m, _| m.traffic.after.target = 250,
            "the weights of the move of `cart` go from 100 and 100 to 0 and 250: what the source loses the target must get",
        ),
        (
            "the wrong way",
            |m, _| m.traffic.after = PairWeights { source: 150, target: 50 },
            "the weights of the move of `cart` go from 100 and 100 to 150 and 50: the source must lose some",
        ),
        (
            "to a replica that is gone",
            |m, _| m.shift_to = Some("cart-9".into()),
            "replica `cart-9` of workload `cart` is to get traffic on `b`, but does not answer there",
        ),
        (
            "a part for nobody",
            |m, w| {
                m.shift_to = None;
                m.to = "c".into();
                m.traffic = Traffic::of_replica(100, 50);
                w.workload("cart").replicas.remove(&ReplicaId::new("cart-2"));
            },
            "the weights of the move of `cart` go from 100 and 0 to 0 and 50: somebody must be left to serve",
        ),
    ];
    for (name, change, want) in cases {
        let mut world = two();
        let mut plan = planned(&world).unwrap();
        change(&mut plan.moves[0], &mut world);
        plan.id = plan.content_id().unwrap();
        let said = match verify(plan, &world.inputs()) {
            Ok(_) => String::new(),
            Err(error) => error.violations[0].to_string(),
        };
        assert_eq!(said, *want, "case: {name}");
    }
}

#[test]
fn a_shift_is_told_like_a_move() {
    for mode in [Mode::Auto, Mode::Recommend] {
        let mut world = two();
        world.policies = vec![policy(&json!({"mode": mode}))];
        let inputs = world.inputs();
        let decision = decide(&inputs).unwrap();
        let text = records(&inputs, &decision, 1)[0].explain();
        assert!(text.contains("cart-1") && text.contains("from a to b"), "{mode:?}: {text}");
    }
}
