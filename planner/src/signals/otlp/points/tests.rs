use super::*;
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value},
    metrics::v1::{Gauge as OtlpGauge, ResourceMetrics, ScopeMetrics, Sum},
    resource::v1::Resource,
};

const NOON: i64 = 1_700_000_040_000;

fn pairs(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    let pair = |(key, value): &(&str, &str)| KeyValue {
        key: (*key).to_owned(),
        value: Some(AnyValue { value: Some(any_value::Value::StringValue((*value).to_owned())) }),
        ..KeyValue::default()
    };
    pairs.iter().map(pair).collect()
}

fn point(attributes: &[(&str, &str)], start_s: i64, at_s: i64, value: f64) -> NumberDataPoint {
    let nano = |s: i64| (NOON + s * 1000) as u64 * 1_000_000;
    NumberDataPoint {
        attributes: pairs(attributes),
        start_time_unix_nano: nano(start_s),
        time_unix_nano: nano(at_s),
        value: Some(Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

fn sum(points: Vec<NumberDataPoint>, temporality: AggregationTemporality) -> Data {
    Data::Sum(Sum { data_points: points, aggregation_temporality: temporality as i32, is_monotonic: true })
}

fn push(resource: &[(&str, &str)], name: &str, data: Data) -> ExportMetricsServiceRequest {
    let metric = Metric { name: name.to_owned(), data: Some(data), ..Metric::default() };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource { attributes: pairs(resource), ..Resource::default() }),
            scope_metrics: vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }],
            ..ResourceMetrics::default()
        }],
    }
}

fn at(s: i64) -> Timestamp {
    Timestamp::from_unix_ms(NOON + s * 1000)
}

/// Values of the steps that are complete after a push every 30 s.
fn pushed(make: impl Fn(i64) -> ExportMetricsServiceRequest) -> Vec<Gauge> {
    let mut points = Points::new(Step::MINUTE);
    (0..=3).map(|n| n * 30).flat_map(|s| points.take(&make(s), at(s)).gauges).collect()
}

#[test]
fn cumulative_and_delta_say_the_same() {
    let host = [("host.name", "n1")];
    let state = |state| [("cpu", "0"), ("state", state)];
    let cumulative = pushed(|s| {
        let points = vec![
            point(&state("user"), -600, s, 50.0 + s as f64 / 4.0),
            point(&state("idle"), -600, s, s as f64),
        ];
        push(&host, "system.cpu.time", sum(points, AggregationTemporality::Cumulative))
    });
    let delta = pushed(|s| {
        let points = vec![point(&state("user"), s - 30, s, 7.5), point(&state("idle"), s - 30, s, 22.5)];
        push(&host, "system.cpu.time", sum(points, AggregationTemporality::Delta))
    });
    let values = |gauges: &[Gauge]| -> Vec<f64> { gauges.iter().map(|gauge| gauge.value).collect() };
    assert_eq!(values(&cumulative), [250.0], "a quarter of a core");
    // The first difference reaches back into the minute before.
    assert_eq!(values(&delta), [250.0, 250.0]);
    assert_eq!(cumulative[0].subject, GaugeSubject::Node("n1".into()));
    assert_eq!(cumulative[0].metric, GaugeMetric::CpuUsedMillicores);
}

#[test]
fn memory_of_replicas_is_their_workloads() {
    let mut points = Points::new(Step::MINUTE);
    let mut gauges = Vec::new();
    for s in [0, 30, 60] {
        for pod in ["cart-7d9f8b6c5d-x2x5z", "cart-7d9f8b6c5d-zzzzz"] {
            let resource = [("k8s.namespace.name", "shop"), ("k8s.pod.name", pod)];
            let data = Data::Gauge(OtlpGauge { data_points: vec![point(&[], 0, s, 100.0)] });
            gauges.extend(points.take(&push(&resource, "k8s.pod.memory.working_set", data), at(s)).gauges);
        }
    }
    assert_eq!(gauges.len(), 1, "{gauges:?}");
    assert_eq!((&gauges[0].subject, gauges[0].value), (&GaugeSubject::Workload("shop/cart".into()), 200.0));
}

#[test]
fn what_cannot_be_used_is_said() {
    let host = [("host.name", "n1")];
    let one =
        |start, at_s, value| sum(vec![point(&[], start, at_s, value)], AggregationTemporality::Cumulative);
    for (name, message, want) in [
        (
            "no node",
            push(&[], "system.disk.io", one(0, 1, 1.0)),
            Some("k8s.node.name or host.name is missing"),
        ),
        ("ahead", push(&host, "system.disk.io", one(0, 120, 1.0)), Some("from the future")),
        ("old", push(&host, "system.disk.io", one(-9000, -8000, 1.0)), Some("more than an hour old")),
        ("negative", push(&host, "system.disk.io", one(0, 1, -1.0)), Some("not a number of 0 or more")),
        (
            "no temporality",
            push(
                &host,
                "system.disk.io",
                sum(vec![point(&[], 0, 1, 1.0)], AggregationTemporality::Unspecified),
            ),
            Some("not a monotonic sum"),
        ),
        ("not needed", push(&[], "http.server.duration", one(0, 1, 1.0)), None),
        ("good", push(&host, "system.disk.io", one(0, 1, 1.0)), None),
    ] {
        let taken = Points::new(Step::MINUTE).take(&message, at(0));
        let reason = taken.reason.unwrap_or_default();
        assert_eq!(taken.rejected > 0, want.is_some(), "case {name}: {reason}");
        assert!(reason.contains(want.unwrap_or_default()), "case {name}: {reason}");
    }
}
