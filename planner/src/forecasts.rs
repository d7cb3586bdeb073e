//! Keeps every series forecast: in each pass it takes in what is new, and gives what the decision, the API and the
//! metrics show. What a series is made of is pure ([`LiveSeries`]); this brings it what is known around it.
mod accuracy;
mod around;
mod exhaustion;
mod experts;
mod guard;
mod net;
mod relearning;
mod series_id;
#[cfg(test)]
mod tests;

pub use accuracy::{Accuracy, accuracies};
pub use exhaustion::Exhausted;
pub use experts::{Experts, ExpertsSettings, dear_models};
pub use guard::ModelCounts;
pub use net::{NetSettings, NetState, NetTraining, TrainingSeries};
pub use series_id::SeriesId;

use crate::{
    calendar::{CalendarSet, LearnedEffect},
    observed::Observed,
    regressors::RegressorSet,
};
use around::{Around, Occurrences};
use experts::chosen;
use foremesh_core::{
    calendar::{Effects, InForce, Priors},
    forecast::{
        Forecast, ForecastSettings, Shape, forecast,
        model::{BreachWindow, Model},
    },
    gauge::GaugeMetric,
    history::Metric,
    ids::{NodeId, ServiceId},
    inputs::{MaybeForecast, Measured, Resources, ServiceInputs, gauges_needed, metrics_needed},
    live::LiveSeries,
    policy::{Consumer, RelocationPolicy, Rule},
    rollout::RolloutRecord,
    time::{Step, Timestamp},
    units::Probability,
};
use relearning::Relearning;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Steps that the newest values may be later than usual before the far end of the horizon is not forecast.
const LATE_STEPS: usize = 4;

/// Probability of a breach from which on a series may take the memory of dear models from one that is below it.
const AT_RISK: f64 = 0.1;
/// Most series that lose theirs for that in one pass, or a wave of risks would take from many what the budget of CPU time
/// cannot give to the others in it.
const MOST_DISPLACED: usize = 8;

/// What a pass knows around the series.
#[derive(Clone, Debug)]
pub struct Known {
    /// What operators want; says which quantities are needed.
    pub policies: Arc<Vec<RelocationPolicy>>,
    /// Our own moves of late.
    pub rollouts: Vec<RolloutRecord>,
    /// Known events.
    pub calendars: Arc<CalendarSet>,
    /// Series that explain ours.
    pub regressors: Arc<RegressorSet>,
    /// The moment of the pass.
    pub now: Timestamp,
    /// Length of a step.
    pub step: Step,
    /// Length of the histories, in milliseconds.
    pub keep_ms: i64,
    /// CPU that workloads can have on each node, in millicores.
    pub cpu_millicores: BTreeMap<NodeId, f64>,
}

/// One forecast with what is around it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The forecast, or why there is none.
    pub forecast: MaybeForecast,
    /// Events with an effect within the horizon.
    pub events: Vec<InForce>,
    /// Names of the regressors that have an effect.
    pub regressors: Vec<String>,
    /// Whether a policy named models and others are in use for a part of the horizon, since none of those can say
    /// anything.
    pub fell_back: bool,
}

/// All forecasts of one pass.
#[derive(Clone, Debug, Default)]
pub struct PassForecasts {
    /// By what they are about.
    pub all: BTreeMap<SeriesId, Shown>,
    /// How good past ones turned out to be, the worst first.
    pub accuracy: Vec<Accuracy>,
    /// What events turned out to do.
    pub effects: Vec<LearnedEffect>,
    /// What became of fits and predictions of each dear model since the planner started.
    pub models: BTreeMap<&'static str, ModelCounts>,
    /// Memory of the dear models of all series, in bytes.
    pub model_bytes: usize,
    /// Forecasts since the planner started in which models had to stand in for those that a policy names.
    pub fallbacks: u64,
    /// Resources of nodes that may run out within the horizon.
    pub exhausted: Vec<Exhausted>,
    /// Series that an event or a regressor has to be learned again for, and whose turn has not come yet.
    pub relearning: usize,
    /// What became of trainings of the common net.
    pub net: NetState,
}

