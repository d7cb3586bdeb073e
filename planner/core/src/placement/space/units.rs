//! What there is to know of a replica before it is moved: whether it may be, for which policy, and what that costs.
use super::{MeshSpace, own_limits::OwnLimits};
use crate::{
    inputs::Inputs,
    placement::{
        NothingBecause,
        constraint::{Immovable, movable},
        layout::{Layout, WorkloadIndex},
        search::Space,
    },
    plan::Move,
    policy::{Mode, NotPermitted, RelocationPolicy, objective, permits},
    time::Timestamp,
    twin::{MeshModel, NodeIx, ReplicaIx},
};

const DAY_MS: i64 = 24 * 3_600_000;

/// Length of a move after which it counts twice, in milliseconds: caches are cold, and two replicas are paid for.
const LONG_MOVE_MS: f64 = 600_000.0;

/// Doublings for moves of the last day, at most.
const MOST_AGAIN: usize = 4;

/// One replica that may be moved, or not.
#[derive(Clone, Debug)]
pub(in crate::placement) struct Unit<'a> {
    pub(in crate::placement) workload: WorkloadIndex,
    /// The policy that lets it move.
    pub(in crate::placement) policy: Option<&'a RelocationPolicy>,
    /// Nodes that are looked at.
    pub(in crate::placement) targets: Vec<NodeIx>,
    /// Why it is not moved, wherever to.
    pub(in crate::placement) stays: Option<NothingBecause>,
    pub(in crate::placement) disruption: f64,
    /// Look-ahead of its objective in milliseconds.
    pub(in crate::placement) within_ms: i64,
    /// How full a node may be for it.
    pub(in crate::placement) limits: OwnLimits,
}

/// Place of a replica's workload in a layout. Every replica of the twin has one: both are made from the same snapshot.
pub(super) fn workload_of(layout: &Layout<'_>, mesh: &MeshModel, unit: ReplicaIx) -> WorkloadIndex {
    layout.workload_index(mesh.replica(unit).0).unwrap_or(WorkloadIndex(0))
}

