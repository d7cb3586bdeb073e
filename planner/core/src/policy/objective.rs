//! The latency that must hold wherever a service runs, whatever it is moved for.
use super::{Condition, Mode, PredictedLatency, RelocationPolicy};
use crate::ids::ServiceId;

/// The strictest latency objective of a service: among the rules of all policies that select it and may do more than
/// look, the one for the highest quantile, and of those the lowest. A move for another reason, such as CPU or money,
/// must hold it on the target. `None` when no such rule looks at latency.
///
/// A quantile further out comes first because the tail is what suffers first where a node fills up.
pub fn objective<'a>(
    policies: impl IntoIterator<Item = &'a RelocationPolicy>,
    service: &ServiceId,
) -> Option<&'a PredictedLatency> {
    let concerned =
        policies.into_iter().filter(|policy| policy.mode > Mode::Observe && policy.selects(service));
    let latencies = concerned.flat_map(|policy| &policy.rules).flat_map(|rule| rule.when.parts());
    let latencies = latencies.filter_map(|part| match part {
        Condition::PredictedLatency(latency) => Some(latency),
        _ => None,
    });
    latencies.min_by(|a, b| {
        let further_out = b.quantile.get().total_cmp(&a.quantile.get());
        further_out.then(a.above_ms.total_cmp(&b.above_ms)).then(b.within_ms.cmp(&a.within_ms))
    })
}
