//! What was observed of one service, node or workload, step by step, ready to be turned into series.
use crate::{
    gauge::{GaugeHistories, GaugeMetric},
    ids::{NodeId, ServiceId, WorkloadId},
    series::Series,
    tail::Tail,
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
    /// Latency in milliseconds at each of [`KEPT_QUANTILES`], of this step alone.
    pub latency_ms: [f32; KEPT_QUANTILES.len()],
    /// How far the upper quantiles are above the median, over this step and those before it in the tail's window.
    pub tail: Tail,
    /// Whether these are the requests of just this step: not when a proxy reported them over a window much longer
    /// than the step, as after an outage. Latency and availability are then measured, but a rate is not.
    pub rate_known: bool,
}

impl ServiceStep {
    /// A step that was observed by itself, whose tail is its own.
    pub fn new(requests: u32, server_errors: u32, latency_ms: [f32; KEPT_QUANTILES.len()]) -> Self {
        let tail = Tail::of(latency_ms.map(f64::from));
        Self { requests, server_errors, latency_ms, tail, rate_known: true }
    }

    /// Natural logarithm of the median latency in milliseconds; `None` where that is no number.
    pub fn log_median(&self) -> Option<f64> {
        let [median, ..] = self.latency_ms;
        (median > 0.0).then(|| f64::from(median).ln())
    }

    /// Value of one metric in a step of this length; `None` where the step does not tell it.
    pub fn value(&self, metric: Metric, step: Step) -> Option<f64> {
        match metric {
            Metric::Latency(at) => self.latency_ms.get(at).copied().map(f64::from),
            Metric::Throughput => self.rate_known.then(|| f64::from(self.requests) / step.seconds()),
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

    /// The metric with this name.
    pub fn named(name: &str) -> Option<Self> {
        let latencies = (0..KEPT_QUANTILES.len()).map(Self::Latency);
        latencies.chain([Self::Throughput, Self::Availability]).find(|metric| metric.name() == name)
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
        let value = |step: &ServiceStep| step.value(metric, self.step);
        let values = self.steps.iter().map(|step| step.as_ref().and_then(value).unwrap_or(f64::NAN));
        Series::new(self.start, self.step, values.collect())
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

    #[test]
    fn a_step_over_a_long_window_tells_latency_but_no_rate() {
        let minute = Step::MINUTE;
        let known = ServiceStep::new(600, 6, [1.0, 2.0, 3.0, 4.0, 5.0]);
        let unknown = ServiceStep { rate_known: false, ..known };
        let history = ServiceHistory {
            service: "cart".into(),
            start: Timestamp::from_unix_ms(0),
            step: minute,
            steps: vec![Some(known), None, Some(unknown)],
        };
        let values = |series: Series| series.values().iter().map(|v| v.is_finite()).collect::<Vec<_>>();
        assert_eq!(values(history.series(Metric::Throughput)), [true, false, false]);
        for metric in [Metric::Availability, Metric::Latency(3)] {
            assert_eq!(values(history.series(metric)), [true, false, true]);
        }
        assert!((unknown.tail.log_ratio(3).unwrap() - 4.0_f64.ln()).abs() < 1e-3);
        assert_eq!(unknown.log_median(), Some(0.0));
    }

    /// 48 hours of a thousand services are 2.88 million of these.
    #[test]
    fn a_step_takes_forty_bytes() {
        assert_eq!(size_of::<Option<ServiceStep>>(), 40);
    }
}
