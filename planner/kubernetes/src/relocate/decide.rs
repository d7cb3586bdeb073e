//! What comes next of a move, by what is stored of it and what is there: pure.
//!
//! Nothing is remembered beside the stored entry, so a planner that was killed between any two writes goes on where it
//! was. Each step changes one object; then all is read again.
//!
//! # Who says how many replicas there are
//!
//! `B` is the number of before, `R` the one that the Deployment has now. The API server keeps who wrote a number last
//! (`managedFields`), which tells ours from others', however long ago; where it does not know, the number is taken for ours. A number that somebody else writes is what they
//! want to have in the end, whatever it was when they looked: with `kubectl scale`, with a commit, or by a load that an
//! autoscaler measured. It becomes the new `B`.
//!
//! | `R` is | written by | while surging | while a replica is taken away |
//! |--|--|--|--|
//! | `B` | anybody | it is raised; if this call had raised it, it was reverted: taken back | see below |
//! | `B + 1` | us | it is raised: the new pod is awaited | the pod to go goes first by its cost, then `R` becomes `B` |
//! | `B + 1` | others | interfered: taken back, `R` stays | `B` becomes `R`, then as below |
//! | other | anybody | interfered: taken back, `R` stays | `B` becomes `R`, then as below |
//!
//! While a replica is taken away, with `R = B`, and when as many pods are there as are wanted:
//!
//! | the pod to go is | `R` written by | what is done |
//! |--|--|--|
//! | gone | anybody | nothing: it is over. A revert takes the new pod before the promotion and the old one after it |
//! | there | us, and another one of those that there were is gone | the controller took the wrong one: an error that says so |
//! | there | otherwise | a scale-up kept it: raised to `B + 1`, and when all are ready lowered to `B` with it first to go |
//!
//! With an autoscaler the number that is raised and remembered is its `minReplicas`, `R` is its own affair. In the end
//! `minReplicas` is put back where it is still ours, and `R` is lowered by one, which the autoscaler is free to correct:
//! left alone it would keep the replica for as long as its stabilization lasts, and without metrics for ever.
mod leave;
mod place;
mod release;

pub(super) use leave::{Way, forsaken, leave, way};
pub(super) use place::{is_over, place, settled};
pub(super) use release::release;

use super::{
    error::{RelocateError, Why},
    seen::{Pod, Scaler, Seen},
};
use crate::moving::{Moved, Scaled};
use foremesh_core::ids::{ReplicaId, WorkloadId};
use std::cmp::Ordering;

/// What a decision is made by.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'a> {
    pub(super) workload: &'a WorkloadId,
    pub(super) entry: Option<&'a Moved>,
    pub(super) seen: &'a Seen,
    /// The deadline has passed: what is not there now is not waited for.
    pub(super) late: bool,
    /// This call has raised the number of replicas.
    pub(super) raised: bool,
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Store what is moving.
    Store(Moved),
    /// Nothing moves any more.
    Forget,
    /// Change the number of replicas of a Deployment that is still of this version.
    Scale { replicas: u32, version: String },
    /// Change the least number of an autoscaler that is still of this version.
    Least { scaler: String, replicas: u32, version: String },
    /// Change what a pod says of itself.
    Mark(Mark),
    /// Look again in a while.
    Wait(String),
    /// It is done.
    Done(Option<ReplicaId>),
    /// Take back what was done, then say this.
    TakeBack(RelocateError),
    /// It cannot be done.
    Fail(RelocateError),
}

/// What is changed of a pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Mark {
    pub(super) pod: String,
    pub(super) uid: String,
    pub(super) location: Change,
    pub(super) cost: Change,
}

/// What is changed of something that a pod says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Change {
    /// Nothing.
    #[default]
    Keep,
    /// It says this; nothing at all without a value.
    To(Option<String>),
}

/// What the number of replicas is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    /// As before the move.
    Before,
    /// One more, by us.
    Raised,
    /// Somebody else's.
    Foreign(u32),
}

/// Below this a pod goes before those that have no cost; the new pod has it until it is promoted.
pub(super) const FIRST_TO_GO: i32 = -100;
/// The new pod has it from its promotion on.
pub(super) const LAST_TO_GO: i32 = 100;

/// The new pod's label.
pub(super) const TARGET: &str = "target";

impl<'a> At<'a> {
    pub(super) fn fail(
        &self,
        why: Why,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> RelocateError {
        RelocateError::new(why, format!("workload `{}`", self.workload), problem, remedy)
    }

    /// What is waited for; with the deadline over, the error instead.
    pub(super) fn wait(&self, what: impl Into<String>, why: Why, remedy: &str) -> Step {
        let what = what.into();
        if self.late {
            Step::Fail(self.fail(why, format!("it still waits for {what}"), remedy))
        } else {
            Step::Wait(what)
        }
    }

    /// The autoscaler of the move, where it is still there.
    pub(super) fn scaler(&self, entry: &Moved) -> Option<&'a Scaler> {
        let Scaled::Hpa { name, .. } = &entry.scaler else { return None };
        self.seen.scalers.iter().find(|scaler| scaler.name == *name)
    }

