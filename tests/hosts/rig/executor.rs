//! Hands a tested plan to the executor as the planner's loop does, without waiting for a forecast that asks for it.
//!
//! The planner does not run meanwhile. Its own code accepts the plan into its journal and drives it until the trial is
//! noted, which is after the plan was validated and before anything is done. The planner that starts then takes it up
//! from the journal, as it would after a crash.
use super::{
    files::Files,
    mesh::{OBJECTIVE_MS, SERVICE},
};
use async_trait::async_trait;
use foremesh::{
    clock::Clock,
    hosts::{HostsPlatform, config::Hosts},
    rollout::{GateSource, ReportError, Reporter, RolloutPorts, Rollouts, Validator},
    settings::{Platform, Settings},
};
use foremesh_core::{
    ids::{NodeId, ServiceId},
    plan::Traffic,
    rollout::{RolloutRecord, State, Validity, gate::GateSample},
    time::Timestamp,
    trial::TestedPlan,
    units::Quantile,
};
use foremesh_tests::until;
use serde_json::json;
use std::{sync::Arc, time::Duration};

const WITHIN: Duration = Duration::from_secs(30);

/// What a plan of one move changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goes<'a> {
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    pub(crate) traffic: Traffic,
    /// Only traffic goes, to the replica that runs on `to`.
    pub(crate) shift: bool,
}

fn settings_of(files: &Files) -> Settings {
    Settings::read(&files.settings).expect("the settings can be read")
}

fn hosts_of(settings: &Settings) -> Hosts {
    match &settings.platform {
        Platform::Hosts(file) => Hosts::read(file).expect("the hosts file can be read"),
        Platform::Kubernetes(_) => panic!("the rig is made of hosts"),
    }
}

/// Gives the edge its endpoints, as a planner does when it starts.
pub(crate) async fn give_endpoints(files: &Files) {
    let hosts = hosts_of(&settings_of(files));
    HostsPlatform::open(hosts, &files.state, Clock::System).await.expect("the platform opens");
}

/// Leaves a plan in the journal of a planner that does not run, with nothing done yet.
pub(crate) async fn hand_over(files: &Files, goes: Goes<'_>) {
    let settings = settings_of(files);
    let hosts = hosts_of(&settings);
    let clock = Clock::System;
    let platform = HostsPlatform::open(hosts, &files.state, clock.clone()).await.expect("the platform opens");
    let (platform, outside) = (Arc::new(platform), Arc::new(Outside));
    let ports = RolloutPorts {
        relocator: platform.clone(),
        traffic: platform,
        staging: None,
        gate: outside.clone(),
        validator: outside.clone(),
        reporter: outside,
    };
    let journal = files.state.join("rollouts.db");
    let rollouts = Rollouts::open(&journal, settings.rollout.clone(), ports, clock).await;
    let rollouts = rollouts.expect("the journal opens");
    let id = rollouts.start(&plan(goes)).await.expect("the plan is accepted").remove(0);
    until("the plan to be validated", WITHIN, async || {
        rollouts.tick().await;
        let record = rollouts.get(&id).await.map_err(|error| error.to_string())?;
        if record.state == State::Trial { Ok(()) } else { Err(format!("it is {}", record.state)) }
    })
    .await;
}

fn plan(goes: Goes<'_>) -> TestedPlan {
    let Goes { from, to, traffic, shift } = goes;
    let relocation = json!({
        "workload": SERVICE, "service": SERVICE, "replica": format!("{SERVICE}@{from}"), "from": from, "to": to,
        "reason": {
            "policy": SERVICE, "rule": "slow-soon", "quantile": 0.95, "objective_ms": OBJECTIVE_MS, "breach_at": 0,
            "breach_probability": 0.9, "stay_ms": 500.0, "move_ms": 20.0, "model": "seasonal_naive", "lead_ms": 3000
        },
        "ramp_percent": [40, 70, 100],
        "traffic": traffic,
        "shift_to": shift.then(|| format!("{SERVICE}@{to}")),
    });
    let plan = json!({
        "plan": {
            "id": "plan-by-hand", "parent": null, "generation": 1, "made_at": 0, "input_digest": "",
            "moves": [relocation], "rejected": []
        },
        "predictions": [],
        "trial": {
            "trial": "waived", "by": "the hosts tests", "reason": "there is no staging mesh on this machine", "at": 0
        }
    });
    serde_json::from_value(plan).expect("it is a tested plan")
}

/// What the planner's own parts would say. The plan holds, because nobody forecast anything; gates are not asked before
/// the ramp; and nothing is noted here, so that the planner brings every change of state into its audit trail.
#[derive(Debug)]
struct Outside;

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
