//! Forecast against policy: is a breach predicted, and when.
use super::{Condition, PredictedLatency, RelocationPolicy, Rule};
use crate::{
    duration::in_words,
    forecast::{Forecast, ForecastError, model::BreachWindow},
    history::Metric,
    ids::PolicyId,
    time::Timestamp,
    units::{Probability, Quantile},
};
use serde::{Deserialize, Serialize};

/// What a rule or policy says about a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// No breach is predicted.
    Healthy(Healthy),
    /// A breach is predicted.
    Breach(Breach),
    /// Nothing can be said; nothing is moved.
    Unknown {
        /// Why not.
        why: UnknownReason,
    },
}

/// How far from a breach a service is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Healthy {
    /// Highest latency in milliseconds that the rule sees within its look-ahead.
    pub worst_ms: f64,
    /// Probability that the rule will fire within its look-ahead.
    pub probability: Probability,
}

/// A predicted breach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Breach {
    /// Start of the breach in the middle one of the outcomes that have one, or the moment of the assessment when that
    /// step has begun.
    pub at: Timestamp,
    /// Probability that the rule fires within its look-ahead, from the joint distribution of the steps.
    pub probability: Probability,
    /// Highest latency in milliseconds within the look-ahead, at the level that the rule judges: the quantile
    /// `1 - probability` of the forecast's distribution.
    pub worst_ms: f64,
    /// Steps within the look-ahead that are each as likely to be above the objective.
    pub steps_above: usize,
}

/// Seasons without which nothing is said of a series that has one: a whole one, and a quarter to compare with it.
const LEARNING_SEASONS: f64 = 1.25;

/// Seasons from which on joint paths are trusted: two but for some gaps.
const SURE_SEASONS: f64 = 1.9;

/// Why nothing can be said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum UnknownReason {
    /// Nobody asked for a forecast of that quantity, or the service was never seen.
    #[error("there is no forecast of {metric}")]
    NoForecast {
        /// The quantity.
        metric: String,
    },
    /// The forecast was refused.
    #[error("{metric} could not be forecast: {error}")]
    Refused {
        /// The quantity.
        metric: String,
        /// Why.
        error: ForecastError,
    },
    /// The forecast was made too long ago.
    #[error("the forecast is {} old, but at most {} are allowed", in_words(*age_ms), in_words(*limit_ms))]
    Stale {
        /// Its age in milliseconds, that of its data included.
        age_ms: i64,
        /// The limit in milliseconds.
        limit_ms: i64,
    },
    /// The forecast ends before the rule's look-ahead.
    #[error(
        "the forecast reaches {} ahead, but the rule looks {} ahead; lengthen the horizon or shorten `within`",
        in_words(*have_ms),
        in_words(*need_ms)
    )]
    HorizonTooShort {
        /// How far it reaches, in milliseconds.
        have_ms: i64,
        /// How far the rule looks, in milliseconds.
        need_ms: i64,
    },
    /// Less than a season and a quarter was seen, so what comes every day is not known yet.
    #[error(
        "{seasons:.2} seasons were seen, but at least {need} are needed to know what comes with each of them"
    )]
    Learning {
        /// Seasons that were seen.
        seasons: f64,
        /// Seasons that are needed.
        need: f64,
    },
    /// The latency quantile of the rule is not kept.
    #[error("latency at quantile {quantile} is not kept")]
    QuantileNotKept {
        /// The quantile as text.
        quantile: String,
    },
}

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
    /// Index of the rule that counts: the earliest breach; without any, the first that does not know; else the one
    /// closest to a breach.
    pub deciding: usize,
}

impl Assessment {
    /// The rule that counts, and what it says.
    pub fn decisive(&self) -> Option<&RuleVerdict> {
        self.rules.get(self.deciding)
    }
}

/// Looks at each rule of a policy. `forecast_of` gives the service's forecast of a quantity, `None` when nobody made
/// one. `stale_limit_ms` is the highest age of a forecast and its data together.
pub fn assess<'f>(
    policy: &RelocationPolicy,
    forecast_of: impl Fn(Metric) -> Option<Result<&'f Forecast, &'f ForecastError>>,
    now: Timestamp,
    stale_limit_ms: i64,
) -> Assessment {
    let verdict_of = |rule: &Rule| {
        let Condition::PredictedLatency(latency) = &rule.when;
        let quantile = latency.quantile.get();
        let Some(metric) = Metric::latency(quantile) else {
            return Verdict::Unknown {
                why: UnknownReason::QuantileNotKept { quantile: quantile.to_string() },
            };
        };
        match forecast_of(metric) {
            None => Verdict::Unknown { why: UnknownReason::NoForecast { metric: metric.name() } },
            Some(Err(error)) => Verdict::Unknown {
                why: UnknownReason::Refused { metric: metric.name(), error: error.clone() },
            },
            Some(Ok(forecast)) => assess_rule(latency, forecast, now, stale_limit_ms),
        }
    };
    let rules: Vec<RuleVerdict> = policy
        .rules
        .iter()
        .map(|rule| RuleVerdict { rule: rule.name.clone(), verdict: verdict_of(rule) })
        .collect();
    let deciding = (0..rules.len()).reduce(|best, next| {
        if breach_order(&rules[next].verdict, &rules[best].verdict) { next } else { best }
    });
    Assessment { policy: policy.id.clone(), rules, deciding: deciding.unwrap_or(0) }
}

