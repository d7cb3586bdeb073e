//! Small placements beside their exact optimum.
//!
//! Search and solver see the same cost and the same constraints: those of the space that decisions are made in. A node
//! of unlimited size that no workload may go to takes whatever is not looked at, so that the cost of each set on each
//! node, and what pairs on two nodes add, can be read off the space itself. In every third case services wait for one
//! another; then the cost is no sum over nodes, and only every layout is tried.
#[cfg(test)]
mod tests;

use super::{
    exact::{Columns, Pair},
    mesh::{Made, Service},
    problem::BenchError,
    report::SmallReport,
};
use crate::backtest::{cpu::Cpu, report::significant};
use foremesh_core::{
    decide::{assess_services, risks},
    ids::NodeId,
    inputs::OwnedInputs,
    placement::{MeshSpace, search::Space, search::search, space_of},
    policy::Mode,
    topology::Tier,
    twin::MeshModel,
};
use foremesh_models::SplitMix;
use std::collections::BTreeSet;

/// Looks of the search, as for one decision.
const EFFORT: usize = 50_000;

/// What is the same up to rounding.
const SAME: f64 = 1e-3;

/// One placement and how it was made.
#[derive(Clone, Copy, Debug, Default)]
struct Case {
    staying: f64,
    found: f64,
    exact: f64,
    /// Answer of the solver, where it was asked.
    solver: Option<f64>,
    search_seconds: f64,
    solver_seconds: f64,
    trying_seconds: f64,
}

impl Case {
    /// Whether the solver was asked, and says what trying every layout says.
    fn agrees(&self) -> bool {
        self.solver.is_some_and(|solver| (solver - self.exact).abs() <= SAME * (1.0 + self.exact.abs()))
    }
}

/// Runs so many cases.
///
/// # Errors
/// When a case cannot be made, or the solver and every layout tried disagree.
pub(super) fn run(cases: usize, seed: u64) -> Result<SmallReport, BenchError> {
    let mut made = Vec::with_capacity(cases);
    let mut number = 0;
    while made.len() < cases {
        number += 1;
        // A case in which nobody is at risk asks for nothing.
        made.extend(case(seed, number)?);
    }
    Ok(report(&made))
}

fn report(cases: &[Case]) -> SmallReport {
    let gain = |case: &&Case| case.exact < -SAME;
    let gaps: Vec<f64> =
        cases.iter().filter(gain).map(|case| ((case.found - case.exact) / -case.exact).max(0.0)).collect();
    let excess: Vec<f64> = cases
        .iter()
        .map(|case| ((case.found - case.exact) / (case.staying + case.exact).max(SAME)).max(0.0))
        .collect();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let highest = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let each_ms = |seconds: &dyn Fn(&Case) -> f64, of: usize| {
        significant(cases.iter().map(seconds).sum::<f64>() * 1e3 / of.max(1) as f64, 3)
    };
    let asked = cases.iter().filter(|case| case.solver.is_some()).count();
    SmallReport {
        cases: cases.len(),
        improvable: gaps.len(),
        asked,
        agreed: cases.iter().filter(|case| case.agrees()).count(),
        mean_gap: mean(&gaps),
        max_gap: highest(&gaps),
        share_above_1_percent: gaps.iter().filter(|gap| **gap > 0.01).count() as f64
            / gaps.len().max(1) as f64,
        mean_excess_cost: mean(&excess),
        max_excess_cost: highest(&excess),
        search_ms: each_ms(&|case| case.search_seconds, cases.len()),
        solver_ms: each_ms(&|case| case.solver_seconds, asked),
        trying_ms: each_ms(&|case| case.trying_seconds, cases.len()),
    }
}

fn case(seed: u64, number: u64) -> Result<Option<Case>, BenchError> {
    let waits = waits(number);
    in_space(seed, number, waits, |space, units, places| {
        let staying = space.cost().total();
        let cpu = Cpu::start();
        let mut searched = space.clone();
        let found = search(&mut searched, EFFORT);
        let search_seconds = cpu.seconds();

        let cpu = Cpu::start();
        let exact = tried(space, units, staying);
        let trying_seconds = cpu.seconds();
        let mut case =
            Case { staying, found, exact, solver: None, search_seconds, solver_seconds: 0.0, trying_seconds };
        if !waits {
            let columns = columns(space, units, places, staying);
            let cpu = Cpu::start();
            let solver = columns.solved()?;
            case.solver_seconds = cpu.seconds();
            case.solver = Some(solver);
            if !case.agrees() {
                return Err(BenchError::Disagree { case: number, solver, tried: exact });
            }
        }
        Ok(case)
    })
}

/// Whether services of a case wait for one another. The latency of one then depends on the nodes of those that it calls
/// and of those that these call, so that the cost need not be a sum over nodes and pairs, and the solver is not asked.
const fn waits(number: u64) -> bool {
    number.is_multiple_of(3)
}

/// Does something with the space of a case, its units and its places; `None` when nobody is at risk in it.
fn in_space<T>(
    seed: u64,
    number: u64,
    waits: bool,
    work: impl FnOnce(&mut MeshSpace<'_, '_>, &[usize], &[usize]) -> Result<T, BenchError>,
) -> Result<Option<T>, BenchError> {
    let (inputs, places) = mesh(seed, number, waits)?;
    let borrowed = inputs.borrow();
    let assessments = assess_services(&borrowed);
    let at_risk = risks(&borrowed, &assessments, Mode::Auto);
    let mesh = MeshModel::build(&borrowed);
    let mut space = space_of(&borrowed, &mesh, &at_risk);
    let units = space.first().to_vec();
    if units.is_empty() {
        return Ok(None);
    }
    work(&mut space, &units, &places).map(Some)
}

