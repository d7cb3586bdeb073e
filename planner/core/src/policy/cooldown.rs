//! Rest between two moves of one workload, longer each time.
use crate::{
    duration::in_words,
    ids::{NodeId, ReplicaId, ServiceId, WorkloadId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// Moves of the last day make the rest longer.
const DAY_MS: i64 = 24 * 3_600_000;

/// Longest rest, unless the policy's own is longer: with it a workload whose moves do not help is still looked at
/// four times a day.
pub const LONGEST_COOLDOWN_MS: i64 = 6 * 3_600_000;

/// A move that is over, whatever came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastMove {
    /// What moved.
    pub workload: WorkloadId,
    /// The service that it answers for.
    pub service: ServiceId,
    /// Where it was.
    pub from: NodeId,
    /// Where it went or should have gone.
    pub to: NodeId,
    /// When the rollout began.
    pub started_at: Timestamp,
    /// When it ended, with success or without.
    pub ended_at: Timestamp,
    /// It did not arrive and the source serves, as before; or it did, and it is regretted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// Replicas of the same workload that were to follow ([`crate::plan::Move::then`]); none when it failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<ReplicaId>,
}

/// The workload must rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("rests {} longer; moves in 24 h: {moves_in_24h}", in_words(*remaining_ms))]
pub struct Cooldown {
    /// When the rest is over.
    pub until: Timestamp,
    /// Time left until then, in milliseconds.
    pub remaining_ms: i64,
    /// Moves in the last 24 h.
    pub moves_in_24h: u32,
}

/// Whether `workload` has rested enough after its last move.
///
/// The rest is `max(policy's cooldown, duration of the last move) * 2^(moves in 24 h - 1)`, at most
/// [`LONGEST_COOLDOWN_MS`] or the policy's own where that is longer, counted from the end of the last move. The form
/// is that of the adaptive cooldown proposed for the `OpenShift` descheduler (pull request 591), with the policy's
/// value, 15 minutes when it names none, as the base.
///
/// It does not hold back a replica that was to follow that last move: half of what cures a service is no cure, and the
/// replica has not been moved itself.
///
/// # Errors
/// [`Cooldown`] with the moment from which the workload may move again.
pub fn cooldown(
    workload: &WorkloadId,
    replica: &ReplicaId,
    moves: &[PastMove],
    policy_cooldown_ms: i64,
    now: Timestamp,
) -> Result<(), Cooldown> {
    let own = || moves.iter().filter(|past| past.workload == *workload);
    let Some(last) = own().max_by_key(|past| past.ended_at) else { return Ok(()) };
    if last.then.contains(replica) {
        return Ok(());
    }
    let moves_in_24h = own().filter(|past| now.ms_since(past.ended_at) < DAY_MS).count() as u32;
    let base = policy_cooldown_ms.max(last.ended_at.ms_since(last.started_at));
    let doublings = moves_in_24h.saturating_sub(1).min(62);
    let rest = base.saturating_mul(1 << doublings).min(LONGEST_COOLDOWN_MS.max(policy_cooldown_ms));
    let until = last.ended_at.plus_ms(rest);
    if until > now {
        return Err(Cooldown { until, remaining_ms: until.ms_since(now), moves_in_24h });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 60 * MINUTE;

    /// Name, (minutes since its end, how long it took) of each move, the policy's cooldown, minutes left.
    type Case = (&'static str, &'static [(i64, i64)], i64, Option<i64>);

    fn past(ended_min_ago: i64, took_ms: i64, now: Timestamp) -> PastMove {
        let ended_at = now.plus_ms(-ended_min_ago * MINUTE);
        PastMove {
            workload: "cart".into(),
            service: "cart".into(),
            from: "a".into(),
            to: "b".into(),
            started_at: ended_at.plus_ms(-took_ms),
            ended_at,
            failed: false,
            then: Vec::new(),
        }
    }

    #[test]
    fn the_rest_doubles_with_each_move_of_a_day() {
        let now = Timestamp::from_unix_ms(1_000 * HOUR);
        let quarter = 15 * MINUTE;
        let cases: &[Case] = &[
            ("never moved", &[], quarter, None),
            ("first move, within 15 min", &[(10, 1)], quarter, Some(5)),
            ("first move, just over", &[(15, 1)], quarter, None),
            ("the last move took longer", &[(10, 40 * MINUTE)], quarter, Some(30)),
            ("second move of the day", &[(20, 1), (600, 1)], quarter, Some(10)),
            ("third move of the day", &[(20, 1), (600, 1), (900, 1)], quarter, Some(40)),
            ("a move of the day before does not count", &[(20, 1), (1441, 1)], quarter, None),
            ("the cap", &[(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1)], quarter, Some(360)),
            ("the cap is never below the policy's own", &[(0, 1), (1, 1)], 8 * HOUR, Some(480)),
            ("a policy of two days outlasts the count of a day", &[(1500, 1)], 48 * HOUR, Some(1380)),
        ];
        for (name, moves, policy_ms, left) in cases {
            let moves: Vec<PastMove> = moves.iter().map(|(ago, took)| past(*ago, *took, now)).collect();
            let got = cooldown(&"cart".into(), &"cart-1".into(), &moves, *policy_ms, now)
                .err()
                .map(|c| c.remaining_ms / MINUTE);
            assert_eq!(got, *left, "case: {name}");
            assert_eq!(
                cooldown(&"other".into(), &"other-1".into(), &moves, *policy_ms, now),
                Ok(()),
                "case: {name}, other workload"
            );
        }
    }

    #[test]
    fn what_was_to_follow_does_not_rest() {
        let now = Timestamp::from_unix_ms(1_000 * HOUR);
        let follows = |ago: i64, then: &[&str]| PastMove {
            then: then.iter().map(|replica| ReplicaId::new(*replica)).collect(),
            ..past(ago, 1, now)
        };
        let cases: &[(&str, Vec<PastMove>, &str, bool)] = &[
            ("it was to follow", vec![follows(1, &["cart-2"])], "cart-2", false),
            ("another one was", vec![follows(1, &["cart-2"])], "cart-3", true),
            ("what has moved rests", vec![follows(1, &["cart-2"])], "cart-1", true),
            ("an older move does not count", vec![follows(2, &["cart-2"]), follows(1, &[])], "cart-2", true),
        ];
        for (name, moves, replica, rests) in cases {
            let got = cooldown(&"cart".into(), &ReplicaId::new(*replica), moves, 15 * MINUTE, now);
            assert_eq!(got.is_err(), *rests, "case: {name}");
        }
    }
}
