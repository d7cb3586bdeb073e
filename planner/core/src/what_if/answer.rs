//! The answer: before and after, side by side.
use super::question::Resolved;
use crate::{
    ids::{NodeId, ServiceId, WorkloadId},
    inputs::OwnedInputs,
    time::Timestamp,
    twin::{Evaluation, MEDIAN, NodeIx, ServiceIx, UPPER},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Changes below this are left out: of a probability, of a share of CPU, and of latency as a share of itself.
const NOTICED: f64 = 0.005;

/// A service counts as at risk from this probability on when no rule says another.
const LIKELY: f64 = 0.5;

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The moment that it was asked about: of the snapshot and the forecasts.
    pub now: Timestamp,
    /// Start of the part of the look-ahead that was looked at; `None` for the worst of each service.
    pub looked_at: Option<Timestamp>,
    /// Whether a service would breach its objective, or would not be there at all.
    pub breach: bool,
    /// Whether the checker of plans would accept the moves; `None` when there are none.
    pub accepted: Option<bool>,
    /// What it says against them.
    pub objections: Vec<String>,
    /// Conditions that the moves break, judged one after the other.
    pub refused: Vec<Refused>,
    /// Services for which something changes, by name.
    pub services: Vec<ServiceChange>,
    /// Nodes for which something changes, by name.
    pub nodes: Vec<NodeChange>,
    /// What it costs.
    pub cost: CostChange,
}

/// A condition that a move breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// What would move.
    pub workload: WorkloadId,
    /// Where it would go.
    pub node: NodeId,
    /// Why it cannot.
    pub why: String,
}

/// One service, before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceChange {
    /// The service.
    pub service: ServiceId,
    /// Quantile of latency that it is held to; `None` without an objective.
    pub quantile: Option<f64>,
    /// Its objective in milliseconds.
    pub objective_ms: Option<f64>,
    /// Expected requests per second, at the fullest moment, after.
    pub requests_per_second: f64,
    /// As things are.
    pub before: Outlook,
    /// As they would be.
    pub after: Outlook,
    /// Whether it would breach its objective, or not be there.
    pub breach: bool,
    /// Why nothing can be said about its latency.
    pub unknown: Option<String>,
}

/// What is expected of a service.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outlook {
    /// Expected latency in milliseconds; `None` when it is not predicted, or a node is saturated.
    pub latency_ms: Option<f64>,
    /// Probability that it breaches its objective within the look-ahead, the twin's own error considered.
    pub risk: f64,
    /// Whether it waits for a node whose CPU is full, so that latency has no bound.
    pub saturated: bool,
    /// Whether no replica of it is left.
    pub lost: bool,
}

/// One node, before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeChange {
    /// The node.
    pub node: NodeId,
    /// Share of its CPU in use, at the level that capacity is planned for; `None` when it is not known.
    pub use_before: Option<f64>,
    /// The same after.
    pub use_after: Option<f64>,
    /// The most that may be in use.
    pub limit: f64,
}

/// What it costs, in tier-weighted requests per second at risk unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostChange {
    /// Requests at risk, before.
    pub risk_before: f64,
    /// Requests at risk, after.
    pub risk_after: f64,
    /// Calls per second times milliseconds of distance, before.
    pub network_before: f64,
    /// The same after.
    pub network_after: f64,
    /// Requests that the moves themselves disturb.
    pub disruption: f64,
    /// Money per hour that the targets cost more than the sources.
    pub money_per_hour: f64,
}

/// What conditions and checker say.
#[derive(Clone, Debug, Default)]
pub(super) struct Checked {
    pub(super) accepted: bool,
    pub(super) objections: Vec<String>,
    pub(super) refused: Vec<Refused>,
}

