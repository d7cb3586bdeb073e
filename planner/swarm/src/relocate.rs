//! The write side of moves: a task of a service starts on another node beside the old one, and one of the two goes.
//!
//! Swarm cannot be told which task of a service is to go when there is one too many, and not where a single one is to be. So
//! the new task begins as a service of its own, the *surge service*: the same container, on the planned node, found by nobody
//! until the planner gives it traffic. The service itself is not touched until all of its task's traffic has gone over. Then comes the
//! *hand-over*: its placement is changed for a moment so that the slot's own task can be on the new node only, Swarm starts that
//! one first and stops the old one after it, and the placement is put back. Tasks that are fit for the changed placement
//! stay what they are. What was changed and what it was before is kept in labels of the surge service, so that every method can
//! be repeated after a crash at any point: it goes on with what it finds.
//!
//! A move: [`Relocate::place`], traffic, [`Relocate::hand_over`], traffic from the surge service's task to the slot's own,
//! [`Relocate::finish`]. The way back, until the hand-over: [`Relocate::back`].
mod decide;
mod drive;
mod seen;
#[cfg(test)]
mod tests;

use crate::{
    client::Client,
    error::{SwarmError, Why},
    mapping::{Objects, replica_id, replica_parts},
    surge::{Moving, Surge},
};
use decide::{At, Step};
use drive::Ended;
use foremesh_core::ids::{NodeId, ReplicaId, WorkloadId};
use seen::Seen;
use std::time::Duration;

/// How moves are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelocateSettings {
    /// How long a new task may take until it runs, and is healthy. Then it is taken back.
    pub start_within: Duration,
    /// How long it may take until what was begun is taken back.
    pub undo_within: Duration,
    /// How often is looked while something is waited for.
    pub poll: Duration,
}

impl Default for RelocateSettings {
    fn default() -> Self {
        Self {
            start_within: Duration::from_secs(90),
            undo_within: Duration::from_secs(60),
            poll: Duration::from_millis(500),
        }
    }
}

/// Starts and stops tasks of services on named nodes.
#[derive(Clone, Debug)]
pub struct Relocate {
    client: Client,
    settings: RelocateSettings,
}

impl Relocate {
    /// Moves through the API of a manager.
    pub const fn new(client: Client, settings: RelocateSettings) -> Self {
        Self { client, settings }
    }

    /// Refuses what cannot be moved to the node, before anything is changed; changes nothing.
    ///
    /// # Errors
    /// Why it cannot be moved, or that it could not be read.
    pub async fn prepare(&self, workload: &WorkloadId, node: &NodeId) -> Result<(), SwarmError> {
        let name = workload.as_str();
        let (seen, networks) = futures::try_join!(self.seen(name), self.client.networks())?;
        let at = at(name, &seen);
        let Some(read) = &seen.service else {
            return Err(at.error(Why::NotFound, "there is no such service", "name one that is there"));
        };
        let id = node_id(&seen, node)?;
        if let Some(surge) = &seen.surge {
            if surge.to == id {
                return Ok(());
            }
            let problem = format!("its move to {} is not over", seen.names().name(&surge.to));
            return Err(at.error(Why::OtherMove, problem, "let that move end, or have it taken back"));
        }
        read.described
            .movable(&networks)
            .map_err(|problem| at.error(Why::Immovable, problem, "see `foremesh check`"))?;
        let objects = Objects { networks, nodes: seen.nodes.clone(), ..Objects::default() };
        match objects.nodes.iter().find(|node| node.id == id) {
            Some(node) if node.answers() && node.spec.availability == "active" => Ok(()),
            _ => {
                let problem = format!("node {node} takes no new tasks");
                Err(at.error(Why::Immovable, problem, "choose another node"))
            }
        }
    }

