//! The world minute by minute, as lines of JSON, so that anyone can count violations again.
use crate::run::Run;
use serde_json::{Value, json};

/// One line for each minute of a run whose minutes were kept.
pub fn lines(run: &Run, seed: u64) -> impl Iterator<Item = Value> {
    run.minutes.iter().enumerate().map(move |(index, minute)| {
        let services: serde_json::Map<String, Value> = minute
            .truth
            .services
            .iter()
            .map(|service| {
                let shown = json!({
                    "load_rps": service.load_rps,
                    "p50_ms": service.p50_ms,
                    "p95_ms": service.p95_ms,
                    "p99_ms": service.p99_ms,
                    "error_share": service.error_share,
                    "objective_ms": service.objective_ms,
                    "nodes": service.nodes,
                    "violated": service.breach,
                });
                (service.service.to_string(), shown)
            })
            .collect();
        let nodes: serde_json::Map<String, Value> =
            minute.truth.nodes.iter().map(|node| (node.node.to_string(), json!(node.utilisation))).collect();
        let moves: Vec<_> = run.moves.iter().filter(|begun| begun.minute == index).collect();
        json!({
            "strategy": run.kind.name(),
            "seed": seed,
            "minute": index,
            "at_ms": minute.at_ms,
            "services": services,
            "node_utilisation": nodes,
            "moves": moves,
        })
    })
}
