//! The ways out: what was changed is put back, and the surge service goes.
use super::{At, Change, Step};
use crate::{
    error::Why,
    objects::{Node, Task},
    relocate::seen::{Placed, Read},
    surge::{PLACEMENT, UPDATE},
};

/// The service is as before: its placement and update settings, and what a rollback would bring back.
pub(super) fn restored(at: &At<'_>, read: &Read) -> Step {
    let Some(noted) = at.seen.noted() else { return Step::Done };
    let (placed, updates) = (at.seen.placed(), at.seen.updates_ours());
    if placed == Placed::Theirs && !updates {
        return if at.seen.previous_ours() {
            Step::Write(Change::Restoring, read.spec.clone())
        } else {
            Step::Done
        };
    }
    let written = || {
        let mut spec = read.spec.clone();
        if placed != Placed::Theirs {
            spec = spec.with(PLACEMENT, noted.placement.as_deref())?;
        }
        if updates {
            spec = spec.with(UPDATE, noted.update.as_deref())?;
        }
        Ok(spec)
    };
    at.made(written(), |spec| Step::Write(Change::Restoring, spec))
}

/// The service is as it was before the hand-over, with the slot's task on its old node.
pub(crate) fn take_back(at: &At<'_>) -> Step {
    let (Some(read), Some(surge), Some(noted)) = (&at.seen.service, &at.seen.surge, at.seen.noted()) else {
        return Step::Done;
    };
    match at.seen.placed() {
        Placed::Moving => at
            .made(read.spec.with(PLACEMENT, Some(&noted.holding)), |spec| Step::Write(Change::Holding, spec)),
        Placed::Holding => {
            let known = |task: &&Task| !task.node_id.is_empty() && task.node_id != surge.from;
            let alone = at.seen.wanted(surge.slot).filter(known).count() == 0;
            let runs = at.old(surge).any(|task| at.seen.runs(task));
            // One that has no node yet goes when it may go elsewhere, and must be able to when its old node is gone.
            let gone = !at.seen.node(&surge.from).is_some_and(Node::answers);
            let waits = format!("slot {} to run on {} alone", surge.slot, at.name_of(&surge.from));
            match (alone, runs || gone || at.late) {
                (true, true) => restored(at, read),
                (false, _) if at.late => {
                    at.fail(Why::Late, format!("it waited too long for {waits}"), "see `docker service ps`")
                }
                _ => Step::Wait(waits),
            }
        }
        Placed::Theirs => restored(at, read),
    }
}

/// All is as before the move, and the surge service is gone.
pub(crate) fn back(at: &At<'_>) -> Step {
    let Some(surge) = &at.seen.surge else { return Step::Done };
    let handed_over = at.moved(surge).is_some() && at.old(surge).next().is_none();
    if handed_over && at.seen.placed() == Placed::Theirs {
        let problem = format!("`{}` was handed over already", at.replica(surge.slot, &surge.to));
        return at.fail(Why::OtherMove, problem, "move it back with a move of its own (`foremesh undo`)");
    }
    match take_back(at) {
        Step::Done => Step::Remove(surge.service.id.clone()),
        step => step,
    }
}

/// The surge service is gone after a hand-over.
pub(crate) fn finish(at: &At<'_>) -> Step {
    let Some(surge) = &at.seen.surge else { return Step::Done };
    if at.seen.service.is_some() && at.moved(surge).is_none() {
        let problem = format!("`{}` does not run", at.replica(surge.slot, &surge.to));
        return at.fail(Why::Immovable, problem, "see `docker service ps`");
    }
    // What it was before is written down in nothing but the surge service.
    if at.seen.placed() != Placed::Theirs || at.seen.updates_ours() {
        let problem = "its placement is not yet what it was before its task was handed over";
        return at.fail(Why::Interfered, problem, "let the hand-over end first");
    }
    Step::Remove(surge.service.id.clone())
}

/// What the planner has changed is gone, whatever becomes of the tasks: somebody else replaces them.
pub(crate) fn let_go(at: &At<'_>) -> Step {
    let Some(surge) = &at.seen.surge else { return Step::Done };
    let ours = at.seen.placed() != Placed::Theirs || at.seen.updates_ours();
    match &at.seen.service {
        // The spec before the last one is not replaced here: theirs may have to be rolled back.
        Some(read) if ours && surge.of == read.service.id => restored(at, read),
        _ => Step::Remove(surge.service.id.clone()),
    }
}

/// Whether somebody else replaces the tasks of what moves, and how that is seen.
pub(crate) fn overtaken(at: &At<'_>) -> Option<String> {
    let surge = at.seen.surge.as_ref()?;
    let Some(read) = &at.seen.service else { return Some("the service was removed".to_owned()) };
    if surge.of != read.service.id {
        return Some("the service was removed and made anew".to_owned());
    }
    if surge.template != read.template {
        return Some("what the service runs was changed".to_owned());
    }
    let slot = surge.slot;
    let ends = [surge.from.as_str(), &surge.to, ""];
    let mut wanted = at.seen.wanted(slot).peekable();
    if wanted.peek().is_none() {
        let all = at.seen.tasks.iter().filter(|task| task.slot != slot && task.wanted());
        let gone = read.described.replicas().is_none_or(|replicas| all.count() as u64 >= replicas);
        return gone.then(|| format!("slot {slot} is gone, because the service was scaled"));
    }
    let elsewhere = wanted.find(|task| !ends.contains(&task.node_id.as_str()))?;
    // One that came to a wrong node while it was handed over is taken back by that.
    if at.old(surge).next().is_some() || at.moved(surge).is_some() {
        return None;
    }
    Some(format!("Swarm has put slot {slot} on {}", at.name_of(&elsewhere.node_id)))
}
