//! Everything that one pass of the loop may look at. Whoever has the same inputs makes the same decision.
mod owned;

pub use owned::OwnedInputs;

use crate::{
    forecast::{Excluded, Forecast, ForecastError, ForecastSettings, forecast},
    gauge::GaugeMetric,
    history::{KEPT_QUANTILES, Metric, ServiceHistory},
    ids::{NodeId, PlanId, PolicyId, ReplicaId, ServiceId, WorkloadId},
    learned::Learned,
    plan::{Move, Traffic},
    policy::{Consumer, PastMove, RelocationPolicy},
    time::Timestamp,
    topology::Snapshot,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeMap};
use std::collections::{BTreeMap, BTreeSet};

/// A forecast, or why there is none.
pub type MaybeForecast = Result<Forecast, ForecastError>;

/// What one pass looks at.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Inputs<'a> {
    /// The moment of the pass.
    pub now: Timestamp,
    /// What the platform reported.
    pub snapshot: &'a Snapshot,
    /// What is known of each service.
    pub services: &'a BTreeMap<ServiceId, ServiceInputs>,
    /// CPU in use in millicores, forecast for each node.
    pub nodes: &'a BTreeMap<NodeId, MaybeForecast>,
    /// CPU in use in millicores by all but the managed replicas, forecast for each node where it is known. It does not
    /// change when replicas move, so it holds right after a move, when `nodes` still remembers what was there before.
    pub background: &'a BTreeMap<NodeId, MaybeForecast>,
    /// Other quantities of nodes and workloads, where they are measured and a policy looks at them.
    pub resources: &'a Resources,
    /// What traffic and past moves have taught.
    pub learned: &'a Learned,
    /// The policies in force.
    pub policies: &'a [RelocationPolicy],
    /// Times at which policies do not move anything: those that touch the present or the look-ahead.
    pub freezes: &'a [Freeze],
    /// Moves that are over; those older than a week may be left out.
    pub past_moves: &'a [PastMove],
    /// Moves that are not over.
    pub in_flight: &'a [InFlight],
    /// How long a move of each workload takes until the target serves all its traffic, in milliseconds, as measured.
    pub move_duration_ms: &'a BTreeMap<WorkloadId, i64>,
    /// How carefully to plan.
    pub settings: &'a Settings,
    /// Generation of the newest plan that was made; 0 when there was none. A new plan gets the next one.
    pub newest_generation: u64,
    /// That newest plan.
    pub parent: Option<&'a PlanId>,
}

impl<'a> Inputs<'a> {
    /// The service's forecast of a quantity, `None` when nobody made one.
    pub fn forecast(
        &self,
        service: &ServiceId,
        metric: Metric,
    ) -> Option<Result<&'a Forecast, &'a ForecastError>> {
        self.services.get(service)?.forecasts.get(&metric).map(Result::as_ref)
    }

    /// How long a move of this workload takes, in milliseconds: as measured, or the default before the first move.
    pub fn duration_of(&self, workload: &WorkloadId) -> i64 {
        self.move_duration_ms.get(workload).copied().unwrap_or(self.settings.default_move_duration_ms)
    }
}

/// Forecasts of what nodes and workloads use, by quantity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Of nodes.
    pub nodes: BTreeMap<NodeId, BTreeMap<GaugeMetric, MaybeForecast>>,
    /// Of workloads, all replicas together.
    pub workloads: BTreeMap<WorkloadId, BTreeMap<GaugeMetric, MaybeForecast>>,
}

/// A time at which one policy moves nothing, expanded from its freeze windows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// The policy.
    pub policy: PolicyId,
    /// Name of the window in that policy.
    pub window: String,
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub to: Timestamp,
}

/// What is known of one service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceInputs {
    /// What it does now; `None` when it was not called lately.
    pub measured: Option<Measured>,
    /// Its forecasts.
    #[serde(serialize_with = "by_name", deserialize_with = "from_names")]
    pub forecasts: BTreeMap<Metric, MaybeForecast>,
}

impl ServiceInputs {
    /// Forecasts the given quantities of one service. `excluded` are intervals that quantities which depend on the
    /// place are not learnt from, such as the time before its last move. A quantity that cannot be forecast says why;
    /// the others are not affected.
    pub fn of(
        history: &ServiceHistory,
        metrics: &BTreeSet<Metric>,
        excluded: &[Excluded],
        settings: &ForecastSettings,
        now: Timestamp,
    ) -> Self {
        let made = |metric: &Metric| {
            let highest = (*metric == Metric::Availability).then_some(1.0);
            let settings = ForecastSettings { highest, ..*settings };
            let series = history.series(*metric);
            let subject = history.service.as_str();
            let excluded = if metric.depends_on_place() { excluded } else { &[] };
            (*metric, forecast(subject, &metric.name(), &series, excluded, &settings, now))
        };
        Self { measured: Measured::newest(history), forecasts: metrics.iter().map(made).collect() }
    }
}

/// Quantities of a service that its policies and the twin look at.
pub fn metrics_needed(policies: &[RelocationPolicy], service: &ServiceId) -> BTreeSet<Metric> {
    let of_service = policies.iter().filter(|policy| policy.selects(service));
    let mut metrics: BTreeSet<Metric> =
        of_service.flat_map(|policy| &policy.rules).flat_map(|rule| rule.when.metrics()).collect();
    metrics.insert(Metric::Throughput);
    metrics
}

