//! Whether the weights of a move are what the platform has, and lead where they should.
use super::Violation;
use crate::{
    inputs::Inputs,
    plan::{Move, PairWeights},
    topology::Workload,
};

pub(super) fn check(
    planned: &Move,
    workload: &Workload,
    inputs: &Inputs<'_>,
    violations: &mut Vec<Violation>,
) {
    let id = || planned.workload.clone();
    let (before, after) = (planned.traffic.before, planned.traffic.after);
    let target = planned.shift_to.as_ref().map(|replica| (replica, workload.replicas.get(replica)));
    if let Some((replica, found)) = target
        && found.is_none_or(|found| found.node != planned.to || !found.ready)
    {
        let (replica, node) = (replica.clone(), planned.to.clone());
        violations.push(Violation::TargetNotServing { workload: id(), replica, node });
        return;
    }
    let actual = PairWeights {
        source: workload.replicas.get(&planned.replica).map_or(0, |source| source.weight),
        target: target.and_then(|(_, found)| found).map_or(0, |target| target.weight),
    };
    if actual != before {
        violations.push(Violation::WeightsChanged { workload: id(), actual, planned: before });
    }
    if let Some(why) = wrong(planned, workload) {
        violations.push(Violation::Weights { workload: id(), traffic: planned.traffic, why: why.to_owned() });
    }
    let uneven = planned.is_shift() || after.target != before.source;
    if uneven && !inputs.snapshot.capabilities.weights {
        violations.push(Violation::NoWeights { workload: id() });
    }
}

fn wrong(planned: &Move, workload: &Workload) -> Option<&'static str> {
    let (before, after) = (planned.traffic.before, planned.traffic.after);
    if planned.is_shift() {
        let kept = u64::from(before.source) + u64::from(before.target)
            == u64::from(after.source) + u64::from(after.target);
        return if !kept {
            Some("what the source loses the target must get")
        } else if after.source >= before.source {
            Some("the source must lose some")
        } else {
            None
        };
    }
    let others = workload.replicas.iter().filter(|(replica, _)| **replica != planned.replica);
    let others = others.filter(|(_, other)| other.ready && other.weight > 0).count();
    if before.target != 0 || after.source != 0 {
        Some("the target begins with nothing, and the source ends with nothing")
    } else if after.target > before.source {
        Some("the target may not get more than the source had")
    } else if after.target < before.source && (after.target == 0 || others == 0) {
        Some("somebody must be left to serve")
    } else {
        None
    }
}
