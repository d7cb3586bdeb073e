//! The search for a layout that costs less: greedy, then local, then as few moves as possible.
//!
//! It knows nothing of meshes. It sees units that stand on places, and a space that says by how much the cost changes
//! when a unit goes somewhere, or that it may not. What a layout costs and what is allowed is the space's to say, so
//! that the search can be compared with an exact solver on the same space. Ties go to the smaller index, so equal
//! spaces give equal results.
mod beam;
mod compound;
mod greedy;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

/// Gains below this are rounding.
pub(crate) const LEAST_GAIN: f64 = 1e-9;

/// Up to so many units the search has many beginnings.
const FEW_UNITS: usize = 16;

/// Rounds of local search; each one ends sooner when nothing improves any more.
const ROUNDS: usize = 8;

/// Units on places, and what it costs to change that.
pub trait Space {
    /// Units that the search may begin with: those from which something is to be gained. Rising.
    fn first(&self) -> &[usize];

    /// Where a unit stood at the beginning.
    fn home(&self, unit: usize) -> usize;

    /// Where it stands now.
    fn place(&self, unit: usize) -> usize;

    /// Places that it may go to when there is room, best first, without its home. Empty when it may not move.
    fn targets(&mut self, unit: usize) -> Vec<usize>;

    /// Units that stand on a place now, in the order of their indices.
    fn standing_on(&self, place: usize) -> Vec<usize>;

    /// Load of a unit, in any unit of measure; it orders what is tried.
    fn load(&self, unit: usize) -> f64;

    /// Cost of moving the unit at all, above 0; part of the change that [`Space::peek`] gives.
    fn disruption(&self, unit: usize) -> f64;

    /// Change of the whole cost if the unit went there; `None` when it may not.
    fn peek(&mut self, unit: usize, place: usize) -> Option<f64>;

    /// Puts the unit there.
    fn put(&mut self, unit: usize, place: usize);
}

/// One change of a layout: a unit and its place.
type Put = (usize, usize);

/// What a search has done so far.
#[derive(Clone, Debug)]
struct State {
    /// Change of the cost since the beginning.
    change: f64,
    /// Units that are not at home.
    moved: BTreeSet<usize>,
    /// Looks that are left.
    effort: usize,
}

impl State {
    fn peek(&mut self, space: &mut impl Space, unit: usize, place: usize) -> Option<f64> {
        self.effort = self.effort.checked_sub(1)?;
        space.peek(unit, place)
    }

    fn put(&mut self, space: &mut impl Space, (unit, place): Put, change: f64) {
        space.put(unit, place);
        self.change += change;
        if space.home(unit) == place {
            self.moved.remove(&unit);
        } else {
            self.moved.insert(unit);
        }
    }

    /// Makes the puts one after the other and keeps them if they gain something together; else takes them back.
    fn attempt(&mut self, space: &mut impl Space, puts: &[Put]) -> bool {
        self.first_refused(space, puts).is_none()
    }

    /// As [`Self::attempt`]: `None` when the puts were made and kept, else the place in `puts` of the first that may not
    /// be, or their number when they gain nothing.
    fn first_refused(&mut self, space: &mut impl Space, puts: &[Put]) -> Option<usize> {
        let before: Vec<Put> = puts.iter().map(|(unit, _)| (*unit, space.place(*unit))).collect();
        let began = self.change;
        let mut made = 0;
        for put in puts {
            let Some(change) = self.peek(space, put.0, put.1) else { break };
            self.put(space, *put, change);
            made += 1;
        }
        if made == puts.len() && self.change < began - LEAST_GAIN {
            return None;
        }
        for put in before[..made].iter().rev() {
            self.put(space, *put, 0.0);
        }
        self.change = began;
        Some(made)
    }
}

/// Leaves the space at a layout that costs less, with as few moves as that takes; gives the change of the cost. At most
/// `effort` looks are taken.
pub fn search(space: &mut impl Space, effort: usize) -> f64 {
    let mut state = State { change: 0.0, moved: BTreeSet::new(), effort };
    let mut best = (0.0, Vec::new());
    for by in [greedy::By::Gain, greedy::By::GainPerDisruption] {
        greedy::greedy(space, &mut state, by);
        refine(space, &mut state);
        keep_better(space, &state, &mut best);
        home(space, &mut state);
    }
    if space.first().len() <= FEW_UNITS {
        beam::beam(space, &mut state, &mut best);
    }
    for (unit, place) in best.1 {
        space.put(unit, place);
    }
    best.0
}

/// Local search until a round changes nothing, and then without the moves that do not pay.
fn refine(space: &mut impl Space, state: &mut State) {
    for _ in 0..ROUNDS {
        let before = state.change;
        compound::relocate(space, state);
        compound::drain(space, state);
        compound::make_room(space, state);
        compound::exchange(space, state);
        compound::send_home(space, state);
        if state.change >= before - LEAST_GAIN {
            break;
        }
    }
}

fn keep_better(space: &impl Space, state: &State, best: &mut (f64, Vec<Put>)) {
    let fewer = || state.moved.len() < best.1.len() && state.change <= best.0 + LEAST_GAIN;
    if state.change < best.0 - LEAST_GAIN || fewer() {
        *best = (state.change, state.moved.iter().map(|unit| (*unit, space.place(*unit))).collect());
    }
}

/// Takes everything back.
fn home(space: &mut impl Space, state: &mut State) {
    for unit in std::mem::take(&mut state.moved) {
        let place = space.home(unit);
        space.put(unit, place);
    }
    state.change = 0.0;
}
