//! Questions about a mesh of two services on three nodes: `cart` on `a`, which is nearly full, and `front` on `b`, which
//! waits for `cart`.
use super::{Answer, AskedMove, Question, QuestionError, answer};
use crate::{
    forecast::Forecast,
    history::{KEPT_QUANTILES, Metric},
    ids::{ServiceId, WorkloadId},
    inputs::{Measured, OwnedInputs, ServiceInputs},
    learned::{Call, CallGraph},
    policy::{PolicyDocument, validate},
    time::{Step, Timestamp},
    topology::{Node, NodeState, Replica, Snapshot, Workload},
    units::Millicores,
};
use serde_json::json;
use std::collections::BTreeMap;

const NOW: Timestamp = Timestamp::from_unix_ms(1_767_571_200_000);
const MINUTE: i64 = 60_000;
const STEPS: usize = 60;

fn known(name: &str, metric: &str, value: f64) -> Forecast {
    Forecast::certain(name, metric, NOW, Step::MINUTE, &[value; STEPS])
}

fn mesh() -> OwnedInputs {
    let mut world = OwnedInputs::new(Snapshot::empty(NOW));
    for (name, beside) in [("a", 300.0), ("b", 100.0), ("c", 100.0)] {
        let used = if name == "a" { beside + 400.0 } else { beside + 10.0 };
        let node = Node {
            used: Some(Millicores::new(used).unwrap()),
            ..Node::new(Millicores::new(1000.0).unwrap())
        };
        world.snapshot.nodes.insert(name.into(), node);
        world.nodes.insert(name.into(), Ok(known(name, "cpu_used_millicores", used)));
        world.background.insert(name.into(), Ok(known(name, "cpu_used_millicores", beside)));
    }
    for (name, node, rps, used) in [("cart", "a", 100.0, 400.0), ("front", "b", 50.0, 10.0)] {
        let replica = Replica::new(node.into(), true);
        let workload = Workload {
            replicas: BTreeMap::from([(format!("{name}-0").as_str().into(), replica)]),
            used: Some(Millicores::new(used).unwrap()),
            ..Workload::new(name.into())
        };
        world.snapshot.workloads.insert(name.into(), workload);
        let latency_ms = [8.0, 20.0, 30.0, 60.0, 90.0];
        assert_eq!(latency_ms.len(), KEPT_QUANTILES.len());
        let measured = Some(Measured { at: NOW, throughput_rps: rps, latency_ms });
        let forecasts = BTreeMap::from([
            (Metric::Throughput, Ok(known(name, "throughput_rps", rps))),
            (Metric::latency(0.99).unwrap(), Ok(known(name, "latency_p99_ms", 60.0))),
        ]);
        world.services.insert(name.into(), ServiceInputs { measured, forecasts });
    }
    let call = Call { callee: "cart".into(), per_request: 2.0, retries: 0.0, waits: true };
    world.learned.graph = CallGraph(BTreeMap::from([(ServiceId::new("front"), vec![call])]));
    let document: PolicyDocument = serde_json::from_value(json!({
        "apiVersion": "foremesh.dev/v1alpha1",
        "kind": "RelocationPolicy",
        "metadata": {"name": "shop"},
        "spec": {
            "selector": {"services": ["*"]},
            "mode": "auto",
            "rules": [{"name": "slow", "predictedLatency": {"quantile": 0.99, "above": "250ms", "within": "40m"}}],
            "trial": {"waivedBy": "ana", "reason": "no staging mesh"}
        }
    }))
    .unwrap();
    world.policies = vec![validate(&document).unwrap()];
    world
}

fn to(node: &str) -> Question {
    let asked = AskedMove { workload: "cart".into(), replica: None, to: node.into() };
    Question { moves: vec![asked], ..Question::default() }
}

fn ask(world: &OwnedInputs, question: &Question) -> Answer {
    answer(world, question).unwrap()
}

fn of<'a>(answer: &'a Answer, service: &str) -> &'a super::ServiceChange {
    answer.services.iter().find(|change| change.service.as_str() == service).expect("it changes")
}

#[test]
fn a_move_to_a_quiet_node_is_faster_for_it_and_for_whoever_waits() {
    let answer = ask(&mesh(), &to("c"));
    for service in ["cart", "front"] {
        let change = of(&answer, service);
        let (before, after) = (change.before.latency_ms.unwrap(), change.after.latency_ms.unwrap());
        assert!(after < before, "{service}: {before} to {after}");
        assert!(change.after.risk <= change.before.risk);
    }
    assert!(!answer.breach, "{answer:?}");
    assert_eq!(
        (answer.accepted, answer.objections.len(), answer.refused.len()),
        (Some(true), 0, 0),
        "{answer:?}"
    );
    let nodes: Vec<&str> = answer.nodes.iter().map(|node| node.node.as_str()).collect();
    assert_eq!(nodes, ["a", "c"]);
    let use_of = |at: usize| (answer.nodes[at].use_before.unwrap(), answer.nodes[at].use_after.unwrap());
    assert!((use_of(0).0 - 0.7).abs() < 0.01 && (use_of(0).1 - 0.3).abs() < 0.01, "{:?}", answer.nodes);
    assert!((use_of(1).0 - 0.1).abs() < 0.01 && (use_of(1).1 - 0.5).abs() < 0.01, "{:?}", answer.nodes);
    assert!(
        answer.cost.disruption > 0.0 && answer.cost.risk_after < answer.cost.risk_before,
        "{:?}",
        answer.cost
    );
}

