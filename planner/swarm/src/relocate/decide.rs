//! What comes next of a move, by what is there: pure.
//!
//! Nothing is remembered but in the labels of the surge service, so a planner that was killed between any two writes goes on
//! where it was. Each step writes one object; then all is read again.
//!
//! # Why a hand-over is taken back in two steps
//!
//! With both tasks of a slot there, and a spec that both are fit for, Swarm keeps whichever it comes across first and stops
//! the other, also when the one that it keeps does not run yet. So the placement of before must not be put back while there are
//! two. First the placement *holds*: it leaves the slot its old node and not the new one, whereupon Swarm must keep the old
//! task. What was before is put back when only one is left. For the same reason it is put back after a hand-over only when
//! the old task is going.
//!
//! | placement is | tasks of the slot | handing over | taking back |
//! |--|--|--|--|
//! | theirs | the old one | note what will be written, then write *moving* | done |
//! | moving | both | wait; failed, elsewhere or late: take back | write *holding* |
//! | moving | the new one runs | put back what was before, write it once more, done | write *holding* |
//! | holding | both | take back | wait |
//! | holding | the old one | take back | put back what was before, write it once more |
//!
//! What was before is written twice, because `docker service rollback` would bring back the spec before the last one.
mod back;
mod hand_over;

pub(crate) use back::{back, finish, let_go, overtaken, take_back};
pub(crate) use hand_over::hand_over;

use super::seen::{Read, Seen};
use crate::{
    error::{SwarmError, Why},
    mapping::replica_id,
    objects::Task,
    spec::{Spec, SpecError},
    surge::{self, Moving, Surge},
};

/// What a decision is made by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    /// Name of the service.
    pub(crate) name: &'a str,
    pub(crate) seen: &'a Seen,
    /// The deadline has passed: what is not there now is not waited for.
    pub(crate) late: bool,
    /// This call has written the placement that moves.
    pub(crate) begun: bool,
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Make the surge service.
    Create(Spec),
    /// Write down in its labels what will be changed of the service.
    Note(Spec),
    /// Change the service.
    Write(Change, Spec),
    /// Remove the surge service, by its id.
    Remove(String),
    /// Look again in a while.
    Wait(String),
    /// It is done.
    Done,
    /// Take back what was done to the service, then say this.
    TakeBack(SwarmError),
    /// It cannot be done.
    Fail(SwarmError),
}

/// What a change of the service is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The slot moves.
    Moving,
    /// It stays.
    Holding,
    /// All is as before.
    Restoring,
}

impl<'a> At<'a> {
    pub(super) fn error(
        &self,
        why: Why,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> SwarmError {
        SwarmError::new(why, format!("service `{}`", self.name), problem, remedy)
    }

    fn fail(&self, why: Why, problem: impl Into<String>, remedy: impl Into<String>) -> Step {
        Step::Fail(self.error(why, problem, remedy))
    }

    /// A spec that could be made, or why not.
    fn made(&self, spec: Result<Spec, SpecError>, step: impl FnOnce(Spec) -> Step) -> Step {
        match spec {
            Ok(spec) => step(spec),
            Err(error) => {
                self.fail(Why::Answer, error.to_string(), "report it as a fault of Foremesh, with the spec")
            }
        }
    }

    fn name_of(&self, node: &str) -> String {
        self.seen.names().name(node).to_string()
    }

    fn replica(&self, slot: u64, node: &str) -> String {
        replica_id(self.name, slot, &self.seen.names().name(node)).to_string()
    }

    fn old(&self, surge: &Surge) -> impl Iterator<Item = &'a Task> {
        let from = surge.from.clone();
        self.seen.wanted(surge.slot).filter(move |task| task.node_id == from)
    }

    /// The slot's task on its new node, once it runs.
    pub(super) fn moved(&self, surge: &Surge) -> Option<&'a Task> {
        let mut there = self.seen.wanted(surge.slot).filter(|task| task.node_id == surge.to);
        there.find(|task| self.seen.runs(task))
    }
}

