//! A Deployment with its controllers, played: what they do is done when time passes.
use crate::{
    moving::{Moved, MovedPhase},
    relocate::{
        decide::{At, Change, Step},
        error::RelocateError,
        seen::{Deployment, Phase, Pod, Scaler, Seen},
    },
};
use foremesh_core::ids::{ReplicaId, WorkloadId};

/// Looks without any change before a deadline passes.
const PATIENCE: u32 = 60;
/// An autoscaler looks less often than other controllers.
const AUTOSCALED: u32 = 15;

#[expect(clippy::struct_excessive_bools, reason = "what happens is independent of one another")]
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) entry: Option<Moved>,
    pub(super) deployment: Deployment,
    pub(super) scaler: Option<Scaler>,
    /// What an autoscaler would have by the load; `None` when it cannot measure.
    pub(super) load: Option<u32>,
    pub(super) pods: Vec<Pod>,
    /// Where new pods go; `None` when they cannot be scheduled.
    pub(super) node: Option<&'static str>,
    /// New pods never run.
    pub(super) broken: bool,
    /// The webhook is asked.
    pub(super) webhook: bool,
    /// The API server does not know who wrote the number of replicas.
    pub(super) untracked: bool,
    /// Controllers act after each write, and not only when nothing else happens.
    pub(super) eager: bool,
    /// Fewest pods that were ready at any time.
    pub(super) least_ready: usize,
    /// Writes so far.
    pub(super) writes: usize,
    /// The planner dies before these writes.
    pub(super) crashes: Vec<usize>,
    /// Somebody sets the number of replicas after this write.
    pub(super) foreign: Option<(usize, u32)>,
    /// It was another number than there was.
    pub(super) changed: bool,
    pub(super) ticks: u32,
    /// Pods that there ever were.
    pub(super) made: u32,
}

/// How a call ended.
#[derive(Debug)]
pub(super) enum Ended {
    Done(Option<ReplicaId>),
    TakeBack(RelocateError),
    Failed(RelocateError),
    Killed,
}

pub(super) fn id() -> WorkloadId {
    WorkloadId::new("shop/web")
}

impl World {
    /// So many replicas, all on n1, ready.
    pub(super) fn with(replicas: u32) -> Self {
        let mut world = Self {
            entry: None,
            deployment: Deployment { wanted: replicas, version: "1".to_owned(), ..Deployment::default() },
            scaler: None,
            load: None,
            pods: Vec::new(),
            node: Some("n1"),
            broken: false,
            webhook: true,
            untracked: false,
            eager: true,
            least_ready: usize::MAX,
            writes: 0,
            crashes: Vec::new(),
            foreign: None,
            changed: false,
            ticks: 0,
            made: 0,
        };
        for _ in 0..10 {
            world.tick();
        }
        world.least_ready = world.ready();
        world.node = Some("n2");
        world
    }

    /// Somebody had set the scale to the number that it had.
    pub(super) fn untracked(mut self) -> Self {
        self.untracked = true;
        self.deployment.ours = true;
        self
    }

    pub(super) fn scaled_by(mut self, min: u32, max: u32, load: Option<u32>) -> Self {
        self.scaler = Some(Scaler { name: "web".to_owned(), min, max, ..Scaler::default() });
        self.load = load;
        self
    }

    pub(super) fn live(&self) -> Vec<&str> {
        self.pods.iter().filter(|pod| !pod.terminating).map(|pod| pod.name.as_str()).collect()
    }

    pub(super) fn on(&self, node: &str) -> usize {
        self.pods.iter().filter(|pod| !pod.terminating && pod.node == node).count()
    }

    fn ready(&self) -> usize {
        self.pods.iter().filter(|pod| pod.ready && !pod.terminating).count()
    }

    pub(super) fn seen(&self) -> Seen {
        let mut seen = Seen {
            deployment: Some(self.deployment.clone()),
            scalers: self.scaler.iter().cloned().collect(),
            pods: self.pods.clone(),
        };
        seen.pods.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        seen
    }

    /// Somebody else sets the number of replicas; whether it was another one.
    pub(super) fn set_by_others(&mut self, replicas: u32) -> bool {
        let changes = self.deployment.wanted != replicas;
        if changes {
            self.deployment.wanted = replicas;
            self.deployment.ours = self.untracked;
        }
        changes
    }

