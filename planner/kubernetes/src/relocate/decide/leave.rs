//! One replica less, and exactly the one that is to go.
use super::{At, Change, LAST_TO_GO, Mark, Number, Step, mark};
use crate::{
    moving::{Moved, MovedPhase, Scaled},
    relocate::{
        error::{RelocateError, Why},
        seen::Pod,
    },
};
use foremesh_core::ids::{NodeId, ReplicaId};

/// Which of the two replicas of a move goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::relocate) enum Way {
    /// The new one: all is as before.
    Back,
    /// The old one, by its name and its node.
    On(ReplicaId, NodeId),
    /// Neither: others have replaced all that there were, and the number of replicas is theirs.
    Theirs,
}

/// Which way it is when a replica of a node is to be stopped.
///
/// # Errors
/// When it is neither the new replica nor one of before.
pub(in crate::relocate) fn way(
    at: &At<'_>,
    entry: &Moved,
    node: &NodeId,
    replica: Option<&ReplicaId>,
) -> Result<Way, RelocateError> {
    // One that is gone may have been from before what is known now.
    let old = |replica: &ReplicaId| {
        let gone = at.seen.live_pod(replica.as_str()).is_none();
        entry.known.contains(replica) || (gone && *node != entry.to)
    };
    match replica {
        Some(replica) if old(replica) => Ok(Way::On(replica.clone(), node.clone())),
        _ if *node == entry.to => Ok(Way::Back),
        _ => {
            let replica =
                replica.map_or_else(|| "a replica without a name".to_owned(), |name| format!("`{name}`"));
            let problem = format!(
                "{replica} on {node} is to be stopped, but it is being moved to {} and had none of that name before",
                entry.to
            );
            Err(at.fail(Why::OtherMove, problem, "scale it by hand when it has too many replicas"))
        }
    }
}

/// Which way it is when nobody knows of the move any more: back, unless the old replica is gone, or going, already.
pub(in crate::relocate) fn forsaken(at: &At<'_>, entry: &Moved) -> Way {
    let lowered = at.number(entry) == Number::Before;
    let replaced = entry.known.iter().all(|known| at.seen.live_pod(known.as_str()).is_none());
    if lowered && replaced && entry.phase != MovedPhase::Retiring {
        return Way::Theirs;
    }
    let source = at.seen.pods.iter().find(|pod| {
        let known = entry.known.iter().any(|known| known.as_str() == pod.name);
        known && pod.node == entry.from.as_str() && (pod.terminating || pod.cost() <= super::FIRST_TO_GO)
    });
    match (entry.phase, source) {
        (MovedPhase::Retiring, None) if lowered => Way::On(ReplicaId::new(""), entry.from.clone()),
        (MovedPhase::Retiring, Some(source)) if lowered || source.terminating => {
            Way::On(ReplicaId::new(source.name.clone()), entry.from.clone())
        }
        _ => Way::Back,
    }
}

/// What comes next until the replica is gone and the number of replicas is what it is to be.
pub(in crate::relocate) fn leave(at: &At<'_>, entry: &Moved, way: &Way) -> Step {
    if at.seen.deployment.is_none() {
        return Step::Done(None);
    }
    if *way == Way::Theirs {
        return unmarked(at, entry).map_or(Step::Done(None), Step::Mark);
    }
    if let Some(step) = direction(at, entry, way) {
        return step;
    }
    let number = at.number(entry);
    if let (Number::Foreign(number), Scaled::Deployment) = (number, &entry.scaler) {
        // What somebody else wants is what is to be in the end.
        return Step::Store(Moved { replicas_before: number, ..entry.clone() });
    }
    let Some(pod) = leaving(at, entry, way, number) else { return gone(at, entry, way, number) };
    if *way == Way::Back && entry.target.as_ref().is_none_or(|target| target.as_str() != pod.name) {
        // Once the number is lowered, nothing else says that it was this one.
        return Step::Store(Moved { target: Some(ReplicaId::new(pod.name.clone())), ..entry.clone() });
    }
    if let Some(mark) = marks(at, entry, pod, way) {
        return Step::Mark(mark);
    }
    if number == Number::Raised && at.scaler(entry).is_some() {
        return at.set(entry, false);
    }
    lower(at, entry, way, pod, number)
}

