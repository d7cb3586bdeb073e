//! Demand that cannot be served because nodes are full.
//!
//! A node that is predicted to need more CPU than it has serves `capacity / needed` of what is asked of it. Replicas are
//! taken to share the requests of their service evenly, and nodes and demand to rise together, which is the careful
//! assumption: at each level of the forecasts all of them are at that level. Requests that fail for other reasons are
//! the business of availability and do not count.
use super::{Sight, series::look_ahead, series_of, usage::node_gauge};
use crate::{
    forecast::{Forecast, LEVELS},
    gauge::GaugeMetric,
    history::Metric,
    ids::ServiceId,
    policy::{Breach, Healthy, PredictedThroughput, Quantity, UnknownReason, Verdict, verdict::Subject},
    units::Probability,
};

/// A node of the service.
struct Host<'a> {
    subject: Subject,
    /// Share of the service's requests that its replicas there serve.
    share: f64,
    capacity: f64,
    needed: &'a Forecast,
}

impl Host<'_> {
    /// Share of what is asked of it that it cannot serve, at a step of the demand and a level.
    fn unserved(&self, at: crate::time::Timestamp, level: usize) -> f64 {
        let step = self.needed.index_at(at).and_then(|index| self.needed.steps.get(index));
        let needed = step.map_or(0.0, |step| step.quantiles[level]);
        if needed > self.capacity { 1.0 - self.capacity / needed } else { 0.0 }
    }
}

pub(super) fn assess(
    rule: &PredictedThroughput,
    service: &ServiceId,
    sight: &Sight<'_>,
) -> Result<Verdict, UnknownReason> {
    let demand = series_of(service, Metric::Throughput, sight)?;
    let run = look_ahead(&rule.sustained, demand, sight)?;
    let hosts = hosts(rule, service, sight)?;
    let unserved = |step: usize, level: usize| {
        let asked = &demand.steps[step];
        if asked.quantiles[level] <= 0.0 {
            return 0.0;
        }
        hosts.iter().map(|host| host.share * host.unserved(asked.at, level)).sum()
    };
    let begins =
        |level: usize| run.begins(demand.steps.len(), |step| unserved(step, level) > rule.below_demand_by);
    let breached: Vec<usize> = (0..LEVELS.len()).filter_map(begins).collect();
    // Levels rise, so those that breach are the last ones.
    let probability = match LEVELS.len() - breached.len() {
        level if level < LEVELS.len() => rest(LEVELS[level]),
        _ => rest(LEVELS[LEVELS.len() - 1]) / 2.0,
    };
    let probability = Probability::new(probability).unwrap_or_default();
    let judged = judged_level(rule.sustained.probability);
    let steps = run.first..run.end.min(demand.steps.len());
    let worst = steps.clone().map(|step| unserved(step, judged)).fold(0.0, f64::max);
    let (worst, threshold) = (Quantity::share(worst), Quantity::share(rule.below_demand_by));
    let fullest = |level: usize| {
        let short = |host: &&Host<'_>| {
            steps.clone().map(|step| host.unserved(demand.steps[step].at, level)).fold(0.0, f64::max)
        };
        hosts.iter().max_by(|a, b| short(a).total_cmp(&short(b))).map(|host| host.subject.clone())
    };
    let Some(begin) = breached.get(breached.len() / 2).filter(|_| probability >= rule.sustained.probability)
    else {
        return Ok(Verdict::Healthy(Healthy { worst, threshold, subject: None, probability }));
    };
    Ok(Verdict::Breach(Breach {
        at: demand.steps[*begin].at.max(sight.inputs.now),
        probability,
        worst,
        threshold,
        subject: fullest(judged),
        steps_beyond: steps.filter(|step| unserved(*step, judged) > rule.below_demand_by).count(),
        saving_at_least: None,
    }))
}

fn hosts<'a>(
    rule: &PredictedThroughput,
    service: &ServiceId,
    sight: &Sight<'a>,
) -> Result<Vec<Host<'a>>, UnknownReason> {
    let nodes = sight.nodes_of(service);
    let replicas: usize = nodes.values().sum();
    if replicas == 0 {
        return Err(UnknownReason::NoReplica);
    }
    let gauge = GaugeMetric::CpuUsedMillicores;
    let host = |(node, here): (&'a crate::ids::NodeId, usize)| {
        let subject = Subject::Node(node.clone());
        let missing =
            || UnknownReason::NoForecastOf { subject: subject.clone(), metric: gauge.name().to_owned() };
        let needed = match node_gauge(node, gauge, sight).ok_or_else(missing)? {
            Ok(forecast) => forecast,
            Err(error) => {
                return Err(UnknownReason::Refused { metric: gauge.name().to_owned(), error: error.clone() });
            }
        };
        look_ahead(&rule.sustained, needed, sight)?;
        let known = sight.inputs.snapshot.nodes.get(node).map(|node| node.capacity.get());
        let capacity = known.filter(|capacity| *capacity > 0.0).ok_or_else(|| UnknownReason::NoBase {
            subject: subject.clone(),
            what: "cpu capacity".to_owned(),
        })?;
        Ok(Host { subject, share: here as f64 / replicas as f64, capacity, needed })
    };
    nodes.into_iter().map(host).collect()
}

/// Place in [`LEVELS`] of the level that a rule with this probability judges: the lowest one at which a breach is
/// probable enough.
fn judged_level(probability: Probability) -> usize {
    let too_far = |level: &f64| rest(*level) < probability.get();
    LEVELS.iter().position(too_far).map_or(LEVELS.len() - 1, |above| above.saturating_sub(1))
}

/// What is above a level, without the last bits that a subtraction leaves: above 0.9 there is 0.1.
fn rest(level: f64) -> f64 {
    ((1.0 - level) * 1e6).round() / 1e6
}
