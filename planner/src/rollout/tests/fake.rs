//! A platform in memory whose every call can fail, hang, lie, or be the last thing that the planner does.
use crate::{
    clock::{Clock, ManualClock},
    platform::{PlatformError, Relocator, StagingMesh, TrafficShifter},
    rollout::{GateSource, ReportError, Reporter, RolloutPorts, Validator},
};
use async_trait::async_trait;
use foremesh_core::{
    ids::{NodeId, ReplicaId, ServiceId, WorkloadId},
    rollout::{RolloutRecord, State, Validity, gate::GateSample},
    time::Timestamp,
    units::Quantile,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::sleep};

/// How a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// An error, nothing done.
    Error,
    /// An error, although it was done.
    ErrorAfterEffect,
    /// No answer for a day.
    Hang,
    /// The planner is killed before it is done.
    CrashBefore,
    /// The planner is killed after it is done.
    CrashAfter,
}

pub(super) const FAULTS: [Fault; 5] =
    [Fault::Error, Fault::ErrorAfterEffect, Fault::Hang, Fault::CrashBefore, Fault::CrashAfter];

/// A call: the state that the rollout was in, and what was called.
pub(super) type Call = (String, &'static str);

/// What a gate asked for.
#[derive(Clone, Debug)]
pub(super) struct Sampled {
    pub(super) state: String,
    pub(super) node: NodeId,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) running: BTreeSet<NodeId>,
    pub(super) weights: BTreeMap<ReplicaId, u32>,
    pub(super) state: String,
    /// Distinct calls in the order in which they first happened.
    pub(super) calls: Vec<Call>,
    /// This call goes wrong, so many times.
    pub(super) fault: Option<(Call, Fault, usize)>,
    /// Becomes false with the first call that goes wrong: the lease ends in the middle of it.
    pub(super) on_fault: Option<Arc<AtomicBool>>,
    /// Every call of this name fails.
    pub(super) broken: Option<&'static str>,
    pub(super) validity: Option<Validity>,
    /// Requests and failures of the target.
    pub(super) target_sample: Option<(u64, u64)>,
    /// Requests of the source in each second before the ramp; without it there are always enough.
    pub(super) source_rps: Option<i64>,
    /// Requests of the source in the ramp, while [`Self::source_rps`] counts.
    pub(super) source_in_ramp: i64,
    pub(super) reports: Vec<(String, usize, State)>,
    /// Windows that the gate asked for.
    pub(super) samples: Vec<Sampled>,
    /// Promises that were broken.
    pub(super) violations: Vec<String>,
    /// What it answers again to whether a replica is ready, until it is told to forget; it always asks without.
    pub(super) memory: Option<BTreeMap<NodeId, bool>>,
    /// Answers that it gave from memory, and those that it did not.
    pub(super) remembered: (u64, u64),
}

/// All ports in one; clones share the world.
#[derive(Clone, Debug)]
pub(super) struct Fake {
    pub(super) world: Arc<Mutex<World>>,
    pub(super) crashed: Arc<Notify>,
    pub(super) clock: ManualClock,
    pub(super) staging: Option<Arc<dyn StagingMesh>>,
}

pub(super) fn replica(node: &NodeId) -> ReplicaId {
    ReplicaId::new(format!("cart@{node}"))
}

impl Fake {
    pub(super) fn new(clock: ManualClock) -> Self {
        let h1 = NodeId::from("h1");
        let world = World {
            weights: BTreeMap::from([(replica(&h1), 100), (ReplicaId::from("cart@h9"), 100)]),
            running: BTreeSet::from([h1]),
            state: "Pending".to_owned(),
            calls: Vec::new(),
            fault: None,
            on_fault: None,
            broken: None,
            validity: Some(Validity::Holds),
            target_sample: Some((1000, 0)),
            source_rps: None,
            source_in_ramp: 0,
            reports: Vec::new(),
            samples: Vec::new(),
            violations: Vec::new(),
            memory: None,
            remembered: (0, 0),
        };
        Self { world: Arc::new(Mutex::new(world)), crashed: Arc::new(Notify::new()), clock, staging: None }
    }

    pub(super) fn ports(&self) -> RolloutPorts {
        RolloutPorts {
            relocator: Arc::new(self.clone()),
            traffic: Arc::new(self.clone()),
            staging: self.staging.clone(),
            gate: Arc::new(self.clone()),
            validator: Arc::new(self.clone()),
            reporter: Arc::new(self.clone()),
        }
    }

    pub(super) fn clock_now(&self) -> Timestamp {
        Clock::Manual(self.clock.clone()).now()
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Does what a call does, unless it is to go wrong.
    async fn call<T>(
        &self,
        name: &'static str,
        effect: impl FnOnce(&mut World) -> T + Send,
    ) -> Result<T, PlatformError> {
        let fault = {
            let mut world = self.world();
            let call = (world.state.clone(), name);
            if !world.calls.contains(&call) {
                world.calls.push(call.clone());
            }
            let World { fault, on_fault, .. } = &mut *world;
            match fault {
                Some((at, fault, times)) if *at == call && *times > 0 => {
                    *times -= 1;
                    if let Some(leads) = on_fault {
                        leads.store(false, Ordering::SeqCst);
                    }
                    Some(*fault)
                }
                _ => (world.broken == Some(name)).then_some(Fault::Error),
            }
        };
        let failed = || PlatformError::Refused {
            object: name.to_owned(),
            problem: "it fails because the test wants it".to_owned(),
            remedy: "none".to_owned(),
        };
        match fault {
            None => Ok(effect(&mut self.world())),
            Some(Fault::Error) => Err(failed()),
            Some(Fault::ErrorAfterEffect) => {
                effect(&mut self.world());
                Err(failed())
            }
            Some(Fault::Hang) => {
                sleep(Duration::from_secs(86_400)).await;
                Err(failed())
            }
            Some(fault @ (Fault::CrashBefore | Fault::CrashAfter)) => {
                if fault == Fault::CrashAfter {
                    effect(&mut self.world());
                }
                self.crashed.notify_one();
                std::future::pending().await
            }
        }
    }
}

#[async_trait]
impl Relocator for Fake {
    async fn prepare(&self, _: &WorkloadId, _: &NodeId) -> Result<(), PlatformError> {
        self.call("prepare", |_| ()).await
    }

