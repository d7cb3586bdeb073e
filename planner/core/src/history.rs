//! What was observed of one service, node or workload, step by step, ready to be turned into series.
use crate::{
    gauge::{GaugeHistories, GaugeMetric},
    ids::{NodeId, ServiceId, WorkloadId},
    series::Series,
    time::{Step, Timestamp},
};
use serde::{Deserialize, Serialize};

/// Latency quantiles that are kept for each step; others would need the histograms again.
pub const KEPT_QUANTILES: [f64; 5] = [0.5, 0.9, 0.95, 0.99, 0.999];

/// One step of one service: merged over all its routes, callers and replicas.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceStep {
    /// Finished observations, the aborted ones not counted; at most `u32::MAX`, which keeps two days of a thousand
    /// services in memory.
    pub requests: u32,
    /// Of those, the service's failures.
    pub server_errors: u32,
    /// Latency in milliseconds at each of [`KEPT_QUANTILES`].
    pub latency_ms: [f32; KEPT_QUANTILES.len()],
}

impl ServiceStep {
    /// Value of one metric in a step of this length; `None` where the step does not tell it.
    pub fn value(&self, metric: Metric, step: Step) -> Option<f64> {
        match metric {
            Metric::Latency(at) => self.latency_ms.get(at).copied().map(f64::from),
            Metric::Throughput => Some(f64::from(self.requests) / step.seconds()),
            Metric::Availability => {
                (self.requests > 0).then(|| 1.0 - f64::from(self.server_errors) / f64::from(self.requests))
            }
        }
    }
}

/// One quantity of a service that can be looked at and forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Latency at the quantile with this place in [`KEPT_QUANTILES`], in milliseconds.
    Latency(usize),
    /// Finished requests per second.
    Throughput,
    /// Share of requests that the service did not fail, 0 to 1.
    Availability,
}

impl Metric {
    /// The latency metric for a quantile, if that quantile is kept.
    pub fn latency(quantile: f64) -> Option<Self> {
        KEPT_QUANTILES.iter().position(|kept| (kept - quantile).abs() < 1e-9).map(Self::Latency)
    }

    /// Whether it belongs to where a service runs: what was measured of it on one node says little of another. Traffic
    /// comes from elsewhere and stays the same.
    pub const fn depends_on_place(self) -> bool {
        matches!(self, Self::Latency(_) | Self::Availability)
    }

    /// Name and unit as text, such as `latency_p99_ms`.
    pub fn name(self) -> String {
        match self {
            Self::Latency(at) => {
                let percent = KEPT_QUANTILES.get(at).copied().unwrap_or(0.0) * 100.0;
                // 99.9 becomes p999, as tools in this field write it.
                format!("latency_p{}_ms", format!("{percent:.1}").trim_end_matches(".0").replace('.', ""))
            }
            Self::Throughput => "throughput_rps".to_owned(),
            Self::Availability => "availability".to_owned(),
        }
    }
}

/// All observed steps of one service, oldest first; a step without any observation is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceHistory {
    /// The service that was called.
    pub service: ServiceId,
    /// Start of the first step.
    pub start: Timestamp,
    /// Length of a step.
    pub step: Step,
    /// One entry for each step.
    pub steps: Vec<Option<ServiceStep>>,
}

impl ServiceHistory {
    /// The series of one metric.
    pub fn series(&self, metric: Metric) -> Series {
        let value =
            |step: &Option<ServiceStep>| step.and_then(|s| s.value(metric, self.step)).unwrap_or(f64::NAN);
        Series::new(self.start, self.step, self.steps.iter().map(value).collect())
    }
}

/// What was measured of one node, quantity by quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeHistory {
    /// The node.
    pub node: NodeId,
    /// Its quantities; one that nobody measured is missing.
    pub gauges: GaugeHistories,
}

impl NodeHistory {
    /// Millicores in use by everything on the node, if they were measured.
    pub fn cpu_used_millicores(&self) -> Option<&Series> {
        self.gauges.get(&GaugeMetric::CpuUsedMillicores).map(|history| &history.series)
    }
}

/// What was measured of one workload, all its replicas together, quantity by quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadHistory {
    /// The workload.
    pub workload: WorkloadId,
    /// Its quantities; one that nobody measured is missing.
    pub gauges: GaugeHistories,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_the_names_of_the_field() {
        let names: Vec<String> = (0..KEPT_QUANTILES.len()).map(|at| Metric::Latency(at).name()).collect();
        assert_eq!(
            names,
            ["latency_p50_ms", "latency_p90_ms", "latency_p95_ms", "latency_p99_ms", "latency_p999_ms"]
        );
        assert_eq!(Metric::latency(0.99), Some(Metric::Latency(3)));
        assert_eq!(Metric::latency(0.42), None);
    }
}
