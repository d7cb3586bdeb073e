//! From the task that stands in to the slot's own.
use super::{At, Change, Step, back::restored, late_or_wait, other_move, settled};
use crate::{
    error::Why,
    objects::{Task, UpdateStatus},
    relocate::seen::{Placed, Read},
    spec::SpecError,
    surge::{self, HANDING_OVER, HandOver, Moving, PLACEMENT, Surge, UPDATE, same},
};

/// The slot's own task runs on the new node, and the service is as it was before.
pub(crate) fn hand_over(at: &At<'_>, slot: u64, from: &str) -> Step {
    let Some(read) = &at.seen.service else { return Step::Done };
    let Some(surge) = &at.seen.surge else {
        let stays = at.seen.wanted(slot).any(|task| task.node_id == from);
        return if stays {
            let problem =
                format!("`{}` is there, and nothing is known of a move of it", at.replica(slot, from));
            at.fail(Why::OtherMove, problem, "scale it by hand when it has a task too many")
        } else {
            Step::Done
        };
    };
    if surge.slot != slot || surge.from != from {
        return other_move(at, surge);
    }
    if surge.of != read.service.id || surge.template != read.template {
        let problem = "what it runs was changed while its task was being moved";
        return at.fail(Why::Interfered, problem, "let the update end, then move it");
    }
    let placed = at.seen.placed();
    if at.moved(surge).is_some() && placed != Placed::Holding {
        if let Some(old) = at.old(surge).next() {
            let waits = format!("`{}` to be stopped; it is {}", at.replica(slot, from), old.status.state);
            return if placed == Placed::Theirs && at.late {
                at.fail(Why::Late, format!("it waited too long for {waits}"), "see `docker service ps`")
            } else {
                late_or_wait(at, waits, Why::Late)
            };
        }
        return restored(at, read);
    }
    match placed {
        Placed::Holding => {
            let problem = "a hand-over of its task was being taken back when the planner ended";
            Step::TakeBack(at.error(Why::Interfered, problem, "none is needed: it is tried again"))
        }
        Placed::Moving => awaited(at, surge),
        Placed::Theirs if at.begun => {
            let problem = "somebody else changed its placement while its task was handed over";
            Step::TakeBack(at.error(
                Why::Interfered,
                problem,
                "let `docker stack deploy` or who it was end first",
            ))
        }
        Placed::Theirs => begin_hand_over(at, read, surge),
    }
}

/// What keeps the new task from being there.
fn awaited(at: &At<'_>, surge: &Surge) -> Step {
    let (slot, node) = (surge.slot, at.name_of(&surge.to));
    let new: Vec<&Task> = at.seen.since_change(slot).collect();
    if let Some(failed) = new.iter().find(|task| matches!(task.status.state.as_str(), "failed" | "rejected"))
    {
        let problem = format!(
            "its task of slot {slot} did not run on {}: {}",
            at.name_of(&failed.node_id),
            failed.trouble()
        );
        let remedy = "see `docker service ps --no-trunc` and the log of dockerd on that node";
        return Step::TakeBack(at.error(Why::DidNotStart, problem, remedy));
    }
    let wrong = |task: &&&Task| ![surge.from.as_str(), &surge.to, ""].contains(&task.node_id.as_str());
    if let Some(wrong) = new.iter().filter(|task| task.wanted()).find(wrong) {
        let problem = format!("Swarm put slot {slot} on {} instead of {node}", at.name_of(&wrong.node_id));
        return Step::TakeBack(at.error(Why::WrongNode, problem, "see what keeps it away from there"));
    }
    match at.seen.node(&surge.to) {
        Some(target) if target.answers() && target.spec.availability != "drain" => {}
        _ => {
            let problem = format!("node {node} takes no tasks any more");
            return Step::TakeBack(at.error(Why::DidNotStart, problem, "choose another node"));
        }
    }
    let waits = match new.iter().find(|task| task.wanted() && task.node_id != surge.from) {
        Some(task) => format!("its task of slot {slot} to run on {node}; it is {}", task.trouble()),
        None => format!("Swarm to make its task of slot {slot} on {node}"),
    };
    late_or_wait(at, waits, Why::DidNotStart)
}

/// First what will be written is noted, then it is written.
fn begin_hand_over(at: &At<'_>, read: &Read, surge: &Surge) -> Step {
    if !at.seen.surge_task().is_some_and(|task| at.seen.runs(task)) {
        let problem = format!("the task that stands for it on {} does not run", at.name_of(&surge.to));
        return at.fail(Why::Immovable, problem, "see `docker service ps`");
    }
    let open = read.service.update_status.as_ref().is_some_and(UpdateStatus::is_open);
    if open && !at.late {
        return Step::Wait("its update to end".to_owned());
    }
    let moving = Moving { slot: surge.slot, from: &surge.from, to: &surge.to };
    if let Err(error) = settled(at, read, moving) {
        return Step::Fail(error);
    }
    let noted = match noted(at, read, moving) {
        Ok(noted) => noted,
        Err(error) => return at.made(Err(error), Step::Note),
    };
    if surge.hand_over.as_ref() != Some(&noted) {
        return at.made(surge.noting(&noted), Step::Note);
    }
    let written = || {
        let spec = read.spec.with(PLACEMENT, Some(&noted.moving))?;
        if same(noted.update.as_deref(), Some(HANDING_OVER)) {
            Ok(spec)
        } else {
            spec.with(UPDATE, Some(HANDING_OVER))
        }
    };
    at.made(written(), |spec| Step::Write(Change::Moving, spec))
}

/// What the hand-over will change, of what there is now.
///
/// Where the slot is the only one, its node is named. Else the nodes that hold other slots must stay allowed for these; then
/// Swarm is told that a node takes one task, so that of the allowed ones only the new node is free.
fn noted(at: &At<'_>, read: &Read, moving: Moving<'_>) -> Result<HandOver, SpecError> {
    let others = at.seen.nodes_of_others(moving.slot);
    let but = |kept: &str| -> Vec<String> {
        if others.is_empty() {
            return vec![format!("node.id=={kept}")];
        }
        let mut ids: Vec<&str> = at.seen.nodes.iter().map(|node| node.id.as_str()).collect();
        ids.sort_unstable();
        let closed = ids.into_iter().filter(|id| *id != kept && !others.contains(id));
        closed.map(|id| format!("node.id!={id}")).collect()
    };
    let text = |path: &[&str]| read.spec.get(path).map(|text| text.map(str::to_owned));
    let alone = !others.is_empty();
    Ok(HandOver {
        placement: text(PLACEMENT)?,
        update: text(UPDATE)?,
        moving: surge::placement(&read.spec, &but(moving.to), alone)?,
        holding: surge::placement(&read.spec, &but(moving.from), false)?,
    })
}
