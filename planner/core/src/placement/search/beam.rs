//! Many beginnings at once, for few units: the best layouts with one move, from those the best with two, and so on.
use super::{Put, Space, State, home, keep_better, refine};
use std::collections::BTreeMap;

/// Layouts that are kept of each number of moves.
const WIDTH: usize = 24;

/// Layouts of all numbers of moves that are refined in the end.
const REFINED: usize = 24;

/// A layout as what is not at home, by unit.
type Layout = Vec<Put>;

/// Looks for a better layout than `best` from many beginnings.
pub(super) fn beam(space: &mut impl Space, state: &mut State, best: &mut (f64, Layout)) {
    let units = space.first().to_vec();
    let mut front: Vec<(f64, Layout)> = vec![(0.0, Vec::new())];
    let mut seen: Vec<(f64, Layout)> = Vec::new();
    for _ in 0..units.len() {
        let mut next: BTreeMap<Layout, f64> = BTreeMap::new();
        for (change, layout) in &front {
            begin(space, state, *change, layout);
            for unit in units.iter().filter(|unit| !layout.iter().any(|(moved, _)| moved == *unit)) {
                for place in space.targets(*unit) {
                    let Some(more) = state.peek(space, *unit, place) else { continue };
                    let mut longer = layout.clone();
                    longer.push((*unit, place));
                    longer.sort_unstable();
                    next.insert(longer, change + more);
                }
            }
        }
        home(space, state);
        front = next.into_iter().map(|(layout, change)| (change, layout)).collect();
        front.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        front.truncate(WIDTH);
        seen.extend(front.iter().cloned());
    }
    seen.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
    for (change, layout) in seen.into_iter().take(REFINED) {
        begin(space, state, change, &layout);
        refine(space, state);
        keep_better(space, state, best);
        home(space, state);
    }
}

fn begin(space: &mut impl Space, state: &mut State, change: f64, layout: &[Put]) {
    home(space, state);
    for put in layout {
        state.put(space, *put, 0.0);
    }
    state.change = change;
}
