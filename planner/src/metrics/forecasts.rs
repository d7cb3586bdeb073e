//! How good forecasts are and what they are made of, as metrics. Only the worst series are named, so that the number of
//! metrics does not grow with the mesh.
use super::{FloatGauge, ResultLabel};
use crate::forecasts::{Accuracy, PassForecasts};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

/// Series that are named, the worst first.
const NAMED: usize = 20;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfMetric {
    metric: String,
    over: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSeries {
    kind: &'static str,
    subject: String,
    metric: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfModel {
    model: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfFit {
    model: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfNode {
    node: String,
    metric: &'static str,
}

#[derive(Debug, Default)]
pub(super) struct ForecastMetrics {
    relative_error: FloatGauge<OfMetric>,
    coverage: FloatGauge<OfMetric>,
    below: FloatGauge<OfMetric>,
    worst: FloatGauge<OfSeries>,
    weight: FloatGauge<OfModel>,
    series: Gauge,
    fell_back: Gauge,
    model_bytes: Gauge,
    fallbacks: Counter,
    drifts: Gauge,
    fits: Family<OfFit, Counter>,
    bad_predictions: Family<OfModel, Counter>,
    exhaustion: FloatGauge<OfNode>,
    exhaustion_likely: FloatGauge<OfNode>,
    relearning: Gauge,
    net_trained_at: Gauge<f64, AtomicU64>,
    net_cpu_seconds: Gauge<f64, AtomicU64>,
    net_wall_seconds: Gauge<f64, AtomicU64>,
    net_trainings: Family<ResultLabel, Counter>,
}

impl ForecastMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "forecast_relative_error_ratio",
            "Mean absolute error of live forecasts as a share of carrying the newest value on, by quantity: mean and \
             worst over its series; below 1 is better than that",
            self.relative_error.clone(),
        );
        registry.register(
            "forecast_coverage_80_ratio",
            "Share of values inside the 80 % band, by quantity: mean over its series, and the one furthest from 0.8",
            self.coverage.clone(),
        );
        registry.register(
            "forecast_below_q90_ratio",
            "Share of values at or below the level 0.9, by quantity: mean over its series, and the one furthest from 0.9",
            self.below.clone(),
        );
        registry.register(
            "forecast_worst_relative_error_ratio",
            "The same error for the 20 series that are forecast worst",
            self.worst.clone(),
        );
        registry.register(
            "forecast_model_weight_ratio",
            "Share of each model in all forecasts, from 0 to 1",
            self.weight.clone(),
        );
        registry.register("forecast_series", "Series that are forecast", self.series.clone());
        registry.register(
            "forecast_drifts",
            "Changes that shortened the memory of the series that are forecast",
            self.drifts.clone(),
        );
        registry.register(
            "forecast_fallback_series",
            "Series for which other models stand in for those that a policy names",
            self.fell_back.clone(),
        );
        registry.register(
            "forecast_fallbacks",
            "Forecasts in which other models stood in for those that a policy names",
            self.fallbacks.clone(),
        );
        registry.register(
            "model_fits",
            "Fits of dear models by result: fitted, refused for want of history, failed",
            self.fits.clone(),
        );
        registry.register(
            "model_memory_bytes",
            "Memory of the models that were fitted to series, of all together",
            self.model_bytes.clone(),
        );
        registry.register(
            "model_bad_predictions",
            "Predictions of dear models that were no numbers or ended in a fault",
            self.bad_predictions.clone(),
        );
        registry.register(
            "node_exhaustion_probability_ratio",
            "Probability that a resource of a node runs out within the horizon; missing when nothing is in sight",
            self.exhaustion.clone(),
        );
        registry.register(
            "node_exhaustion_likely_time_seconds",
            "When every other outcome has a resource of a node run out, in seconds since 1970",
            self.exhaustion_likely.clone(),
        );
        self.register_learning(registry);
    }

    fn register_learning(&self, registry: &mut Registry) {
        registry.register(
            "forecast_relearning_series",
            "Series whose events or regressors are to be learned again, and whose turn has not come yet",
            self.relearning.clone(),
        );
        registry.register(
            "lstm_trained_time_seconds",
            "When the common net in use was trained, in seconds since 1970; 0 before the first",
            self.net_trained_at.clone(),
        );
        registry.register(
            "lstm_training_cpu_seconds",
            "CPU time of the last training of the common net",
            self.net_cpu_seconds.clone(),
        );
        registry.register(
            "lstm_training_wall_seconds",
            "Time that the last training of the common net took",
            self.net_wall_seconds.clone(),
        );
        registry.register(
            "lstm_trainings",
            "Trainings of the common net by result: trained, failed; of the trained ones, not_kept for a restart",
            self.net_trainings.clone(),
        );
    }

    fn show_learning(&self, forecasts: &PassForecasts) {
        let net = forecasts.net;
        self.relearning.set(count(forecasts.relearning));
        self.net_trained_at.set(net.trained_at.map_or(0.0, |at| at.unix_ms() as f64 / 1e3));
        self.net_cpu_seconds.set(net.cpu_seconds);
        self.net_wall_seconds.set(net.wall_seconds);
        for (result, count) in [("trained", net.trained), ("failed", net.failed), ("not_kept", net.unkept)] {
            self.net_trainings.get_or_create(&ResultLabel { result }).inner().store(count, Ordering::Relaxed);
        }
    }

    /// Fills everything anew, so that what is gone goes.
    pub(super) fn show(&self, forecasts: &PassForecasts) {
        self.show_accuracy(&forecasts.accuracy);
        self.show_learning(forecasts);
        self.series.set(count(forecasts.all.len()));
        self.fell_back.set(count(forecasts.all.values().filter(|shown| shown.fell_back).count()));
        self.fallbacks.inner().store(forecasts.fallbacks, Ordering::Relaxed);
        self.model_bytes.set(count(forecasts.model_bytes));
        for (model, counts) in &forecasts.models {
            let results = [("fitted", counts.fitted), ("refused", counts.refused), ("failed", counts.failed)];
            for (result, count) in results {
                self.fits.get_or_create(&OfFit { model, result }).inner().store(count, Ordering::Relaxed);
            }
            let bad = self.bad_predictions.get_or_create(&OfModel { model: (*model).to_owned() });
            bad.inner().store(counts.bad_predictions, Ordering::Relaxed);
        }
        self.exhaustion.clear();
        self.exhaustion_likely.clear();
        for exhausted in &forecasts.exhausted {
            let labels = OfNode { node: exhausted.node.to_string(), metric: exhausted.metric.name() };
            self.exhaustion.get_or_create(&labels).set(exhausted.exhaustion.probability.get());
            if let Some(at) = exhausted.exhaustion.likely_at {
                self.exhaustion_likely.get_or_create(&labels).set(at.unix_ms() as f64 / 1e3);
            }
        }
    }

    fn show_accuracy(&self, accuracy: &[Accuracy]) {
        let mut by_metric: BTreeMap<String, [Vec<f64>; 3]> = BTreeMap::new();
        let mut weights: BTreeMap<&str, f64> = BTreeMap::new();
        let mut whole = 0.0;
        for one in accuracy {
            let [errors, coverage, below] = by_metric.entry(one.id.metric()).or_default();
            errors.extend(one.relative());
            for score in one.scores.iter().filter(|score| score.count > 0) {
                coverage.push(score.coverage_80);
                below.push(score.below_q90);
            }
            for part in &one.parts {
                let weight = part.weight * (part.end - part.first) as f64;
                *weights.entry(&part.model).or_default() += weight;
                whole += weight;
            }
        }
        for family in [&self.relative_error, &self.coverage, &self.below] {
            family.clear();
        }
        for (metric, [errors, coverage, below]) in by_metric {
            fill(&self.relative_error, &metric, &errors, |error| error);
            fill(&self.coverage, &metric, &coverage, |share| (share - 0.8).abs());
            fill(&self.below, &metric, &below, |share| (share - 0.9).abs());
        }
        self.weight.clear();
        for (model, weight) in weights {
            self.weight.get_or_create(&OfModel { model: model.to_owned() }).set(weight / whole);
        }
        self.worst.clear();
        for one in accuracy.iter().take(NAMED) {
            let Some(relative) = one.relative() else { break };
            let labels = OfSeries {
                kind: one.id.kind(),
                subject: one.id.subject().to_owned(),
                metric: one.id.metric(),
            };
            self.worst.get_or_create(&labels).set(relative);
        }
        self.drifts.set(accuracy.iter().map(|one| i64::from(one.drifts)).sum());
    }
}

/// Mean, and the value for which `badness` is highest; nothing where nothing could be judged.
fn fill(family: &FloatGauge<OfMetric>, metric: &str, values: &[f64], badness: impl Fn(f64) -> f64) {
    let worst = values.iter().copied().max_by(|a, b| badness(*a).total_cmp(&badness(*b)));
    let Some(worst) = worst else { return };
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    for (over, value) in [("mean", mean), ("worst", worst)] {
        family.get_or_create(&OfMetric { metric: metric.to_owned(), over }).set(value);
    }
}

fn count(many: usize) -> i64 {
    i64::try_from(many).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecasts::{ModelCounts, NetState, SeriesId};
    use foremesh_core::{forecast::model::Contribution, history::Metric, ids::ServiceId, live::Score};
    use prometheus_client::encoding::text::encode;

    fn accuracy(service: usize, relative: f64) -> Accuracy {
        let score =
            Score { count: 50, mae: relative, mae_last_value: 1.0, coverage_80: 0.7, below_q90: 0.95 };
        let part =
            Contribution { first: 0, end: 10, model: "ridge".to_owned(), weight: 1.0, mae: 1.0, errors: 9 };
        Accuracy {
            id: SeriesId::Service(ServiceId::new(format!("s{service}")), Metric::Throughput),
            scores: [score; 3],
            parts: vec![part],
            drifts: 1,
            failures: 0,
            fell_back: false,
            observed: 100,
        }
    }

    #[test]
    fn accuracy_is_shown_by_quantity_and_only_the_worst_series_are_named() {
        let metrics = ForecastMetrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let worst_first = (0..50).map(|service| accuracy(service, 2.0 - service as f64 / 50.0)).collect();
        let counts = ModelCounts { fitted: 3, refused: 0, failed: 2, bad_predictions: 1 };
        let forecasts = PassForecasts {
            accuracy: worst_first,
            models: BTreeMap::from([("arima", counts)]),
            fallbacks: 4,
            relearning: 7,
            net: NetState { cpu_seconds: 17.5, trained: 2, failed: 1, ..NetState::default() },
            ..PassForecasts::default()
        };
        metrics.show(&forecasts);
        metrics.show(&forecasts);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "forecast_relative_error_ratio{metric=\"throughput_rps\",over=\"worst\"} 2.0",
            "forecast_model_weight_ratio{model=\"ridge\"} 1.0",
            "model_fits_total{model=\"arima\",result=\"failed\"} 2",
            "model_bad_predictions_total{model=\"arima\"} 1",
            "forecast_fallbacks_total 4",
            "forecast_drifts 50",
            "forecast_relearning_series 7",
            "lstm_training_cpu_seconds 17.5",
            "lstm_trainings_total{result=\"trained\"} 2",
            "lstm_trainings_total{result=\"failed\"} 1",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert_eq!(text.matches("forecast_worst_relative_error_ratio{").count(), NAMED);
    }
}
