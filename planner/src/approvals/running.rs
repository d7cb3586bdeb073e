//! What runs at the moment of an approval, on top of what the newest pass saw.
//!
//! The pass looked at the platform once, with the moves that ran then. A move that began since then is not in what it saw
//! of loads, and one that ended since then is still where it was. So both count as under way: with their load at both ends.
use crate::control::{in_flight, past_moves};
use foremesh_core::{
    inputs::{InFlight, OwnedInputs},
    policy::PastMove,
    rollout::RolloutRecord,
};

/// Moves under way, and those that are over and not among them: each counts once.
pub(super) fn moves_at(seen: &OwnedInputs, rollouts: &[RolloutRecord]) -> (Vec<InFlight>, Vec<PastMove>) {
    let mut under_way = seen.in_flight.clone();
    under_way.extend(in_flight(rollouts).into_iter().filter(|moving| !seen.in_flight.contains(moving)));
    let ended_since = |over: &PastMove| {
        over.ended_at > seen.now && seen.in_flight.iter().any(|moving| moving.workload == over.workload)
    };
    let over = past_moves(rollouts).into_iter().filter(|over| !ended_since(over)).collect();
    (under_way, over)
}

#[cfg(test)]
mod tests {
    use super::*;
    use foremesh_core::{time::Timestamp, topology::Snapshot};
    use serde_json::json;

    const PASS: i64 = 1000;

    /// A rollout that began to do something at one time and, when it is over, ended at another.
    fn rollout(workload: &str, began: i64, ended: Option<i64>) -> RolloutRecord {
        let change = |at: i64, from: &str, to: &str| json!({"at": at, "from": {"name": from}, "to": {"name": to}, "why": ""});
        let mut history = vec![change(began, "trial", "reserving")];
        history.extend(ended.map(|at| change(at, "draining", "succeeded")));
        let state = if ended.is_some() { "succeeded" } else { "reserving" };
        serde_json::from_value(json!({
            "id": format!("{workload}.0"), "plan": "plan-1", "generation": 1, "after": null,
            "move": {
                "workload": workload, "service": workload, "replica": format!("{workload}-1"), "from": "a", "to": "b",
                "reason": {
                    "policy": "p", "rule": "slow", "quantile": 0.99, "objective_ms": 250.0, "breach_at": 9,
                    "breach_probability": 0.9, "stay_ms": 400.0, "move_ms": 40.0, "model": "last_value", "lead_ms": 5,
                },
                "ramp_percent": [50, 100],
            },
            "trial": {"trial": "waived", "by": "ops", "reason": "no staging mesh", "at": 5},
            "prediction": null, "target": null, "state": {"name": state}, "entered_at": ended.unwrap_or(began),
            "deadline": 9, "attempt": 0, "history": history,
        }))
        .unwrap()
    }

    #[test]
    fn a_move_that_began_or_ended_since_the_pass_counts_as_under_way_and_once() {
        let cases = [
            ("ran then and runs", (900, None), true, (1, 0)),
            ("began since", (1100, None), false, (1, 0)),
            ("ended since", (900, Some(1100)), true, (1, 0)),
            ("was over then", (800, Some(900)), false, (0, 1)),
            ("began and ended since", (1100, Some(1200)), false, (0, 1)),
        ];
        for (name, (began, ended), seen, want) in cases {
            let taken_at = Timestamp::from_unix_ms(PASS);
            let snapshot = Snapshot::empty(taken_at);
            let mut inputs = OwnedInputs::new(snapshot);
            if seen {
                inputs.in_flight = in_flight(&[rollout("shop", began, None)]);
            }
            let (under_way, over) = moves_at(&inputs, &[rollout("shop", began, ended)]);
            assert_eq!((under_way.len(), over.len()), want, "case {name}");
        }
    }
}
