//! The best move first, until none gains anything.
use super::{LEAST_GAIN, Space, State};

/// What "best" means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The largest gain.
    Gain,
    /// The largest gain for each unit of disruption: small moves before large ones.
    GainPerDisruption,
}

/// The best move of one unit, as it was when last looked at.
#[derive(Clone, Copy, Debug)]
struct Entry {
    worth: f64,
    change: f64,
    unit: usize,
    place: usize,
}

/// Makes moves that gain something, best first. What each unit gains is looked at again only when it comes to the front:
/// gains fall as other moves are made, so one that still leads is the best; the few that rise are found by the local
/// search after this.
pub(super) fn greedy(space: &mut impl Space, state: &mut State, by: By) {
    let units = space.first().to_vec();
    let mut waiting: Vec<Entry> =
        units.into_iter().filter_map(|unit| best_of(space, state, by, unit)).collect();
    waiting.sort_by(order);
    // The best one stands last.
    while let Some(front) = waiting.pop() {
        let Some(fresh) = best_of(space, state, by, front.unit) else { continue };
        if waiting.last().is_some_and(|next| order(&fresh, next).is_lt()) {
            let at = waiting.partition_point(|other| order(other, &fresh).is_lt());
            waiting.insert(at, fresh);
            continue;
        }
        state.put(space, (fresh.unit, fresh.place), fresh.change);
    }
}

fn order(a: &Entry, b: &Entry) -> std::cmp::Ordering {
    a.worth.total_cmp(&b.worth).then(b.unit.cmp(&a.unit)).then(b.place.cmp(&a.place))
}

fn best_of(space: &mut impl Space, state: &mut State, by: By, unit: usize) -> Option<Entry> {
    let (at, home) = (space.place(unit), space.home(unit));
    if at != home {
        return None;
    }
    let mut best: Option<Entry> = None;
    for place in space.targets(unit) {
        let Some(change) = state.peek(space, unit, place).filter(|change| *change < -LEAST_GAIN) else {
            continue;
        };
        let worth = match by {
            By::Gain => -change,
            By::GainPerDisruption => -change / space.disruption(unit).max(LEAST_GAIN),
        };
        let entry = Entry { worth, change, unit, place };
        if best.is_none_or(|best| order(&best, &entry).is_lt()) {
            best = Some(entry);
        }
    }
    best
}
