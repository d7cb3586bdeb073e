//! What is due at a minute: the queue that moves are driven by.

use std::cmp::Ordering;

/// What happens to a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// The new replica is ready.
    Ready,
    /// The new replica takes this percentage of the traffic.
    Shift(u8),
    /// The old replica is drained and goes.
    Retire,
    /// The new replica did not get ready and goes.
    GiveUp,
}

/// A step of a move at a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) minute: u32,
    /// Order in which things that are due together were planned.
    pub(super) order: u32,
    pub(super) number: usize,
    pub(super) step: Step,
}

impl Ord for Due {
    /// The heap gives its greatest: what is due first, and then what was planned first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.minute, other.order, other.number, other.step).cmp(&(
            self.minute,
            self.order,
            self.number,
            self.step,
        ))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