    async fn place(
        &self,
        _: &WorkloadId,
        node: &NodeId,
        _: Option<&ReplicaId>,
    ) -> Result<ReplicaId, PlatformError> {
        let name = if node.as_str() == "h1" { "place source" } else { "place target" };
        self.call(name, |world| {
            world.running.insert(node.clone());
            replica(node)
        })
        .await
    }

    async fn is_ready(&self, _: &WorkloadId, node: &NodeId, _: &ReplicaId) -> Result<bool, PlatformError> {
        let name = if node.as_str() == "h1" { "ready source" } else { "ready target" };
        self.call(name, |world| {
            let now = world.running.contains(node);
            let Some(memory) = &mut world.memory else { return now };
            if let Some(before) = memory.get(node) {
                world.remembered.0 += 1;
                return *before;
            }
            world.remembered.1 += 1;
            memory.insert(node.clone(), now);
            now
        })
        .await
    }

    fn remembered(&self) -> u64 {
        self.world().remembered.0
    }

    fn forget_answers(&self) {
        if let Some(memory) = &mut self.world().memory {
            memory.clear();
        }
    }

    async fn retire(
        &self,
        _: &WorkloadId,
        node: &NodeId,
        _: Option<&ReplicaId>,
    ) -> Result<(), PlatformError> {
        let name = if node.as_str() == "h1" { "retire source" } else { "retire target" };
        self.call(name, |world| {
            world.running.remove(node);
            if world.weights.contains_key(&replica(node)) {
                world.violations.push(format!("{node} was stopped while it had traffic"));
            }
            if world.running.is_empty() {
                world.violations.push("both ends are gone".to_owned());
            }
        })
        .await
    }
}

#[async_trait]
impl TrafficShifter for Fake {
    async fn weights(&self, _: &ServiceId) -> Result<BTreeMap<ReplicaId, u32>, PlatformError> {
        self.call("weights", |world| world.weights.clone()).await
    }

    async fn set_weights(
        &self,
        _: &ServiceId,
        weights: &BTreeMap<ReplicaId, u32>,
    ) -> Result<(), PlatformError> {
        let weights = weights.clone();
        self.call("set weights", |world| {
            let started: BTreeSet<ReplicaId> = world.running.iter().map(replica).collect();
            for stopped in weights.keys().filter(|r| r.as_str() != "cart@h9" && !started.contains(*r)) {
                world.violations.push(format!("traffic for {stopped}, which does not run"));
            }
            if weights.get(&ReplicaId::from("cart@h9")) != Some(&100) {
                world.violations.push("the weight of another replica was changed".to_owned());
            }
            world.weights = weights;
        })
        .await
    }

    async fn restore(&self, _: &ServiceId) -> Result<(), PlatformError> {
        self.call("restore", |_| ()).await
    }
}

#[async_trait]
impl GateSource for Fake {
    async fn sample(
        &self,
        _: &ServiceId,
        node: &NodeId,
        _: Quantile,
        from: Timestamp,
        to: Timestamp,
    ) -> Option<GateSample> {
        assert!(from < to);
        {
            let mut world = self.world();
            let state = world.state.clone();
            world.samples.push(Sampled { state, node: node.clone(), from, to });
        }
        let of_target = node.as_str() != "h1";
        let sampled = self.call(if of_target { "sample target" } else { "sample source" }, |world| {
            let (requests, server_errors) = if of_target { world.target_sample? } else { (1000, 0) };
            let settling = !of_target && world.state == "Settling";
            let few = world.source_rps.filter(|_| settling).map(|rps| rps * to.ms_since(from) / 1000);
            // The past ends where the ramp began; a look that goes further sees the ramp too.
            let began = world
                .samples
                .iter()
                .filter(|of| of.state == "Settling" && of.node == *node)
                .map(|of| of.to)
                .min();
            let few = few.map(|few| {
                few + if began.is_some_and(|began| to > began) { world.source_in_ramp } else { 0 }
            });
            let requests = few.map_or(requests, |few| u64::try_from(few).unwrap_or_default());
            // A replica without traffic has no requests, whatever it did before.
            let draining = world.state == "Draining" || world.state.starts_with("RollingBack(drain");
            let requests = if draining { 0 } else { requests };
            Some(GateSample { requests, server_errors: server_errors.min(requests), latency_ms: 10.0 })
        });
        sampled.await.ok().flatten()
    }
}

#[async_trait]
impl Validator for Fake {
    async fn validate(&self, _: &RolloutRecord) -> Option<Validity> {
        self.call("validate", |world| world.validity.clone()).await.ok().flatten()
    }
}

#[async_trait]
impl Reporter for Fake {
    async fn report(&self, record: &RolloutRecord, transition: usize) -> Result<(), ReportError> {
        let to = record.history[transition].to;
        self.world().state = to.to_string();
        let id = record.id.to_string();
        let reported = self.call("report", |world| world.reports.push((id, transition, to))).await;
        reported.map_err(|error| ReportError(Box::new(error)))
    }
}
