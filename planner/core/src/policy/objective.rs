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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{PolicyDocument, validate};
    use serde_json::json;

    #[test]
    fn the_tail_comes_first_then_the_lowest() {
        let policy = |mode: &str, services: &str, rules: serde_json::Value| {
            let document = json!({
                "apiVersion": "foremesh.dev/v1alpha1", "kind": "RelocationPolicy", "metadata": {"name": "shop"},
                "spec": {"selector": {"services": [services]}, "mode": mode, "rules": rules}
            });
            let document: PolicyDocument = serde_json::from_value(document).unwrap();
            validate(&document).unwrap()
        };
        let latency = |name: &str, quantile: f64, above: &str| json!({"name": name, "predictedLatency": {"quantile": quantile, "above": above}});
        let policies = [
            policy("recommend", "cart", json!([latency("a", 0.5, "20ms"), latency("b", 0.99, "300ms")])),
            policy(
                "recommend",
                "*",
                json!([{"name": "c", "all": [
                    {"costSaving": {"atLeast": 1}}, {"predictedLatency": {"quantile": 0.99, "above": "250ms"}}
                ]}]),
            ),
            policy("observe", "*", json!([latency("d", 0.999, "1ms")])),
            policy("recommend", "mail", json!([latency("e", 0.99, "100ms")])),
        ];
        let found = |service: &str| objective(&policies, &service.into()).map(|latency| latency.above_ms);
        assert_eq!(found("cart"), Some(250.0));
        assert_eq!(found("mail"), Some(100.0));
        assert_eq!(objective(&policies[2..], &"cart".into()), None);
    }
}
