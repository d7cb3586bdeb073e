//! Hands a tested plan to the planner as its own loop does, without waiting for a forecast that asks for it; on any
//! platform.
//!
//! The planner does not run meanwhile. Its own code accepts the plan into its journal and drives it until the trial is
//! noted, which is after the plan was validated and before anything is done. The planner that starts then takes it up
//! from the journal, as it would after a crash.
use crate::until;
use async_trait::async_trait;
use foremesh::{
    clock::Clock,
    platform::{PlatformError, Relocator, TrafficShifter},
    rollout::{GateSource, ReportError, Reporter, RolloutPorts, Rollouts, Validator},
    settings::Settings,
};
use foremesh_core::{
    ids::{NodeId, ReplicaId, RolloutId, ServiceId, WorkloadId},
    plan::Traffic,
    rollout::{RolloutRecord, State, Validity, gate::GateSample},
    time::Timestamp,
    trial::TestedPlan,
    units::Quantile,
};
use serde_json::json;
use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

const WITHIN: Duration = Duration::from_secs(30);

/// Files of one planner.
#[derive(Clone, Debug)]
pub struct Files {
    /// Its settings.
    pub settings: PathBuf,
    /// Its state directory.
    pub state: PathBuf,
}

impl Files {
    /// The settings, read as the planner reads them.
    ///
    /// # Panics
    /// When they are wrong.
    pub fn read(&self) -> Settings {
        Settings::read(&self.settings).expect("the settings can be read")
    }
}

/// What a plan of one move changes, in the planner's names.
#[derive(Clone, Debug)]
pub struct Goes<'a> {
    /// Name of the plan, a new one for each.
    pub plan: &'a str,
    /// Counted up with each plan of one planner.
    pub generation: u64,
    /// What is moved.
    pub workload: &'a str,
    /// The service that it answers for.
    pub service: &'a str,
    /// The replica that goes.
    pub replica: &'a str,
    /// Its node.
    pub from: &'a str,
    /// Where it goes.
    pub to: &'a str,
    /// How traffic goes over.
    pub traffic: Traffic,
    /// Only traffic goes, to this replica that runs on `to`.
    pub shift_to: Option<String>,
    /// The policy whose rule `slow-soon` asks for it.
    pub policy: &'a str,
    /// Promised P95 in milliseconds, which gates hold.
    pub objective_ms: u32,
}

/// Leaves a plan in the journal of a planner that does not run, with nothing done yet; gives its rollout.
///
/// # Panics
/// When the planner's code refuses it.
pub async fn hand_over(files: &Files, goes: &Goes<'_>) -> RolloutId {
    let outside = Arc::new(Outside);
    let ports = RolloutPorts {
        relocator: outside.clone(),
        traffic: outside.clone(),
        staging: None,
        gate: outside.clone(),
        validator: outside.clone(),
        reporter: outside,
    };
    let journal = files.state.join("rollouts.db");
    let rollouts = Rollouts::open(&journal, files.read().rollout.clone(), ports, Clock::System).await;
    let rollouts = rollouts.expect("the journal opens");
    let id = rollouts.start(&plan(goes)).await.expect("the plan is accepted").remove(0);
    until("the plan to be validated", WITHIN, async || {
        rollouts.tick().await;
        let record = rollouts.get(&id).await.map_err(|error| error.to_string())?;
        if record.state == State::Trial { Ok(()) } else { Err(format!("it is {}", record.state)) }
    })
    .await;
    id
}

fn plan(goes: &Goes<'_>) -> TestedPlan {
    let relocation = json!({
        "workload": goes.workload, "service": goes.service, "replica": goes.replica, "from": goes.from, "to": goes.to,
        "reason": {
            "policy": goes.policy, "rule": "slow-soon", "quantile": 0.95, "objective_ms": goes.objective_ms, "breach_at": 0,
            "breach_probability": 0.9, "stay_ms": 500.0, "move_ms": 20.0, "model": "seasonal_naive", "lead_ms": 3000
        },
        "ramp_percent": [40, 70, 100],
        "traffic": goes.traffic,
        "shift_to": goes.shift_to,
    });
    let plan = json!({
        "plan": {
            "id": goes.plan, "parent": null, "generation": goes.generation, "made_at": 0, "input_digest": "",
            "moves": [relocation], "rejected": []
        },
        "predictions": [],
        "trial": {
            "trial": "waived", "by": "the tests", "reason": "the plan was made by hand", "at": 0
        }
    });
    serde_json::from_value(plan).expect("it is a tested plan")
}

/// What the planner's own parts would say. The plan holds, because nobody forecast anything; gates and the platform are
/// not asked before the ramp; and nothing is noted here, so that the planner brings every change of state into its audit
/// trail.
#[derive(Debug)]
struct Outside;

/// Nothing of a plan is done before its trial is noted.
fn too_early() -> PlatformError {
    PlatformError::Refused {
        object: "the hand-over of a plan".to_owned(),
        problem: "something is done before the trial is noted".to_owned(),
        remedy: "see the states of a rollout".to_owned(),
    }
}

#[async_trait]
impl Validator for Outside {
    async fn validate(&self, _: &RolloutRecord) -> Option<Validity> {
        Some(Validity::Holds)
    }
}

#[async_trait]
impl GateSource for Outside {
    async fn sample(
        &self,
        _: &ServiceId,
        _: &NodeId,
        _: Quantile,
        _: Timestamp,
        _: Timestamp,
    ) -> Option<GateSample> {
        None
    }
}

#[async_trait]
impl Reporter for Outside {
    async fn report(&self, _: &RolloutRecord, _: usize) -> Result<(), ReportError> {
        Err(ReportError("the audit trail is the planner's".into()))
    }
}

#[async_trait]
impl Relocator for Outside {
    async fn prepare(&self, _: &WorkloadId, _: &NodeId) -> Result<(), PlatformError> {
        Err(too_early())
    }

    async fn place(
        &self,
        _: &WorkloadId,
        _: &NodeId,
        _: Option<&ReplicaId>,
    ) -> Result<ReplicaId, PlatformError> {
        Err(too_early())
    }

    async fn is_ready(&self, _: &WorkloadId, _: &NodeId, _: &ReplicaId) -> Result<bool, PlatformError> {
        Err(too_early())
    }

    async fn retire(&self, _: &WorkloadId, _: &NodeId, _: Option<&ReplicaId>) -> Result<(), PlatformError> {
        Err(too_early())
    }
}

#[async_trait]
impl TrafficShifter for Outside {
    async fn weights(&self, _: &ServiceId) -> Result<BTreeMap<ReplicaId, u32>, PlatformError> {
        Err(too_early())
    }

    async fn set_weights(&self, _: &ServiceId, _: &BTreeMap<ReplicaId, u32>) -> Result<(), PlatformError> {
        Err(too_early())
    }

    async fn restore(&self, _: &ServiceId) -> Result<(), PlatformError> {
        Err(too_early())
    }
}
