//! From a pushed message to readings.
use super::mapping::{Attributes, Meaning, attributes, identity, meaning};
use crate::signals::rates::Rates;
use crate::store::{Gauge, GaugeMetric, GaugeSource, GaugeSubject};
use foremesh_core::time::{Step, Timestamp};
use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    metrics::v1::{
        AggregationTemporality, DataPointFlags, Metric, NumberDataPoint, metric::Data,
        number_data_point::Value,
    },
};

/// A point further ahead of the planner's clock than this was stamped by a clock that is wrong.
const MAX_AHEAD_MS: i64 = 60_000;
/// A point older than this was buffered for so long that its steps are over.
const MAX_BEHIND_MS: i64 = 3_600_000;

/// What one push was worth.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Taken {
    /// Readings that are complete now.
    pub(super) gauges: Vec<Gauge>,
    /// Points that were used.
    pub(super) points: usize,
    /// Points of known metrics that cannot be used.
    pub(super) rejected: usize,
    /// Why the first of them cannot.
    pub(super) reason: Option<String>,
    /// Time of the newest point.
    pub(super) newest: Option<Timestamp>,
}

impl Taken {
    fn reject(&mut self, points: usize, metric: &str, reason: &str) {
        self.rejected += points;
        self.reason.get_or_insert_with(|| format!("{metric}: {reason}"));
    }
}

/// What all senders pushed, as far as it is not out as readings yet.
#[derive(Debug)]
pub(super) struct Points {
    rates: Rates,
}

impl Points {
    pub(super) fn new(step: Step) -> Self {
        Self { rates: Rates::new(step, GaugeSource::Otlp) }
    }

    /// Takes a push that arrived at `now`.
    pub(super) fn take(&mut self, message: &ExportMetricsServiceRequest, now: Timestamp) -> Taken {
        let mut taken = Taken::default();
        let refused = self.rates.refused();
        for of_resource in &message.resource_metrics {
            let resource =
                of_resource.resource.as_ref().map(|r| attributes(&r.attributes)).unwrap_or_default();
            for metric in of_resource.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
                if let Some(meaning) = meaning(&metric.name) {
                    self.take_metric(metric, meaning, &resource, now, &mut taken);
                }
            }
        }
        let refused = usize::try_from(self.rates.refused() - refused).unwrap_or(usize::MAX);
        if refused > 0 {
            taken.reject(refused, "all", "more series than are followed at once; send fewer attributes");
        }
        taken.gauges = self.rates.take();
        taken
    }

    fn take_metric(
        &mut self,
        metric: &Metric,
        meaning: Meaning,
        resource: &Attributes,
        now: Timestamp,
        taken: &mut Taken,
    ) {
        let (points, temporality) = match &metric.data {
            Some(Data::Gauge(gauge)) => (&gauge.data_points, None),
            Some(Data::Sum(sum)) => {
                (&sum.data_points, Some((sum.aggregation_temporality(), sum.is_monotonic)))
            }
            _ => return taken.reject(1, &metric.name, "neither a gauge nor a sum"),
        };
        let subject = match meaning.subject(resource) {
            Ok(Some(subject)) => subject,
            Ok(None) => return,
            Err(missing) => {
                return taken.reject(points.len(), &metric.name, &format!("{missing} is missing"));
            }
        };
        let key = (subject, meaning.metric);
        let sender = identity(resource);
        for point in points {
            let result = self.take_point(metric, point, &meaning, temporality, &key, &sender, now);
            match result {
                Ok(Some(at)) => {
                    taken.points += 1;
                    taken.newest = taken.newest.max(Some(at));
                }
                Ok(None) => {}
                Err(reason) => taken.reject(1, &metric.name, reason),
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one point with all that the levels above it say of it")]
    fn take_point(
        &mut self,
        metric: &Metric,
        point: &NumberDataPoint,
        meaning: &Meaning,
        temporality: Option<(AggregationTemporality, bool)>,
        key: &(GaugeSubject, GaugeMetric),
        sender: &str,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, &'static str> {
        let of_point = attributes(&point.attributes);
        if point.flags & (DataPointFlags::NoRecordedValueMask as u32) != 0 || !meaning.counts(&of_point) {
            return Ok(None);
        }
        let value = match point.value {
            Some(Value::AsDouble(value)) => value,
            Some(Value::AsInt(value)) => value as f64,
            None => return Err("a point without a value"),
        } * meaning.scale;
        let at = time(point.time_unix_nano).ok_or("a point without a time")?;
        if at.ms_since(now) > MAX_AHEAD_MS {
            return Err("a point from the future; set the sender's clock");
        }
        if now.ms_since(at) > MAX_BEHIND_MS {
            return Err("a point that is more than an hour old");
        }
        if !value.is_finite() || value < 0.0 {
            return Err("a value that is not a number of 0 or more");
        }
        let name = format!("{}|{sender}|{of_point:?}", metric.name);
        let start = time(point.start_time_unix_nano);
        match (meaning.counted, temporality) {
            (false, Some((AggregationTemporality::Delta, _))) => return Err("a level as differences"),
            (false, _) => self.rates.level(key, name, at, value),
            (true, Some((AggregationTemporality::Cumulative, true))) => {
                self.rates.read(key, name, start, at, value);
            }
            (true, Some((AggregationTemporality::Delta, _))) => {
                let from = start.ok_or("a difference without a start")?;
                self.rates.add(key, name, from, at, value);
            }
            (true, _) => return Err("a count that is not a monotonic sum"),
        }
        Ok(Some(at))
    }
}

fn time(unix_nano: u64) -> Option<Timestamp> {
    let ms = i64::try_from(unix_nano / 1_000_000).ok()?;
    (ms > 0).then(|| Timestamp::from_unix_ms(ms))
}

#[cfg(test)]
mod tests;
