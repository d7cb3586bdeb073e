//! A small mesh that tests change one thing of. Its "day" has 60 steps of a minute; now is the start of the fourth.
//!
//! Service `cart` runs on node `a`. Every day from minute 20 to 30 something else fills `a`, and the latency of
//! `cart` passes its objective of 250 ms. Nodes `b` and `c` are quiet, `c` a little less.
use foremesh_core::{
    forecast::{ForecastSettings, forecast},
    history::Metric,
    ids::{NodeId, PlanId, ServiceId, WorkloadId},
    inputs::{Freeze, InFlight, Inputs, MaybeForecast, Measured, Resources, ServiceInputs, Settings},
    learned::Learned,
    policy::{PastMove, PolicyDocument, RelocationPolicy, validate},
    series::Series,
    time::{Step, Timestamp},
    topology::{Node, Replica, Snapshot, Tier, Workload},
    units::Millicores,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Mutex};

pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const DAY: usize = 60;
/// 2026-01-05 00:00 UTC, a Monday, and three short days later.
pub(crate) const NOW: Timestamp = Timestamp::from_unix_ms(1_767_571_200_000 + 180 * MINUTE);

/// Everything that [`Inputs`] borrows.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) snapshot: Snapshot,
    pub(crate) services: BTreeMap<ServiceId, ServiceInputs>,
    pub(crate) nodes: BTreeMap<NodeId, MaybeForecast>,
    pub(crate) background: BTreeMap<NodeId, MaybeForecast>,
    pub(crate) resources: Resources,
    pub(crate) learned: Learned,
    pub(crate) freezes: Vec<Freeze>,
    pub(crate) policies: Vec<RelocationPolicy>,
    pub(crate) past_moves: Vec<PastMove>,
    pub(crate) in_flight: Vec<InFlight>,
    pub(crate) durations: BTreeMap<WorkloadId, i64>,
    pub(crate) settings: Settings,
    pub(crate) newest_generation: u64,
    pub(crate) parent: Option<PlanId>,
}

/// One number for each minute of a day, with a small ripple so that errors are not all zero.
pub(crate) type Daily = fn(usize) -> f64;

/// What a service is made of.
pub(crate) struct ServiceShape {
    pub(crate) name: &'static str,
    pub(crate) node: &'static str,
    pub(crate) tier: Tier,
    pub(crate) used_millicores: f64,
    pub(crate) rps: Daily,
    pub(crate) p99_ms: Daily,
}

pub(crate) const fn noon(minute: usize) -> bool {
    minute >= 20 && minute < 30
}

impl World {
    /// The mesh as described above.
    pub(crate) fn new() -> Self {
        let mut world = Self {
            now: NOW,
            snapshot: Snapshot::empty(NOW),
            services: BTreeMap::new(),
            nodes: BTreeMap::new(),
            background: BTreeMap::new(),
            resources: Resources::default(),
            learned: Learned::default(),
            freezes: Vec::new(),
            policies: vec![policy(&json!({}))],
            past_moves: Vec::new(),
            in_flight: Vec::new(),
            durations: BTreeMap::new(),
            settings: Settings::default(),
            newest_generation: 6,
            parent: Some("plan-000000000000".into()),
        };
        world.node("a", |minute| if noon(minute) { 960.0 } else { 300.0 });
        world.node("b", |_| 200.0);
        world.node("c", |_| 300.0);
        world.service(&ServiceShape {
            name: "cart",
            node: "a",
            tier: Tier::Standard,
            used_millicores: 100.0,
            rps: |_| 50.0,
            p99_ms: |minute| if noon(minute) { 400.0 } else { 15.0 },
        });
        world
    }

    /// Adds a node of one core with its daily CPU use, or replaces it.
    pub(crate) fn node(&mut self, name: &str, used: Daily) {
        let node = Node { used: Some(millicores(used(0))), ..Node::new(millicores(1000.0)) };
        self.snapshot.nodes.insert(name.into(), node);
        self.nodes.insert(name.into(), forecast_of(name, "cpu_used_millicores", &history(180, used)));
    }

    /// Adds a service with one workload of one replica, or replaces it.
    pub(crate) fn service(&mut self, shape: &ServiceShape) {
        let replica = Replica::new(shape.node.into(), true);
        let workload = Workload {
            tier: shape.tier,
            replicas: BTreeMap::from([(format!("{}-1", shape.name).as_str().into(), replica)]),
            used: Some(millicores(shape.used_millicores)),
            ..Workload::new(shape.name.into())
        };
        self.snapshot.workloads.insert(shape.name.into(), workload);
        self.services.insert(shape.name.into(), known(shape, 180));
    }