    /// Starts a task on a node that is to take the place of `leaving`, or finds the one that was started, and returns its
    /// name when it runs and is healthy. What was begun is taken back when it does not come to that in time. Without
    /// `leaving` the task of before is meant, which Swarm itself starts: it is waited for.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn place(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        leaving: Option<&ReplicaId>,
    ) -> Result<ReplicaId, SwarmError> {
        let name = workload.as_str();
        let seen = self.seen(name).await?;
        let to = node_id(&seen, node)?;
        let Some(leaving) = leaving else { return self.source(name, node, &to).await };
        let (slot, from) = parts(name, leaving)?;
        let from = node_id(&seen, &from)?;
        let moving = Moving { slot, from: &from, to: &to };
        match self.run(name, self.settings.start_within, |at| decide::place(at, moving)).await? {
            Ended::Done => Ok(replica_id(name, slot, node)),
            Ended::TakeBack(reason) => {
                tracing::warn!(service = name, %node, %reason, "the new task is taken back");
                Err(after(reason, self.back(workload).await))
            }
        }
    }

    /// The task of a service that is on a node by itself.
    async fn source(&self, name: &str, node: &NodeId, id: &str) -> Result<ReplicaId, SwarmError> {
        let found = |at: &At<'_>| -> Step {
            let mut here = at.seen.tasks.iter().filter(|task| task.node_id == id);
            if here.any(|task| at.seen.runs(task)) {
                Step::Done
            } else if at.late {
                let problem = format!("no task of it runs on {node}, and Swarm itself has to start it");
                Step::Fail(at.error(Why::Late, problem, "see `docker service ps --no-trunc`"))
            } else {
                Step::Wait(format!("Swarm to start a task on {node}"))
            }
        };
        self.run(name, self.settings.start_within, found).await?;
        let seen = self.seen(name).await?;
        let slot = seen.tasks.iter().find(|task| task.node_id == id && seen.runs(task)).map(|task| task.slot);
        slot.map(|slot| replica_id(name, slot, node)).ok_or_else(|| {
            at(name, &seen).error(Why::Late, format!("its task on {node} has just ended"), "try again")
        })
    }

    /// Whether a replica runs and is healthy on a node that answers, be it the slot's own task or the one that stands for it.
    ///
    /// # Errors
    /// When it could not be asked, which is neither yes nor no.
    pub async fn is_ready(
        &self,
        workload: &WorkloadId,
        node: &NodeId,
        replica: &ReplicaId,
    ) -> Result<bool, SwarmError> {
        let name = workload.as_str();
        let seen = self.seen(name).await?;
        let Some((slot, _)) = replica_parts(name, replica) else { return Ok(false) };
        let Ok(id) = node_id(&seen, node) else { return Ok(false) };
        let own = seen.wanted(slot).any(|task| task.node_id == id && seen.runs(task));
        let stands = |surge: &Surge| {
            let it = surge.slot == slot && surge.to == id;
            it && seen.surge_task().is_some_and(|task| seen.runs(task))
        };
        Ok(own || seen.surge.as_ref().is_some_and(stands))
    }

    /// Whether somebody else replaces the tasks of a service that moves, and how that is seen.
    ///
    /// # Errors
    /// When it could not be asked.
    pub async fn overtaken(&self, workload: &WorkloadId) -> Result<Option<String>, SwarmError> {
        let seen = self.seen(workload.as_str()).await?;
        Ok(decide::overtaken(&at(workload.as_str(), &seen)))
    }

    /// The move of a service that is under way.
    ///
    /// # Errors
    /// When it could not be asked.
    pub async fn moving(&self, workload: &WorkloadId) -> Result<Option<Surge>, SwarmError> {
        Ok(self.seen(workload.as_str()).await?.surge)
    }

    /// All moves that are under way, whoever began them.
    ///
    /// # Errors
    /// When it could not be asked.
    pub async fn all_moving(&self) -> Result<Vec<Surge>, SwarmError> {
        Ok(self.client.surges().await?.iter().filter_map(Surge::read).collect())
    }

    /// Whether the slot's own task runs on its new node, and its old one is gone.
    ///
    /// # Errors
    /// When it could not be asked.
    pub async fn handed_over(&self, workload: &WorkloadId) -> Result<bool, SwarmError> {
        let seen = self.seen(workload.as_str()).await?;
        let at = at(workload.as_str(), &seen);
        Ok(seen.surge.as_ref().is_some_and(|surge| {
            let mut here = seen.wanted(surge.slot);
            at.moved(surge).is_some() && here.all(|task| task.node_id != surge.from)
        }))
    }

    /// Has Swarm start the slot's own task on the new node and then stop the old one; the service is as before when this
    /// returns. The surge service stays until [`Self::finish`]. When the new task does not come to run, what was changed is
    /// taken back, and both the old task and the surge service are there as before.
    ///
    /// # Errors
    /// Why the slot's task is not there.
    pub async fn hand_over(&self, workload: &WorkloadId, leaving: &ReplicaId) -> Result<(), SwarmError> {
        let name = workload.as_str();
        let (slot, from) = parts(name, leaving)?;
        let seen = self.seen(name).await?;
        // A node that is gone from the Swarm has no task any more.
        let Ok(from) = node_id(&seen, &from) else { return Ok(()) };
        match self.run(name, self.settings.start_within, |at| decide::hand_over(at, slot, &from)).await? {
            Ended::Done => Ok(()),
            Ended::TakeBack(reason) => {
                tracing::warn!(service = name, %reason, "the hand-over is taken back");
                let taken = self.run(name, self.settings.undo_within, decide::take_back).await;
                Err(after(reason, taken.map(drop)))
            }
        }
    }

    /// Ends a move whose slot was handed over: removes the surge service.
    ///
    /// # Errors
    /// When the slot's own task does not run, so that nothing would be left.
    pub async fn finish(&self, workload: &WorkloadId) -> Result<(), SwarmError> {
        self.settle(workload, decide::finish).await
    }

    /// Takes a move back: undoes a hand-over that was begun, and removes the surge service. Is content when nothing moves.
    ///
    /// # Errors
    /// What stands in the way; also when the hand-over was over already.
    pub async fn back(&self, workload: &WorkloadId) -> Result<(), SwarmError> {
        self.settle(workload, decide::back).await
    }

    /// Takes away what is there for a move, and leaves the tasks to whoever replaces them.
    ///
    /// # Errors
    /// What could not be written.
    pub async fn let_go(&self, workload: &WorkloadId) -> Result<(), SwarmError> {
        self.settle(workload, decide::let_go).await
    }

    async fn settle(
        &self,
        workload: &WorkloadId,
        next: impl Fn(&At<'_>) -> Step + Send + Sync,
    ) -> Result<(), SwarmError> {
        match self.run(workload.as_str(), self.settings.undo_within, next).await? {
            Ended::Done => Ok(()),
            Ended::TakeBack(reason) => Err(reason),
        }
    }
}

/// Why something was taken back, and whether that went well.
fn after(reason: SwarmError, taken: Result<(), SwarmError>) -> SwarmError {
    let Err(error) = taken else { return reason };
    let problem = format!("{}; and it could not be taken back yet: {error}", reason.problem);
    SwarmError { problem, ..reason }
}

fn at<'a>(name: &'a str, seen: &'a Seen) -> At<'a> {
    At { name, seen, late: false, begun: false }
}

fn node_id(seen: &Seen, node: &NodeId) -> Result<String, SwarmError> {
    seen.names().id(node).map(str::to_owned).ok_or_else(|| {
        SwarmError::new(
            Why::NotFound,
            format!("node `{node}`"),
            "the Swarm has no such node",
            "name one of `docker node ls`",
        )
    })
}

fn parts(name: &str, replica: &ReplicaId) -> Result<(u64, NodeId), SwarmError> {
    replica_parts(name, replica).ok_or_else(|| {
        let problem = format!("`{replica}` is no name of a task of it");
        let remedy = "names are like SERVICE.SLOT@NODE";
        SwarmError::new(Why::NotFound, format!("service `{name}`"), problem, remedy)
    })
}
