//! A second opinion on a move: the same requests before and after it, one by one.
//!
//! Simulated are the service that moves and what it waits for, at the moment at which the formulas expect the worst,
//! with everything else on their nodes as one stream of other requests.
use super::{
    Evaluation, MEDIAN, ReplicaIx, ServiceIx,
    events::{DemandShape, EventCall, EventMesh, EventNode, EventService, run},
    lanes::lane,
    mesh::NodeIx,
};
use crate::units::Quantile;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Requests from outside that are simulated.
const REQUESTS: usize = 10_000;
/// Requests of the service itself without which its quantile is chance.
const FEWEST: usize = 2_000;
/// Other requests for each of these: a bound of the work. Fewer and longer ones take the same CPU.
const MOST_OTHERS: f64 = 4.0;
/// Use that a node is simulated at, at most: beyond it would fill for as long as one looks.
const FULLEST: f64 = 0.98;
/// Effects of a move that are told from chance, as shares: of the formulas, and of the simulation.
const CLEAR: (f64, f64) = (0.03, 0.15);
/// Share of the objective below which it does not matter which of two latencies is the higher one.
const HARMLESS: f64 = 0.5;

/// What a simulation of single requests says of a move, at the moment at which the formulas expect the worst.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Confirmation {
    /// Latency of the service at the rule's quantile in milliseconds, if nothing moved.
    pub source_ms: f64,
    /// Its latency after the move.
    pub target_ms: f64,
    /// Simulated requests of the service after the move.
    pub requests: usize,
}

/// Both opinions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Confirmed {
    pub(super) simulated: Confirmation,
    /// Latency before and after by the formulas; infinite on a saturated node.
    formulas_ms: (f64, f64),
}

impl Confirmed {
    /// Both opinions, when one says that latency falls and the other that it rises, unless both are far below the objective all
    /// the time: what moves for another reason, such as back because somebody wants it, need not get faster.
    pub(super) fn dispute(&self, objective_ms: f64) -> Option<(f64, f64, Confirmation)> {
        let (from_ms, to_ms) = self.formulas_ms;
        let Confirmation { source_ms, target_ms, .. } = self.simulated;
        if [from_ms, to_ms, source_ms, target_ms].iter().all(|ms| *ms <= HARMLESS * objective_ms) {
            return None;
        }
        let falls = to_ms < from_ms * (1.0 - CLEAR.0) && target_ms > source_ms * (1.0 + CLEAR.1);
        let rises = to_ms > from_ms * (1.0 + CLEAR.0) && target_ms < source_ms * (1.0 - CLEAR.1);
        (falls || rises).then_some((from_ms, to_ms, self.simulated))
    }
}

/// A seed that follows from a plan.
pub(super) fn seed(digest: &str, number: usize) -> u64 {
    let digits = digest.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok());
    digits.unwrap_or(0) ^ number as u64
}

/// Simulates the layouts before and after a move. `None` when too few requests of the service are among them.
pub(super) fn confirm(
    (before, after): (&Evaluation<'_>, &Evaluation<'_>),
    replica: ReplicaIx,
    quantile: Quantile,
    knots: usize,
    seed: u64,
) -> Option<Confirmed> {
    let service = after.mesh().service_of(replica);
    let ms = |layout: &Evaluation<'_>, knot| layout.service_latency(service, quantile, knot, MEDIAN);
    let highest = |knot: &usize| ms(before, *knot).map_or(f64::INFINITY, |ms| ms);
    let worst = (0..knots).max_by(|a, b| highest(a).total_cmp(&highest(b)).then(b.cmp(a)))?;
    let simulate = |layout: &Evaluation<'_>| {
        let times = run(&event_mesh(layout, service, worst), REQUESTS, seed).into_iter().next()?;
        (times.requests() >= FEWEST).then_some((times.quantile(quantile.get())?, times.requests()))
    };
    let ((source_ms, _), (target_ms, requests)) = (simulate(before)?, simulate(after)?);
    let formulas_ms = (ms(before, worst).unwrap_or(f64::INFINITY), ms(after, worst).unwrap_or(f64::INFINITY));
    Some(Confirmed { simulated: Confirmation { source_ms, target_ms, requests }, formulas_ms })
}

