//! How the traffic of a move goes from one of its ends to the other.
use serde::{Deserialize, Serialize};
use std::fmt;

/// Weight of one whole replica.
pub const WHOLE: u32 = 100;

/// Weights of the two ends of a move, as the platform stores them: [`WHOLE`] is the share of one whole replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairWeights {
    /// The source's.
    pub source: u32,
    /// The target's.
    pub target: u32,
}

impl fmt::Display for PairWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} and {}", self.source, self.target)
    }
}

/// Weights of the two ends before a move and after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// As they were when the move was planned.
    pub before: PairWeights,
    /// As they are to be in the end.
    pub after: PairWeights,
}

impl Traffic {
    /// All traffic of a whole replica goes with it.
    pub const WHOLE: Self = Self {
        before: PairWeights { source: WHOLE, target: 0 },
        after: PairWeights { source: 0, target: WHOLE },
    };

    /// A replica of this weight goes to a node where it gets a share of it, in percent; other replicas take the rest.
    pub const fn of_replica(weight: u32, percent: u32) -> Self {
        Self {
            before: PairWeights { source: weight, target: 0 },
            after: PairWeights { source: 0, target: part_of(weight, percent) },
        }
    }

    /// The source gives a share of its weight, in percent, to a target that runs already.
    pub const fn shifted(before: PairWeights, percent: u32) -> Self {
        let given = part_of(before.source, percent);
        let after =
            PairWeights { source: before.source - given, target: before.target.saturating_add(given) };
        Self { before, after }
    }

    /// The weights when so much of the way is done, in percent; all of it from 100 on.
    pub const fn at(self, percent: u8) -> PairWeights {
        PairWeights {
            source: between(self.before.source, self.after.source, percent),
            target: between(self.before.target, self.after.target, percent),
        }
    }

    /// Whether it is what it is when nobody says anything else.
    pub fn is_whole(&self) -> bool {
        *self == Self::WHOLE
    }
}

impl Default for Traffic {
    fn default() -> Self {
        Self::WHOLE
    }
}

/// Rounded towards the beginning, so that a ramp never gives more than it says.
const fn between(from: u32, to: u32, percent: u8) -> u32 {
    let percent = if percent > 100 { 100 } else { percent as u32 };
    if to >= from { from + part_of(to - from, percent) } else { from - part_of(from - to, percent) }
}

/// At most all of it. Weights that somebody wrote by hand may be as large as they can be stored.
const fn part_of(weight: u32, percent: u32) -> u32 {
    (weight as u64 * percent as u64 / 100) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_on_the_way() {
        let pair = |source, target| PairWeights { source, target };
        let half = Traffic::shifted(pair(100, 100), 50);
        let cases = [
            ("nothing yet", Traffic::WHOLE, 0, pair(100, 0)),
            ("a tenth of a replica", Traffic::WHOLE, 10, pair(90, 10)),
            ("all of it", Traffic::WHOLE, 100, pair(0, 100)),
            ("more than all of it", Traffic::WHOLE, 200, pair(0, 100)),
            ("half of what is shifted", half, 50, pair(75, 125)),
            ("all that is shifted", half, 100, pair(50, 150)),
            ("a part on a smaller node", Traffic::of_replica(100, 50), 100, pair(0, 50)),
            ("the way to it", Traffic::of_replica(100, 50), 25, pair(75, 12)),
            ("a replica that had half", Traffic::of_replica(50, 100), 25, pair(38, 12)),
            ("as much as can be stored", Traffic::of_replica(u32::MAX, 100), 50, pair(1 << 31, u32::MAX / 2)),
        ];
        for (name, traffic, percent, want) in cases {
            assert_eq!(traffic.at(percent), want, "case: {name}");
        }
    }
}
