//! What the moves are for, beyond the risk that the twin counts for every service.
use crate::twin::{Evaluation, MEDIAN, NodeIx, ServiceIx};

/// One service that is to be cured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aim {
    /// The service.
    pub service: ServiceIx,
    /// Expected latency in milliseconds above which it counts as not cured; none when it is about something else.
    pub limit_ms: Option<f64>,
    /// What that costs.
    pub miss: f64,
    /// A node that it must not stay on while the node's expected share of CPU in use is above this.
    pub source: Option<(NodeIx, f64)>,
    /// What staying there costs.
    pub stay: f64,
}

impl Aim {
    fn cost(&self, evaluation: &Evaluation<'_>) -> f64 {
        let missed = self
            .limit_ms
            .is_some_and(|limit_ms| evaluation.worst_ms(self.service, MEDIAN).is_none_or(|ms| ms > limit_ms));
        let stays = self.missed_source(evaluation);
        (if missed { self.miss } else { 0.0 }) + if stays { self.stay } else { 0.0 }
    }

    /// Whether it still is on the node that it is to leave.
    pub(in crate::placement) fn missed_source(&self, evaluation: &Evaluation<'_>) -> bool {
        self.source.is_some_and(|(node, above)| {
            evaluation.services_on(node).any(|service| service == self.service)
                && evaluation.highest_use(node, MEDIAN) > above
        })
    }
}

/// All aims, with what each costs now.
#[derive(Clone, Debug, Default)]
pub(super) struct Aims {
    aims: Vec<Aim>,
    now: Vec<f64>,
    /// Place of each service's aim, and one past the last for those without.
    of_service: Vec<u32>,
    sum: f64,
}

impl Aims {
    pub(super) fn new(services: usize) -> Self {
        Self { of_service: vec![u32::MAX; services], ..Self::default() }
    }

    pub(super) fn set(&mut self, aims: Vec<Aim>, evaluation: &Evaluation<'_>) {
        self.of_service.fill(u32::MAX);
        for (at, aim) in aims.iter().enumerate() {
            self.of_service[aim.service] = at as u32;
        }
        self.now = aims.iter().map(|aim| aim.cost(evaluation)).collect();
        self.sum = self.now.iter().sum();
        self.aims = aims;
    }

    pub(super) const fn sum(&self) -> f64 {
        self.sum
    }

    /// What the change that was just made to the evaluation changes.
    pub(super) fn change(&self, then: &Evaluation<'_>) -> f64 {
        self.changed(then).map(|at| self.aims[at].cost(then) - self.now[at]).sum()
    }

    /// Takes that change over.
    pub(super) fn renew(&mut self, evaluation: &Evaluation<'_>) {
        let changed: Vec<usize> = self.changed(evaluation).collect();
        for at in changed {
            let cost = self.aims[at].cost(evaluation);
            self.sum += cost - self.now[at];
            self.now[at] = cost;
        }
    }

    fn changed<'e>(&'e self, evaluation: &'e Evaluation<'_>) -> impl Iterator<Item = usize> + 'e {
        let at = |service: ServiceIx| self.of_service.get(service).map(|at| *at as usize);
        evaluation.changed().filter_map(at).filter(|at| *at < self.aims.len())
    }
}
