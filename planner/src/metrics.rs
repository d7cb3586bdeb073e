//! The planner's own metrics, in the OpenMetrics text format.
//!
//! Forecasts are metrics too, so that any dashboard can draw them beside what was measured.
mod forecasts;

use crate::published::View;
use forecasts::ForecastMetrics;
use foremesh_core::{
    aftermath::Worth,
    forecast::LEVELS,
    history::{KEPT_QUANTILES, Metric},
    rollout::Phase,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::Duration,
};

/// States of a relocation, as labels.
const PHASES: [Phase; 12] = [
    Phase::Pending,
    Phase::Trial,
    Phase::Reserving,
    Phase::Surging,
    Phase::Ramping,
    Phase::Draining,
    Phase::Settling,
    Phase::RollingBack,
    Phase::Succeeded,
    Phase::RolledBack,
    Phase::Aborted,
    Phase::Failed,
];

/// Seconds that a snapshot takes: close to one another where large clusters are.
const SNAPSHOT_BUCKETS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 10.0];

type FloatGauge<L> = Family<L, Gauge<f64, AtomicU64>>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabel {
    verdict: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ForecastLabels {
    service: String,
    quantile: String,
    horizon_seconds: String,
    level: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LatencyLabels {
    service: String,
    quantile: String,
}

/// Everything that is counted outside the ingest and the store, and the registry of it all.
pub struct Metrics {
    registry: Mutex<Registry>,
    passes: Family<ResultLabel, Counter>,
    pass_age_seconds: Gauge<f64, AtomicU64>,
    snapshot_seconds: Histogram,
    silent_proxies: Gauge,
    leader: Gauge,
    relocations: Family<StateLabel, Gauge>,
    judged: Family<VerdictLabel, Counter>,
    moved_back: Counter,
    forecast_seconds: FloatGauge<ForecastLabels>,
    latency_seconds: FloatGauge<LatencyLabels>,
    forecasts: ForecastMetrics,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        // Parts that bring their own metrics bring the prefix too, so the root has none.
        let mut root = Registry::default();
        let registry = root.sub_registry_with_prefix("foremesh");
        let metrics = Self {
            passes: Family::default(),
            pass_age_seconds: Gauge::default(),
            snapshot_seconds: Histogram::new(SNAPSHOT_BUCKETS),
            silent_proxies: Gauge::default(),
            leader: Gauge::default(),
            relocations: Family::default(),
            judged: Family::default(),
            moved_back: Counter::default(),
            forecast_seconds: Family::default(),
            latency_seconds: Family::default(),
            forecasts: ForecastMetrics::default(),
            registry: Mutex::default(),
        };
        registry.register("passes", "Passes of the control loop by result", metrics.passes.clone());
        registry.register(
            "decision_time_seconds",
            "When the newest decision was made, in seconds since 1970; alert when it falls behind",
            metrics.pass_age_seconds.clone(),
        );
        registry.register(
            "snapshot_seconds",
            "How long the platform took to say what runs where",
            metrics.snapshot_seconds.clone(),
        );
        registry.register(
            "silent_proxies",
            "Proxies that should report and do not",
            metrics.silent_proxies.clone(),
        );
        registry.register(
            "leader",
            "1 where this planner may act, 0 where it leaves that to another one; alert when the sum is not 1",
            metrics.leader.clone(),
        );
        registry.register("relocations", "Relocations by state", metrics.relocations.clone());
        registry.register(
            "moves_judged",
            "Moves by whether they were worth it, since the planner started; alert when those that are not add up",
            metrics.judged.clone(),
        );
        registry.register(
            "moves_taken_back_by_others",
            "Moves that something else took back after they were over, since the planner started",
            metrics.moved_back.clone(),
        );
        for verdict in Worth::ALL {
            // An alert must not depend on the first one.
            let _ = metrics.judged.get_or_create(&VerdictLabel { verdict: verdict.name() });
        }
        registry.register(
            "forecast_latency_seconds",
            "Forecast latency of a service at a horizon, by level of the band",
            metrics.forecast_seconds.clone(),
        );
        registry.register(
            "service_latency_seconds",
            "Measured latency of a service over its newest steps",
            metrics.latency_seconds.clone(),
        );
        metrics.forecasts.register(registry);
        *metrics.registry() = root;
        metrics
    }
}

impl Metrics {
    /// The registry, for parts that bring their own metrics.
    pub fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A pass came to a decision.
    pub fn pass_succeeded(&self) {
        self.passes.get_or_create(&ResultLabel { result: "decided" }).inc();
    }

    /// A pass came to none.
    pub fn pass_failed(&self) {
        self.passes.get_or_create(&ResultLabel { result: "failed" }).inc();
    }

    /// The platform said what runs where, after so long.
    pub fn snapshot_took(&self, took: Duration) {
        self.snapshot_seconds.observe(took.as_secs_f64());
    }

    /// So many proxies are silent.
    pub fn silent_proxies(&self, count: usize) {
        self.silent_proxies.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A move was judged.
    pub fn move_judged(&self, verdict: Worth) {
        self.judged.get_or_create(&VerdictLabel { verdict: verdict.name() }).inc();
    }

    /// Something else took a move back.
    pub fn moved_back(&self) {
        self.moved_back.inc();
    }

    /// Whether this planner may act.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Everything as text; `rollouts` are counts by state.
    ///
    /// # Errors
    /// When a metric cannot be written.
    pub fn encode(&self, view: Option<&View>, rollouts: &[(String, u64)]) -> Result<String, fmt::Error> {
        self.show_rollouts(rollouts);
        if let Some(view) = view {
            self.show_view(view);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry())?;
        Ok(text)
    }

    /// Every state is there, also with no relocation in it: an alert on `Failed` must not depend on the first failure.
    fn show_rollouts(&self, rollouts: &[(String, u64)]) {
        let mut by_state: BTreeMap<&str, i64> = PHASES.iter().map(|phase| (phase.name(), 0)).collect();
        for (state, count) in rollouts {
            // A state is written as its phase, with what else there is of it in brackets.
            let phase = state.split('(').next().unwrap_or(state);
            *by_state.entry(phase).or_default() += i64::try_from(*count).unwrap_or(i64::MAX);
        }
        self.relocations.clear();
        for (state, count) in by_state {
            self.relocations.get_or_create(&StateLabel { state: state.to_owned() }).set(count);
        }
    }

    /// Forecasts of services that are gone must go too, so the families are filled anew.
    fn show_view(&self, view: &View) {
        self.pass_age_seconds.set(view.at.unix_ms() as f64 / 1e3);
        self.forecasts.show(&view.forecasts);
        self.forecast_seconds.clear();
        self.latency_seconds.clear();
        for (service, known) in &view.inputs.services {
            if let Some(measured) = known.measured {
                for (quantile, latency_ms) in KEPT_QUANTILES.iter().zip(measured.latency_ms) {
                    let labels =
                        LatencyLabels { service: service.to_string(), quantile: quantile.to_string() };
                    self.latency_seconds.get_or_create(&labels).set(latency_ms / 1e3);
                }
            }
            for (metric, forecast) in &known.forecasts {
                let (Metric::Latency(at), Ok(forecast)) = (metric, forecast) else { continue };
                let quantile = KEPT_QUANTILES.get(*at).copied().unwrap_or_default().to_string();
                let middle = forecast.steps.len() / 2;
                for index in [0, middle, forecast.steps.len().saturating_sub(1)] {
                    let Some(step) = forecast.steps.get(index) else { continue };
                    let ahead = step.at.ms_since(forecast.made_at).max(0) / 1000;
                    for (level, value_ms) in LEVELS.iter().zip(step.quantiles) {
                        let labels = ForecastLabels {
                            service: service.to_string(),
                            quantile: quantile.clone(),
                            horizon_seconds: ahead.to_string(),
                            level: level.to_string(),
                        };
                        self.forecast_seconds.get_or_create(&labels).set(value_ms / 1e3);
                    }
                }
            }
        }
    }
}
