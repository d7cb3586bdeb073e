//! Whole rollouts on plain hosts: real commands, real endpoint files, a real journal, and a planner that is killed in
//! every state.
use super::*;
use crate::rollout::{GateSource, ReportError, Reporter, RolloutPorts, RolloutSettings, Rollouts, Validator};
use async_trait::async_trait;
use foremesh_core::{
    plan::{PairWeights, Traffic},
    rollout::{RolloutRecord, State, Validity, gate::GateSample},
    trial::TestedPlan,
    units::Quantile,
};
use serde_json::json;

/// What is not the platform: a service that is well, or whose target fails.
#[derive(Debug)]
struct Others {
    target_fails: bool,
}

#[async_trait]
impl GateSource for Others {
    async fn sample(
        &self,
        _: &ServiceId,
        node: &NodeId,
        _: Quantile,
        _: Timestamp,
        _: Timestamp,
    ) -> Option<GateSample> {
        let server_errors = if self.target_fails && node.as_str() == "h2" { 500 } else { 0 };
        Some(GateSample { requests: 1000, server_errors, latency_ms: 10.0 })
    }
}

#[async_trait]
impl Validator for Others {
    async fn validate(&self, _: &RolloutRecord) -> Option<Validity> {
        Some(Validity::Holds)
    }
}

#[async_trait]
impl Reporter for Others {
    async fn report(&self, _: &RolloutRecord, _: usize) -> Result<(), ReportError> {
        Ok(())
    }
}

/// What is carried out.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Task {
    Whole,
    /// Half of the weight goes with the replica.
    Part,
    /// Half of the traffic goes to a replica that runs already.
    Shift,
}

impl Task {
    fn traffic(self) -> Traffic {
        match self {
            Self::Whole => Traffic::WHOLE,
            Self::Part => Traffic::of_replica(100, 50),
            Self::Shift => Traffic::shifted(PairWeights { source: 100, target: 100 }, 50),
        }
    }
}

fn weights_of(pair: PairWeights) -> BTreeMap<ReplicaId, u32> {
    let mut all = weights(&[("cart@h1", pair.source), ("cart@h2", pair.target)]);
    all.retain(|_, weight| *weight > 0);
    all
}

fn plan(task: Task) -> TestedPlan {
    let relocation = json!({
        "traffic": task.traffic(), "shift_to": (task == Task::Shift).then_some("cart@h2"),
        "workload": "cart", "service": "cart", "replica": "cart@h1", "from": "h1", "to": "h2",
        "reason": {
            "policy": "p", "rule": "latency", "quantile": 0.99, "objective_ms": 50.0, "breach_at": 0,
            "breach_probability": 0.9, "stay_ms": 90.0, "move_ms": 20.0, "model": "seasonal_naive", "lead_ms": 60000
        },
        "ramp_percent": [25, 50, 100]
    });
    serde_json::from_value(json!({
        "plan": {
            "id": "plan-1", "parent": null, "generation": 1, "made_at": 0, "input_digest": "",
            "moves": [relocation], "rejected": []
        },
        "predictions": [],
        "trial": { "trial": "waived", "by": "policy p", "reason": "no staging mesh", "at": 0 }
    }))
    .unwrap()
}

/// Opens everything anew, as a planner does that was killed.
async fn planner(fixture: &Fixture, clock: &ManualClock, target_fails: bool) -> (HostsPlatform, Rollouts) {
    let platform = fixture.open().await;
    let (shared, others) = (Arc::new(platform.clone()), Arc::new(Others { target_fails }));
    let ports = RolloutPorts {
        relocator: shared.clone(),
        traffic: shared,
        staging: None,
        gate: others.clone(),
        validator: others.clone(),
        reporter: others,
    };
    // A dwell makes every state one that the planner can be killed in.
    let settings = RolloutSettings { dwell: 1_000, drain_limit: 10_000, ..RolloutSettings::default() };
    let journal = fixture.path("rollouts.db");
    let rollouts = Rollouts::open(&journal, settings, ports, Clock::Manual(clock.clone())).await.unwrap();
    (platform, rollouts)
}

