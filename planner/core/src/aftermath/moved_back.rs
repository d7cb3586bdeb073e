//! Whether somebody else took a move back: a deployment tool, an autoscaler of nodes, the scheduler after an eviction.
use crate::{
    ids::NodeId,
    rollout::{RolloutRecord, State},
    time::Timestamp,
    topology::Snapshot,
};
use serde::{Deserialize, Serialize};

/// A move that somebody else took back after it was over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedBack {
    /// When it was seen.
    pub at: Timestamp,
    /// Where the workload runs again.
    pub to: NodeId,
}

impl MovedBack {
    /// In words.
    pub fn in_words(&self) -> String {
        format!(
            "somebody else took it back to {} (a deployment tool, an autoscaler of nodes, or the scheduler after the pod was \
             gone); it rests as after a move, and is not moved there again at once",
            self.to
        )
    }
}

/// Looks at a move that has succeeded, the newest of its workload: whether all that runs of it is where it came from again,
/// without us. Only of a workload with one replica: of several, which of them is meant is not known once it is gone.
pub fn moved_back(record: &RolloutRecord, snapshot: &Snapshot, now: Timestamp) -> Option<MovedBack> {
    let planned = &record.relocation;
    if record.state != State::Succeeded || planned.is_shift() || record.moved_back.is_some() {
        return None;
    }
    let replicas = &snapshot.workloads.get(&planned.workload)?.replicas;
    let (name, replica) = replicas.first_key_value().filter(|_| replicas.len() == 1)?;
    let is_ours = record.target.as_ref().is_some_and(|target| target == name) && replica.node == planned.to;
    let is_back = replica.ready && replica.node == planned.from && !is_ours;
    is_back.then(|| MovedBack { at: now, to: replica.node.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Replica, Workload};
    use serde_json::json;

    fn record(state: &serde_json::Value) -> RolloutRecord {
        serde_json::from_value(json!({
            "id": "plan-1.0", "plan": "plan-1", "generation": 1, "after": null,
            "move": {
                "workload": "shop/cart", "service": "cart", "replica": "cart-old", "from": "a", "to": "b",
                "reason": {
                    "policy": "p", "rule": "slow", "quantile": 0.99, "objective_ms": 250.0, "breach_at": 9,
                    "breach_probability": 0.9, "stay_ms": 400.0, "move_ms": 40.0, "model": "last_value", "lead_ms": 5
                },
                "ramp_percent": [50, 100]
            },
            "trial": {"trial": "waived", "by": "ops", "reason": "none", "at": 5},
            "prediction": null, "target": "cart-new", "state": state, "entered_at": 5, "deadline": 9, "attempt": 0,
            "history": []
        }))
        .unwrap()
    }

    fn snapshot(replicas: &[(&str, &str, bool)]) -> Snapshot {
        let mut workload = Workload::new("cart".into());
        for (name, node, ready) in replicas {
            workload.replicas.insert((*name).into(), Replica::new((*node).into(), *ready));
        }
        let mut snapshot: Snapshot =
            serde_json::from_value(json!({"taken_at": 0, "nodes": {}, "workloads": {}})).unwrap();
        snapshot.workloads.insert("shop/cart".into(), workload);
        snapshot
    }

    #[test]
    fn what_others_took_back_is_seen_and_nothing_else() {
        /// Its name, the replicas with their nodes and whether they are ready, and whether it was moved back.
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str, bool)], bool);
        let succeeded = json!({"name": "succeeded"});
        let cases: &[Case<'_>] = &[
            ("where it was left", &[("cart-new", "b", true)], false),
            ("another pod where it was left", &[("cart-x", "b", true)], false),
            ("back", &[("cart-x", "a", true)], true),
            ("not ready yet", &[("cart-x", "a", false)], false),
            ("somewhere else", &[("cart-x", "c", true)], false),
            ("nowhere", &[], false),
            ("one of several", &[("cart-x", "a", true), ("cart-y", "a", true)], false),
        ];
        for (name, replicas, back) in cases {
            let found = moved_back(&record(&succeeded), &snapshot(replicas), Timestamp::from_unix_ms(50));
            assert_eq!(found.is_some(), *back, "case: {name}");
        }
        let back = snapshot(&[("cart-x", "a", true)]);
        let rolled_back = record(&json!({"name": "rolled_back"}));
        assert_eq!(moved_back(&rolled_back, &back, Timestamp::from_unix_ms(50)), None);
        let mut told = record(&succeeded);
        told.moved_back = moved_back(&told, &back, Timestamp::from_unix_ms(50));
        assert_eq!(moved_back(&told, &back, Timestamp::from_unix_ms(60)), None, "it is said once");
    }
}