#[test]
fn more_load_fills_a_node_and_reaches_whom_it_calls() {
    let mut question = Question { load: BTreeMap::from([("cart".into(), 2.0)]), ..Question::default() };
    let answer = ask(&mesh(), &question);
    assert!(
        of(&answer, "cart").after.saturated && answer.breach,
        "0.3 and twice 0.4 are more than 1: {answer:?}"
    );
    assert_eq!((answer.accepted, answer.refused.len()), (None, 0), "nothing is moved");
    // Every request of `front` is two of `cart`: half as many again are 50 more of 100.
    question.load = BTreeMap::from([("front".into(), 1.5)]);
    let answer = ask(&mesh(), &question);
    assert!((of(&answer, "cart").requests_per_second - 150.0).abs() < 0.1, "{answer:?}");
    // With the load also moved, it fits.
    question.load = BTreeMap::from([("cart".into(), 1.3)]);
    question.moves = to("c").moves;
    let answer = ask(&mesh(), &question);
    assert!(!answer.breach && answer.accepted == Some(true), "{answer:?}");
}

#[test]
fn a_failed_node_takes_services_with_it_unless_another_replica_is_left() {
    let failed = Question { node_down: ["a".into()].into(), ..Question::default() };
    let answer = ask(&mesh(), &failed);
    assert!(of(&answer, "cart").after.lost && answer.breach);
    assert_eq!(of(&answer, "cart").after.latency_ms, None);

    let mut world = mesh();
    let cart = world.snapshot.workloads.get_mut(&WorkloadId::new("cart")).unwrap();
    cart.replicas.insert("cart-1".into(), Replica::new("c".into(), true));
    let answer = ask(&world, &failed);
    assert!(!of(&answer, "cart").after.lost);
    let c = answer.nodes.iter().find(|node| node.node.as_str() == "c").expect("it carries more");
    assert!(c.use_after.unwrap() - c.use_before.unwrap() > 0.15, "half of 400 millicores more: {c:?}");

    // Its replica is started again elsewhere, and the one that is left is not asked for.
    let question = Question { moves: to("b").moves, ..failed };
    let answer = ask(&world, &question);
    assert!(!of(&answer, "cart").after.lost && !answer.breach, "{answer:?}");
    assert!(answer.nodes.iter().any(|node| node.node.as_str() == "b"));
}

#[test]
fn conditions_and_the_checker_say_no() {
    let mut world = mesh();
    world.snapshot.nodes.get_mut(&"c".into()).unwrap().state = NodeState::Cordoned;
    let answer = ask(&world, &to("c"));
    assert_eq!(answer.accepted, Some(false));
    assert_eq!(answer.refused[0].why, "the node takes no new replicas");
    assert!(answer.objections.iter().any(|why| why.contains("takes no new replicas")), "{answer:?}");

    let mut world = mesh();
    world.snapshot.workloads.get_mut(&WorkloadId::new("cart")).unwrap().pinned = Some("by hand".to_owned());
    let answer = ask(&world, &to("c"));
    assert_eq!(answer.refused[0].why, "it is pinned: by hand");
    world.policies.clear();
    let answer = ask(&world, &to("c"));
    assert!(answer.objections[0].contains("no policy"), "{answer:?}");
}

#[test]
fn a_moment_is_looked_at_alone() {
    let at = Some(NOW.plus_ms(20 * MINUTE));
    let answer = ask(&mesh(), &Question { at, ..to("c") });
    assert!(answer.looked_at.is_some_and(|knot| knot <= NOW.plus_ms(20 * MINUTE)), "{answer:?}");
    assert!(of(&answer, "cart").after.latency_ms.is_some());
}

#[test]
fn questions_about_what_is_not_there_are_refused_by_name() {
    let world = mesh();
    let moved = |workload: &str, replica: Option<&str>, node: &str| Question {
        moves: vec![AskedMove {
            workload: workload.into(),
            replica: replica.map(Into::into),
            to: node.into(),
        }],
        ..Question::default()
    };
    let load = |service: &str, factor: f64| Question {
        load: BTreeMap::from([(service.into(), factor)]),
        ..Question::default()
    };
    let at = |ms: i64| Question { at: Some(NOW.plus_ms(ms)), ..to("c") };
    for (question, said) in [
        (Question::default(), "nothing is asked"),
        (moved("cat", None, "c"), "no workload `cat`; known are cart, front"),
        (moved("cart", Some("cart-9"), "c"), "has no replica `cart-9`"),
        (moved("cart", None, "a"), "has no replica that is not on `a` already"),
        (moved("cart", None, "z"), "no node `z`; known are a, b, c"),
        (load("cat", 2.0), "no service `cat`"),
        (load("cart", -1.0), "must be from 0 to 100"),
        (load("cart", f64::NAN), "must be from 0 to 100"),
        (Question { node_down: ["z".into()].into(), ..Question::default() }, "no node `z`"),
        (at(-1), "the moment is -1 ms ahead"),
        (at(24 * 60 * MINUTE), "but must be from 0 to"),
    ] {
        let refused: QuestionError = answer(&world, &question).unwrap_err();
        assert!(refused.to_string().contains(said), "{refused}");
    }
}