/// Keeps every series forecast.
#[derive(Debug)]
pub struct Forecasts {
    how: ForecastSettings,
    /// Steps that are over and not shown yet, because their last values may still come.
    settling_steps: usize,
    experts: Experts,
    kept: BTreeMap<SeriesId, LiveSeries>,
    /// What events do to like series, by quantity.
    priors: BTreeMap<String, Priors>,
    /// Highest probability of a breach in the last pass, for those that a rule looks at.
    risks: BTreeMap<SeriesId, f64>,
    relearning: Relearning,
    occurrences: Occurrences,
    /// Forecasts of regressors whose future nobody knows.
    futures: BTreeMap<String, Forecast>,
    fallbacks: u64,
}

impl Forecasts {
    /// Knows no series yet. Steps are shown `settling_steps` after their end. In each pass so much CPU time may be spent
    /// on learning events and regressors again, in microseconds; one series is always learned.
    pub fn new(how: ForecastSettings, settling_steps: usize, experts: Experts, relearn_us: f64) -> Self {
        Self {
            how,
            settling_steps,
            experts,
            kept: BTreeMap::new(),
            priors: BTreeMap::new(),
            risks: BTreeMap::new(),
            relearning: Relearning::new(relearn_us),
            occurrences: Occurrences::default(),
            futures: BTreeMap::new(),
            fallbacks: 0,
        }
    }

    /// Replaces a dear model by a newer one of the same name; see [`Experts::replace`].
    pub fn replace_model(&mut self, model: Box<dyn Model>) {
        self.experts.replace(model);
    }

    /// Takes in what is new, and forecasts everything. Takes milliseconds for each series that is new, microseconds for
    /// each other one, and what the budgets of the experts and of relearning allow.
    pub fn pass(&mut self, observed: &Observed, known: &Known) -> PassForecasts {
        let wanted = wanted(observed, &known.policies);
        self.kept.retain(|id, _| wanted.contains(id));
        self.experts.begin_pass(known.now, |id| wanted.contains(id));
        self.relearning.begin_pass(|id| wanted.contains(id));
        self.futures = self.forecast_regressors(known);
        self.make_room(known);
        let mut all = BTreeMap::new();
        for id in self.in_order(&wanted) {
            all.extend(self.one(id, observed, known, false).map(|shown| (id.clone(), shown)));
        }
        self.look_at_risks(&all, known);
        for id in self.relearning.in_order(&self.risks) {
            let Some(live) = self.kept.get(&id) else { continue };
            if !self.relearning.spend(live.relearning_cost_us()) {
                break;
            }
            all.extend(self.one(&id, observed, known, true).map(|shown| (id, shown)));
        }
        self.look_at_risks(&all, known);
        self.fallbacks += all.values().filter(|shown: &&Shown| shown.fell_back).count() as u64;
        self.learn_priors();
        PassForecasts {
            accuracy: accuracies(&self.kept),
            effects: self.learned(),
            models: self.experts.counts(),
            model_bytes: self.experts.held_bytes(),
            fallbacks: self.fallbacks,
            exhausted: exhaustion::exhausted(&all, observed, known),
            relearning: self.relearning.waiting(),
            net: NetState::default(),
            all,
        }
    }

    /// Lets series that are at risk have dear models in place of those that are not, where there is no room for both.
    fn make_room(&mut self, known: &Known) {
        let risk = |id: &SeriesId| self.risks.get(id).copied().unwrap_or(0.0);
        let lacking =
            self.kept.iter().filter(|(id, live)| risk(id) >= AT_RISK && !self.experts.has_any(live));
        let lacking = lacking.count().min(MOST_DISPLACED);
        if lacking == 0 {
            return;
        }
        let can_do_without = self.kept.iter_mut().filter(|(id, live)| {
            risk(id) < AT_RISK && self.experts.has_any(live) && chosen(id, &known.policies).is_empty()
        });
        let mut can_do_without: Vec<_> = can_do_without.collect();
        can_do_without.sort_by(|(a, _), (b, _)| risk(a).total_cmp(&risk(b)));
        self.experts.make_room(lacking, can_do_without.into_iter());
    }

    fn look_at_risks(&mut self, all: &BTreeMap<SeriesId, Shown>, known: &Known) {
        self.risks =
            all.iter().filter_map(|(id, shown)| Some((id.clone(), risk(id, shown, known)?))).collect();
    }