/// A surge service with a task that runs on the new node.
pub(crate) fn place(at: &At<'_>, moving: Moving<'_>) -> Step {
    let Some(read) = &at.seen.service else { return no_service(at) };
    let Some(surge) = &at.seen.surge else { return begin(at, read, moving) };
    if surge.of != read.service.id || surge.slot != moving.slot || surge.to != moving.to {
        return other_move(at, surge);
    }
    if surge.template != read.template {
        let problem = "what it runs was changed since its new task was started";
        return Step::TakeBack(at.error(Why::Interfered, problem, "let the update end, then move it"));
    }
    let node = at.name_of(&surge.to);
    match at.seen.surge_task() {
        Some(task) if at.seen.runs(task) => Step::Done,
        Some(task) if task.ended() => {
            let problem = format!("its new task on {node} did not run: {}", task.trouble());
            let remedy = "see `docker service ps --no-trunc` and the log of dockerd on that node";
            Step::TakeBack(at.error(Why::DidNotStart, problem, remedy))
        }
        Some(task) => {
            let waits = format!("its new task on {node} to run; it is {}", task.trouble());
            late_or_wait(at, waits, Why::DidNotStart)
        }
        None => late_or_wait(at, format!("a task on {node}"), Why::DidNotStart),
    }
}

fn late_or_wait(at: &At<'_>, waits: String, why: Why) -> Step {
    if at.late {
        let remedy = "see `docker service ps --no-trunc` for what it waits for; an image that each node has \
                      starts sooner";
        return Step::TakeBack(at.error(why, format!("it waited too long for {waits}"), remedy));
    }
    Step::Wait(waits)
}

/// The checks before anything is made, then the surge service.
fn begin(at: &At<'_>, read: &Read, moving: Moving<'_>) -> Step {
    if let Err(error) = settled(at, read, moving) {
        return Step::Fail(error);
    }
    at.made(surge::surge_spec(&read.service.id, at.name, &read.spec, moving), Step::Create)
}

/// Nothing else is going on with the service, and Swarm can be told which task is meant.
///
/// # Errors
/// What stands in the way.
pub(crate) fn settled(at: &At<'_>, read: &Read, moving: Moving<'_>) -> Result<(), SwarmError> {
    let refuse = |problem: String, remedy: &str| Err(at.error(Why::Immovable, problem, remedy));
    if let Some(status) = read.service.update_status.as_ref().filter(|status| status.is_open()) {
        return refuse(format!("its update is {} ({})", status.state, status.message), "let it end first");
    }
    let mut here = at.seen.wanted(moving.slot).filter(|task| task.node_id == moving.from);
    if !here.any(|task| at.seen.runs(task)) {
        let problem = format!("`{}` does not run", at.replica(moving.slot, moving.from));
        return refuse(problem, "see `docker service ps`; the planner looks anew at its next pass");
    }
    let others = at.seen.nodes_of_others(moving.slot);
    for node in [moving.from, moving.to] {
        if others.contains(node) {
            let problem = format!(
                "another task of it is on {}, and Swarm cannot be told which is meant",
                at.name_of(node)
            );
            return refuse(problem, "spread its tasks first (`--replicas-max-per-node 1`)");
        }
    }
    match at.seen.node(moving.to) {
        Some(node) if node.answers() && node.spec.availability == "active" => Ok(()),
        Some(node) => {
            let (state, availability) = (&node.status.state, &node.spec.availability);
            refuse(
                format!("node {} is {state} and {availability}", at.name_of(moving.to)),
                "choose another node",
            )
        }
        None => refuse(format!("there is no node {}", moving.to), "choose another node"),
    }
}

fn no_service(at: &At<'_>) -> Step {
    at.fail(Why::NotFound, "there is no such service", "name one that is there")
}

fn other_move(at: &At<'_>, surge: &Surge) -> Step {
    let (slot, from, to) = (surge.slot, at.name_of(&surge.from), at.name_of(&surge.to));
    let problem = format!("a move of its slot {slot} from {from} to {to} is not over");
    let remedy = format!("let it end; if nobody knows of it, `docker service rm {}`", surge.service.name());
    at.fail(Why::OtherMove, problem, remedy)
}
