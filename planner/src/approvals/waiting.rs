//! The plans that wait for a human.
//!
//! Each pass makes its plan anew, with its own numbers and so with its own id. A human needs one that stays: as long as the
//! same moves come out, the plan that was made first is the one that waits.
use foremesh_core::{
    plan::{Move, Plan},
    time::Timestamp,
};

/// Plans that are remembered: where a forecast is close to a limit, one pass may decide another move than the one before
/// it, and the next one the first again.
const REMEMBERED: usize = 8;

/// Plans that wait, or waited a short while ago and could come back.
#[derive(Clone, Debug)]
pub struct Waiting {
    within_ms: i64,
    /// Oldest first.
    plans: Vec<Plan>,
}

impl Waiting {
    /// None yet. A plan waits up to `within_ms` milliseconds after it was made; then a new one takes its place.
    pub const fn new(within_ms: i64) -> Self {
        Self { within_ms, plans: Vec::new() }
    }

    /// The plan that waits when a pass made `fresh`, and whether it is `fresh` itself, so that nobody knows it yet. The
    /// generation is that of the newest plan that was begun: what is not above it cannot be approved any more.
    pub fn hold(&mut self, fresh: Plan, newest_generation: u64, now: Timestamp) -> (Plan, bool) {
        let within_ms = self.within_ms;
        self.plans.retain(|plan| {
            plan.generation > newest_generation && (0..=within_ms).contains(&now.ms_since(plan.made_at))
        });
        if let Some(standing) = self.plans.iter().find(|plan| same(plan, &fresh)) {
            return (standing.clone(), false);
        }
        self.plans.push(fresh.clone());
        let forgotten = self.plans.len().saturating_sub(REMEMBERED);
        self.plans.drain(..forgotten);
        (fresh, true)
    }
}

/// Whether two plans do the same for the same services on the word of the same policies, whatever the numbers say.
fn same(a: &Plan, b: &Plan) -> bool {
    let alike = |(a, b): (&Move, &Move)| {
        a.reason.policy == b.reason.policy
            && a.reason.on_behalf_of == b.reason.on_behalf_of
            && Move { reason: b.reason.clone(), ..a.clone() } == *b
    };
    a.moves.len() == b.moves.len() && a.moves.iter().zip(&b.moves).all(alike)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MINUTE: i64 = 60_000;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_unix_ms(minute * MINUTE)
    }

    fn plan(minute: i64, generation: u64, to: &str, probability: f64) -> Plan {
        let plan: Plan = serde_json::from_value(json!({
            "id": "", "parent": null, "generation": generation, "made_at": minute * MINUTE, "input_digest": "",
            "rejected": [],
            "moves": [{
                "workload": "shop", "service": "shop", "replica": "shop@a", "from": "a", "to": to,
                "reason": {
                    "policy": "p", "rule": "slow", "quantile": 0.99, "objective_ms": 250.0, "breach_at": 9,
                    "breach_probability": probability, "stay_ms": 400.0, "move_ms": 40.0, "model": "last_value",
                    "lead_ms": 5,
                },
                "ramp_percent": [50, 100],
            }],
        }))
        .unwrap();
        Plan { id: plan.content_id().unwrap(), ..plan }
    }

    #[test]
    fn the_plan_that_was_made_first_waits_as_long_as_the_same_comes_out() {
        /// Minute, its own generation, target; newest generation that was begun; minute of the plan that waits.
        type Pass = (i64, u64, &'static str, u64, i64);
        let cases: &[(&str, &[Pass])] = &[
            ("other numbers", &[(0, 1, "b", 0, 0), (1, 1, "b", 0, 0), (10, 1, "b", 0, 0)]),
            ("another move", &[(0, 1, "b", 0, 0), (1, 1, "c", 0, 1), (2, 1, "c", 0, 1)]),
            ("back and forth", &[(0, 1, "b", 0, 0), (1, 1, "c", 0, 1), (2, 1, "b", 0, 0), (3, 1, "c", 0, 1)]),
            ("too old", &[(0, 1, "b", 0, 0), (10, 1, "b", 0, 0), (11, 1, "b", 0, 11), (12, 1, "b", 0, 11)]),
            ("another plan was begun", &[(0, 1, "b", 0, 0), (1, 2, "b", 1, 1), (2, 2, "b", 1, 1)]),
            ("made after the one that was begun", &[(0, 2, "b", 0, 0), (1, 2, "b", 1, 0)]),
            ("the clock was set back", &[(5, 1, "b", 0, 5), (1, 1, "b", 0, 1)]),
        ];
        for (name, passes) in cases {
            let mut waiting = Waiting::new(10 * MINUTE);
            for (minute, generation, to, newest, want) in *passes {
                let fresh = plan(*minute, *generation, to, 0.5 + *minute as f64 / 100.0);
                let (standing, new) = waiting.hold(fresh.clone(), *newest, at(*minute));
                assert_eq!(standing.made_at, at(*want), "case {name}, minute {minute}");
                assert_eq!(new, standing == fresh, "case {name}, minute {minute}");
            }
        }
    }

    #[test]
    fn only_a_few_are_remembered() {
        let mut waiting = Waiting::new(1000 * MINUTE);
        for minute in 0..100 {
            waiting.hold(plan(minute, 1, &format!("node-{minute}"), 0.5), 0, at(minute));
        }
        assert_eq!(waiting.plans.len(), REMEMBERED);
        let (standing, new) = waiting.hold(plan(100, 1, "node-99", 0.5), 0, at(100));
        assert_eq!((standing.made_at, new), (at(99), false));
        assert!(waiting.hold(plan(100, 1, "node-1", 0.5), 0, at(100)).1);
    }
}
