//! Which resources of nodes may run out within the horizon.
use super::{Known, SeriesId, Shown};
use crate::observed::Observed;
use foremesh_core::{
    forecast::Exhaustion,
    gauge::{GaugeHistories, GaugeMetric},
    ids::NodeId,
};
use std::collections::BTreeMap;

/// A resource that may run out.
#[derive(Clone, Debug, PartialEq)]
pub struct Exhausted {
    /// The node.
    pub node: NodeId,
    /// What is used of the resource.
    pub metric: GaugeMetric,
    /// What there is of it, in the same unit.
    pub capacity: f64,
    /// How likely, and when.
    pub exhaustion: Exhaustion,
}

/// All of them, by node and quantity.
pub(super) fn exhausted(
    all: &BTreeMap<SeriesId, Shown>,
    observed: &Observed,
    known: &Known,
) -> Vec<Exhausted> {
    let of = |(id, shown): (&SeriesId, &Shown)| {
        let (SeriesId::Node(node, metric), Ok(forecast)) = (id, &shown.forecast) else { return None };
        let measured = observed.node(node).and_then(|history| capacity(&history.gauges, *metric));
        // What the platform gives away bounds it where nobody measures what there is.
        let given = || {
            let cpu = *metric == GaugeMetric::CpuUsedMillicores;
            known.cpu_millicores.get(node).copied().filter(|_| cpu)
        };
        let capacity = measured.or_else(given).filter(|capacity| *capacity > 0.0)?;
        let exhaustion = forecast.exhaustion(capacity)?;
        Some(Exhausted { node: node.clone(), metric: *metric, capacity, exhaustion })
    };
    all.iter().filter_map(of).collect()
}

/// The newest measured capacity for a quantity.
fn capacity(gauges: &GaugeHistories, used: GaugeMetric) -> Option<f64> {
    let values = gauges.get(&used.capacity()?)?.series.values();
    values.iter().rev().copied().find(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use foremesh_core::{
        gauge::{GaugeHistory, GaugeSource},
        series::Series,
        time::{Step, Timestamp},
    };

    #[test]
    fn capacity_is_the_newest_value_of_the_gauge_that_bounds() {
        let step = Step::from_ms(1_000).unwrap();
        let history = |values: &[f64]| GaugeHistory {
            series: Series::new(Timestamp::default(), step, values.to_vec()),
            source: GaugeSource::NodeExporter,
            newest: Timestamp::default(),
        };
        let gauges = GaugeHistories::from([
            (GaugeMetric::MemoryUsedBytes, history(&[1.0, 2.0])),
            (GaugeMetric::MemoryCapacityBytes, history(&[8.0, 16.0, f64::NAN])),
        ]);
        assert_eq!(capacity(&gauges, GaugeMetric::MemoryUsedBytes), Some(16.0));
        assert_eq!(capacity(&gauges, GaugeMetric::CpuUsedMillicores), None, "nobody measures it");
        assert_eq!(capacity(&gauges, GaugeMetric::NetworkBytesPerSecond), None, "nothing bounds it");
    }
}
