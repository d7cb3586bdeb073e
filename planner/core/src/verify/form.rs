//! What can be said of a move without asking the twin.
use super::{Violation, rule_of, weights};
use crate::{
    inputs::Inputs,
    plan::Move,
    policy::{
        NotPermitted, RelocationPolicy,
        permit::{Scope, budget_left, who_lets},
        permits,
    },
};
use std::{borrow::Cow, collections::BTreeSet};

/// Places in the plan of all moves that one waits for, directly or through others.
pub(crate) fn waited_for(moves: &[Move], index: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut open = vec![index];
    while let Some(at) = open.pop() {
        for after in &moves[at].after {
            let before = moves[..at].iter().position(|before| before.workload == *after);
            if let Some(before) = before.filter(|before| found.insert(*before)) {
                open.push(before);
            }
        }
    }
    found
}

/// Checks the move at a place in the plan, with those before it.
pub(super) fn of_move(moves: &[Move], index: usize, inputs: &Inputs<'_>, violations: &mut Vec<Violation>) {
    let (before, planned) = (&moves[..index], &moves[index]);
    if planned.from == planned.to {
        let (replica, node) = (planned.replica.clone(), planned.to.clone());
        violations.push(Violation::SameNode { replica, node });
    }
    let ramp = &planned.ramp_percent;
    let rises = ramp.windows(2).all(|pair| pair[0] < pair[1]) && ramp.first().is_some_and(|first| *first > 0);
    if !rises || ramp.last() != Some(&100) {
        violations.push(Violation::Ramp { ramp: ramp.clone() });
    }
    for after in &planned.after {
        if !before.iter().any(|other| other.workload == *after) {
            let workload = planned.workload.clone();
            violations.push(Violation::Order { workload, after: after.clone() });
        }
    }
    permitted(moves, index, inputs, violations);
    of_snapshot(planned, inputs, violations);
}

/// The rule that asks for it, and the guard rails of the policy that lets it move.
fn permitted(moves: &[Move], index: usize, inputs: &Inputs<'_>, violations: &mut Vec<Violation>) {
    let (before, planned) = (&moves[..index], &moves[index]);
    let no_rule = || Violation::NoSuchRule {
        policy: planned.reason.policy.clone(),
        rule: planned.reason.rule.clone(),
        service: planned.service.to_string(),
    };
    let Some((asks, _)) = rule_of(inputs, planned) else {
        violations.push(no_rule());
        return;
    };
    let lets: Vec<&RelocationPolicy> = who_lets(inputs.policies, asks, &planned.service);
    if lets.is_empty() {
        violations.push(no_rule());
        return;
    }
    let done = waited_for(moves, index);
    let beside: Cow<'_, [Move]> = if done.is_empty() {
        Cow::Borrowed(before)
    } else {
        (0..index).filter(|at| !done.contains(at)).map(|at| before[at].clone()).collect()
    };
    let refused = |policy: &RelocationPolicy| {
        let asked = |chosen: &[Move]| {
            permits(inputs, policy, (&planned.workload, &planned.replica), &planned.from, &planned.to, chosen)
                .err()
        };
        asked(&beside).or_else(|| budget_left(inputs, policy, before).err())
    };
    let judged: Vec<Option<NotPermitted>> = lets.into_iter().map(refused).collect();
    let why = if judged.contains(&None) { None } else { judged.into_iter().flatten().next() };
    // Of the same workload it was said already: it is moved twice.
    let said = |why: &NotPermitted| matches!(why, NotPermitted::Concurrent { scope: Scope::Workload(_), .. });
    if let Some(why) = why.filter(|why| !said(why)) {
        violations.push(Violation::NotPermitted { workload: planned.workload.clone(), why });
    }
}

fn of_snapshot(planned: &Move, inputs: &Inputs<'_>, violations: &mut Vec<Violation>) {
    let replica = planned.replica.clone();
    let workload = inputs.snapshot.workloads.get(&planned.workload);
    let Some((workload, placed)) = workload.and_then(|w| Some((w, w.replicas.get(&planned.replica)?))) else {
        violations.push(Violation::NoSuchReplica { workload: planned.workload.clone(), replica });
        return;
    };
    if workload.service != planned.service {
        violations.push(Violation::OtherService {
            workload: planned.workload.clone(),
            actual: workload.service.to_string(),
            planned: planned.service.to_string(),
        });
    }
    if placed.node != planned.from {
        let (actual, from) = (placed.node.clone(), planned.from.clone());
        violations.push(Violation::NotOnSource { replica, actual, planned: from });
    }
    if let Some(reason) = &workload.pinned {
        violations.push(Violation::Pinned { workload: planned.workload.clone(), reason: reason.clone() });
    }
    weights::check(planned, workload, inputs, violations);
}
