//! What moving and staying cost, in one unit: tier-weighted requests per second at risk.
use super::Risk;
use crate::{
    history::Metric,
    ids::{NodeId, ServiceId, WorkloadId},
    inputs::Inputs,
};
use serde::{Deserialize, Serialize};

/// Cost of one candidate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Requests that would still be slow: tier weight, times probability of a breach, times throughput.
    pub risk: f64,
    /// The move itself: tier weight, times the share that counts as disturbed, times throughput.
    pub disruption: f64,
    /// Price of the target less that of the source, as requests.
    pub money: f64,
}

impl Cost {
    /// The sum; lower is better.
    pub fn total(&self) -> f64 {
        self.risk + self.disruption + self.money
    }
}

/// Doing nothing: the predicted breach happens.
pub(super) fn of_staying(inputs: &Inputs<'_>, risk: &Risk<'_>) -> f64 {
    let tier = inputs.snapshot.workloads.values().filter(|w| w.service == *risk.service).map(|w| w.tier);
    // A service of several workloads matters as much as the one that matters most.
    let weight = tier.map(|tier| risk.policy.tiers.of(tier)).fold(0.0, f64::max);
    weight * risk.trigger.probability().get() * throughput(inputs, risk.service)
}

/// One replica goes from `from` to `to`, with `breach` the probability that the service breaches all the same.
pub(super) fn of_move(
    inputs: &Inputs<'_>,
    risk: &Risk<'_>,
    workload: &WorkloadId,
    from: &NodeId,
    to: &NodeId,
    breach: f64,
) -> Cost {
    let weight = risk.policy.tiers.of(inputs.snapshot.workloads[workload].tier);
    let requests = weight * throughput(inputs, risk.service);
    Cost {
        risk: requests * breach,
        disruption: requests * inputs.settings.disruption,
        money: (price(inputs, to) - price(inputs, from)) * inputs.settings.requests_per_money,
    }
}

/// Price of a node in money per hour.
pub(super) fn price(inputs: &Inputs<'_>, node: &NodeId) -> f64 {
    inputs.snapshot.nodes.get(node).map_or(0.0, |node| node.cost_per_hour)
}

/// Highest expected requests per second within the forecast, or those of now: both sides of every comparison use the
/// same number.
fn throughput(inputs: &Inputs<'_>, service: &ServiceId) -> f64 {
    let expected = inputs.forecast(service, Metric::Throughput).and_then(Result::ok);
    let highest = expected.map(|forecast| forecast.steps.iter().map(|step| step.point).fold(0.0, f64::max));
    let measured = inputs.services.get(service).and_then(|known| known.measured);
    highest.or(measured.map(|measured| measured.throughput_rps)).unwrap_or(0.0)
}