impl<'a> MeshSpace<'_, 'a> {
    /// What there is to know of a unit; it is found out once.
    pub(in crate::placement) fn known(&mut self, unit: ReplicaIx) -> &Unit<'a> {
        if !self.units.contains_key(&unit) {
            let found = self.find_out(unit);
            self.units.insert(unit, found);
        }
        &self.units[&unit]
    }

    fn find_out(&self, unit: ReplicaIx) -> Unit<'a> {
        let workload = workload_of(&self.layout, self.mesh, unit);
        let service = self.mesh.service(self.service_of(unit));
        let asked = self.asked.get(&self.service_of(unit)).copied();
        let policy = asked.or_else(|| policy_for(&self.inputs, self.mode, service));
        let rule = objective(self.inputs.policies, service);
        let within_ms = rule.map_or(0, |rule| rule.within_ms);
        let stays = self.stays(unit, workload, policy).err();
        let targets = if stays.is_some() { Vec::new() } else { self.targets_of(unit, within_ms) };
        let limits = OwnLimits::of(self.inputs.policies, service);
        Unit { workload, policy, targets, stays, disruption: self.disrupted(unit), within_ms, limits }
    }

    /// Whether the replica may be moved at all; how many at once is not asked here.
    fn stays(
        &self,
        unit: ReplicaIx,
        index: WorkloadIndex,
        policy: Option<&'a RelocationPolicy>,
    ) -> Result<(), NothingBecause> {
        let (id, _) = self.layout.workload(index);
        let (_, replica) = self.mesh.replica(unit);
        let workload = || id.clone();
        if self.moves_already(unit) {
            return Err(NothingBecause::RolloutInProgress { workload: workload() });
        }
        movable(&self.layout, index).map_err(|why| match why {
            Immovable::Pinned { reason } => NothingBecause::Pinned { workload: workload(), reason },
            Immovable::NotReady { replica } => NothingBecause::NotReady { workload: workload(), replica },
            why => NothingBecause::Immovable { workload: workload(), why },
        })?;
        let Some(policy) = policy else { return Err(NothingBecause::NoPolicy { workload: workload() }) };
        let node = self.mesh.node(self.home(unit));
        match permits(&self.inputs, policy, (id, replica), node, node, &[]) {
            Ok(()) | Err(NotPermitted::Concurrent { .. }) => {}
            Err(NotPermitted::Cooldown { rest, .. }) => {
                return Err(NothingBecause::Cooldown { workload: workload(), rest });
            }
            Err(why) => return Err(NothingBecause::NotPermitted { why }),
        }
        match self.mesh.replica_unknown(unit).or_else(|| self.mesh.node_unknown(self.home(unit))) {
            Some(why) => Err(NothingBecause::TwinUnknown { why: why.clone() }),
            None => Ok(()),
        }
    }

    /// Whether it is moved by a move in flight or one that was chosen before, or gets traffic by one.
    pub(in crate::placement) fn moves_already(&self, unit: ReplicaIx) -> bool {
        let (workload, _) = self.mesh.replica(unit);
        self.inputs.in_flight.iter().any(|moving| moving.workload == *workload)
            || self.taken.iter().any(|(taken, _)| *taken == unit)
    }

    /// Cost of a planned move in itself. Where only traffic goes, only that traffic is put at risk, and for no longer than
    /// it takes to go.
    pub(in crate::placement) fn disruption_of(&self, planned: &Move) -> f64 {
        let Some(unit) = self.mesh.replica_ix(&planned.workload, &planned.replica) else { return 0.0 };
        if !planned.is_shift() {
            return self.disrupted(unit);
        }
        let (before, after) = (planned.traffic.before.source, planned.traffic.after.source);
        let part = f64::from(before.saturating_sub(after)) / f64::from(before.max(1));
        part * self.requests_at_risk(unit) * self.again(unit) + self.inputs.settings.move_cost
    }

    /// The part of its service's weighted requests that moving a replica puts at risk.
    fn requests_at_risk(&self, unit: ReplicaIx) -> f64 {
        let requests = self.mesh.weight(self.service_of(unit)) * self.evaluation.share_of(unit);
        requests * self.inputs.settings.disruption
    }

    /// How much more that counts after moves of the last day.
    fn again(&self, unit: ReplicaIx) -> f64 {
        let (workload, replica) = self.mesh.replica(unit);
        let lately = |ended: Timestamp| self.inputs.now.ms_since(ended) < DAY_MS;
        // A move that this one was to follow is a part of the same cure.
        let past = self.inputs.past_moves.iter().filter(|past| !past.then.contains(replica));
        let again = past.filter(|past| past.workload == *workload && lately(past.ended_at)).count();
        2.0f64.powi(again.min(MOST_AGAIN) as i32)
    }

    /// Cost of a move in itself: the share of the service's requests that counts as put at risk, more for a move that
    /// takes long and for a workload that was moved lately, and a constant, so that a move is never for nothing.
    fn disrupted(&self, unit: ReplicaIx) -> f64 {
        let length = self.inputs.duration_of(self.mesh.replica(unit).0).max(0) as f64 / LONG_MOVE_MS;
        self.requests_at_risk(unit) * (1.0 + length) * self.again(unit) + self.inputs.settings.move_cost
    }
}

/// The policy that lets a service be moved: the first by name of those that go at least so far.
fn policy_for<'a>(
    inputs: &Inputs<'a>,
    mode: Mode,
    service: &crate::ids::ServiceId,
) -> Option<&'a RelocationPolicy> {
    let concerned = inputs.policies.iter().filter(|policy| policy.mode >= mode && policy.selects(service));
    concerned.min_by(|a, b| a.id.cmp(&b.id))
}