    /// Who gets dear models first: whoever was most likely to breach an objective, then who has waited longest.
    fn in_order<'w>(&self, wanted: &'w BTreeSet<SeriesId>) -> Vec<&'w SeriesId> {
        let mut order: Vec<_> = wanted
            .iter()
            .map(|id| (self.risks.get(id).copied().unwrap_or(0.0), self.experts.waiting_since(id), id))
            .collect();
        order.sort_by(|(risk_a, since_a, _), (risk_b, since_b, _)| {
            risk_b.total_cmp(risk_a).then_with(|| since_a.cmp(since_b))
        });
        order.into_iter().map(|(.., id)| id).collect()
    }

    /// Takes in what is new in one series, and forecasts it; `None` when nothing was observed of it. What would replay
    /// its history is put off unless it is to `relearn`.
    fn one(&mut self, id: &SeriesId, observed: &Observed, known: &Known, relearn: bool) -> Option<Shown> {
        let series = &*id.values(observed)?;
        let horizon = self.horizon();
        let around = Around::of(id, series, known, &mut self.occurrences, &self.futures, horizon);
        let shape = Shape { horizon, highest: id.highest(), ..self.how.shape(series.step()) };
        // What it did itself is no news from like series.
        let priors = match (self.priors.get(&around.metric), self.kept.get(id).and_then(LiveSeries::effects))
        {
            _ if around.occurrences.is_empty() => Priors::default(),
            (Some(priors), Some(own)) => priors.without(own),
            (priors, _) => priors.cloned().unwrap_or_default(),
        };
        let regressors = around.regressors();
        let around = around.surroundings(&priors, &regressors, id.parts(observed));
        let new = match self.kept.remove(id) {
            Some(live) => live,
            None => LiveSeries::new(shape, series.start(), self.like(id)),
        };
        let live = self.kept.entry(id.clone()).or_insert(new);
        let chosen = chosen(id, &known.policies);
        live.restrict(&chosen);
        if relearn {
            live.advance(series, &around);
        } else {
            live.advance_only(series, &around);
        }
        self.relearning.note(id, live.relearning_waits(), known.now);
        if !live.relearning_waits() {
            // A fit to what is about to be cleaned otherwise would be in vain.
            self.experts.look_at(id, live, series, &around, &chosen);
        }
        let forecast = live.outlook(id.subject(), &around, known.now, &self.how);
        let end = forecast.as_ref().map_or(known.now, Forecast::end);
        Some(Shown {
            fell_back: forecast.is_ok() && live.forecaster().fell_back(),
            forecast,
            events: live.in_force(known.now, end),
            regressors: live.regressors().effects().iter().map(|effect| effect.name.clone()).collect(),
        })
    }

    /// Steps that are looked ahead: the horizon, and the steps that a forecast may begin late because the newest values
    /// are not there yet.
    fn horizon(&self) -> usize {
        self.how.horizon + self.settling_steps + LATE_STEPS
    }

    /// A series of the same quantity that is known well, whose usual errors are a start for a new one.
    fn like(&self, id: &SeriesId) -> Option<&LiveSeries> {
        let metric = id.metric();
        let same =
            self.kept.iter().filter(|(other, _)| other.kind() == id.kind() && other.metric() == metric);
        same.map(|(_, live)| live).max_by_key(|live| live.forecaster().observed())
    }

    /// Regressors whose future nobody knows are forecast themselves, once for all series.
    fn forecast_regressors(&self, known: &Known) -> BTreeMap<String, Forecast> {
        let step = known.step;
        let from = known.now.plus_ms(-known.keep_ms);
        let mut made = BTreeMap::new();
        for regressor in known.regressors.all().filter(|regressor| !regressor.knows_future) {
            let on_grid = regressor.on_grid(from, known.now, step, 0);
            let how = ForecastSettings { horizon: self.horizon(), stale_limit_ms: i64::MAX, ..self.how };
            if let Ok(forecast) = forecast(&regressor.name, "regressor", &on_grid.past, &[], &how, known.now)
            {
                made.insert(regressor.name.clone(), forecast);
            }
        }
        made
    }

    fn learn_priors(&mut self) {
        let mut by_metric: BTreeMap<String, Vec<&Effects>> = BTreeMap::new();
        for (id, live) in &self.kept {
            if let Some(effects) = live.effects().filter(|effects| !effects.is_empty()) {
                by_metric.entry(id.metric()).or_default().push(effects);
            }
        }
        self.priors = by_metric.into_iter().map(|(metric, effects)| (metric, Priors::of(effects))).collect();
    }

    fn learned(&self) -> Vec<LearnedEffect> {
        let mut all = Vec::new();
        for (id, live) in &self.kept {
            let Some(effects) = live.effects() else { continue };
            for (tag, effect) in effects.tags() {
                all.push(LearnedEffect {
                    subject: id.subject().to_owned(),
                    metric: id.metric(),
                    tag: tag.clone(),
                    effect: effect.in_words(),
                    source: effect.source,
                    occurrences: effect.occurrences,
                });
            }
        }
        all
    }
}