/// Puts both sides beside one another.
pub(super) fn compare(
    inputs: &OwnedInputs,
    resolved: &Resolved,
    (before, after): (&Evaluation<'_>, &Evaluation<'_>),
    lost: &BTreeSet<ServiceIx>,
    checked: Checked,
) -> Answer {
    let mesh = after.mesh();
    let named: BTreeSet<ServiceIx> = resolved
        .moves
        .iter()
        .map(|asked| mesh.service_of(asked.replica))
        .chain(resolved.load.iter().map(|(service, _)| *service))
        .chain(lost.iter().copied())
        .collect();
    let all =
        (0..mesh.services()).map(|service| (service, change(inputs, resolved, service, before, after, lost)));
    let services: Vec<ServiceChange> =
        all.filter(|(at, change)| named.contains(at) || differs(change)).map(|(_, change)| change).collect();
    let used = |side: &Evaluation<'_>, node: NodeIx| {
        let known = match resolved.knot {
            Some(knot) => side.node_use(node, knot, UPPER),
            None => side.highest_use(node, UPPER),
        };
        Some(known).filter(|known| known.is_finite())
    };
    let nodes = (0..mesh.nodes()).filter_map(|node| {
        let failed = resolved.failed.contains(&node);
        let use_before = used(before, node);
        let use_after = if failed { None } else { used(after, node) };
        let same = use_before.zip(use_after).is_some_and(|(a, b)| (a - b).abs() < NOTICED);
        let nothing = use_before.is_none() && use_after.is_none();
        let limit = inputs.settings.max_utilisation;
        (failed || !(same || nothing)).then(|| NodeChange {
            node: mesh.node(node).clone(),
            use_before,
            use_after,
            limit,
        })
    });
    Answer {
        now: inputs.now,
        looked_at: resolved.knot.map(|knot| mesh.knot_start(knot)),
        breach: services.iter().any(|service| service.breach),
        accepted: (!resolved.moves.is_empty()).then_some(checked.accepted),
        objections: checked.objections,
        refused: checked.refused,
        nodes: nodes.collect(),
        services,
        cost: cost(inputs, resolved, before, after),
    }
}

fn change(
    inputs: &OwnedInputs,
    resolved: &Resolved,
    service: ServiceIx,
    before: &Evaluation<'_>,
    after: &Evaluation<'_>,
    lost: &BTreeSet<ServiceIx>,
) -> ServiceChange {
    let mesh = after.mesh();
    let id = mesh.service(service);
    let objective = mesh.objective(service);
    let look = |side: &Evaluation<'_>, lost: bool| {
        let latency = match resolved.knot {
            Some(knot) => side.latency(service, knot, MEDIAN),
            None => side.expected_ms(service),
        };
        let predicted = objective.is_some() && mesh.service_unknown(service).is_none();
        let risk = if lost { 1.0 } else { side.risk(service) };
        let latency_ms = latency.filter(|_| !lost);
        Outlook { latency_ms, risk, saturated: predicted && latency.is_none(), lost }
    };
    let (before, after) = (look(before, false), look(after, lost.contains(&service)));
    let likely = threshold(inputs, id);
    let above = objective.zip(after.latency_ms).is_some_and(|(objective, ms)| ms > objective.above_ms);
    ServiceChange {
        service: id.clone(),
        quantile: objective.map(|objective| objective.quantile.get()),
        objective_ms: objective.map(|objective| objective.above_ms),
        requests_per_second: mesh.requests(service),
        breach: after.lost || after.saturated || above || (resolved.knot.is_none() && after.risk >= likely),
        before,
        after,
        unknown: mesh.service_unknown(service).map(ToString::to_string),
    }
}

/// The lowest probability at which a rule about the service's latency fires.
fn threshold(inputs: &OwnedInputs, service: &ServiceId) -> f64 {
    let policies = inputs.policies.iter().filter(|policy| policy.selects(service));
    let rules = policies.flat_map(|policy| &policy.rules).filter_map(|rule| rule.latency());
    rules.map(|rule| rule.probability.get()).reduce(f64::min).unwrap_or(LIKELY)
}

fn differs(change: &ServiceChange) -> bool {
    let (before, after) = (&change.before, &change.after);
    let slower = match (before.latency_ms, after.latency_ms) {
        (Some(before), Some(after)) => (after - before).abs() > NOTICED * before.max(1e-3),
        (None, None) => false,
        _ => true,
    };
    slower || (after.risk - before.risk).abs() > NOTICED || after.lost || after.saturated != before.saturated
}

fn cost(
    inputs: &OwnedInputs,
    resolved: &Resolved,
    before: &Evaluation<'_>,
    after: &Evaluation<'_>,
) -> CostChange {
    let mesh = after.mesh();
    let price = |node: &NodeId| inputs.snapshot.nodes.get(node).map_or(0.0, |node| node.cost_per_hour);
    let moves = || resolved.moves.iter();
    let disturbed =
        moves().map(|asked| mesh.weight(mesh.service_of(asked.replica)) * inputs.settings.disruption);
    CostChange {
        risk_before: before.risk_cost(),
        risk_after: after.risk_cost(),
        network_before: before.network_cost(),
        network_after: after.network_cost(),
        disruption: disturbed.sum(),
        money_per_hour: moves().map(|asked| price(&asked.to_id) - price(&asked.from)).sum(),
    }
}