    /// Every controller does one thing.
    pub(super) fn tick(&mut self) {
        self.pods.retain(|pod| !(pod.terminating && pod.phase == Phase::Unknown));
        for pod in &mut self.pods {
            if pod.terminating {
                pod.phase = Phase::Unknown;
            } else if pod.started {
                pod.ready = true;
            } else if pod.phase == Phase::Running {
                pod.started = !self.broken || !pod.created.ends_with('!');
            } else if !pod.node.is_empty() {
                pod.phase = Phase::Running;
            } else if let Some(node) = self.node {
                node.clone_into(&mut pod.node);
            }
        }
        self.ticks += 1;
        if self.ticks.is_multiple_of(AUTOSCALED) {
            self.autoscale();
        }
        self.replicate();
        self.least_ready = self.least_ready.min(self.ready());
    }

    fn autoscale(&mut self) {
        let Some(scaler) = &self.scaler else { return };
        let measured = self.load.unwrap_or(self.deployment.wanted);
        self.set_by_others(measured.clamp(scaler.min, scaler.max));
    }

    fn replicate(&mut self) {
        let live = self.live().len();
        if live < self.deployment.wanted as usize {
            self.make();
        } else if live > self.deployment.wanted as usize {
            let order = |pod: &&mut Pod| (!pod.node.is_empty(), pod.phase, pod.ready, pod.cost());
            let live = self.pods.iter_mut().filter(|pod| !pod.terminating);
            if let Some(pod) = live.min_by(|a, b| order(a).cmp(&order(b)).then(b.created.cmp(&a.created))) {
                pod.terminating = true;
            }
        }
    }

    fn make(&mut self) {
        self.made += 1;
        let extra = self.entry.as_ref().is_some_and(|entry| {
            let new =
                |pod: &&Pod| !entry.known.contains(&ReplicaId::new(pod.name.clone())) && !pod.terminating;
            let sent = self.pods.iter().filter(new).any(|pod| pod.location.as_deref() == Some("target"));
            let all = self.live().len() >= entry.replicas_before as usize;
            entry.phase == MovedPhase::Surging && all && !sent
        });
        let moving = self.webhook && self.entry.is_some();
        self.pods.push(Pod {
            name: format!("p{}", self.made),
            uid: format!("u{}", self.made),
            created: format!("{:03}{}", self.made, if self.broken { "!" } else { "" }),
            current: true,
            location: moving.then(|| if extra { "target" } else { "stay" }.to_owned()),
            cost: (moving && extra).then(|| "-100".to_owned()),
            ..Pod::default()
        });
    }

    /// Calls as the planner does, until it ends or is killed.
    pub(super) fn call(&mut self, next: &dyn Fn(&At<'_>) -> Step) -> Ended {
        let (id, mut raised, mut waits) = (id(), false, 0);
        for _ in 0..2000 {
            let (entry, seen) = (self.entry.clone(), self.seen());
            let late = waits > PATIENCE;
            let step = next(&At { workload: &id, entry: entry.as_ref(), seen: &seen, late, raised });
            match step {
                Step::Done(replica) => return Ended::Done(replica),
                Step::TakeBack(error) => return Ended::TakeBack(error),
                Step::Fail(error) => return Ended::Failed(error),
                Step::Wait(_) => {
                    waits += 1;
                    self.tick();
                }
                write => {
                    if self.crashes.first() == Some(&self.writes) {
                        self.crashes.remove(0);
                        return Ended::Killed;
                    }
                    raised |= self.write(write);
                    self.writes += 1;
                    if let Some((_, replicas)) = self.foreign.take_if(|(after, _)| *after == self.writes) {
                        self.changed = self.set_by_others(replicas);
                    }
                    if self.eager {
                        self.tick();
                    }
                }
            }
        }
        panic!("it does not come to rest: {self:?}");
    }

    /// Whether it raises a number.
    fn write(&mut self, step: Step) -> bool {
        match step {
            Step::Store(moved) => self.entry = Some(moved),
            Step::Forget => self.entry = None,
            Step::Scale { replicas, .. } => {
                let more = replicas > self.deployment.wanted;
                self.deployment.ours |= replicas != self.deployment.wanted;
                self.deployment.wanted = replicas;
                return more;
            }
            Step::Least { replicas, .. } => {
                let scaler = self.scaler.as_mut().unwrap();
                let more = replicas > scaler.min;
                scaler.ours |= replicas != scaler.min;
                scaler.min = replicas;
                return more;
            }
            Step::Mark(mark) => {
                let pod = self.pods.iter_mut().find(|pod| pod.uid == mark.uid).unwrap();
                if let Change::To(location) = mark.location {
                    pod.location = location;
                }
                if let Change::To(cost) = mark.cost {
                    pod.cost = cost;
                }
            }
            other => panic!("{other:?} is no write"),
        }
        false
    }
}