/// Whether `a` counts before `b`: breach before unknown before healthy; the earlier breach, the closer call.
pub(crate) fn breach_order(a: &Verdict, b: &Verdict) -> bool {
    match (a, b) {
        (Verdict::Breach(a), Verdict::Breach(b)) => {
            (a.at, -a.probability.get()) < (b.at, -b.probability.get())
        }
        (Verdict::Healthy(a), Verdict::Healthy(b)) => a.probability > b.probability,
        (Verdict::Breach(_), _) | (Verdict::Unknown { .. }, Verdict::Healthy(_)) => true,
        _ => false,
    }
}

/// Whether a sustained breach is probable enough: that `steps` of `of` steps in a row are above the objective, the first
/// of them within the look-ahead. The steps count together, as they hang together in the forecast's joint paths.
pub fn assess_rule(
    rule: &PredictedLatency,
    forecast: &Forecast,
    now: Timestamp,
    stale_limit_ms: i64,
) -> Verdict {
    let age_ms = forecast.age_ms(now);
    if age_ms > stale_limit_ms {
        return Verdict::Unknown { why: UnknownReason::Stale { age_ms, limit_ms: stale_limit_ms } };
    }
    let until = now.plus_ms(rule.within_ms);
    let too_short = |have_ms| UnknownReason::HorizonTooShort { have_ms, need_ms: rule.within_ms };
    // The first step began before `now`, so the horizon may end a part of a step before the look-ahead does.
    let have_ms = forecast.end().ms_since(now);
    if have_ms.saturating_add(forecast.step.ms()) <= rule.within_ms {
        return Verdict::Unknown { why: too_short(have_ms) };
    }
    let Some(first) = forecast.index_at(now) else { return Verdict::Unknown { why: too_short(0) } };
    let end = forecast.steps.partition_point(|step| step.at < until);
    if let Some(seasons) = forecast.seasons.filter(|seasons| *seasons < LEARNING_SEASONS) {
        return Verdict::Unknown { why: UnknownReason::Learning { seasons, need: LEARNING_SEASONS } };
    }
    let window = BreachWindow {
        threshold: rule.above_ms,
        steps: rule.steps,
        of: rule.of,
        within: end.saturating_sub(first),
    };
    let Some(probability) = forecast.breach(&window, first) else {
        return Verdict::Unknown { why: too_short(have_ms) };
    };
    // Until a second season confirms the first, its one breach is one piece of evidence, however many paths saw it.
    let probability = match forecast.seasons {
        Some(seasons) if seasons < SURE_SEASONS => {
            lower(probability, step_by_step(rule, forecast, first..end))
        }
        _ => probability,
    };
    let worst_ms = worst(rule, forecast, first..end);
    let likely = |index: &usize| forecast.exceedance(*index, rule.above_ms) >= Some(rule.probability);
    if probability < rule.probability {
        return Verdict::Healthy(Healthy { worst_ms, probability });
    }
    let begins = forecast.breach_at(&window, first).unwrap_or(forecast.steps[first].at);
    Verdict::Breach(Breach {
        at: begins.max(now),
        probability,
        worst_ms,
        steps_above: (first..end).filter(likely).count(),
    })
}

fn lower(a: Probability, b: Probability) -> Probability {
    if b < a { b } else { a }
}

/// Probability with which the rule would still fire if each step stood alone: the lowest one among the steps that make
/// it fire, in the window where that is highest.
fn step_by_step(rule: &PredictedLatency, forecast: &Forecast, steps: std::ops::Range<usize>) -> Probability {
    let last = forecast.steps.len();
    let windows = steps.map(|start| {
        let mut alone: Vec<f64> = (start..(start + rule.of).min(last))
            .filter_map(|index| forecast.exceedance(index, rule.above_ms).map(Probability::get))
            .collect();
        alone.sort_unstable_by(|a, b| b.total_cmp(a));
        alone.get(rule.steps.saturating_sub(1)).copied().unwrap_or(0.0)
    });
    Probability::new(windows.fold(0.0, f64::max)).unwrap_or_default()
}

fn worst(rule: &PredictedLatency, forecast: &Forecast, steps: std::ops::Range<usize>) -> f64 {
    let level = Quantile::new(1.0 - rule.probability.get());
    steps.filter_map(|index| level.ok().and_then(|level| forecast.quantile(index, level))).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests;
