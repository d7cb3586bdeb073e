//! One replica more, on the planned node.
use super::{At, Change, Mark, Number, Step, TARGET, mark, release};
use crate::{
    moving::{Moved, MovedKind, MovedPhase, Scaled},
    relocate::{
        error::{RelocateError, Why},
        seen::{Pod, Scaler},
    },
};
use foremesh_core::ids::{NodeId, ReplicaId};
use std::collections::BTreeSet;

/// What comes next until the new replica runs on the node; done, with its name, when it does.
pub(in crate::relocate) fn place(at: &At<'_>, to: &NodeId) -> Step {
    let there = at.seen.deployment.as_ref().filter(|deployment| !deployment.terminating);
    if there.is_none() {
        let gone = at.fail(
            Why::NotFound,
            "there is no such Deployment, or it is being deleted",
            "nothing is to be done",
        );
        return if at.entry.is_some() { Step::Forget } else { Step::Fail(gone) };
    }
    let Some(entry) = at.entry else { return begin(at, to) };
    if is_over(at, entry, to) {
        // Somebody forgot to release it.
        return release(at);
    }
    if entry.to != *to || entry.phase == MovedPhase::Retiring {
        return found(at, entry, to);
    }
    if at.rolls_out() {
        let problem = "another version of it is being rolled out";
        return Step::TakeBack(at.fail(
            Why::Interfered,
            problem,
            "let its rollout end, then it can be moved",
        ));
    }
    match at.number(entry) {
        Number::Foreign(number) => {
            let problem =
                format!("somebody else set its number of replicas, or its least number, to {number}");
            Step::TakeBack(at.fail(Why::Interfered, problem, "nothing is to be done, it can be moved again"))
        }
        Number::Before if at.raised => {
            let problem =
                format!("somebody else put its number of replicas back to {}", entry.replicas_before);
            let remedy =
                "find in its managedFields who sets it, and let them leave the field `replicas` alone";
            Step::TakeBack(at.fail(Why::Interfered, problem, remedy))
        }
        Number::Before => raise(at, entry),
        Number::Raised => follow(at, entry, to),
    }
}

/// What an entry was stored for is over: it retired its source, or took its target back. For the same node it is found
/// and never begun anew, because a call that is repeated must not start another one.
pub(in crate::relocate) fn is_over(at: &At<'_>, entry: &Moved, to: &NodeId) -> bool {
    let settled =
        at.number(entry) == Number::Before && at.seen.live().count() <= entry.replicas_before as usize;
    if entry.to == *to || !settled {
        return false;
    }
    let ours = at.seen.deployment.as_ref().is_some_and(|deployment| deployment.ours);
    let target = entry.target.as_ref().and_then(|target| at.seen.live_pod(target.as_str()));
    let known = |pod: &Pod| entry.known.iter().any(|known| known.as_str() == pod.name);
    match entry.phase {
        MovedPhase::Retiring => {
            let source = at.seen.live().any(|pod| known(pod) && pod.node == entry.from.as_str());
            target.is_some() && (ours || !source)
        }
        _ => target.is_none(),
    }
}

fn begin(at: &At<'_>, to: &NodeId) -> Step {
    if let Err(refused) = settled(at) {
        return Step::Fail(refused);
    }
    let wanted = at.seen.deployment.as_ref().map_or(0, |deployment| deployment.wanted);
    let known = known(at);
    // Where it comes from is known for certain when it is retired.
    let elsewhere = at.seen.live().find(|pod| pod.node != to.as_str());
    let from = elsewhere.map_or_else(|| to.clone(), |pod| NodeId::new(pod.node.clone()));
    let scaler = at.seen.scalers.first().map_or(Scaled::Deployment, |scaler| Scaled::Hpa {
        name: scaler.name.clone(),
        min_before: scaler.min,
    });
    Step::Store(Moved {
        workload: at.workload.clone(),
        kind: MovedKind::Deployment,
        from,
        to: to.clone(),
        known,
        replicas_before: wanted,
        scaler,
        target: None,
        phase: MovedPhase::Surging,
    })
}

fn known(at: &At<'_>) -> BTreeSet<ReplicaId> {
    at.seen.pods.iter().map(|pod| ReplicaId::new(pod.name.clone())).collect()
}

/// Whether nothing else is going on with it.
///
/// # Errors
/// What it is.
pub(in crate::relocate) fn settled(at: &At<'_>) -> Result<(), RelocateError> {
    let Some(deployment) = &at.seen.deployment else {
        return Err(at.fail(Why::NotFound, "there is no such Deployment", "name one that is there"));
    };
    if let Some(change) = &deployment.changing {
        let remedy = "let its rollout end, or resume it with `kubectl rollout resume`";
        return Err(at.fail(Why::RollingOut, change.clone(), remedy));
    }
    if at.rolls_out() {
        let problem = "pods of an older version are still there";
        return Err(at.fail(Why::RollingOut, problem, "let its rollout end"));
    }
    let live = at.seen.live().count();
    if deployment.wanted == 0 || live != deployment.wanted as usize {
        let problem = format!("it has {live} replicas and is to have {}", deployment.wanted);
        return Err(at.fail(
            Why::Scaling,
            problem,
            "a workload is moved when it has all its replicas, one at least",
        ));
    }
    if let Some(pod) = at.seen.live().find(|pod| !pod.ready) {
        let trouble = pod.trouble.as_deref().unwrap_or("it does not say why");
        let problem = format!("replica `{}` is not ready: {trouble}", pod.name);
        return Err(at.fail(Why::NotReady, problem, "see that all of its replicas are ready first"));
    }
    match at.seen.scalers.as_slice() {
        [] => Ok(()),
        [scaler] => scalable(at, scaler, deployment.wanted),
        [one, other, ..] => {
            let problem =
                format!("autoscalers `{}` and `{}` both set its number of replicas", one.name, other.name);
            Err(at.fail(Why::ScaledByOthers, problem, "keep one of them"))
        }
    }
}

