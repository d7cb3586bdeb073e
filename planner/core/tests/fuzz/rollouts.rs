//! Moves that are under way: most succeed, some fail before or after they have traffic, some hang.
use crate::random::Random;
use foremesh_core::{
    ids::{ReplicaId, WorkloadId},
    inputs::InFlight,
    plan::{Move, PairWeights},
    policy::PastMove,
    time::Timestamp,
};

/// A move under way.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(crate) planned: Move,
    pub(crate) successor: ReplicaId,
    /// By the planner's clock.
    pub(crate) started_at: Timestamp,
    /// By the planner's clock, when the successor first had traffic.
    pub(crate) shifted_at: Option<Timestamp>,
    outcome: Outcome,
    /// Workloads whose moves must be over first.
    pub(crate) waits_for: Vec<WorkloadId>,
    /// Steps since it began.
    age: usize,
    /// Steps until the successor gets traffic, and from then on until it is over.
    ready_after: usize,
    over_after: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Succeeded,
    /// The successor never became ready.
    Aborted,
    /// The successor was worse, and the traffic went back.
    RolledBack,
}

impl Flight {
    pub(crate) fn new(planned: Move, successor: ReplicaId, now: Timestamp, random: &mut Random) -> Self {
        let outcome = match random.count(0, 9) {
            0 => Outcome::Aborted,
            1 => Outcome::RolledBack,
            _ => Outcome::Succeeded,
        };
        // Some take long, some hang until a deadline ends them.
        let ready_after = if random.chance(0.1) { random.count(8, 30) } else { random.count(1, 3) };
        Self {
            waits_for: planned.after.clone(),
            planned,
            successor,
            started_at: now,
            shifted_at: None,
            outcome,
            age: 0,
            ready_after,
            over_after: random.count(1, 3),
        }
    }

    /// Share of the replica's requests that go to its successor.
    pub(crate) const fn target_share(&self) -> f64 {
        if self.shifted_at.is_none() {
            0.0
        } else if matches!(self.outcome, Outcome::RolledBack) {
            0.3
        } else {
            0.8
        }
    }

    /// One step later; what came of it, once it is over.
    pub(crate) fn advance(&mut self, now: Timestamp) -> Option<Outcome> {
        self.age += 1;
        let shifts = self.outcome != Outcome::Aborted;
        if self.age >= self.ready_after && shifts && self.shifted_at.is_none() {
            self.shifted_at = Some(now);
        }
        (self.age >= self.ready_after + self.over_after).then_some(self.outcome)
    }

    /// Whether the platform shows the successor, and whether as ready.
    pub(crate) const fn shown(&self) -> Option<bool> {
        if self.age == 0 || self.planned.is_shift() { None } else { Some(self.shifted_at.is_some()) }
    }

    /// Weights of the two ends now, as the platform stores them.
    pub(crate) fn weights(&self) -> PairWeights {
        self.planned.traffic.at((self.target_share() * 100.0) as u8)
    }

    /// Weight of a replica now, when it is one of the ends.
    pub(crate) fn weight_of(&self, workload: &WorkloadId, replica: &ReplicaId) -> Option<u32> {
        if self.planned.workload != *workload {
            return None;
        }
        let target = self.planned.shift_to.as_ref().unwrap_or(&self.successor);
        if self.planned.replica == *replica {
            Some(self.weights().source)
        } else {
            (target == replica).then(|| self.weights().target)
        }
    }

    pub(crate) fn in_flight(&self) -> InFlight {
        InFlight::of(&self.planned)
    }

    pub(crate) fn past(&self, outcome: Outcome, now: Timestamp) -> PastMove {
        PastMove {
            workload: self.planned.workload.clone(),
            service: self.planned.service.clone(),
            from: self.planned.from.clone(),
            to: self.planned.to.clone(),
            started_at: self.started_at,
            ended_at: now,
            failed: outcome != Outcome::Succeeded,
            then: if outcome == Outcome::Succeeded { self.planned.then.clone() } else { Vec::new() },
        }
    }
}
