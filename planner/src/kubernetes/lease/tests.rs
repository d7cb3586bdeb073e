use super::*;
use foremesh_core::{
    ids::{NodeId, ReplicaId},
    rollout::{Phase, Stage},
};
use foremesh_kubernetes::moving::{MovedKind, MovedPhase, Scaled};
use serde_json::json;

fn record(state: State, target: Option<&str>) -> RolloutRecord {
    serde_json::from_value(json!({
        "id": "plan-7.0", "plan": "plan-7", "generation": 7, "after": null,
        "move": {
            "workload": "shop/cart", "service": "cart.shop.svc.cluster.local", "replica": "cart-1",
            "from": "node-1", "to": "node-2",
            "reason": {
                "policy": "p", "rule": "latency", "quantile": 0.99, "objective_ms": 50.0, "breach_at": 0,
                "breach_probability": 0.9, "stay_ms": 90.0, "move_ms": 20.0, "model": "m", "lead_ms": 60000
            },
            "ramp_percent": [25, 100]
        },
        "trial": {"trial": "waived", "by": "policy p", "reason": "no staging mesh", "at": 0},
        "prediction": null, "target": target, "state": state, "entered_at": 0, "deadline": 0, "attempt": 0,
        "history": []
    }))
    .unwrap()
}

fn moved(from: &str, to: &str, target: Option<&str>) -> Moved {
    Moved {
        workload: WorkloadId::from("shop/cart"),
        kind: MovedKind::Deployment,
        from: NodeId::from(from),
        to: NodeId::from(to),
        known: BTreeSet::from([ReplicaId::from("cart-1")]),
        replicas_before: 1,
        scaler: Scaled::Deployment,
        target: target.map(ReplicaId::from),
        phase: MovedPhase::Surging,
    }
}

#[test]
fn what_goes_on_after_another_planner_has_led() {
    let back = State::RollingBack { from: Phase::Ramping, stage: Stage::Shift, aborted: false };
    let own = || Some(moved("node-1", "node-2", Some("cart-2")));
    let not_named_yet = || Some(moved("node-1", "node-2", None));
    let other_way = || Some(moved("node-2", "node-3", Some("cart-2")));
    let other_pod = || Some(moved("node-1", "node-2", Some("cart-9")));
    let retiring = State::Settling { retiring: true };
    let settling = State::Settling { retiring: false };
    let cases = [
        ("nothing was done", State::Pending, None, own(), false),
        ("nothing was done", State::Trial, None, None, false),
        ("nothing was done", State::Reserving, None, None, false),
        ("it was asked for", State::Surging, None, own(), true),
        ("it was asked for and taken back", State::Surging, None, None, false),
        ("it goes on", State::Ramping { step: 1 }, Some("cart-2"), own(), true),
        ("its pod is not named yet", State::Ramping { step: 1 }, Some("cart-2"), not_named_yet(), true),
        ("it was taken back", State::Ramping { step: 1 }, Some("cart-2"), None, false),
        ("another move is under way", State::Ramping { step: 1 }, Some("cart-2"), other_way(), false),
        ("it was taken back and begun anew", State::Draining, Some("cart-2"), other_pod(), false),
        ("it settles", settling, Some("cart-2"), own(), true),
        ("it was settling", settling, Some("cart-2"), None, false),
        ("the old one was going", retiring, Some("cart-2"), None, true),
        ("it turns back", back, Some("cart-2"), own(), true),
        ("it has turned back", back, Some("cart-2"), None, false),
        ("it is over", State::Succeeded, Some("cart-2"), None, true),
    ];
    for (case, state, target, moved, goes_on) in cases {
        let over = superseded(&record(state, target), moved.as_ref());
        assert_eq!(over.is_none(), goes_on, "{case} ({state}): {over:?}");
    }
}

#[test]
fn whether_another_planner_can_have_led_in_between() {
    let term = |lease: &str, transitions| Term { number: 1, lease: lease.to_owned(), transitions };
    let led = |lease: &str, transitions| Led { lease: lease.to_owned(), transitions: Some(transitions) };
    let cases = [
        ("it goes on", led("a", 5), term("a", 5), true),
        ("it takes it from itself", led("a", 5), term("a", 6), true),
        ("one other had it", led("a", 5), term("a", 7), false),
        ("the lease is a new one", led("a", 5), term("b", 6), false),
        ("a new one that looks the same", led("a", 0), term("b", 0), false),
        ("the count went back", led("a", 5), term("a", 4), false),
        ("the first leader of all, with a journal or without", Led::default(), term("a", 0), true),
        ("this one for the first time, after others", Led::default(), term("a", 3), false),
    ];
    for (case, before, now, nobody) in cases {
        assert_eq!(before.is_followed_by(&now), nobody, "{case}");
    }
}

#[test]
fn what_was_led_is_remembered_and_a_broken_memory_tells_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lease.json");
    assert_eq!(Led::read(&path).unwrap(), Led::default());
    let term = Term { number: 3, lease: "uid".to_owned(), transitions: 4 };
    Led::of(&term).write(&path).unwrap();
    assert!(Led::read(&path).unwrap().is_followed_by(&term));
    std::fs::write(&path, "{").unwrap();
    for transitions in [0, 4, 5] {
        assert!(!Led::read(&path).unwrap().is_followed_by(&Term { transitions, ..term.clone() }));
    }
}

#[test]
fn a_candidate_keeps_its_name_over_a_restart_and_nobody_else_has_it() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let name = identity(one.path()).unwrap();
    assert!(
        name.split_once('_').is_some_and(|(host, random)| !host.is_empty() && random.len() == 16),
        "{name}"
    );
    assert_eq!(identity(one.path()).unwrap(), name);
    assert_ne!(identity(other.path()).unwrap(), name);
    let file = one.path().join("candidate.json");
    for field in ["host", "boot"] {
        let mut named: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        named[field] = json!("another");
        std::fs::write(&file, named.to_string()).unwrap();
        let anew = identity(one.path()).unwrap();
        assert_ne!(anew, name, "of another {field}");
        assert_eq!(identity(one.path()).unwrap(), anew);
    }
    std::fs::write(&file, "{").unwrap();
    assert_ne!(identity(one.path()).unwrap(), name);
}
