//! The four strategies in the same small worlds.
#![allow(clippy::unwrap_used, reason = "clippy knows only functions marked as tests, not what they share")]
use foremesh_replay::{Run, Settings, StrategyKind, compare, lines, replay_seed};
use foremesh_world::{Mesh, Scenario};
use std::path::PathBuf;

/// One service waits for another; three nodes, of which one fills up every day at the same hours.
const MESH: &str = r#"{
    "name": "two",
    "services": [
        {"name": "front", "replicas": 1, "cpu_request_m": 100},
        {"name": "cart", "replicas": 1, "cpu_request_m": 100},
        {"name": "mail", "replicas": 1, "cpu_request_m": 100}
    ],
    "edges": [{"from": "front", "to": "cart"}]
}"#;

const STEADY: &str = "
name: steady
kind: steady
start: 2026-03-02T00:00:00Z
warmUp: 1d12h
measured: 4h
load: { utilisation: 0.3 }
";

const RAMP: &str = "
name: ramp
kind: ramp
start: 2026-03-02T00:00:00Z
warmUp: 1d12h
measured: 6h
load: { utilisation: 0.3, noise: 0.02 }
neighbours:
  - { node: hottest, at: 1h, over: 3h, hold: 2h, nodeUtilisation: 0.95 }
";

fn replayed(scenario: &str, strategies: &[StrategyKind], keep_minutes: bool) -> Vec<Run> {
    let folder = tempfile::tempdir().unwrap();
    let (mesh, file): (PathBuf, PathBuf) =
        (folder.path().join("mesh.json"), folder.path().join("scenario.yaml"));
    std::fs::write(&mesh, MESH).unwrap();
    std::fs::write(&file, scenario).unwrap();
    let (mesh, scenario) = (Mesh::read(mesh).unwrap(), Scenario::read(file).unwrap());
    let settings = Settings {
        strategies: strategies.to_vec(),
        caution: foremesh_core::inputs::Settings::default(),
        policies: Vec::new(),
        keep_minutes,
    };
    replay_seed(&mesh, &scenario, 1, &settings, || ()).unwrap()
}

#[test]
fn a_steady_mesh_stays_as_it_is() {
    for run in replayed(STEADY, &StrategyKind::ALL, false) {
        assert_eq!((run.violation_minutes(), run.moves.len()), (0, 0), "{}", run.kind.name());
    }
}

#[test]
fn a_ramp_is_foreseen_and_hardly_anything_is_violated() {
    let runs = replayed(RAMP, &StrategyKind::ALL, false);
    let compared = compare(&[runs]);
    let minutes = |name: &str| compared.strategies[name].violation_minutes;
    assert!(minutes("none") > 100, "the ramp hurts nobody: {compared:?}");
    assert!(compared.strategies["foremesh"].moves > 0, "{compared:?}");
    assert!(minutes("foremesh") * 5 < minutes("none"), "{compared:?}");
    assert!(minutes("oracle") * 5 < minutes("none"), "{compared:?}");
    assert!(compared.strategies["foremesh"].regret_share < 1e-9, "{compared:?}");
}

#[test]
fn a_seed_repeats_itself_and_its_trace_counts_the_same_violations() {
    let [first, again] = [0, 1].map(|_| replayed(RAMP, &[StrategyKind::Foremesh], true).remove(0));
    assert_eq!(first.violated, again.violated);
    assert_eq!(format!("{:?}", first.moves), format!("{:?}", again.moves));
    let traced: Vec<serde_json::Value> = lines(&first, 7).collect();
    assert_eq!(traced.len(), 360);
    let violated = traced.iter().flat_map(|line| line["services"].as_object().unwrap().values());
    let counted = violated.filter(|service| service["violated"].as_bool().unwrap()).count();
    assert_eq!(counted, first.violation_minutes());
    let begun: usize = traced.iter().map(|line| line["moves"].as_array().unwrap().len()).sum();
    assert_eq!(begun, first.moves.len());
    assert!(traced.iter().all(|line| line["seed"] == 7 && line["strategy"] == "foremesh"));
}
