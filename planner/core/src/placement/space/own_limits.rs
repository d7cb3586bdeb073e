//! How full a node may get for a service whose own rules are about how full nodes are: where such a rule would fire again,
//! the service is not sent.
use crate::{
    ids::ServiceId,
    policy::{Base, Bound, Condition, Consumer, PredictedUsage, RelocationPolicy, Resource},
};

/// Limits of CPU in use on the nodes of a service.
#[derive(Clone, Copy, Debug)]
pub(in crate::placement) struct OwnLimits {
    share: f64,
    millicores: f64,
}

impl OwnLimits {
    /// The strictest of the rules of all policies that select the service. A rule that needs more to fire than use of CPU
    /// limits nothing.
    pub(super) fn of(policies: &[RelocationPolicy], service: &ServiceId) -> Self {
        let mut limits = Self { share: f64::INFINITY, millicores: f64::INFINITY };
        let selected = policies.iter().filter(|policy| policy.selects(service));
        for rule in selected.flat_map(|policy| &policy.rules) {
            let Condition::PredictedUsage(PredictedUsage { of, resource, above, .. }) = &rule.when else {
                continue;
            };
            match (of, resource, above) {
                (Consumer::Node, Resource::Cpu, Bound::Share { share, of: Base::Capacity }) => {
                    limits.share = limits.share.min(*share);
                }
                (Consumer::Node, Resource::Cpu, Bound::Absolute(millicores)) => {
                    limits.millicores = limits.millicores.min(*millicores);
                }
                _ => {}
            }
        }
        limits
    }

    /// Highest share of CPU in use on a node of this size, in millicores.
    pub(super) fn on(self, capacity: f64) -> f64 {
        self.share.min(if capacity > 0.0 { self.millicores / capacity } else { f64::INFINITY })
    }
}