/// Which way it goes is stored before anything is done that way.
fn direction(at: &At<'_>, entry: &Moved, way: &Way) -> Option<Step> {
    match way {
        Way::Back if entry.phase == MovedPhase::Retiring => {
            let target = entry.target.as_ref();
            let other = at.seen.live().filter(|pod| target.is_none_or(|target| target.as_str() != pod.name));
            let source = entry.known.iter().filter_map(|known| at.seen.live_pod(known.as_str()));
            if source.clone().next().is_none() || other.count() < entry.replicas_before as usize {
                return None;
            }
            // The one that was to go is not any more.
            let promised =
                source.filter(|pod| pod.cost() <= super::FIRST_TO_GO).find_map(|pod| at.usual_cost(pod));
            Some(promised.map_or_else(
                || Step::Store(Moved { phase: MovedPhase::Ramping, ..entry.clone() }),
                Step::Mark,
            ))
        }
        Way::On(_, from) if entry.phase != MovedPhase::Retiring || entry.from != *from => {
            if let Err(refused) = stays(at, entry) {
                return Some(Step::Fail(refused));
            }
            Some(Step::Store(Moved { phase: MovedPhase::Retiring, from: from.clone(), ..entry.clone() }))
        }
        _ => None,
    }
}

/// Whether the new replica is there to take over.
fn stays(at: &At<'_>, entry: &Moved) -> Result<(), RelocateError> {
    let target = entry.target.as_ref().and_then(|target| at.seen.live_pod(target.as_str()));
    if target.is_some_and(|target| target.ready) {
        return Ok(());
    }
    let problem = match &entry.target {
        Some(name) if target.is_some() => format!("its new replica `{name}` is not ready"),
        Some(name) => format!("its new replica `{name}` is gone"),
        None => "it has no new replica".to_owned(),
    };
    Err(at.fail(Why::NothingToStay, problem, "have the move taken back; the old replica was left as it is"))
}

/// The pod that is to go, while it is there.
fn leaving<'a>(at: &At<'a>, entry: &'a Moved, way: &Way, number: Number) -> Option<&'a Pod> {
    let too_many = at.seen.live().count() > entry.replicas_before as usize;
    let named = match way {
        Way::Back | Way::Theirs => entry.target.as_ref(),
        Way::On(source, _) => Some(source),
    };
    let named = named.and_then(|name| at.seen.pods.iter().find(|pod| pod.name == name.as_str()));
    if let Some(pod) = named.filter(|pod| !pod.terminating || !too_many) {
        return Some(pod);
    }
    // It is gone, or going, and its controller has made up for it.
    let made_up = match way {
        Way::Back => at.new_pod(entry).filter(|_| number == Number::Raised),
        Way::On(_, from) if too_many && number == Number::Raised => {
            let known = |pod: &Pod| entry.known.iter().any(|known| known.as_str() == pod.name);
            let rank = |pod: &&Pod| (!known(pod), pod.node == from.as_str());
            let target = entry.target.as_ref();
            at.seen
                .live()
                .filter(|pod| target.is_none_or(|target| target.as_str() != pod.name))
                .max_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.created.cmp(&b.created)))
        }
        Way::On(..) | Way::Theirs => None,
    };
    made_up.or(named)
}

/// The costs by which the controller takes this pod first.
fn marks(at: &At<'_>, entry: &Moved, pod: &Pod, way: &Way) -> Option<Mark> {
    if pod.terminating {
        return None;
    }
    if let Way::On(..) = way {
        // First the one that stays, so that there is no moment in which both are to go.
        let target = entry.target.as_ref().and_then(|target| at.seen.live_pod(target.as_str()));
        if let Some(target) = target.filter(|target| target.name != pod.name && target.cost() < LAST_TO_GO) {
            return Some(Mark { cost: Change::To(Some(LAST_TO_GO.to_string())), ..mark(target) });
        }
    }
    at.first_to_go(pod)
}

