//! Each condition: it fires, it just does not, it does not know.
use super::*;
use crate::{
    gauge::GaugeMetric,
    policy::{
        Base, Bound, Consumer, CostSaving, PredictedAvailability, PredictedExhaustion, PredictedThroughput,
        PredictedUsage, Resource, Subject,
    },
};

/// What a verdict comes to, as text that a table can hold.
fn summary(verdict: &Verdict) -> String {
    let subject = |subject: &Option<Subject>| subject.as_ref().map_or(String::new(), |of| format!(" {of}"));
    match verdict {
        Verdict::Breach(breach) => format!(
            "in {}: {} of {}{}",
            breach.at.ms_since(at(100)) / MINUTE,
            breach.worst,
            breach.threshold,
            subject(&breach.subject)
        ),
        Verdict::Healthy(healthy) => format!("healthy: {} of {}", healthy.worst, healthy.threshold),
        Verdict::Opportunity(opportunity) => format!("saves {}", opportunity.at_least),
        Verdict::Unknown { why } => format!("unknown: {why}"),
    }
}

const LATE: &[usize] = &[6, 7, 8];

/// The world after one change, a condition, and what it says.
type Case = (&'static str, fn(&mut OwnedInputs), Condition, &'static str);

fn check(cases: &[Case]) {
    for (name, change, condition, want) in cases {
        let mut world = world();
        change(&mut world);
        assert_eq!(summary(&said(&world, condition)), *want, "case: {name}");
    }
}

fn node(world: &mut OwnedInputs, name: &str, gauge: GaugeMetric, forecast: Forecast) {
    world.resources.nodes.entry(name.into()).or_default().insert(gauge, Ok(forecast));
}

fn workload(world: &mut OwnedInputs, gauge: GaugeMetric, forecast: Forecast) {
    world.resources.workloads.entry("cart".into()).or_default().insert(gauge, Ok(forecast));
}

fn cpu(world: &mut OwnedInputs, a: Forecast, b: Forecast) {
    world.nodes.insert("a".into(), Ok(a));
    world.nodes.insert("b".into(), Ok(b));
}

fn flat(value: f64) -> Forecast {
    certain(steps(value, &[], 0.0))
}

fn late(usual: f64, other: f64) -> Forecast {
    certain(steps(usual, LATE, other))
}

#[test]
fn availability_below() {
    let below = |objective| {
        Condition::PredictedAvailability(PredictedAvailability {
            below: objective,
            sustained: sustained(3, 5, 15),
        })
    };
    check(&[
        (
            "it falls",
            |world| put(world, Metric::Availability, late(1.0, 0.98)),
            below(0.99),
            "in 6: 98 % of 99 %",
        ),
        (
            "it falls to the objective and no further",
            |world| put(world, Metric::Availability, late(1.0, 0.99)),
            below(0.99),
            "healthy: 99 % of 99 %",
        ),
        (
            "two bad steps are noise",
            |world| put(world, Metric::Availability, certain(steps(1.0, &[6, 7], 0.9))),
            below(0.99),
            "healthy: 90 % of 99 %",
        ),
        ("never measured", |_| {}, below(0.99), "unknown: there is no forecast of availability"),
    ]);
}