/// Measured levels of nodes and workloads that policies look at, what bounds them included: what [`Resources`] must
/// hold.
pub fn gauges_needed(policies: &[RelocationPolicy]) -> BTreeSet<(Consumer, GaugeMetric)> {
    policies.iter().flat_map(|policy| &policy.rules).flat_map(|rule| rule.when.gauges()).collect()
}

/// JSON keys are text, so metrics are written by name.
fn by_name<S: Serializer>(forecasts: &BTreeMap<Metric, MaybeForecast>, to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(forecasts.len()))?;
    for (metric, forecast) in forecasts {
        map.serialize_entry(&metric.name(), forecast)?;
    }
    map.end()
}

fn from_names<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<Metric, MaybeForecast>, D::Error> {
    let named = BTreeMap::<String, MaybeForecast>::deserialize(from)?;
    let known = |(name, forecast): (String, MaybeForecast)| {
        let metric =
            Metric::named(&name).ok_or_else(|| D::Error::custom(format!("no quantity is named `{name}`")))?;
        Ok((metric, forecast))
    };
    named.into_iter().map(known).collect()
}

/// What a service did in its newest steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// End of the newest step that was looked at.
    pub at: Timestamp,
    /// Finished requests per second, the mean of those steps whose rate is known; 0 when none is.
    pub throughput_rps: f64,
    /// Latency in milliseconds at each of [`KEPT_QUANTILES`], the median of those steps.
    pub latency_ms: [f64; KEPT_QUANTILES.len()],
}

impl Measured {
    /// Steps that are looked at: enough that one odd step does not decide, few enough to mean "now".
    pub const STEPS: usize = 5;

    /// From the last [`Self::STEPS`] steps of a history, which must end with a step that is over; `None` when none of
    /// them was observed.
    pub fn newest(history: &ServiceHistory) -> Option<Self> {
        let first = history.steps.len().saturating_sub(Self::STEPS);
        let observed: Vec<_> = history.steps[first..].iter().flatten().collect();
        if observed.is_empty() {
            return None;
        }
        let rates = observed.iter().filter_map(|step| step.value(Metric::Throughput, history.step));
        let (sum_rps, known) = rates.fold((0.0, 0_u32), |(sum, known), rate| (sum + rate, known + 1));
        let latency_ms = std::array::from_fn(|at| {
            let mut values: Vec<f64> = observed.iter().map(|step| f64::from(step.latency_ms[at])).collect();
            values.sort_unstable_by(f64::total_cmp);
            values[values.len() / 2]
        });
        Some(Self {
            at: history.start.plus_ms(history.step.times(history.steps.len())),
            throughput_rps: sum_rps / f64::from(known.max(1)),
            latency_ms,
        })
    }

    /// Latency in milliseconds at a quantile, when that quantile is kept.
    pub fn latency(&self, quantile: f64) -> Option<f64> {
        match Metric::latency(quantile)? {
            Metric::Latency(at) => self.latency_ms.get(at).copied(),
            Metric::Throughput | Metric::Availability => None,
        }
    }
}

/// A move that has begun and is not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// What moves.
    pub workload: WorkloadId,
    /// The service that it answers for.
    pub service: ServiceId,
    /// The replica that is replaced.
    pub replica: ReplicaId,
    /// Where it comes from.
    pub from: NodeId,
    /// Where it goes; its load counts there already.
    pub to: NodeId,
    /// Weights of the two ends before and after.
    #[serde(default, skip_serializing_if = "Traffic::is_whole")]
    pub traffic: Traffic,
    /// The replica on the target, when only traffic goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift_to: Option<ReplicaId>,
}

impl InFlight {
    /// A planned move that has begun.
    pub fn of(planned: &Move) -> Self {
        Self {
            workload: planned.workload.clone(),
            service: planned.service.clone(),
            replica: planned.replica.clone(),
            from: planned.from.clone(),
            to: planned.to.clone(),
            traffic: planned.traffic,
            shift_to: planned.shift_to.clone(),
        }
    }
}

/// How carefully to plan.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Highest share of a target's CPU that may be predicted in use after the move. Under processor sharing latency
    /// is `1 / (1 - use)` of that on an idle node: 3.3 times at 0.7, and from there on it rises steeply.
    pub max_utilisation: f64,
    /// Moves that may run at the same time, those in flight included.
    pub max_concurrent_moves: usize,
    /// Expected length of a move that was never measured, in milliseconds.
    pub default_move_duration_ms: i64,
    /// Highest age of the snapshot in milliseconds.
    pub snapshot_limit_ms: i64,
    /// Highest age of a forecast and its data together, in milliseconds.
    pub forecast_limit_ms: i64,
    /// Cost of a move itself, as the share of its service's requests that counts as put at risk.
    pub disruption: f64,
    /// Tier-weighted requests per second at risk that one unit of money per hour outweighs.
    pub requests_per_money: f64,
    /// Tier-weighted requests per second at risk that one call per second over one millisecond of distance outweighs.
    pub network: f64,
    /// Cost of a move, however small what moves, in tier-weighted requests per second at risk: none is for nothing.
    pub move_cost: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_utilisation: 0.7,
            max_concurrent_moves: 1,
            default_move_duration_ms: 60_000,
            snapshot_limit_ms: 60_000,
            forecast_limit_ms: 300_000,
            disruption: 0.02,
            requests_per_money: 1.0,
            network: 0.001,
            move_cost: 0.01,
        }
    }
}
