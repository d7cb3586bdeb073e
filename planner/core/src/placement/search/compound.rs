//! Changes that a greedy search does not find: second thoughts, several units at once, and room that must be made first.
use super::{FEW_UNITS, LEAST_GAIN, Put, Space, State};
use std::collections::BTreeSet;

/// Units that leave one place together at most.
const TOGETHER: usize = 4;

/// Targets and units on them that are looked at to make room.
const NARROW: usize = 8;

/// A move that changes the cost by more than so many times its own disruption harms somebody.
const HARM: f64 = 1.5;

/// Moves each unit that may be moved, or has been, to where it costs least; home counts.
pub(super) fn relocate(space: &mut impl Space, state: &mut State) {
    let mut units = space.first().to_vec();
    units.extend(state.moved.iter().copied());
    units.sort_unstable();
    units.dedup();
    for unit in units {
        if let Some((change, place)) =
            cheapest(space, state, unit).filter(|(change, _)| *change < -LEAST_GAIN)
        {
            state.put(space, (unit, place), change);
        }
    }
}

/// The cheapest place of a unit and what going there changes, even where it costs more than staying.
fn cheapest(space: &mut impl Space, state: &mut State, unit: usize) -> Option<(f64, usize)> {
    let (at, home) = (space.place(unit), space.home(unit));
    let mut best: Option<(f64, usize)> = None;
    let targets = space.targets(unit);
    for place in targets.into_iter().chain([home]).filter(|place| *place != at) {
        let Some(change) = state.peek(space, unit, place) else { continue };
        if best.is_none_or(|(least, _)| change < least) {
            best = Some((change, place));
        }
    }
    best
}

/// Takes several units off one place: where one alone gains nothing, because the place stays too full, two or three may.
/// The largest go first; then the largest is left out, and so on, so that a few small ones are tried too.
pub(super) fn drain(space: &mut impl Space, state: &mut State) {
    let mut places: Vec<usize> = space.first().to_vec().into_iter().map(|unit| space.place(unit)).collect();
    places.sort_unstable();
    places.dedup();
    for place in places {
        let first = space.first();
        let mut units: Vec<usize> =
            space.standing_on(place).into_iter().filter(|unit| first.binary_search(unit).is_ok()).collect();
        units.sort_by(|a, b| space.load(*b).total_cmp(&space.load(*a)).then(a.cmp(b)));
        for skipped in 0..units.len().min(TOGETHER) {
            if leave(space, state, &units[skipped..]) {
                break;
            }
        }
    }
}

/// Sends units away one after the other, each to its cheapest place, until that has paid.
fn leave(space: &mut impl Space, state: &mut State, units: &[usize]) -> bool {
    let began = state.change;
    let mut made: Vec<Put> = Vec::new();
    for unit in units.iter().take(TOGETHER) {
        let at = space.place(*unit);
        let Some((change, place)) = cheapest(space, state, *unit) else { continue };
        state.put(space, (*unit, place), change);
        made.push((*unit, at));
        if state.change < began - LEAST_GAIN {
            return true;
        }
    }
    for put in made.into_iter().rev() {
        state.put(space, put, 0.0);
    }
    state.change = began;
    false
}

/// For a unit that is still at home: moves another one off a target first, somewhere else or to where the first one
/// leaves (a swap). With few units every target is tried, else those where room is missing.
pub(super) fn make_room(space: &mut impl Space, state: &mut State) {
    let few = space.first().len() <= FEW_UNITS;
    let mut refused: BTreeSet<Put> = BTreeSet::new();
    for unit in space.first().to_vec() {
        let from = space.place(unit);
        if from != space.home(unit) {
            continue;
        }
        let targets: Vec<usize> = space.targets(unit).into_iter().take(NARROW).collect();
        for target in targets {
            if (few || lacks_room(space, state, unit, target))
                && displaced(space, state, unit, target, from, &mut refused)
            {
                refused.clear();
                break;
            }
        }
    }
}