#[test]
fn throughput_below_demand() {
    let below = |share| {
        Condition::PredictedThroughput(PredictedThroughput {
            below_demand_by: share,
            sustained: sustained(3, 5, 15),
        })
    };
    let asked = |world: &mut OwnedInputs| put(world, Metric::Throughput, flat(50.0));
    check(&[
        (
            // One of two nodes needs 1.25 of what it has, so a fifth of its half is not served.
            "a node is too full",
            |world| {
                put(world, Metric::Throughput, flat(50.0));
                cpu(world, late(500.0, 1250.0), flat(500.0));
            },
            below(0.09),
            "in 6: 10 % of 9 % node `a`",
        ),
        (
            "too full, but not by so much",
            |world| {
                put(world, Metric::Throughput, flat(50.0));
                cpu(world, late(500.0, 1250.0), flat(500.0));
            },
            below(0.11),
            "healthy: 10 % of 11 %",
        ),
        (
            "full is not too full",
            |world| {
                put(world, Metric::Throughput, flat(50.0));
                cpu(world, flat(1000.0), flat(1000.0));
            },
            below(0.01),
            "healthy: 0 % of 1 %",
        ),
        (
            "nobody asks",
            |world| {
                put(world, Metric::Throughput, flat(0.0));
                cpu(world, flat(1250.0), flat(1250.0));
            },
            below(0.01),
            "healthy: 0 % of 1 %",
        ),
        (
            "errors are not counted here",
            |world| {
                put(world, Metric::Throughput, flat(50.0));
                put(world, Metric::Availability, flat(0.5));
                cpu(world, flat(500.0), flat(500.0));
            },
            below(0.01),
            "healthy: 0 % of 1 %",
        ),
        (
            "one node is not known",
            |world| {
                put(world, Metric::Throughput, flat(50.0));
                world.nodes.insert("a".into(), Ok(flat(500.0)));
            },
            below(0.01),
            "unknown: there is no forecast of cpu_used_millicores of node `b`; check that it is measured",
        ),
        ("no demand is known", |_| {}, below(0.01), "unknown: there is no forecast of throughput_rps"),
        (
            "it runs nowhere",
            |world| {
                put(world, Metric::Throughput, flat(50.0));
                world.snapshot.workloads.clear();
            },
            below(0.01),
            "unknown: no replica of the service is in the snapshot, so its nodes are not known",
        ),
    ]);
    let mut world = world();
    asked(&mut world);
    // Of ten outcomes, four are too full: enough for a rule that asks for a quarter, not for one that asks for a half.
    let some = |outcome: usize| vec![if outcome % 10 < 4 { 1250.0 } else { 500.0 }; 15];
    let some = of_paths(&(0..100).map(some).collect::<Vec<_>>());
    cpu(&mut world, some.clone(), some);
    for (asked, fires) in [(0.5, false), (0.25, true), (0.1, true)] {
        let sustained = Sustained { probability: probability(asked), ..sustained(3, 5, 15) };
        let rule = PredictedThroughput { below_demand_by: 0.1, sustained };
        let verdict = said(&world, &Condition::PredictedThroughput(rule));
        assert_eq!(matches!(verdict, Verdict::Breach(_)), fires, "{asked}: {verdict:?}");
    }
}

#[test]
fn usage_above() {
    let above = |of, resource, above| {
        Condition::PredictedUsage(PredictedUsage { of, resource, above, sustained: sustained(3, 5, 15) })
    };
    let capacity = |share| Bound::Share { share, of: Base::Capacity };
    let (node_cpu, node_memory) = (
        above(Consumer::Node, Resource::Cpu, capacity(0.8)),
        above(Consumer::Node, Resource::Memory, capacity(0.8)),
    );
    check(&[
        (
            "one node of two",
            |world| cpu(world, flat(500.0), late(500.0, 900.0)),
            node_cpu.clone(),
            "in 6: 90 % of 80 % node `b`",
        ),
        (
            "just not",
            |world| cpu(world, flat(500.0), late(500.0, 800.0)),
            node_cpu.clone(),
            "healthy: 80 % of 80 %",
        ),
        (
            "a node that is not known comes before a healthy one",
            |world| {
                world.nodes.insert("a".into(), Ok(flat(1.0)));
            },
            node_cpu.clone(),
            "unknown: there is no forecast of cpu_used_millicores of node `b`; check that it is measured",
        ),
        (
            "but not before one that fires",
            |world| {
                world.nodes.insert("a".into(), Ok(flat(900.0)));
            },
            node_cpu,
            "in 0: 90 % of 80 % node `a`",
        ),
        (
            "memory of the platform's",
            |world| {
                node(world, "a", GaugeMetric::MemoryUsedBytes, late(100.0, 900.0));
                node(world, "b", GaugeMetric::MemoryUsedBytes, flat(100.0));
            },
            node_memory.clone(),
            "in 6: 90 % of 80 % node `a`",
        ),
        (
            "memory as measured where the platform does not say",
            |world| {
                world.snapshot.nodes.values_mut().for_each(|node| node.memory_bytes = None);
                for name in ["a", "b"] {
                    node(world, name, GaugeMetric::MemoryUsedBytes, flat(900.0));
                    node(world, name, GaugeMetric::MemoryCapacityBytes, flat(2000.0));
                }
            },
            node_memory.clone(),
            "healthy: 45 % of 80 %",
        ),
        (
            "memory of nobody knows how much",
            |world| {
                world.snapshot.nodes.values_mut().for_each(|node| node.memory_bytes = None);
                node(world, "a", GaugeMetric::MemoryUsedBytes, flat(900.0));
                node(world, "b", GaugeMetric::MemoryUsedBytes, flat(900.0));
            },
            node_memory,
            "unknown: memory capacity of node `a` is not known, so a share of it is not either; write an absolute limit",
        ),
        (
            // Two replicas of 200 millicores.
            "a workload above what it asks for",
            |world| workload(world, GaugeMetric::CpuUsedMillicores, late(300.0, 500.0)),
            above(Consumer::Workload, Resource::Cpu, Bound::Share { share: 1.2, of: Base::Request }),
            "in 6: 125 % of 120 % workload `cart`",
        ),
        (
            "a workload without a limit",
            |world| workload(world, GaugeMetric::CpuUsedMillicores, flat(300.0)),
            above(Consumer::Workload, Resource::Cpu, Bound::Share { share: 0.9, of: Base::Limit }),
            "unknown: cpu limit of workload `cart` is not known, so a share of it is not either; write an absolute limit",
        ),
        (
            "an absolute limit of disks",
            |world| workload(world, GaugeMetric::DiskIoBytesPerSecond, late(1e6, 6e7)),
            above(Consumer::Workload, Resource::DiskIo, Bound::Absolute(5e7)),
            "in 6: 60.0 MB/s of 50.0 MB/s workload `cart`",
        ),
        (
            "a workload that is not measured",
            |_| {},
            above(Consumer::Workload, Resource::Memory, Bound::Absolute(1e6)),
            "unknown: there is no forecast of memory_used_bytes of workload `cart`; check that it is measured",
        ),
    ]);
}