impl PassForecasts {
    /// What the decision looks at: the forecasts of services with what they do now, and what nodes and workloads use.
    pub fn inputs(&self, observed: &Observed) -> DecisionForecasts {
        let mut made = DecisionForecasts::default();
        for history in observed.services() {
            let known = ServiceInputs { measured: Measured::newest(history), forecasts: BTreeMap::new() };
            made.services.insert(history.service.clone(), known);
        }
        for (id, shown) in &self.all {
            let forecast = shown.forecast.clone();
            match id {
                SeriesId::Service(service, metric) => {
                    made.services.entry(service.clone()).or_default().forecasts.insert(*metric, forecast);
                }
                SeriesId::Node(node, GaugeMetric::CpuUsedMillicores) => {
                    made.nodes.insert(node.clone(), forecast);
                }
                SeriesId::Node(node, GaugeMetric::CpuBackgroundMillicores) => {
                    made.background.insert(node.clone(), forecast);
                }
                SeriesId::Node(node, metric) => {
                    made.resources.nodes.entry(node.clone()).or_default().insert(*metric, forecast);
                }
                SeriesId::Workload(workload, metric) => {
                    made.resources.workloads.entry(workload.clone()).or_default().insert(*metric, forecast);
                }
            }
        }
        made
    }
}

/// Forecasts as the decision takes them.
#[derive(Clone, Debug, Default)]
pub struct DecisionForecasts {
    /// Of services, with what they do now.
    pub services: BTreeMap<ServiceId, ServiceInputs>,
    /// CPU in use on nodes.
    pub nodes: BTreeMap<NodeId, MaybeForecast>,
    /// CPU in use on nodes by all but the managed replicas.
    pub background: BTreeMap<NodeId, MaybeForecast>,
    /// Everything else.
    pub resources: Resources,
}

/// Highest probability of a breach by any rule of any policy; `None` where no rule looks.
fn risk(id: &SeriesId, shown: &Shown, known: &Known) -> Option<f64> {
    let (SeriesId::Service(service, metric), Ok(forecast)) = (id, &shown.forecast) else { return None };
    let policies = known.policies.iter().filter(|policy| policy.selects(service));
    let of_rule = |rule: &Rule| {
        let latency = rule.latency()?;
        let window = BreachWindow {
            threshold: latency.above_ms,
            steps: latency.steps,
            of: latency.of,
            within: usize::try_from(latency.within_ms / known.step.ms()).unwrap_or(usize::MAX).max(1),
        };
        (Metric::latency(latency.quantile.get()) == Some(*metric))
            .then(|| forecast.breach(&window, 0))
            .flatten()
    };
    let risks = policies.flat_map(|policy| &policy.rules).filter_map(of_rule);
    risks.map(Probability::get).reduce(f64::max)
}

/// Every series that somebody needs.
fn wanted(observed: &Observed, policies: &[RelocationPolicy]) -> BTreeSet<SeriesId> {
    let mut ids = BTreeSet::new();
    for history in observed.services() {
        let service = &history.service;
        let metrics = metrics_needed(policies, service);
        ids.extend(metrics.into_iter().map(|metric| SeriesId::Service(service.clone(), metric)));
        ids.insert(SeriesId::Service(service.clone(), Metric::Availability));
    }
    // What there is of a resource is a series too where a rule asks when it runs out.
    let needed = gauges_needed(policies);
    let looked_at = |of, metric: &GaugeMetric| !metric.is_capacity() || needed.contains(&(of, *metric));
    for history in observed.nodes() {
        let metrics = history.gauges.keys().filter(|metric| looked_at(Consumer::Node, metric));
        ids.extend(metrics.map(|metric| SeriesId::Node(history.node.clone(), *metric)));
    }
    for history in observed.workloads() {
        let metrics = history.gauges.keys().filter(|metric| looked_at(Consumer::Workload, metric));
        ids.extend(metrics.map(|metric| SeriesId::Workload(history.workload.clone(), *metric)));
    }
    ids
}
