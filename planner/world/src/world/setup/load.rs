//! Demands of the services and the load that they carry.

use super::super::shapes::amplitude;
use super::{Flow, MIB, ServiceSetup};
use crate::random::{Draw, Key};
use crate::scenario::{Scenario, ScenarioSpec};
use crate::series::{Curve, Shaping};
use crate::{Mesh, Role};

/// Demands as measured, else drawn by role.
pub(super) fn services(mesh: &Mesh, seed: u64) -> Vec<ServiceSetup> {
    mesh.services
        .iter()
        .enumerate()
        .map(|(number, service)| {
            let draw = |draw| Key::new(seed, draw).with(number as u64);
            let (cpu, wait, memory) = match service.role {
                Role::Frontend => (3.0, 0.5, 192.0),
                Role::Service => (4.0, 1.0, 256.0),
                Role::Database => (3.0, 3.0, 768.0),
                Role::Cache => (0.6, 0.1, 384.0),
                Role::Queue => (1.0, 0.5, 320.0),
            };
            let demand_ms = service.cpu_core_ms.unwrap_or_else(|| cpu * draw(Draw::Demand).lognormal(0.5));
            let wait_ms = match service.self_time_ms {
                Some(own) if service.cpu_core_ms.is_some() => (own - demand_ms).max(0.1),
                _ => wait * draw(Draw::Wait).lognormal(0.5),
            };
            let memory_mib =
                service.memory_mib.unwrap_or_else(|| memory * draw(Draw::Memory).lognormal(0.4)).max(16.0);
            ServiceSetup {
                id: service.name.clone(),
                demand_ms,
                wait_ms,
                stateful: service.stateful,
                memory_bytes: (memory_mib * MIB).round(),
                request_m: 0.0,
                limit_m: None,
                replicas: 1,
                reference_rps: 0.0,
                out: (0..mesh.edges.len()).filter(|edge| mesh.edges[*edge].from == number).collect(),
            }
        })
        .collect()
}

/// External requests a second that bring the cluster to its mean utilisation.
pub(super) fn external_rps(
    mesh: &Mesh,
    services: &[ServiceSetup],
    spec: &ScenarioSpec,
    capacity: f64,
) -> f64 {
    let core_ms: f64 = mesh
        .operations
        .iter()
        .map(|operation| {
            let each =
                operation.visits.iter().zip(services).map(|(visits, service)| visits * service.demand_ms);
            operation.share * each.sum::<f64>()
        })
        .sum();
    (spec.load.utilisation - spec.background.mean) * capacity / (core_ms / 1000.0).max(1e-9)
}

/// The curves of the load, with the minutes by which each is shifted; sets which flow follows which.
pub(super) fn curves(scenario: &Scenario, flows: &mut [Flow], seed: u64) -> Vec<(Curve, i64)> {
    let load = &scenario.spec.load;
    let swing = amplitude(Key::new(seed, Draw::Amplitude).with(u64::from(u32::MAX)));
    let peak = load.peak.map(|peak| 1.0 + (peak - 1.0) * swing);
    let shaping = Shaping { smooth: load.smooth.0, peak, clamp: load.clamp };
    let key = Key::new(seed, Draw::Series);
    let drawn = |key: Key| {
        let series = scenario.load.get(key.with(0).below(scenario.load.len()));
        let curve = series.map_or_else(Curve::flat, |series| series.curve(shaping));
        let phase = key.with(1).below(curve.days()) as i64 * 1440;
        (curve, phase)
    };
    if !load.per_operation {
        return vec![drawn(key)];
    }
    for (number, flow) in flows.iter_mut().enumerate() {
        flow.curve = number;
    }
    (0..flows.len()).map(|number| drawn(key.with(10 + number as u64))).collect()
}