/// Whether a unit may not go there, or harms those who are there by more than it gains: where it costs about what a move
/// costs, nobody is in its way.
fn lacks_room(space: &mut impl Space, state: &mut State, unit: usize, target: usize) -> bool {
    let harm = HARM * space.disruption(unit);
    state.peek(space, unit, target).is_none_or(|change| change > harm)
}

/// `refused` are moves that may not be made before anything else.
fn displaced(
    space: &mut impl Space,
    state: &mut State,
    unit: usize,
    target: usize,
    from: usize,
    refused: &mut BTreeSet<Put>,
) -> bool {
    let mut others: Vec<usize> = space.standing_on(target);
    others.sort_by(|a, b| space.load(*b).total_cmp(&space.load(*a)).then(a.cmp(b)));
    others.truncate(NARROW);
    for other in others {
        let ways = space.targets(other);
        for way in ways.into_iter().filter(|way| *way != target).take(NARROW) {
            // A swap can be made from either end.
            if way == from && state.attempt(space, &[(unit, target), (other, way)]) {
                return true;
            }
            if refused.contains(&(other, way)) {
                continue;
            }
            match state.first_refused(space, &[(other, way), (unit, target)]) {
                None => return true,
                Some(0) => _ = refused.insert((other, way)),
                Some(_) => {}
            }
        }
    }
    false
}

/// Moves two units at once, one of which has moved already: what the first one took may be worth more to the second. With
/// few units every pair is tried, else those that meet at the first one's home or target.
pub(super) fn exchange(space: &mut impl Space, state: &mut State) {
    let first = space.first().to_vec();
    let few = first.len() <= FEW_UNITS;
    for unit in if few { first.clone() } else { state.moved.iter().copied().collect() } {
        let (home, at) = (space.home(unit), space.place(unit));
        let meets = |other: &usize| few || [home, at].contains(&space.place(*other));
        let mut others: Vec<usize> =
            first.iter().copied().filter(|other| *other != unit).filter(meets).collect();
        if !few {
            others.truncate(NARROW);
        }
        for other in others {
            exchanged(space, state, unit, other, few);
        }
    }
}

/// With few units the second one goes wherever it costs least. Else it goes there only when the first one goes home, so
/// that the second one leaves in its stead; when the first one goes elsewhere, it takes the place that this leaves: another
/// place was as good for it before.
fn exchanged(space: &mut impl Space, state: &mut State, unit: usize, other: usize, few: bool) {
    let (at, home) = (space.place(unit), space.home(unit));
    let follows = space.place(other) != at && (space.home(other) == at || space.targets(other).contains(&at));
    let places: Vec<usize> = space.targets(unit).into_iter().take(NARROW).chain([home]).collect();
    for place in places.into_iter().filter(|place| *place != at) {
        let anywhere = few || place == home;
        if !anywhere && !follows {
            continue;
        }
        let began = state.change;
        let Some(change) = state.peek(space, unit, place) else { continue };
        state.put(space, (unit, place), change);
        let found = if anywhere {
            cheapest(space, state, other)
        } else {
            state.peek(space, other, at).map(|change| (change, at))
        };
        if let Some((change, where_to)) = found
            && state.change + change < began - LEAST_GAIN
        {
            state.put(space, (other, where_to), change);
            return;
        }
        state.put(space, (unit, at), 0.0);
        state.change = began;
    }
}

/// Sends home what does not pay, the one that gains most by it first.
pub(super) fn send_home(space: &mut impl Space, state: &mut State) {
    loop {
        let mut best: Option<(f64, usize)> = None;
        for unit in state.moved.clone() {
            let home = space.home(unit);
            let Some(change) = state.peek(space, unit, home).filter(|change| *change <= LEAST_GAIN) else {
                continue;
            };
            if best.is_none_or(|(least, _)| change < least) {
                best = Some((change, unit));
            }
        }
        let Some((change, unit)) = best else { return };
        let home = space.home(unit);
        state.put(space, (unit, home), change);
    }
}