/// The whole move with a new planner at every look; returns the states that were seen.
async fn killed_all_along(task: Task, target_fails: bool) -> (RolloutRecord, Vec<String>) {
    let fixture = Fixture::new();
    let clock = ManualClock::new(Timestamp::from_unix_ms(0));
    let (platform, rollouts) = planner(&fixture, &clock, target_fails).await;
    if task == Task::Shift {
        platform.place(&cart(), &NodeId::from("h2"), None).await.unwrap();
        platform.set_weights(&service(), &weights_of(task.traffic().before)).await.unwrap();
    }
    let id = rollouts.start(&plan(task)).await.unwrap().remove(0);
    let mut seen = vec!["Pending".to_owned()];
    for look in 1..500 {
        let (platform, rollouts) = planner(&fixture, &clock, target_fails).await;
        rollouts.tick().await;
        for (replica, weight) in platform.weights(&service()).await.unwrap() {
            assert!(
                fixture.path(replica.as_str()).exists(),
                "{replica} has weight {weight} and does not run"
            );
        }
        let record = rollouts.get(&id).await.unwrap();
        if seen.last() != Some(&record.state.to_string()) {
            seen.push(record.state.to_string());
        }
        if record.state.is_last() {
            let arrived = record.state == State::Succeeded;
            let (ends, serves) =
                if arrived { (task.traffic().after, "cart@h2") } else { (task.traffic().before, "cart@h1") };
            assert_eq!(platform.weights(&service()).await.unwrap(), weights_of(ends));
            let snapshot = platform.snapshot().await.unwrap();
            let replicas: Vec<_> =
                snapshot.workloads[&cart()].replicas.iter().map(|(id, r)| (id.as_str(), r.ready)).collect();
            let stays = if task == Task::Shift { vec!["cart@h1", "cart@h2"] } else { vec![serves] };
            assert_eq!(replicas, stays.into_iter().map(|replica| (replica, true)).collect::<Vec<_>>());
            return (record, seen);
        }
        clock.set(Timestamp::from_unix_ms(look * 5_000));
    }
    panic!("it does not end: {seen:?}");
}

#[tokio::test]
async fn a_shift_succeeds_or_goes_back_although_the_planner_is_killed_in_every_state() {
    let (record, seen) = killed_all_along(Task::Shift, false).await;
    assert_eq!(seen, ["Pending", "Trial", "Ramping(0)", "Ramping(1)", "Settling", "Succeeded"]);
    assert_eq!(record.state, State::Succeeded, "{:#?}", record.history);
    let (record, seen) = killed_all_along(Task::Shift, true).await;
    assert_eq!(seen, ["Pending", "Trial", "Ramping(0)", "RollingBack(shift, from Ramping)", "RolledBack"]);
    assert_eq!(record.state, State::RolledBack, "{:#?}", record.history);
}

#[tokio::test]
async fn a_move_succeeds_although_the_planner_is_killed_in_every_state() {
    let (part, passed) = killed_all_along(Task::Part, false).await;
    assert_eq!(part.state, State::Succeeded, "{:#?}", part.history);
    let (record, seen) = killed_all_along(Task::Whole, false).await;
    assert_eq!(record.state, State::Succeeded, "{:#?}", record.history);
    assert_eq!(passed, seen, "a part of the weight takes the same way");
    let states = [
        "Pending",
        "Trial",
        "Reserving",
        "Surging",
        "Ramping(0)",
        "Ramping(1)",
        "Draining",
        "Settling",
        "Settling(retiring)",
        "Succeeded",
    ];
    assert_eq!(seen, states);
}

#[tokio::test]
async fn a_move_to_a_failing_target_is_rolled_back_although_the_planner_is_killed_in_every_state() {
    let (record, seen) = killed_all_along(Task::Whole, true).await;
    assert_eq!(record.state, State::RolledBack, "{:#?}", record.history);
    let back = &seen[4..];
    let states = [
        "Ramping(0)",
        "RollingBack(shift, from Ramping)",
        "RollingBack(drain, from Ramping)",
        "RollingBack(stop, from Ramping)",
        "RolledBack",
    ];
    assert_eq!(back, states);
}