    /// What the number of replicas is, against that of before the move.
    pub(super) fn number(&self, entry: &Moved) -> Number {
        let before = entry.replicas_before;
        let against = |now: u32, ours: bool, least: u32| match now {
            now if now == before + 1 && ours => Number::Raised,
            now if now == least => Number::Before,
            now => Number::Foreign(now),
        };
        let wanted = self.seen.deployment.as_ref().map(|deployment| (deployment.wanted, deployment.ours));
        let (now, ours) = wanted.unwrap_or((before, false));
        match (&entry.scaler, self.scaler(entry)) {
            (Scaled::Deployment, _) => against(now, ours, before),
            (Scaled::Hpa { min_before, .. }, Some(scaler)) => against(scaler.min, scaler.ours, *min_before),
            // Without the autoscaler what it had written stays.
            (Scaled::Hpa { .. }, None) => against(now, now == before + 1, before),
        }
    }

    /// Makes the number of replicas that of before, or one more.
    pub(super) fn set(&self, entry: &Moved, raised: bool) -> Step {
        let more = u32::from(raised);
        match (&entry.scaler, self.scaler(entry)) {
            (Scaled::Hpa { min_before, .. }, Some(scaler)) => Step::Least {
                scaler: scaler.name.clone(),
                replicas: if raised { entry.replicas_before + 1 } else { *min_before },
                version: scaler.version.clone(),
            },
            _ => self.scale(entry.replicas_before + more),
        }
    }

    pub(super) fn scale(&self, replicas: u32) -> Step {
        let version = self.seen.deployment.as_ref().map(|deployment| deployment.version.clone());
        Step::Scale { replicas, version: version.unwrap_or_default() }
    }

    /// Pods that are there and are not from before.
    pub(super) fn new_pods(&self, entry: &'a Moved) -> impl Iterator<Item = &'a Pod> {
        let known = |pod: &&Pod| entry.known.iter().any(|known| known.as_str() == pod.name);
        self.seen.live().filter(move |pod| !known(pod))
    }

    /// The new pod of the move: the stored one while it is there, else the most likely.
    pub(super) fn new_pod(&self, entry: &'a Moved) -> Option<&'a Pod> {
        let rank = |pod: &&Pod| {
            let stored = entry.target.as_ref().is_some_and(|target| target.as_str() == pod.name);
            let marked = pod.location.as_deref() == Some(TARGET);
            let there = pod.node == entry.to.as_str();
            (stored, marked, there)
        };
        // Of equals the one that came first.
        self.new_pods(entry).max_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| b.created.cmp(&a.created)))
    }

    /// Pods of several versions are there, or will be.
    pub(super) fn rolls_out(&self) -> bool {
        self.seen.live().any(|pod| !pod.current)
    }

    /// Neither a pod from before nor the new one is there.
    fn is_lost(&self, entry: &Moved) -> bool {
        let ours = |pod: &Pod| {
            let named = |replica: &ReplicaId| replica.as_str() == pod.name;
            entry.known.iter().any(named) || entry.target.as_ref().is_some_and(named)
        };
        self.seen.live().next().is_some() && !self.seen.live().any(ours)
    }

    /// The mark that makes a pod the first to go, unless it has it.
    pub(super) fn first_to_go(&self, pod: &Pod) -> Option<Mark> {
        let others = self.seen.live().filter(|other| other.name != pod.name).map(Pod::cost).min();
        let lowest = others.unwrap_or(0);
        if pod.cost() < lowest && pod.cost() <= FIRST_TO_GO {
            return None;
        }
        let cost = lowest.saturating_add(FIRST_TO_GO).min(FIRST_TO_GO);
        Some(Mark { cost: Change::To(Some(cost.to_string())), ..mark(pod) })
    }

    /// The mark that gives a pod the cost that its template says, unless it has it.
    pub(super) fn usual_cost(&self, pod: &Pod) -> Option<Mark> {
        let usual = self.seen.deployment.as_ref().and_then(|deployment| deployment.cost.clone());
        (pod.cost != usual).then(|| Mark { cost: Change::To(usual), ..mark(pod) })
    }

    /// Whether a controller that has one pod too many takes this one: by the order of its own criteria, of which the cost
    /// is only the fourth. Equal in all of them is not enough.
    pub(super) fn goes_first(&self, pod: &Pod) -> bool {
        let order = |pod: &Pod| (!pod.node.is_empty(), pod.phase, pod.ready, pod.cost());
        let mut others = self.seen.live().filter(|other| other.name != pod.name);
        others.all(|other| order(pod).cmp(&order(other)) == Ordering::Less)
    }
}

/// Changes nothing of a pod yet.
pub(super) fn mark(pod: &Pod) -> Mark {
    Mark { pod: pod.name.clone(), uid: pod.uid.clone(), ..Mark::default() }
}

/// Whether the pods of a move are replaced, and how that is seen.
pub(super) fn overtaken(at: &At<'_>) -> Option<String> {
    if at.rolls_out() {
        let old = at.seen.live().filter(|pod| !pod.current).count();
        return Some(format!("the pod template was changed, and {old} pods of before it go"));
    }
    at.is_lost(at.entry?)
        .then(|| "neither the pods of before the move nor its new one are there any more".to_owned())
}
