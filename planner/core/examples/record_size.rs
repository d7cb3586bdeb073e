//! Writes the record of a decision about a mesh of 1 000 services on 200 nodes, one in 200 of them at risk, to stdout,
//! and its parts to stderr. The packed size is what the pipe says:
//! `cargo run -p foremesh-core --example record_size | gzip -6 | wc -c`.
use foremesh_core::{
    decide::decide,
    forecast::{Forecast, ForecastSettings, forecast},
    history::Metric,
    ids::{NodeId, ServiceId, WorkloadId, Zone},
    inputs::{Measured, OwnedInputs, ServiceInputs},
    policy::{Mode, PolicyDocument, validate},
    record::DecisionRecord,
    series::Series,
    time::{Step, Timestamp},
    topology::{Node, Replica, Requests, Snapshot, Workload},
    units::Millicores,
};
use std::collections::BTreeMap;

const SERVICES: usize = 1_000;
const NODES: usize = 200;
const RISKY: usize = 200;
const HISTORY: usize = 400;
const HORIZON: usize = 60;
const SHAPES: usize = 20;
const NOW: Timestamp = Timestamp::from_unix_ms(1_767_571_200_000);

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Fallible<()> {
    let made = mesh()?.rounded();
    let decision = decide(&made.borrow())?;
    let plan = decision.plan.clone().ok_or("the mesh needs no plan")?;
    let whole = serde_json::to_vec(&made)?.len();
    let record = DecisionRecord::new(&made, &decision, &plan, Mode::Auto, "0.0.0")?;
    let size = |part: serde_json::Result<Vec<u8>>| part.map(|bytes| bytes.len());
    eprintln!("all inputs {whole} bytes of JSON, kept {:?}", record.kept);
    eprintln!(
        "services {}, nodes {}, background {}, snapshot {}, plan {}",
        size(serde_json::to_vec(&record.inputs.services))?,
        size(serde_json::to_vec(&record.inputs.nodes))?,
        size(serde_json::to_vec(&record.inputs.background))?,
        size(serde_json::to_vec(&record.inputs.snapshot))?,
        record.plan.len()
    );
    serde_json::to_writer(std::io::stdout().lock(), &record)?;
    Ok(())
}

/// Forecasts of a few noisy series; each subject gets one of them at its own scale, so that no two have equal digits.
fn shapes(metric: &str, level: f64, peak: f64) -> Fallible<Vec<Forecast>> {
    let settings = ForecastSettings::new(HORIZON, Some(60), 300_000);
    let start = NOW.plus_ms(-60_000 * i64::try_from(HISTORY)?);
    let mut shapes = Vec::new();
    for seed in 0..SHAPES {
        let mut state = seed as u64 * 7_919 + 17;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        let value = |at: usize, noise: f64| {
            let busy = (20..30).contains(&(at % 60));
            (if busy { peak } else { level }) * (0.9 + 0.2 * noise)
        };
        let first = (60 - HISTORY % 60) % 60;
        let values = (0..HISTORY).map(|at| value(first + at, noise())).collect();
        let series = Series::new(start, Step::MINUTE, values);
        shapes.push(forecast("shape", metric, &series, &[], &settings, NOW)?);
    }
    Ok(shapes)
}

fn like(shapes: &[Forecast], at: usize, subject: &str) -> Forecast {
    let mut made = shapes[at % shapes.len()].clone();
    subject.clone_into(&mut made.subject);
    made.scale(1.0 + at as f64 * 1.37e-4);
    made
}

fn mesh() -> Fallible<OwnedInputs> {
    let p99 = Metric::latency(0.99).ok_or("the 99th percentile is kept")?;
    let (calm, risky) = (shapes(&p99.name(), 20.0, 30.0)?, shapes(&p99.name(), 20.0, 400.0)?);
    let rates = shapes("throughput_rps", 50.0, 60.0)?;
    let used = shapes("cpu_used_millicores", 2_000.0, 2_500.0)?;
    let beside = shapes("cpu_used_millicores", 600.0, 700.0)?;
    let full = shapes("cpu_used_millicores", 2_000.0, 7_800.0)?;
    let mut world = OwnedInputs::new(Snapshot::empty(NOW));
    for at in 0..NODES {
        let id = NodeId::new(format!("node-{at:04}.example"));
        let zone = Some(Zone::new(format!("zone-{}", at % 3)));
        let node =
            Node { zone, used: Some(Millicores::new(2_000.0)?), ..Node::new(Millicores::new(8_000.0)?) };
        let filled = if at % RISKY == 0 { &full } else { &used };
        world.nodes.insert(id.clone(), Ok(like(filled, at, id.as_str())));
        let filled = if at % RISKY == 0 { &full } else { &beside };
        world.background.insert(id.clone(), Ok(like(filled, at, id.as_str())));
        world.snapshot.nodes.insert(id, node);
    }
    for at in 0..SERVICES {
        let name = format!("service-{at:05}");
        let mut workload = Workload::new(ServiceId::new(name.as_str()));
        for replica in 0..2 {
            let node = NodeId::new(format!("node-{:04}.example", (at + replica) % NODES));
            let id = format!("{name}-{replica}").as_str().into();
            workload.replicas.insert(id, Replica::new(node, true));
        }
        workload.used = Some(Millicores::new(300.0)?);
        workload.requests = Requests { cpu_millicores: Some(200.0), memory_bytes: Some(268_435_456.0) };
        world.snapshot.workloads.insert(WorkloadId::new(name.as_str()), workload);
        let latency = if at % RISKY == 0 { &risky } else { &calm };
        let forecasts = BTreeMap::from([
            (p99, Ok(like(latency, at, &name))),
            (Metric::Throughput, Ok(like(&rates, at, &name))),
        ]);
        let latency_ms = [4.0, 10.0, 13.0, 20.0, 30.0];
        let measured = Some(Measured { at: NOW, throughput_rps: 50.0, latency_ms });
        world.services.insert(ServiceId::new(name), ServiceInputs { measured, forecasts });
    }
    let document: PolicyDocument = serde_json::from_value(serde_json::json!({
        "apiVersion": "foremesh.dev/v1alpha1",
        "kind": "RelocationPolicy",
        "metadata": {"name": "shop"},
        "spec": {
            "selector": {"services": ["*"]},
            "mode": "auto",
            "rules": [{"name": "slow", "predictedLatency": {"quantile": 0.99, "above": "250ms", "within": "40m"}}],
            "trial": {"waivedBy": "ana", "reason": "no staging mesh"}
        }
    }))?;
    world.policies = vec![validate(&document).map_err(|problems| format!("{problems:?}"))?];
    Ok(world)
}