fn scalable(at: &At<'_>, scaler: &Scaler, wanted: u32) -> Result<(), RelocateError> {
    let name = &scaler.name;
    if let Some(owner) = &scaler.owner {
        let problem = format!(
            "its autoscaler `{name}` belongs to {owner}, which would undo a change of its minReplicas"
        );
        return Err(at.fail(Why::ScaledByOthers, problem, "pause that one to have the workload moved"));
    }
    if scaler.desired.is_some_and(|desired| desired != wanted) || wanted < scaler.min {
        let problem = format!("its autoscaler `{name}` is changing its number of replicas");
        return Err(at.fail(Why::Scaling, problem, "let it end"));
    }
    if wanted >= scaler.max {
        let problem =
            format!("it has {wanted} replicas, and its autoscaler `{name}` allows at most {}", scaler.max);
        return Err(at.fail(Why::Scaling, problem, "raise its maxReplicas by one"));
    }
    Ok(())
}

/// An entry of another node, or one whose target is to stay: nothing new is started beside it.
fn found(at: &At<'_>, entry: &Moved, node: &NodeId) -> Step {
    let target = entry.target.as_ref().and_then(|target| at.seen.live_pod(target.as_str()));
    let known = at.seen.live().filter(|pod| entry.known.iter().any(|known| known.as_str() == pod.name));
    let pod = if entry.to == *node { target } else { known.clone().find(|pod| pod.node == node.as_str()) };
    if let Some(pod) = pod {
        return Step::Done(Some(ReplicaId::new(pod.name.clone())));
    }
    let problem = format!(
        "it is being moved to {}, and no replica of it is on {node}; its controller makes up for one that was lost, on a node \
         of the scheduler's choice",
        entry.to
    );
    Step::Fail(at.fail(Why::OtherMove, problem, "let that move end, or have it taken back"))
}

/// Nothing was asked for yet, so what is there is what was there before.
fn raise(at: &At<'_>, entry: &Moved) -> Step {
    let known = known(at);
    if entry.target.is_none() && entry.known == known {
        return at.set(entry, true);
    }
    if let Err(refused) = settled(at) {
        return if at.late { Step::TakeBack(refused) } else { Step::Wait(refused.problem) };
    }
    Step::Store(Moved { known, target: None, phase: MovedPhase::Surging, ..entry.clone() })
}

/// One more is asked for: the new pod, from its first sight until it runs.
fn follow(at: &At<'_>, entry: &Moved, to: &NodeId) -> Step {
    let Some(pod) = at.new_pod(entry) else {
        let failure = at.seen.deployment.as_ref().and_then(|deployment| deployment.failure.clone());
        let why = failure.unwrap_or_else(|| "its controller made no pod".to_owned());
        return not_started(at, entry, to, &why, "see that its namespace has room for one pod more");
    };
    let trouble =
        || pod.trouble.clone().unwrap_or_else(|| "it does not say why it does not start".to_owned());
    if pod.node.is_empty() {
        let why = format!("pod `{}`: {}", pod.name, trouble());
        return not_started(at, entry, to, &why, "see that the node has room for what it asks for");
    }
    if pod.node != to.as_str() {
        let problem = format!("its new replica `{}` came to node {} and not to {to}", pod.name, pod.node);
        let remedy = "see that the placement webhook is called for its namespace, and that the node has room";
        return Step::TakeBack(at.fail(Why::WrongNode, problem, remedy));
    }
    if let Some(mark) = marked(at, pod) {
        return Step::Mark(mark);
    }
    let name = ReplicaId::new(pod.name.clone());
    if entry.target.as_ref() != Some(&name) {
        return Step::Store(Moved { target: Some(name), phase: MovedPhase::Surging, ..entry.clone() });
    }
    if !pod.started {
        let why = format!("pod `{}`: {}", pod.name, trouble());
        return not_started(
            at,
            entry,
            to,
            &why,
            "see with `kubectl describe pod` of a new replica what it lacks",
        );
    }
    if entry.phase == MovedPhase::Surging {
        return Step::Store(Moved { phase: MovedPhase::Ramping, ..entry.clone() });
    }
    Step::Done(Some(name))
}

/// What the webhook gives the new pod; where it was not asked, it is given here.
fn marked(at: &At<'_>, pod: &Pod) -> Option<Mark> {
    let cost = at.first_to_go(pod);
    if pod.location.as_deref() == Some(TARGET) {
        return cost;
    }
    let location = Change::To(Some(TARGET.to_owned()));
    Some(Mark { location, ..cost.unwrap_or_else(|| mark(pod)) })
}

fn not_started(at: &At<'_>, entry: &Moved, to: &NodeId, why: &str, remedy: &str) -> Step {
    if !at.late {
        return Step::Wait(why.to_owned());
    }
    let before = entry.replicas_before;
    let problem =
        format!("its new replica does not run on {to} in time: {why}. It has {before} replicas as before");
    Step::TakeBack(at.fail(Why::DidNotStart, problem, remedy))
}
