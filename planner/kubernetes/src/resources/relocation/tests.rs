//! What is said of rollouts, and what is written when.
mod decided;
mod projected;
mod said;

use foremesh_core::{
    rollout::{Limits, RolloutRecord, Stage, State},
    time::Timestamp,
};
use serde_json::json;

/// 2023-11-14T22:13:20Z
pub(super) const START_MS: i64 = 1_700_000_000_000;

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(START_MS + seconds * 1000)
}

/// A rollout that has just been accepted.
pub(super) fn accepted(id: &str) -> RolloutRecord {
    serde_json::from_value(json!({
        "id": id, "plan": "plan-7", "generation": 7, "after": null,
        "move": {
            "workload": "shop/cart", "service": "cart.shop.svc.cluster.local", "replica": "cart-1",
            "from": "node-1", "to": "node-2",
            "reason": {
                "policy": "p", "rule": "slow", "quantile": 0.99, "objective_ms": 50.0, "breach_at": START_MS + 600_000,
                "breach_probability": 0.876, "stay_ms": null, "move_ms": 20.4, "model": "m", "lead_ms": 60000
            },
            "ramp_percent": [25, 50, 100]
        },
        "trial": {"trial": "waived", "by": "policy p", "reason": "no staging mesh", "at": 0},
        "prediction": null, "target": null, "state": {"name": "pending"}, "entered_at": START_MS,
        "deadline": START_MS + 60_000, "attempt": 0, "history": []
    }))
    .unwrap()
}

/// The same after it went through these states, ten seconds each.
pub(super) fn after(id: &str, states: &[State]) -> RolloutRecord {
    let mut record = accepted(id);
    for (number, state) in states.iter().enumerate() {
        let seconds = 10 * (i64::try_from(number).unwrap() + 1);
        record = record.entered(*state, format!("because of {number}"), &Limits::default(), at(seconds));
        if matches!(state, State::Ramping { .. }) {
            record.target = Some("cart-2".into());
        }
    }
    record
}

pub(super) const FORTH: [State; 9] = [
    State::Trial,
    State::Reserving,
    State::Surging,
    State::Ramping { step: 0 },
    State::Ramping { step: 1 },
    State::Draining,
    State::Settling { retiring: false },
    State::Settling { retiring: true },
    State::Succeeded,
];

pub(super) fn back(stage: Stage) -> State {
    State::RollingBack { from: foremesh_core::rollout::Phase::Ramping, stage, aborted: false }
}
