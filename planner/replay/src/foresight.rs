//! What will be if nothing more is moved, as only the world can know: the forecasts of the oracle.
use crate::memory::Memory;
use foremesh_core::{
    forecast::Forecast,
    history::{KEPT_QUANTILES, Metric},
    ids::{NodeId, ServiceId},
    inputs::ServiceInputs,
    time::Timestamp,
};
use foremesh_world::{Minute, World};
use std::collections::BTreeMap;

/// The minutes to come.
#[derive(Debug)]
pub(crate) struct Foresight {
    start_ms: i64,
    minutes: Vec<Minute>,
    /// Moves that it knows of.
    moves: usize,
}

/// Place of the P99 among the kept quantiles.
const P99: usize = 3;

impl Foresight {
    pub(crate) const fn none() -> Self {
        Self { start_ms: 0, minutes: Vec::new(), moves: usize::MAX }
    }

    /// Looks ahead from where the world is, to the end of the replay and `horizon` minutes beyond; what it saw before
    /// stays true while nothing else is moved.
    pub(crate) fn look(&mut self, world: &World, horizon: usize) {
        if self.moves == world.moves().len() {
            return;
        }
        let mut ahead = world.clone();
        self.start_ms = ahead.now_ms();
        self.moves = world.moves().len();
        let end = world.warm_up_minutes() + world.measured_minutes();
        let left = end.saturating_sub(world.minute()) as usize + horizon;
        self.minutes = (0..left).map(|_| ahead.tick()).collect();
    }

    fn window(&self, now: Timestamp, horizon: usize) -> &[Minute] {
        let from = usize::try_from((now.unix_ms() - self.start_ms) / 60_000).unwrap_or(0);
        let to = (from + horizon).min(self.minutes.len());
        self.minutes.get(from..to).unwrap_or_default()
    }

    /// Services with their future in place of their forecasts.
    pub(crate) fn services(
        &self,
        memory: &Memory,
        now: Timestamp,
        horizon: usize,
    ) -> BTreeMap<ServiceId, ServiceInputs> {
        let window = self.window(now, horizon);
        let Some(first) = window.first() else { return BTreeMap::new() };
        let one = |at: usize| {
            let name = &*first.truth.services[at].service;
            let service = ServiceId::new(name);
            let value = |of: fn(&foremesh_world::ServiceTruth) -> Option<f64>| {
                let mut held = 0.0;
                let values = window.iter().map(|minute| {
                    held = of(&minute.truth.services[at]).unwrap_or(held);
                    held
                });
                values.collect::<Vec<f64>>()
            };
            let certain = |metric: Metric, values: &[f64]| {
                let forecast = Forecast::certain(name, &metric.name(), now, Memory::STEP, values);
                (metric, Ok(forecast))
            };
            debug_assert!((KEPT_QUANTILES[P99] - 0.99).abs() < 1e-9);
            let forecasts = BTreeMap::from([
                certain(Metric::Latency(P99), &value(|truth| truth.p99_ms)),
                certain(Metric::Throughput, &value(|truth| Some(truth.load_rps))),
            ]);
            (service.clone(), ServiceInputs { measured: memory.measured(&service), forecasts })
        };
        (0..first.truth.services.len()).map(one).collect()
    }

    /// CPU in use on each node in millicores, all of it and what is not managed.
    pub(crate) fn nodes(
        &self,
        world: &World,
        now: Timestamp,
        horizon: usize,
    ) -> (BTreeMap<NodeId, Forecast>, BTreeMap<NodeId, Forecast>) {
        let window = self.window(now, horizon);
        let (mut used, mut background) = (BTreeMap::new(), BTreeMap::new());
        for (at, entry) in world.inventory().nodes.into_iter().enumerate() {
            let (node, capacity) = (entry.name.to_string(), entry.capacity_m);
            let series = |of: &dyn Fn(&foremesh_world::NodeTruth) -> f64| {
                let values: Vec<f64> = window.iter().map(|minute| of(&minute.truth.nodes[at])).collect();
                Forecast::certain(&node, "cpu_used_millicores", now, Memory::STEP, &values)
            };
            used.insert(NodeId::new(&*node), series(&|truth| truth.utilisation * capacity));
            background.insert(NodeId::new(&*node), series(&|truth| truth.background_m));
        }
        (used, background)
    }
}