/// The least change of the cost over all layouts that may be.
fn tried(space: &mut MeshSpace<'_, '_>, units: &[usize], staying: f64) -> f64 {
    let homes: Vec<usize> = units.iter().map(|unit| space.home(*unit)).collect();
    let places: Vec<Vec<usize>> = units
        .iter()
        .zip(&homes)
        .map(|(unit, home)| space.targets(*unit).into_iter().chain([*home]).collect())
        .collect();
    let mut best = 0.0_f64;
    try_from(space, units, &places, 0, &mut |space| {
        if space.allowed() {
            best = best.min(space.cost().total() - staying);
        }
    });
    for (unit, home) in units.iter().zip(homes) {
        space.put(*unit, home);
    }
    best
}

fn try_from(
    space: &mut MeshSpace<'_, '_>,
    units: &[usize],
    places: &[Vec<usize>],
    at: usize,
    look: &mut impl FnMut(&MeshSpace<'_, '_>),
) {
    let Some(unit) = units.get(at) else {
        look(space);
        return;
    };
    for place in &places[at] {
        space.put(*unit, *place);
        try_from(space, units, places, at + 1, look);
    }
}

/// The costs of all sets on all nodes, and of pairs on two, as the space sees them.
fn columns(space: &mut MeshSpace<'_, '_>, units: &[usize], places: &[usize], staying: f64) -> Columns {
    let limbo = places.len();
    let homes: Vec<usize> = units.iter().map(|unit| space.home(*unit)).collect();
    let targets: Vec<BTreeSet<usize>> = units
        .iter()
        .zip(&homes)
        .map(|(unit, home)| space.targets(*unit).into_iter().chain([*home]).collect())
        .collect();
    for unit in units {
        space.put(*unit, limbo);
    }
    let nothing = space.cost().total();
    let mut sets = Vec::with_capacity(places.len());
    for place in places {
        let of_place = (0..1_usize << units.len()).map(|set| {
            let standing = || (0..units.len()).filter(move |item| set >> item & 1 == 1);
            if standing().any(|item| !targets[item].contains(place)) {
                return None;
            }
            standing().for_each(|item| space.put(units[item], *place));
            let cost = space.allowed().then(|| space.cost().total() - nothing);
            standing().for_each(|item| space.put(units[item], limbo));
            cost
        });
        sets.push(of_place.collect::<Vec<_>>());
    }
    let mut pairs = Vec::new();
    for b in 1..units.len() {
        for a in 0..b {
            let mut cost = vec![vec![0.0; places.len()]; places.len()];
            let mut any = false;
            for (at_a, place_a) in places.iter().enumerate() {
                for (at_b, place_b) in places.iter().enumerate() {
                    let alone = sets[at_a][1 << a].zip(sets[at_b][1 << b]);
                    let Some((alone_a, alone_b)) = alone.filter(|_| at_a != at_b) else { continue };
                    space.put(units[a], *place_a);
                    space.put(units[b], *place_b);
                    let more = space.cost().total() - nothing - alone_a - alone_b;
                    space.put(units[a], limbo);
                    space.put(units[b], limbo);
                    // Less is the rounding of 32-bit numbers.
                    if more.abs() > 1e-6 {
                        cost[at_a][at_b] = more;
                        any = true;
                    }
                }
            }
            if any {
                pairs.push(Pair { a, b, cost });
            }
        }
    }
    for (unit, home) in units.iter().zip(homes) {
        space.put(*unit, home);
    }
    // Counted from staying, as the search does.
    if let Some(column) = sets.first_mut() {
        column.iter_mut().flatten().for_each(|cost| *cost += nothing - staying);
    }
    Columns { items: units.len(), places: places.len(), sets, pairs }
}

/// Four to seven workloads that may be moved on three to five nodes, of which one or two will be full, and a node that
/// nobody may go to, the last one by name.
fn mesh(seed: u64, number: u64, waits: bool) -> Result<(OwnedInputs, Vec<usize>), BenchError> {
    let mut random = SplitMix::new(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
    let mut made = Made::empty(usize::MAX)?;
    let nodes = 3 + random.below(3);
    let services = 4 + random.below(4);
    let hot = 1 + random.below(2);
    let names: Vec<String> = (0..services).map(|at| format!("s{at}")).collect();
    let shapes: Vec<(usize, f64, f64)> = names
        .iter()
        .map(|_| {
            let node = if random.unit() < 0.75 { random.below(hot) } else { random.below(nodes) };
            (node, 100.0 + 500.0 * random.unit(), 5.0 * (3.0 * random.unit()).exp())
        })
        .collect();
    for node in 0..nodes {
        let own: f64 =
            shapes.iter().filter(|(at, ..)| *at == node).map(|(_, millicores, _)| millicores).sum();
        let used = (own + 100.0 + 900.0 * random.unit()).min(2_700.0);
        made.node(node, used, node < hot, 0.2 + random.unit(), 4_000.0)?;
    }
    made.limbo(nodes)?;
    for (name, (node, millicores, rps)) in names.iter().zip(&shapes) {
        let tier = [Tier::Critical, Tier::Standard, Tier::Standard, Tier::BestEffort][random.below(4)];
        made.service(&Service {
            name,
            tier,
            rps: *rps,
            millicores: *millicores,
            p99_ms: 30.0 + 70.0 * random.unit(),
            nodes: &[*node],
            breach: *node < hot,
        })?;
        let allowed: BTreeSet<NodeId> = (0..nodes).map(super::mesh::node_name).collect();
        made.allow(name, allowed);
    }
    for callee in 1..services {
        if random.unit() < 0.5 {
            let caller = random.below(callee);
            made.call(&names[caller], &names[callee], 0.2 + random.unit(), waits);
        }
    }
    made.distances(nodes);
    Ok((made.inputs, (0..nodes).collect()))
}