const LATE: &str = "look at its pods with `kubectl describe`, and lower its scale by hand";

/// Lowers the number of replicas as soon as exactly this pod goes by it, and waits until it is gone.
fn lower(at: &At<'_>, entry: &Moved, way: &Way, pod: &Pod, number: Number) -> Step {
    let deployment = at.seen.deployment.as_ref();
    let wanted = deployment.map_or(0, |deployment| deployment.wanted);
    let live = at.seen.live().count();
    if pod.terminating {
        if number == Number::Raised {
            return at.set(entry, false);
        }
        let what = format!("replica `{}`, which drains and ends by its own rules", pod.name);
        return at.wait(what, Why::StillThere, "see what keeps it from ending; nothing else is to be done");
    }
    if at.rolls_out() {
        if *way == Way::Back && number == Number::Raised {
            // All of the old version go, this one too.
            return at.set(entry, false);
        }
        return at.wait("the rollout of another version", Why::RollingOut, "let its rollout end");
    }
    if live != wanted as usize {
        return at.wait(format!("{wanted} replicas, of which {live} are there"), Why::StillThere, LATE);
    }
    if number != Number::Raised {
        // Lowered is what is ours, and has cost one of those that there were.
        let lost =
            entry.known.iter().chain(&entry.target).any(|name| at.seen.live_pod(name.as_str()).is_none());
        if lost && deployment.is_some_and(|deployment| deployment.ours) {
            return Step::Fail(wrong(at, entry, pod));
        }
        if entry.scaler == Scaled::Deployment {
            return at.set(entry, true);
        }
    }
    if let (Way::On(..), Err(refused)) = (way, stays(at, entry)) {
        return if at.late { Step::Fail(refused) } else { Step::Wait(refused.problem) };
    }
    if !at.goes_first(pod) {
        let what =
            format!("all others to be as ready as `{}`, or its controller would take another one", pod.name);
        return at.wait(what, Why::NotReady, LATE);
    }
    at.scale(wanted.saturating_sub(1))
}

/// The number was lowered, and the one that was to go is there.
fn wrong(at: &At<'_>, entry: &Moved, pod: &Pod) -> RelocateError {
    let gone: Vec<&str> = entry
        .known
        .iter()
        .chain(&entry.target)
        .map(ReplicaId::as_str)
        .filter(|name| at.seen.live_pod(name).is_none())
        .collect();
    let problem = format!(
        "replica `{}` on {} was to go, but its controller took another one ({})",
        pod.name,
        pod.node,
        if gone.is_empty() { "of a name that is not known".to_owned() } else { gone.join(", ") }
    );
    let remedy =
        "look at its replicas; delete the pod that is too bad to stay, its controller makes up for it";
    at.fail(Why::WrongReplica, problem, remedy)
}

/// The pod is gone: the number of replicas follows, then what was marked is as usual.
fn gone(at: &At<'_>, entry: &Moved, way: &Way, number: Number) -> Step {
    if number == Number::Raised {
        let live = at.seen.live().count();
        if at.scaler(entry).is_none() && live > entry.replicas_before as usize {
            return at.wait(
                format!("{} replicas, {live} are there", entry.replicas_before),
                Why::StillThere,
                LATE,
            );
        }
        return at.set(entry, false);
    }
    if let (Way::On(..), Some(mark)) = (way, unmarked(at, entry)) {
        return Step::Mark(mark);
    }
    Step::Done(None)
}

/// The new pod with its usual cost again, unless it has that.
fn unmarked(at: &At<'_>, entry: &Moved) -> Option<Mark> {
    let target = entry.target.as_ref().and_then(|target| at.seen.live_pod(target.as_str()))?;
    at.usual_cost(target)
}
