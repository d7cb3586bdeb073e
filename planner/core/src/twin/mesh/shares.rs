//! How the requests of each service are shared out: now, and once the moves in flight are over.
use crate::{
    ids::{NodeId, ReplicaId, WorkloadId},
    inputs::Inputs,
};
use std::collections::BTreeMap;

/// Weights of all replicas of one service.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weights {
    sum: u64,
    replicas: u64,
}

impl Weights {
    pub(super) const fn add(&mut self, weight: u32) {
        self.sum += weight as u64;
        self.replicas += 1;
    }

    /// A weight as it counts: where no replica has one, all are alike.
    pub(super) const fn counted(self, weight: u32) -> f32 {
        if self.sum == 0 { 1.0 } else { weight as f32 }
    }

    /// Part of the requests of who has this weight.
    pub(super) const fn share(self, weight: u32) -> f32 {
        let sum = if self.sum == 0 { self.replicas } else { self.sum };
        self.counted(weight) / sum as f32
    }
}

/// Where the moves in flight will leave replicas, and with which weights.
#[derive(Debug, Default)]
pub(super) struct Moving<'a> {
    to: BTreeMap<(&'a str, &'a str), &'a NodeId>,
    /// Where only traffic goes. A replica that moves keeps what it has: its successor has the rest, and both are counted
    /// on the target.
    weight: BTreeMap<(&'a str, &'a str), u32>,
}

impl<'a> Moving<'a> {
    pub(super) fn of(inputs: &Inputs<'a>) -> Self {
        let mut moving = Self::default();
        for flight in inputs.in_flight {
            let workload = flight.workload.as_str();
            if let Some(target) = &flight.shift_to {
                moving.weight.insert((workload, flight.replica.as_str()), flight.traffic.after.source);
                moving.weight.insert((workload, target.as_str()), flight.traffic.after.target);
            } else {
                moving.to.insert((workload, flight.replica.as_str()), &flight.to);
            }
        }
        moving
    }

    pub(super) fn to(&self, workload: &WorkloadId, replica: &ReplicaId) -> Option<&'a NodeId> {
        self.to.get(&(workload.as_str(), replica.as_str())).copied()
    }

    pub(super) fn weight(&self, workload: &WorkloadId, replica: &ReplicaId) -> Option<u32> {
        self.weight.get(&(workload.as_str(), replica.as_str())).copied()
    }
}
