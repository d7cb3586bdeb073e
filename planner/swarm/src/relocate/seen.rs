//! What decides the next step of a move, as it was read.
use crate::{
    described::Described,
    mapping::Names,
    objects::{Node, Service, Task},
    spec::Spec,
    surge::{self, HandOver, PLACEMENT, Surge, UPDATE, same},
};
use std::collections::BTreeSet;

/// All that decides the next step of one service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) nodes: Vec<Node>,
    pub(crate) service: Option<Read>,
    /// All tasks of the service, those of the past too that Swarm still has.
    pub(crate) tasks: Vec<Task>,
    pub(crate) surge: Option<Surge>,
    /// Those of the surge service.
    pub(crate) surge_tasks: Vec<Task>,
}

/// A service, read.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) service: Service,
    pub(crate) spec: Spec,
    pub(crate) described: Described,
    pub(crate) template: String,
}

impl Read {
    /// Reads one.
    ///
    /// # Errors
    /// When its spec is of another form than dockerd's, in words.
    pub(crate) fn new(service: Service) -> Result<Self, String> {
        let spec = Spec::new(service.spec.get()).map_err(|error| error.to_string())?;
        let described = Described::read(&service).map_err(|error| error.to_string())?;
        let template = surge::template(&spec).map_err(|error| error.to_string())?;
        Ok(Self { service, spec, described, template })
    }
}

/// Whose the placement of a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// The planner's, to hand a task over.
    Moving,
    /// The planner's, to take that back.
    Holding,
    /// That of before, or somebody else's.
    Theirs,
}

impl Seen {
    pub(crate) fn names(&self) -> Names {
        Names::of(&self.nodes)
    }

    /// What is written down of the hand-over.
    pub(crate) fn noted(&self) -> Option<&HandOver> {
        self.surge.as_ref()?.hand_over.as_ref()
    }

    pub(crate) fn placed(&self) -> Placed {
        let (Some(read), Some(noted)) = (&self.service, self.noted()) else { return Placed::Theirs };
        let now = read.spec.get(PLACEMENT).ok().flatten();
        // Where a service may go where it could before, nothing is anybody's.
        if same(now, noted.placement.as_deref()) {
            Placed::Theirs
        } else if same(now, Some(&noted.moving)) {
            Placed::Moving
        } else if same(now, Some(&noted.holding)) {
            Placed::Holding
        } else {
            Placed::Theirs
        }
    }

    /// Whether the update settings are the planner's, and not those of before as well.
    pub(crate) fn updates_ours(&self) -> bool {
        let (Some(read), Some(noted)) = (&self.service, self.noted()) else { return false };
        let now = read.spec.get(UPDATE).ok().flatten();
        same(now, Some(surge::HANDING_OVER)) && !same(now, noted.update.as_deref())
    }

    /// Whether `docker service rollback` would bring the planner's placement back.
    pub(crate) fn previous_ours(&self) -> bool {
        let (Some(read), Some(noted)) = (&self.service, self.noted()) else { return false };
        let Some(previous) = &read.service.previous_spec else { return false };
        let Ok(previous) = Spec::new(previous.get()) else { return false };
        let before = previous.get(PLACEMENT).ok().flatten();
        !same(before, noted.placement.as_deref())
            && (same(before, Some(&noted.moving)) || same(before, Some(&noted.holding)))
    }

    /// Tasks of a slot that are to run.
    pub(crate) fn wanted(&self, slot: u64) -> impl Iterator<Item = &Task> {
        self.tasks.iter().filter(move |task| task.slot == slot && task.wanted())
    }

    /// Nodes of the tasks of all other slots that are to run.
    pub(crate) fn nodes_of_others(&self, slot: u64) -> BTreeSet<&str> {
        let others = self.tasks.iter().filter(|task| task.slot != slot && task.wanted());
        others.map(|task| task.node_id.as_str()).filter(|node| !node.is_empty()).collect()
    }

    pub(crate) fn node(&self, id: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// A task that runs, on a node that answers.
    pub(crate) fn runs(&self, task: &Task) -> bool {
        task.runs() && self.node(&task.node_id).is_some_and(Node::answers)
    }

    /// The task of the surge service that counts: the newest.
    pub(crate) fn surge_task(&self) -> Option<&Task> {
        self.surge_tasks.iter().max_by_key(|task| at(&task.created_at))
    }

    /// Tasks of a slot that Swarm has made since the service was changed last.
    pub(crate) fn since_change(&self, slot: u64) -> impl Iterator<Item = &Task> {
        let changed = self.service.as_ref().and_then(|read| at(&read.service.updated_at));
        self.tasks.iter().filter(move |task| task.slot == slot && at(&task.created_at) >= changed)
    }
}

fn at(written: &str) -> Option<jiff::Timestamp> {
    written.parse().ok()
}