    /// Shortens what is known of a service to the newest steps.
    pub(crate) fn short_history(&mut self, shape: &ServiceShape, steps: usize) {
        self.services.insert(shape.name.into(), known(shape, steps));
    }

    pub(crate) fn workload(&mut self, name: &str) -> &mut Workload {
        self.snapshot.workloads.get_mut(&WorkloadId::new(name)).unwrap()
    }

    pub(crate) fn node_mut(&mut self, name: &str) -> &mut Node {
        self.snapshot.nodes.get_mut(&NodeId::new(name)).unwrap()
    }

    pub(crate) fn inputs(&self) -> Inputs<'_> {
        Inputs {
            now: self.now,
            snapshot: &self.snapshot,
            services: &self.services,
            nodes: &self.nodes,
            background: &self.background,
            resources: &self.resources,
            learned: &self.learned,
            freezes: &self.freezes,
            policies: &self.policies,
            past_moves: &self.past_moves,
            in_flight: &self.in_flight,
            move_duration_ms: &self.durations,
            settings: &self.settings,
            newest_generation: self.newest_generation,
            parent: self.parent.as_ref(),
        }
    }
}

/// What is known of a service that has been seen for so many steps.
fn known(shape: &ServiceShape, steps: usize) -> ServiceInputs {
    let p99 = Metric::latency(0.99).unwrap();
    let forecasts = BTreeMap::from([
        (p99, forecast_of(shape.name, &p99.name(), &history(steps, shape.p99_ms))),
        (Metric::Throughput, forecast_of(shape.name, "throughput_rps", &history(steps, shape.rps))),
    ]);
    let p99_now = (shape.p99_ms)(0);
    let latency_ms = [p99_now / 5.0, p99_now / 2.0, p99_now / 1.5, p99_now, p99_now * 1.5];
    ServiceInputs {
        measured: Some(Measured { at: NOW, throughput_rps: (shape.rps)(0), latency_ms }),
        forecasts,
    }
}

/// A policy for all services; `spec` replaces parts of it.
pub(crate) fn policy(spec: &Value) -> RelocationPolicy {
    let mut document = json!({
        "apiVersion": "foremesh.dev/v1alpha1",
        "kind": "RelocationPolicy",
        "metadata": {"name": "shop"},
        "spec": {
            "selector": {"services": ["*"]},
            "mode": "auto",
            "rules": [{"name": "slow", "predictedLatency": {"quantile": 0.99, "above": "250ms", "within": "40m"}}],
            "trial": {"waivedBy": "ana", "reason": "no staging mesh"}
        }
    });
    for (key, value) in spec.as_object().unwrap() {
        document["spec"][key] = value.clone();
    }
    let document: PolicyDocument = serde_json::from_value(document).unwrap();
    validate(&document).unwrap()
}

pub(crate) fn millicores(value: f64) -> Millicores {
    Millicores::new(value).unwrap()
}

/// The newest `steps` minutes of a daily pattern.
pub(crate) fn history(steps: usize, daily: Daily) -> Series {
    let value = |step: usize| daily(step % DAY) * (1.0 + 0.01 * ((step * 7 % 11) as f64 / 5.0 - 1.0));
    let first = 180 - steps;
    let start = NOW.plus_ms(-MINUTE * i64::try_from(steps).unwrap());
    Series::new(start, Step::from_ms(MINUTE).unwrap(), (first..180).map(value).collect())
}

/// The forecast of a history. Worlds share most of their histories, and a forecast costs more than a decision, so each is
/// made once; it depends on nothing but the series.
pub(crate) fn forecast_of(subject: &str, metric: &str, history: &Series) -> MaybeForecast {
    type Key = (String, Vec<u64>);
    static MADE: Mutex<BTreeMap<Key, MaybeForecast>> = Mutex::new(BTreeMap::new());
    let key: Key = (metric.to_owned(), history.values().iter().map(|value| value.to_bits()).collect());
    let known = MADE.lock().unwrap().get(&key).cloned();
    let made = known.unwrap_or_else(|| {
        let settings = ForecastSettings::new(45, Some(DAY), 5 * MINUTE);
        let made = forecast(subject, metric, history, &[], &settings, NOW);
        MADE.lock().unwrap().insert(key, made.clone());
        made
    });
    made.map(|mut made| {
        subject.clone_into(&mut made.subject);
        made
    })
}
