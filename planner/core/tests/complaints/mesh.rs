//! Changes to the small mesh that many situations need.
use crate::world::{DAY, MINUTE, NOW, ServiceShape, World, millicores, noon};
use foremesh_core::{
    forecast::{ForecastSettings, forecast},
    history::Metric,
    ids::{NodeId, WorkloadId, Zone},
    policy::PastMove,
    series::Series,
    time::Step,
    topology::{Replica, Tier},
};

/// A service on a node whose latency passes its objective with that node's noon.
pub(crate) const fn shopper(name: &'static str, node: &'static str, used_millicores: f64) -> ServiceShape {
    ServiceShape {
        name,
        node,
        tier: Tier::Standard,
        used_millicores,
        rps: |_| 50.0,
        p99_ms: |minute| if noon(minute) { 400.0 } else { 15.0 },
    }
}

impl World {
    /// Another replica of a workload.
    pub(crate) fn replica(&mut self, workload: &str, replica: &str, node: &str) {
        let placed = Replica::new(node.into(), true);
        self.workload(workload).replicas.insert(replica.into(), placed);
    }

    /// Puts nodes into a zone.
    pub(crate) fn zone(&mut self, zone: &str, nodes: &[&str]) {
        for node in nodes {
            self.node_mut(node).zone = Some(Zone::new(zone));
        }
    }

    /// A move of a workload that was over so many minutes ago.
    pub(crate) fn moved(&mut self, workload: &str, from: &str, to: &str, ended_min_ago: i64) {
        let ended_at = self.now.plus_ms(-ended_min_ago * MINUTE);
        self.past_moves.push(PastMove {
            workload: workload.into(),
            service: workload.into(),
            from: from.into(),
            to: to.into(),
            started_at: ended_at.plus_ms(-2 * MINUTE),
            ended_at,
            failed: false,
            then: Vec::new(),
        });
    }

    /// What is measured of a service: a value for each of the last three short days' minutes, not the same every day.
    pub(crate) fn p99(&mut self, service: &str, value: impl Fn(usize) -> f64) {
        let p99 = Metric::latency(0.99).unwrap();
        let made = forecast(service, &p99.name(), &lately(value), &[], &short_days(), NOW);
        self.services.get_mut(&service.into()).unwrap().forecasts.insert(p99, made);
    }

    /// Requests per second of a service, likewise.
    pub(crate) fn rps(&mut self, service: &str, value: impl Fn(usize) -> f64) {
        let metric = Metric::Throughput;
        let newest = value(3 * DAY - 1);
        let made = forecast(service, &metric.name(), &lately(value), &[], &short_days(), NOW);
        let known = self.services.get_mut(&service.into()).unwrap();
        known.forecasts.insert(metric, made);
        if let Some(measured) = &mut known.measured {
            measured.throughput_rps = newest;
        }
    }

    /// CPU in use on a node, likewise.
    pub(crate) fn cpu(&mut self, node: &str, value: impl Fn(usize) -> f64) {
        self.node_mut(node).used = Some(millicores(value(3 * DAY - 1)));
        let made = forecast(node, "cpu_used_millicores", &lately(value), &[], &short_days(), NOW);
        self.nodes.insert(NodeId::new(node), made);
    }

    /// Takes a service and its workload away.
    pub(crate) fn without(&mut self, service: &str) {
        self.services.remove(&service.into());
        self.snapshot.workloads.remove(&WorkloadId::new(service));
    }
}

fn lately(value: impl Fn(usize) -> f64) -> Series {
    let start = NOW.plus_ms(-MINUTE * i64::try_from(3 * DAY).unwrap());
    Series::new(start, Step::MINUTE, (0..3 * DAY).map(value).collect())
}

const fn short_days() -> ForecastSettings {
    ForecastSettings::new(45, Some(DAY), 5 * MINUTE)
}
