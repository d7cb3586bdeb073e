//! Which time of a call was spent on the way: what its caller saw less what its callee saw.
//!
//! The caller's proxy does not say which replica answered, and the callee's not always who asked. So both are put together
//! only where that is clear: in a step in which one node alone answered for the service, and, where the callee's proxy
//! does not know its callers, one workload alone asked.
use super::DistanceSample;
use crate::{
    ids::{NodeId, ServiceId},
    time::Timestamp,
};
use std::collections::BTreeMap;

/// Part by which the two ends may differ in what they counted and still have seen the same calls.
const ALIKE: f64 = 0.1;

/// Calls below which a step says nothing.
const FEWEST: u64 = 10;

/// What the proxies at one end of some calls saw in a step.
#[derive(Clone, Debug, PartialEq)]
pub struct CallTimes {
    /// Start of the step.
    pub start: Timestamp,
    /// Whether the callers' proxies saw it, or the callee's.
    pub by_caller: bool,
    /// Workload that called; empty where it is not known.
    pub caller: String,
    /// Service that was called.
    pub callee: ServiceId,
    /// Node of the proxies.
    pub node: NodeId,
    /// Finished calls.
    pub calls: u64,
    /// Their times in milliseconds, summed up.
    pub sum_ms: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    calls: u64,
    ms: f64,
}

impl Sum {
    fn add(&mut self, times: &CallTimes) {
        self.calls += times.calls;
        self.ms += times.sum_ms;
    }

    fn mean(self) -> f64 {
        self.ms / self.calls as f64
    }
}

/// All that was seen of one service in one step.
#[derive(Clone, Debug, Default)]
struct Seen<'a> {
    /// By the node of the caller and the workload that called.
    callers: BTreeMap<(&'a NodeId, &'a str), Sum>,
    /// By the node that answered and the workload that called.
    answers: BTreeMap<(&'a NodeId, &'a str), Sum>,
}

/// Samples of distances, one for each step, caller's node and callee's node that can be put together.
pub fn samples(times: &[CallTimes]) -> Vec<DistanceSample> {
    let mut seen: BTreeMap<(Timestamp, &ServiceId), Seen<'_>> = BTreeMap::new();
    for times in times.iter().filter(|times| times.calls > 0) {
        let seen = seen.entry((times.start, &times.callee)).or_default();
        let side = if times.by_caller { &mut seen.callers } else { &mut seen.answers };
        side.entry((&times.node, &times.caller)).or_default().add(times);
    }
    seen.values().flat_map(Seen::samples).collect()
}

impl Seen<'_> {
    fn samples(&self) -> Vec<DistanceSample> {
        let Some((callee, _)) = self.answers.keys().next().copied() else { return Vec::new() };
        if self.answers.keys().any(|(node, _)| *node != callee) {
            return Vec::new();
        }
        let mut asked: BTreeMap<&str, Sum> = BTreeMap::new();
        for ((_, caller), sum) in &self.callers {
            let all = asked.entry(caller).or_default();
            all.calls += sum.calls;
            all.ms += sum.ms;
        }
        let sample = |((caller, workload), seen): (&(&NodeId, &str), &Sum)| {
            let all = asked.get(workload)?;
            let answered = self.answered(callee, workload, asked.len() == 1)?;
            let alike = (all.calls as f64 - answered.calls as f64).abs() <= ALIKE * all.calls as f64;
            let difference_ms = seen.mean() - answered.mean();
            (alike && seen.calls >= FEWEST && difference_ms.is_finite()).then(|| DistanceSample {
                caller: (*caller).clone(),
                callee: callee.clone(),
                difference_ms,
                calls: seen.calls,
            })
        };
        self.callers.iter().filter_map(sample).collect()
    }

    /// What the callee saw of a workload's calls: told by it, or all that it saw where nobody else called.
    fn answered(&self, node: &NodeId, workload: &str, alone: bool) -> Option<Sum> {
        if let Some(known) = self.answers.get(&(node, workload)) {
            return Some(*known);
        }
        let unnamed = self.answers.get(&(node, "")).copied();
        unnamed.filter(|_| alone && self.answers.len() == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(by_caller: bool, caller: &str, node: &str, calls: u64, mean_ms: f64) -> CallTimes {
        CallTimes {
            start: Timestamp::default(),
            by_caller,
            caller: caller.to_owned(),
            callee: "cart".into(),
            node: node.into(),
            calls,
            sum_ms: mean_ms * calls as f64,
        }
    }

    /// Nodes of caller and callee, and milliseconds between them.
    type Pairs = &'static [(&'static str, &'static str, f64)];

    #[test]
    fn only_what_is_clear_is_put_together() {
        let asked = |caller, node, calls, ms| times(true, caller, node, calls, ms);
        let answered = |caller, node, calls, ms| times(false, caller, node, calls, ms);
        let cases: [(&str, Vec<CallTimes>, Pairs); 9] = [
            (
                "two named ends",
                vec![asked("web", "a", 100, 7.0), answered("web", "b", 100, 5.0)],
                &[("a", "b", 2.0)],
            ),
            (
                "a caller that the callee does not know",
                vec![asked("web", "a", 100, 7.0), answered("", "b", 100, 5.0)],
                &[("a", "b", 2.0)],
            ),
            (
                "two of these",
                vec![asked("web", "a", 100, 7.0), asked("app", "a", 100, 6.0), answered("", "b", 200, 5.0)],
                &[],
            ),
            (
                "callers on two nodes",
                vec![asked("web", "a", 60, 7.0), asked("web", "b", 40, 5.1), answered("web", "b", 100, 5.0)],
                &[("a", "b", 2.0), ("b", "b", 0.1)],
            ),
            (
                "replicas on two nodes",
                vec![
                    asked("web", "a", 100, 7.0),
                    answered("web", "b", 50, 5.0),
                    answered("web", "c", 50, 5.0),
                ],
                &[],
            ),
            ("nobody told how long it took", vec![asked("web", "a", 100, 7.0)], &[]),
            ("nobody told who asked", vec![answered("web", "b", 100, 5.0)], &[]),
            (
                "summaries of one end are missing",
                vec![asked("web", "a", 100, 7.0), answered("web", "b", 60, 5.0)],
                &[],
            ),
            ("too few", vec![asked("web", "a", 9, 7.0), answered("web", "b", 9, 5.0)], &[]),
        ];
        for (name, times, want) in cases {
            let found = samples(&times);
            assert_eq!(found.len(), want.len(), "case: {name}: {found:?}");
            for (found, (caller, callee, ms)) in found.iter().zip(want) {
                assert_eq!(
                    (found.caller.as_str(), found.callee.as_str()),
                    (*caller, *callee),
                    "case: {name}"
                );
                assert!((found.difference_ms - ms).abs() < 1e-9, "case: {name}: {found:?}");
            }
        }
    }
}