#[test]
fn exhaustion() {
    let of = |of, resource| {
        Condition::PredictedExhaustion(PredictedExhaustion { of, resource, sustained: sustained(1, 1, 10) })
    };
    check(&[
        (
            "memory runs out with the first step that reaches it",
            |world| {
                node(world, "a", GaugeMetric::MemoryUsedBytes, certain(steps(500.0, &[9], 1000.0)));
                node(world, "b", GaugeMetric::MemoryUsedBytes, flat(100.0));
            },
            of(Consumer::Node, Resource::Memory),
            "in 9: 100 % of 100 % node `a`",
        ),
        (
            "almost",
            |world| {
                node(world, "a", GaugeMetric::MemoryUsedBytes, certain(steps(500.0, &[9], 999.0)));
                node(world, "b", GaugeMetric::MemoryUsedBytes, flat(100.0));
            },
            of(Consumer::Node, Resource::Memory),
            "healthy: 99.9 % of 100 %",
        ),
        (
            "later than the look-ahead",
            |world| {
                node(world, "a", GaugeMetric::MemoryUsedBytes, certain(steps(500.0, &[10], 1000.0)));
                node(world, "b", GaugeMetric::MemoryUsedBytes, flat(100.0));
            },
            of(Consumer::Node, Resource::Memory),
            "healthy: 50 % of 100 %",
        ),
        (
            "a disk",
            |world| {
                for name in ["a", "b"] {
                    node(world, name, GaugeMetric::FilesystemUsedBytes, late(10.0, 64.0));
                    node(world, name, GaugeMetric::FilesystemCapacityBytes, flat(64.0));
                }
            },
            of(Consumer::Node, Resource::Disk),
            "in 6: 100 % of 100 % node `a`",
        ),
        (
            "a disk of unknown size",
            |world| {
                node(world, "a", GaugeMetric::FilesystemUsedBytes, flat(10.0));
                node(world, "b", GaugeMetric::FilesystemUsedBytes, flat(10.0));
            },
            of(Consumer::Node, Resource::Disk),
            "unknown: disk capacity of node `a` is not known, so a share of it is not either; write an absolute limit",
        ),
    ]);
}

#[test]
fn money_is_a_standing_opportunity() {
    let saving = Condition::CostSaving(CostSaving { at_least: 0.5 });
    check(&[("always", |_| {}, saving, "saves 0.5")]);
}

#[test]
fn a_rule_names_what_it_looks_at() {
    let usage = |of, resource| {
        let above = Bound::Absolute(1.0);
        Condition::PredictedUsage(PredictedUsage { of, resource, above, sustained: sustained(3, 5, 15) })
    };
    let all = Condition::All(vec![
        latency(3, 5, 15),
        usage(Consumer::Workload, Resource::DiskIo),
        usage(Consumer::Node, Resource::Memory),
        Condition::CostSaving(CostSaving { at_least: 2.0 }),
    ]);
    assert_eq!(all.metrics().collect::<Vec<_>>(), [Metric::Latency(3)]);
    let gauges: Vec<_> = all.gauges().collect();
    assert_eq!(
        gauges,
        [
            (Consumer::Workload, GaugeMetric::DiskIoBytesPerSecond),
            (Consumer::Node, GaugeMetric::MemoryUsedBytes),
            (Consumer::Node, GaugeMetric::MemoryCapacityBytes),
        ]
    );
    assert_eq!((all.within_ms(), all.saving()), (15 * MINUTE, Some(2.0)));
}
