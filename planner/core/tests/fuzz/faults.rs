//! What goes wrong on a day, and when.
use crate::{cluster::Cluster, random::Random};
use foremesh_core::ids::{NodeId, ServiceId, WorkloadId};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Nothing arrives of a service.
    SilentService(ServiceId),
    /// Nothing arrives of a node.
    SilentNode(NodeId),
    /// Nothing arrives at all.
    Silence,
    /// The platform tells what it told before.
    StaleSnapshot,
    Unreachable(NodeId),
    Cordoned(NodeId),
    /// The platform does not know the node any more.
    Away(NodeId),
    NotReady(WorkloadId),
    Pinned(WorkloadId),
    Changing(WorkloadId),
    Scaling(WorkloadId),
    /// The platform does not tell its CPU.
    NoCpu(WorkloadId),
    /// The planner does not run.
    Asleep,
}

impl Fault {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::SilentService(_) => "silent service",
            Self::SilentNode(_) => "silent node",
            Self::Silence => "silence",
            Self::StaleSnapshot => "stale snapshot",
            Self::Unreachable(_) => "unreachable node",
            Self::Cordoned(_) => "cordoned node",
            Self::Away(_) => "node away",
            Self::NotReady(_) => "replica not ready",
            Self::Pinned(_) => "pinned workload",
            Self::Changing(_) => "workload changing",
            Self::Scaling(_) => "workload scaling",
            Self::NoCpu(_) => "CPU of workload unknown",
            Self::Asleep => "planner asleep",
        }
    }
}

/// The faults of a day, and what happens at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schedule {
    lasting: Vec<(usize, usize, Fault)>,
    /// Steps at which the planner is started anew.
    pub(crate) restarts: Vec<usize>,
    /// Steps at which the policies become others.
    pub(crate) policy_changes: Vec<usize>,
    /// Steps at which the clock is set by so many milliseconds.
    pub(crate) clock_steps: Vec<(usize, i64)>,
}

impl Schedule {
    pub(crate) fn new(random: &mut Random, cluster: &Cluster, steps: usize) -> Self {
        let nodes: Vec<&NodeId> = cluster.machines.keys().collect();
        let services: Vec<&ServiceId> = cluster.services.keys().collect();
        let workloads: Vec<&WorkloadId> = cluster.workloads.keys().collect();
        let mut schedule = Self::default();
        for _ in 0..random.count(0, 8) {
            let fault = match random.count(0, 12) {
                0 => Fault::SilentService(random.one_of(&services).clone()),
                1 => Fault::SilentNode(random.one_of(&nodes).clone()),
                2 => Fault::Silence,
                3 => Fault::StaleSnapshot,
                4 => Fault::Unreachable(random.one_of(&nodes).clone()),
                5 => Fault::Cordoned(random.one_of(&nodes).clone()),
                6 => Fault::Away(random.one_of(&nodes).clone()),
                7 => Fault::NotReady(random.one_of(&workloads).clone()),
                8 => Fault::Pinned(random.one_of(&workloads).clone()),
                9 => Fault::Changing(random.one_of(&workloads).clone()),
                10 => Fault::Scaling(random.one_of(&workloads).clone()),
                11 => Fault::NoCpu(random.one_of(&workloads).clone()),
                _ => Fault::Asleep,
            };
            let (from, length) = (random.count(0, steps - 1), random.count(1, 60));
            schedule.lasting.push((from, from + length, fault));
        }
        let at = |random: &mut Random, most| -> Vec<usize> {
            (0..random.count(0, most)).map(|_| random.count(0, steps - 1)).collect()
        };
        schedule.restarts = at(random, 2);
        schedule.policy_changes = at(random, 2);
        for step in at(random, 2).into_iter().filter(|step| step % 2 == 0) {
            let far = if random.chance(0.5) { 600_000.0 } else { 20_000_000.0 };
            schedule.clock_steps.push((step, random.between(-far, far) as i64));
        }
        schedule
    }

    pub(crate) fn now(&self, step: usize) -> impl Iterator<Item = &Fault> {
        self.lasting.iter().filter(move |(from, to, _)| (*from..*to).contains(&step)).map(|(.., fault)| fault)
    }

    pub(crate) fn is(&self, step: usize, fault: &Fault) -> bool {
        self.now(step).any(|now| now == fault)
    }
}
