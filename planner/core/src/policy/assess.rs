//! Forecasts against a policy: is a breach predicted, and when.
mod foreseen;
mod series;
mod sight;
mod throughput;
mod usage;

pub use sight::Sight;

use super::{
    Condition, RelocationPolicy,
    verdict::{Breach, Healthy, Opportunity, UnknownReason, Verdict, verdict_order},
};
use crate::{
    forecast::Forecast,
    history::Metric,
    ids::{PolicyId, ServiceId},
};
use serde::{Deserialize, Serialize};
use series::Comparison;

/// One rule's verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleVerdict {
    /// The rule.
    pub rule: String,
    /// What it says.
    pub verdict: Verdict,
}

/// What a policy says about one service: every rule, and the one that counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assessment {
    /// The policy.
    pub policy: PolicyId,
    /// All rules in the policy's order.
    pub rules: Vec<RuleVerdict>,
    /// Index of the rule that counts: the earliest breach; without any, the first that does not know; else one that
    /// would save money; else the one closest to a breach.
    pub deciding: usize,
}

impl Assessment {
    /// The rule that counts, and what it says.
    pub fn decisive(&self) -> Option<&RuleVerdict> {
        self.rules.get(self.deciding)
    }
}

/// Looks at each rule of a policy for one service.
pub fn assess(policy: &RelocationPolicy, service: &ServiceId, sight: &Sight<'_>) -> Assessment {
    let judged = |rule: &super::Rule| RuleVerdict {
        rule: rule.name.clone(),
        verdict: assess_condition(&rule.when, service, sight),
    };
    let rules: Vec<RuleVerdict> = policy.rules.iter().map(judged).collect();
    let deciding = (0..rules.len()).reduce(|best, next| {
        if verdict_order(&rules[next].verdict, &rules[best].verdict) { next } else { best }
    });
    Assessment { policy: policy.id.clone(), rules, deciding: deciding.unwrap_or(0) }
}

/// What one condition says of a service.
pub fn assess_condition(condition: &Condition, service: &ServiceId, sight: &Sight<'_>) -> Verdict {
    let said = match condition {
        Condition::PredictedLatency(latency) => {
            let quantile = latency.quantile.get();
            let not_kept = || UnknownReason::QuantileNotKept { quantile: quantile.to_string() };
            let above = Comparison::above_ms(latency.above_ms);
            let said = Metric::latency(quantile)
                .ok_or_else(not_kept)
                .and_then(|metric| series_of(service, metric, sight))
                .and_then(|forecast| series::assess(&latency.sustained(), &above, forecast, sight));
            foreseen::beside_the_twin(latency, service, said, sight)
        }
        Condition::PredictedAvailability(availability) => {
            let below = Comparison::below_share(availability.below);
            series_of(service, Metric::Availability, sight)
                .and_then(|forecast| series::assess(&availability.sustained, &below, forecast, sight))
        }
        Condition::PredictedThroughput(rule) => throughput::assess(rule, service, sight),
        Condition::PredictedUsage(rule) => usage::assess(rule, service, sight),
        Condition::PredictedExhaustion(rule) => usage::assess_exhaustion(rule, service, sight),
        Condition::CostSaving(saving) => Ok(Verdict::Opportunity(Opportunity { at_least: saving.at_least })),
        Condition::All(parts) => {
            let said = parts.iter().map(|part| assess_condition(part, service, sight));
            Ok(all_of(said.collect(), condition.saving()))
        }
    };
    said.unwrap_or_else(|why| Verdict::Unknown { why })
}

/// The service's own forecast of a quantity.
fn series_of<'a>(
    service: &ServiceId,
    metric: Metric,
    sight: &Sight<'a>,
) -> Result<&'a Forecast, UnknownReason> {
    match sight.inputs.forecast(service, metric) {
        None => Err(UnknownReason::NoForecast { metric: metric.name() }),
        Some(Err(error)) => Err(UnknownReason::Refused { metric: metric.name(), error: error.clone() }),
        Some(Ok(forecast)) => Ok(forecast),
    }
}

/// Joins the verdicts of conditions that must all hold: one that does not is enough for "healthy", whatever is not known
/// of the others. The least probable one speaks for all, and the breach is complete when the last of them begins.
fn all_of(parts: Vec<Verdict>, saving_at_least: Option<f64>) -> Verdict {
    let mut healthy: Option<Healthy> = None;
    let mut breach: Option<Breach> = None;
    let mut unknown = None;
    for part in parts {
        match part {
            Verdict::Healthy(part) => {
                if healthy.as_ref().is_none_or(|least| part.probability < least.probability) {
                    healthy = Some(part);
                }
            }
            Verdict::Breach(part) => {
                breach = Some(match breach {
                    None => part,
                    Some(before) => {
                        let at = before.at.max(part.at);
                        let least = if part.probability < before.probability { part } else { before };
                        Breach { at, ..least }
                    }
                });
            }
            Verdict::Unknown { why } => unknown = unknown.or(Some(why)),
            Verdict::Opportunity(_) => {}
        }
    }
    match (healthy, unknown, breach) {
        (Some(healthy), _, _) => Verdict::Healthy(healthy),
        (None, Some(why), _) => Verdict::Unknown { why },
        (None, None, Some(breach)) => Verdict::Breach(Breach { saving_at_least, ..breach }),
        (None, None, None) => {
            Verdict::Opportunity(Opportunity { at_least: saving_at_least.unwrap_or_default() })
        }
    }
}

#[cfg(test)]
mod tests;