/// The service, which comes first, and all that it waits for.
fn event_mesh(layout: &Evaluation<'_>, service: ServiceIx, knot: usize) -> EventMesh {
    let mesh = layout.mesh();
    let at = lane(knot, MEDIAN);
    let mut members = vec![service];
    let mut place: BTreeMap<ServiceIx, usize> = BTreeMap::from([(service, 0)]);
    let mut next = 0;
    while let Some(caller) = members.get(next).copied() {
        for edge in mesh.calls.of(caller) {
            let call = &mesh.calls.edges[edge];
            if call.waits && !place.contains_key(&(call.callee as usize)) {
                place.insert(call.callee as usize, members.len());
                members.push(call.callee as usize);
            }
        }
        next += 1;
    }
    let mut nodes: BTreeMap<NodeIx, usize> = BTreeMap::new();
    for replica in members.iter().flat_map(|member| mesh.replicas_of(*member)) {
        let count = nodes.len();
        nodes.entry(layout.node_of(replica)).or_insert(count);
    }
    let mut arrivals: Vec<f64> = members.iter().map(|member| f64::from(mesh.rates[*member][at])).collect();
    let mut services = Vec::with_capacity(members.len());
    for member in &members {
        let calls =
            mesh.calls.of(*member).map(|edge| (edge, &mesh.calls.edges[edge])).filter(|(_, call)| call.waits);
        let calls = calls.map(|(edge, call)| EventCall {
            callee: place[&(call.callee as usize)],
            calls: f64::from(call.calls),
            waits: true,
            distance_ms: f64::from(layout.edge_ms(edge)),
        });
        let fitted = &mesh.services[*member].fitted;
        let first = mesh.replicas_of(*member).next();
        let demand = first.and_then(|replica| mesh.demand_core_ms(replica)).unwrap_or(0.0);
        let scv = first.map_or(1.0, |replica| mesh.demand_scv(replica));
        let replicas = mesh.replicas_of(*member);
        services.push(EventService {
            arrivals_per_second: 0.0,
            replicas: replicas.map(|r| (nodes[&layout.node_of(r)], layout.share_of(r))).collect(),
            demand: DemandShape::new(demand * f64::from(fitted.scale), scv),
            wait_ms: f64::from(fitted.constant),
            calls: calls.collect(),
        });
    }
    // What comes from members is not to come from outside once more.
    for (member, service) in services.iter().enumerate() {
        let rate = f64::from(mesh.rates[members[member]][at]);
        for call in &service.calls {
            arrivals[call.callee] -= rate * call.calls;
        }
    }
    for (service, rate) in services.iter_mut().zip(arrivals) {
        service.arrivals_per_second = rate.max(0.0);
    }
    let total: f64 = services.iter().map(|service| service.arrivals_per_second).sum();
    let mut order: Vec<(usize, NodeIx)> = nodes.iter().map(|(node, at)| (*at, *node)).collect();
    order.sort_unstable();
    let nodes = order.iter().map(|(place, node)| {
        let own: f64 = services
            .iter()
            .zip(&members)
            .flat_map(|(service, member)| {
                service.replicas.iter().map(move |replica| (service, member, replica))
            })
            .filter(|(_, _, (node, _))| node == place)
            .map(|(service, member, (_, share))| {
                f64::from(mesh.rates[*member][at]) * share * service.demand.mean_ms()
            })
            .sum();
        others(layout, *node, knot, own, total)
    });
    EventMesh { nodes: nodes.collect(), services }
}

/// A node with everything on it that is not simulated by name, `own` of whose millicores are.
fn others(layout: &Evaluation<'_>, node: NodeIx, knot: usize, own: f64, arrivals: f64) -> EventNode {
    let cores = layout.mesh().capacity_cores(node);
    let used = layout.node_use(node, knot, MEDIAN).min(FULLEST) * cores * 1e3;
    let rest = (used - own).max(0.0);
    // Millicores are milliseconds of CPU in a second.
    let residents: Vec<f64> =
        layout.replicas_on(node).filter_map(|r| layout.mesh().demand_core_ms(r)).collect();
    let usual = residents.iter().sum::<f64>() / residents.len().max(1) as f64;
    let mean_ms = usual.max(rest / (MOST_OTHERS * arrivals).max(f64::MIN_POSITIVE)).max(0.1);
    EventNode { cores, others_per_second: rest / mean_ms, others: DemandShape::Exponential { mean_ms } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clear_and_opposite_opinions_are_a_dispute() {
        let cases = [
            ("both say that it falls", (100.0, 50.0), (90.0, 60.0), false),
            ("the simulation says that it rises", (100.0, 50.0), (60.0, 90.0), true),
            ("by chance", (100.0, 50.0), (60.0, 65.0), false),
            ("the formulas see hardly a change", (100.0, 98.0), (60.0, 90.0), false),
            ("the simulation says that it falls", (50.0, 100.0), (90.0, 60.0), true),
            ("from a saturated node", (f64::INFINITY, 50.0), (900.0, 60.0), false),
            ("to a saturated node", (50.0, f64::INFINITY), (900.0, 60.0), true),
            ("far below the objective", (0.7, 0.6), (0.7, 1.0), false),
            ("no longer far below it", (0.7, 0.6), (0.7, 41.0), true),
        ];
        for (name, formulas_ms, (source_ms, target_ms), want) in cases {
            let simulated = Confirmation { source_ms, target_ms, requests: 1 };
            assert_eq!(Confirmed { simulated, formulas_ms }.dispute(80.0).is_some(), want, "case: {name}");
        }
    }

    #[test]
    fn the_seed_follows_from_the_plan() {
        assert_eq!(seed("00000000000000ff99", 1), 0xfe);
        assert_eq!(seed("short", 3), 3);
    }
}
