//! A move in words: the one place that says whether a replica goes, a part of its weight, or only traffic.
use super::{Move, Traffic};

impl Move {
    /// In a list, such as `shop: host-a to host-b`.
    pub fn in_words(&self) -> String {
        let Self { workload, replica, from, to, traffic, .. } = self;
        match Kind::of(self) {
            Kind::Whole => format!("{workload}: {from} to {to}"),
            Kind::Part => format!("{workload}: {from} to {to} with {} of its traffic", kept(*traffic)),
            Kind::Shift => {
                format!("{workload}: {} of the traffic of {replica} from {from} to {to}", given(*traffic))
            }
        }
    }

    /// As a sentence says it, such as `move shop@host-a from host-a to host-b`.
    pub fn as_order(&self) -> String {
        let Self { replica, from, to, traffic, .. } = self;
        match Kind::of(self) {
            Kind::Whole => format!("move {replica} from {from} to {to}"),
            Kind::Part => {
                format!("move {replica} from {from} to {to} with {} of its traffic", kept(*traffic))
            }
            Kind::Shift => {
                format!("shift {} of the traffic of {replica} from {from} to {to}", given(*traffic))
            }
        }
    }
}

/// What is told apart.
enum Kind {
    /// A replica goes with all that it has.
    Whole,
    /// A replica goes, and gets more or less than it had.
    Part,
    /// Traffic goes, and replicas stay.
    Shift,
}

impl Kind {
    fn of(planned: &Move) -> Self {
        let Traffic { before, after } = planned.traffic;
        match planned.is_shift() {
            true => Self::Shift,
            // Percents of nothing say nothing.
            false if after.target == before.source || before.source == 0 => Self::Whole,
            false => Self::Part,
        }
    }
}

/// What the target has in the end of what the source had.
fn kept(traffic: Traffic) -> String {
    percent(traffic.after.target, traffic.before.source)
}

/// What the source gives of what it had.
fn given(traffic: Traffic) -> String {
    percent(traffic.before.source.saturating_sub(traffic.after.source), traffic.before.source)
}

fn percent(part: u32, whole: u32) -> String {
    let percent = f64::from(part) * 100.0 / f64::from(whole.max(1));
    // Weights are whole numbers, so a share of a small one is seldom a round one.
    format!("{percent:.0} %")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::PairWeights;
    use serde_json::json;

    fn planned(traffic: Traffic, shift: bool) -> Move {
        serde_json::from_value(json!({
            "workload": "shop", "service": "shop", "replica": "shop@host-a", "from": "host-a", "to": "host-b",
            "reason": {
                "policy": "p", "rule": "slow", "quantile": 0.99, "objective_ms": 250.0, "breach_at": 9,
                "breach_probability": 0.9, "stay_ms": 400.0, "move_ms": 40.0, "model": "last_value", "lead_ms": 5,
            },
            "ramp_percent": [50, 100], "traffic": traffic, "shift_to": shift.then_some("shop@host-b"),
        }))
        .unwrap()
    }

    #[test]
    fn what_goes_is_said() {
        let pair = |source, target| PairWeights { source, target };
        let cases = [
            (Traffic::WHOLE, false, "shop: host-a to host-b", "move shop@host-a from host-a to host-b"),
            (
                Traffic::of_replica(40, 100),
                false,
                "shop: host-a to host-b",
                "move shop@host-a from host-a to host-b",
            ),
            (
                Traffic::of_replica(0, 50),
                false,
                "shop: host-a to host-b",
                "move shop@host-a from host-a to host-b",
            ),
            (
                Traffic::of_replica(100, 50),
                false,
                "shop: host-a to host-b with 50 % of its traffic",
                "move shop@host-a from host-a to host-b with 50 % of its traffic",
            ),
            (
                Traffic::shifted(pair(100, 100), 50),
                true,
                "shop: 50 % of the traffic of shop@host-a from host-a to host-b",
                "shift 50 % of the traffic of shop@host-a from host-a to host-b",
            ),
            (
                Traffic::shifted(pair(75, 150), 33),
                true,
                "shop: 32 % of the traffic of shop@host-a from host-a to host-b",
                "shift 32 % of the traffic of shop@host-a from host-a to host-b",
            ),
            (
                Traffic::shifted(pair(100, 0), 100),
                true,
                "shop: 100 % of the traffic of shop@host-a from host-a to host-b",
                "shift 100 % of the traffic of shop@host-a from host-a to host-b",
            ),
        ];
        for (traffic, shift, listed, ordered) in cases {
            let planned = planned(traffic, shift);
            assert_eq!((planned.in_words().as_str(), planned.as_order().as_str()), (listed, ordered));
        }
    }
}
