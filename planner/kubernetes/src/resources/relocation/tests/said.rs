//! From a record to an object.
use super::{super::*, FORTH, accepted, after, at, back};
use crate::resources::relocation::{
    event::{About, events, is_told},
    object::wanted,
};
use foremesh_core::{
    aftermath::{self, Compared, MovedBack, Worth},
    ids::{RolloutId, WorkloadId},
    rollout::{Stage, State},
};
use serde_json::json;

fn said(states: &[State]) -> RelocationStatus {
    wanted(&after("plan-7.0", states), "foremesh").unwrap().status
}

#[test]
fn names_are_those_of_rollouts_where_kubernetes_takes_them() {
    let cases = [
        ("plan-0a1b2c3d4e5f.0", "plan-0a1b2c3d4e5f.0"),
        ("Plan-1.0", "plan-1.0-"),
        ("plan 1/2", "plan-1-2-"),
        ("..-x-..", "x-"),
        ("ä", ""),
    ];
    for (rollout, begins) in cases {
        let name = name(&RolloutId::from(rollout));
        assert!(name.starts_with(begins), "{rollout}: {name}");
        let is_fine = |part: &str| {
            !part.is_empty()
                && !part.starts_with('-')
                && !part.ends_with('-')
                && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        assert!(name.len() <= 253 && name.split('.').all(is_fine), "{rollout}: {name}");
    }
    assert_ne!(name(&RolloutId::from("plan 1")), name(&RolloutId::from("plan_1")));
    assert_eq!(name(&RolloutId::from("plan_1")), name(&RolloutId::from("plan_1")));
}

#[test]
fn the_object_tells_what_moves_and_why() {
    let wanted = wanted(&accepted("plan-7.0"), "foremesh").unwrap();
    assert_eq!(
        wanted.object,
        json!({
            "apiVersion": "foremesh.dev/v1alpha1", "kind": "Relocation",
            "metadata": {
                "namespace": "shop", "name": "plan-7.0",
                "labels": {"app.kubernetes.io/managed-by": "foremesh", "foremesh.dev/planner": "foremesh"},
                "annotations": {"foremesh.dev/rollout": "plan-7.0"},
                "finalizers": ["foremesh.dev/rollout"]
            },
            "spec": {
                "plan": "plan-7", "generation": 7, "service": "cart.shop.svc.cluster.local", "workload": "cart",
                "replica": "cart-1", "from": "node-1", "to": "node-2", "abort": false,
                "why": {
                    "policy": "p", "rule": "slow", "breachAt": "2023-11-14T22:23:20Z", "breachPercent": 88,
                    "objectiveMs": 50, "moveMs": 20
                }
            }
        })
    );
    let mut other = accepted("plan-7.0");
    other.relocation.workload = WorkloadId::from("shop/statefulset/db");
    assert!(
        super::super::wanted(&other, "foremesh").is_none(),
        "it is no Deployment, so there is no namespace to put it in"
    );
}

#[test]
fn the_status_tells_how_far_it_is() {
    let forth = |count: usize| FORTH[..count].to_vec();
    let and = |count: usize, more: &[State]| [&FORTH[..count], more].concat();
    let cases = [
        (vec![], "Pending", "Pending", Some(0), ("True", "Unknown", "Unknown")),
        (forth(3), "Surging", "Surging", Some(0), ("True", "Unknown", "Unknown")),
        (forth(4), "Ramping", "Ramping(0)", Some(25), ("True", "Unknown", "Unknown")),
        (forth(5), "Ramping", "Ramping(1)", Some(50), ("True", "Unknown", "Unknown")),
        (forth(6), "Draining", "Draining", Some(100), ("True", "Unknown", "Unknown")),
        (forth(8), "Settling", "Settling(retiring)", Some(100), ("True", "Unknown", "Unknown")),
        (forth(9), "Succeeded", "Succeeded", Some(100), ("False", "True", "False")),
        (
            and(5, &[back(Stage::Shift)]),
            "RollingBack",
            "RollingBack(shift, from Ramping)",
            Some(50),
            ("True", "Unknown", "Unknown"),
        ),
        (
            and(5, &[back(Stage::Shift), back(Stage::Drain)]),
            "RollingBack",
            "RollingBack(drain, from Ramping)",
            Some(0),
            ("True", "Unknown", "Unknown"),
        ),
        (
            and(5, &[back(Stage::Shift), State::RolledBack]),
            "RolledBack",
            "RolledBack",
            Some(0),
            ("False", "False", "True"),
        ),
        (vec![State::Aborted], "Aborted", "Aborted", Some(0), ("False", "False", "True")),
        (and(8, &[State::Failed]), "Failed", "Failed", None, ("False", "False", "False")),
    ];
    for (states, state, step, traffic, (progressing, succeeded, rolled_back)) in cases {
        let status = said(&states);
        assert_eq!((status.state.as_str(), status.step.as_str()), (state, step), "{states:?}");
        assert_eq!(status.traffic_percent, traffic, "{states:?}");
        let conditions: Vec<_> = status
            .conditions
            .iter()
            .map(|of| (of.kind.as_str(), of.status.as_str(), of.reason.as_str()))
            .collect();
        assert_eq!(
            conditions,
            [
                ("Progressing", progressing, state),
                ("Succeeded", succeeded, state),
                ("RolledBack", rolled_back, state)
            ],
            "{states:?}"
        );
        assert_eq!(status.transitions as usize, states.len());
        assert_eq!(status.deadline.is_none(), progressing == "False", "{states:?}");
    }
    let status = said(&FORTH[..4]);
    assert_eq!((status.since.as_str(), status.why.as_str()), ("2023-11-14T22:14:00Z", "because of 3"));
    assert_eq!(status.target.as_deref(), Some("cart-2"));
    assert_eq!(status.conditions[0].last_transition_time, "2023-11-14T22:13:30Z");
    assert_eq!(said(&FORTH).conditions[1].last_transition_time, "2023-11-14T22:14:50Z");
}

#[test]
fn a_long_story_is_cut_at_its_beginning() {
    let mut record = after("plan-7.0", &[State::Ramping { step: 0 }; 30]);
    record.history.last_mut().unwrap().why = "ä".repeat(5_000);
    let status = wanted(&record, "foremesh").unwrap().status;
    assert_eq!((status.transitions, status.history.len()), (30, LONGEST_HISTORY));
    assert_eq!(status.history[0].why, "because of 10");
    assert_eq!(status.why.chars().count(), 1_024);
    let about = About { relocation: "r", deployment: None };
    let before = RelocationStatus { transitions: 29, ..RelocationStatus::default() };
    let wanted = wanted(&record, "foremesh").unwrap();
    let told = events(&record, &wanted, &about, Some(&before), "planner-0", at(400));
    assert!(told[0]["note"].as_str().unwrap().len() <= 1_024, "the API server counts bytes");
}

#[test]
fn each_change_is_told_once_on_both_objects() {
    let record = after("plan-7.0", &[State::Trial, back(Stage::Shift)]);
    let wanted = wanted(&record, "foremesh").unwrap();
    let about = About { relocation: "uid-r", deployment: Some("uid-d") };
    let told = |transitions, now| {
        let before = RelocationStatus { transitions, ..RelocationStatus::default() };
        events(&record, &wanted, &about, Some(&before), "planner-0", now)
    };
    let all = told(0, at(30));
    let names: Vec<_> = all.iter().map(|event| event["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["plan-7.0.0", "cart.plan-7.0.0", "plan-7.0.1", "cart.plan-7.0.1"]);
    assert_eq!(
        all[3],
        json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event",
            "metadata": {
                "namespace": "shop", "name": "cart.plan-7.0.1", "labels": {"app.kubernetes.io/managed-by": "foremesh"}
            },
            "eventTime": "2023-11-14T22:13:40.000000Z", "reportingController": "foremesh.dev/planner",
            "reportingInstance": "planner-0", "action": "Relocate", "reason": "RollingBack", "type": "Warning",
            "note": "node-1 to node-2: because of 1",
            "regarding": {
                "apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "cart", "uid": "uid-d"
            },
            "related": {
                "apiVersion": "foremesh.dev/v1alpha1", "kind": "Relocation", "namespace": "shop", "name": "plan-7.0",
                "uid": "uid-r"
            }
        })
    );
    assert_eq!(all[0]["type"], "Normal");
    assert_eq!(all[0]["note"], "because of 0");
    assert_eq!(told(1, at(30)), all[2..]);
    assert_eq!(told(2, at(30)), [json!(null); 0]);
    assert_eq!(told(0, at(4_000)), [json!(null); 0], "what is long over is told by nobody any more");
}

#[test]
fn what_became_of_a_move_is_told_once() {
    let mut record = after("plan-7.0", &FORTH);
    record.benefit = Some(aftermath::Benefit {
        at: at(200),
        verdict: Worth::NotWorthIt,
        why: "it is slower".to_owned(),
        compared: Some(Compared {
            from: at(100),
            until: at(200),
            steps: 10,
            stay_ms: f64::INFINITY,
            predicted_ms: 20.4,
            measured_ms: 61.6,
            stay_over: 0.0,
            predicted_over: 0.0,
            measured_over: 0.3,
        }),
    });
    record.moved_back = Some(MovedBack { at: at(210), to: "node-1".into() });
    let known = wanted(&record, "foremesh").unwrap();
    let benefit = known.status.benefit.as_ref().unwrap();
    assert_eq!(
        (benefit.verdict.as_str(), benefit.measured_ms, benefit.stay_ms, benefit.measured_over_percent),
        ("NotWorthIt", Some(62), None, Some(30))
    );
    let conditions: Vec<_> =
        known.status.conditions.iter().skip(3).map(|of| (of.kind.as_str(), of.status.as_str())).collect();
    assert_eq!(conditions, [("Worthwhile", "False"), ("TakenBack", "True")]);
    // What was told is what the resource says already.
    let before = wanted(&after("plan-7.0", &FORTH), "foremesh").unwrap().status;
    let about = About { relocation: "uid-r", deployment: None };
    let told = |before| events(&record, &known, &about, Some(before), "planner-0", at(220));
    let reasons: Vec<_> = told(&before).iter().map(|event| event["reason"].clone()).collect();
    assert_eq!(reasons, ["NotWorthIt", "TakenBack"]);
    assert_eq!(told(&before)[0]["metadata"]["name"], "plan-7.0.benefit");
    assert!(is_told(&record, Some(&known.status)) && told(&known.status).is_empty());
}
