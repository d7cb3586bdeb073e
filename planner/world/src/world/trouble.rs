//! What is active in a minute: growth of load, neighbours, faults.

use super::shapes::Pulse;

/// Load times a factor.
#[derive(Debug)]
pub(super) struct Scale {
    /// The flow; all of them without.
    pub(super) flow: Option<usize>,
    pub(super) pulse: Pulse,
    pub(super) factor: f64,
}

/// Cores taken on a node.
#[derive(Debug)]
pub(super) struct NeighbourAt {
    pub(super) node: usize,
    pub(super) pulse: Pulse,
    pub(super) cores: f64,
}

/// A fault of a service.
#[derive(Debug)]
pub(super) struct FaultAt {
    pub(super) service: usize,
    pub(super) pulse: Pulse,
    /// What is added to the factor 1 on the CPU of a request.
    pub(super) demand: f64,
    /// What is added to the factor 1 on the service's own time.
    pub(super) latency: f64,
    pub(super) added_ms: f64,
    /// Added to `added_ms` once the objectives are known, in objectives of the service.
    pub(super) added_objectives: f64,
    pub(super) errors: f64,
    /// By service: whether it is this one or waits for it.
    pub(super) explains: Vec<bool>,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    pub(super) scales: Vec<Scale>,
    pub(super) neighbours: Vec<NeighbourAt>,
    pub(super) faults: Vec<FaultAt>,
}

/// The faults of one service in a minute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Faulty {
    pub(super) demand: f64,
    pub(super) latency: f64,
    pub(super) added_ms: f64,
    pub(super) errors: f64,
}

impl Trouble {
    /// Turns what is stated in objectives into milliseconds.
    pub(super) fn with_objectives(&mut self, objectives: &[Option<f64>]) {
        for fault in &mut self.faults {
            fault.added_ms += fault.added_objectives * objectives[fault.service].unwrap_or(0.0);
        }
    }

    pub(super) fn faulty(&self, service: usize, minute: i64) -> Faulty {
        let mut all = Faulty { demand: 1.0, latency: 1.0, added_ms: 0.0, errors: 0.0 };
        for fault in self.faults.iter().filter(|fault| fault.service == service) {
            let level = fault.pulse.level(minute);
            all.demand += fault.demand * level;
            all.latency += fault.latency * level;
            all.added_ms += fault.added_ms * level;
            all.errors += fault.errors * level;
        }
        all
    }

    /// Whether an active fault explains what the service's latency is.
    pub(super) fn explains(&self, service: usize, minute: i64) -> bool {
        self.faults.iter().any(|fault| fault.explains[service] && fault.pulse.level(minute) > 0.0)
    }

    pub(super) fn neighbours(&self, node: usize, minute: i64) -> f64 {
        let here = self.neighbours.iter().filter(|neighbour| neighbour.node == node);
        here.map(|neighbour| neighbour.cores * neighbour.pulse.level(minute)).sum()
    }

    /// Factor on a flow; on a direct flow, whose load is not there otherwise, what exceeds 1.
    pub(super) fn factor(&self, flow: usize, direct: bool, minute: i64) -> f64 {
        let grown = |scale: &Scale| 1.0 + (scale.factor - 1.0) * scale.pulse.level(minute);
        let all: f64 = self.scales.iter().filter(|scale| scale.flow.is_none()).map(grown).product();
        let own: f64 = self.scales.iter().filter(|scale| scale.flow == Some(flow)).map(grown).product();
        (if direct { (own - 1.0) * all } else { own * all }).max(0.0)
    }
}
