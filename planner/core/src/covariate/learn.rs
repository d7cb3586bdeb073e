//! Learning what a regressor does.
//!
//! Series that wander look related when they are not. So changes over about half a horizon are compared, not values:
//! that is also what a forecast needs, as the model knows where the series is now. A regressor counts only when it
//! predicts the changes of whole blocks of time that were not learnt from.
use super::{Regressor, RegressorEffect, RegressorEffects, counted};

/// Regressors that may have an effect on one series.
const MOST_EFFECTS: usize = 5;
/// Steps that a series may follow a regressor by.
const MOST_LAG: usize = 12;
/// Blocks of time that are left out in turn.
const BLOCKS: usize = 5;
/// Changes without which nothing is said.
const LEAST_CHANGES: usize = 60;
/// Share of the change in left-out blocks that must be left at most. On series that are not related it is 1.00 ± 0.01.
const MOST_LEFT: f64 = 0.97;
/// Blocks, of those in which the regressor moves, in which it must help: as a share.
const HELPS_IN: f64 = 0.6;
/// A block tells something when it has this share of an even part of all movement of the regressor.
const MOVES: f64 = 0.05;
/// Errors that a slope must be away from 0.
const SIGNIFICANT: f64 = 3.0;
/// Seasons without which a profile of the season is noise.
const LEAST_SEASONS: usize = 3;
/// Values beyond this are errors of whoever sent them.
const LARGEST: f64 = 1e100;
/// Residuals beyond this many deviations count by their size only (Huber's weight).
const HUBER: f64 = 1.5;

/// Learns the effects of regressors on a series. One that does not predict blocks of time that it was not learnt from
/// has no effect. `season` and `horizon` are in steps.
pub fn learn(
    values: &[f64],
    season: Option<usize>,
    horizon: usize,
    regressors: &[Regressor<'_>],
) -> RegressorEffects {
    let mut found = RegressorEffects::default();
    let mut rest = values.to_vec();
    let mut open: Vec<&Regressor<'_>> = regressors.iter().collect();
    // The best one first, the next on what it leaves: two that say the same do not count twice.
    while found.effects.len() < MOST_EFFECTS {
        let judged = open.iter().filter_map(|one| effect(&rest, season, horizon, one));
        let Some(best) = judged.min_by(|a, b| a.left.total_cmp(&b.left)) else { break };
        open.retain(|one| one.name != best.name);
        let only = RegressorEffects { effects: vec![best.clone()] };
        only.subtract(&mut rest, regressors);
        found.effects.push(best);
    }
    found
}

/// The way in which a regressor counts.
#[derive(Clone, Copy)]
struct Way {
    lag: usize,
    compressed: bool,
}

/// Changes of both series, block by block.
struct Changes {
    way: Way,
    blocks: Vec<Vec<(f64, f64)>>,
}

/// Sums that a slope follows from.
#[derive(Clone, Copy, Default)]
struct Sums {
    product: f64,
    square: f64,
}

fn effect(
    values: &[f64],
    season: Option<usize>,
    horizon: usize,
    regressor: &Regressor<'_>,
) -> Option<RegressorEffect> {
    let theirs = possible(regressor.values);
    let scale = scale_of(&theirs)?;
    let span = (horizon / 2).max(1);
    let ours = deseasonalised(&possible(values), season);
    let mut all: Vec<Changes> = Vec::new();
    for compressed in [false, true] {
        let counts: Vec<f64> = theirs.iter().map(|value| counted(*value, scale, compressed)).collect();
        let counts = deseasonalised(&counts, season);
        for lag in 0..=MOST_LAG.min(horizon) {
            all.extend(changes(&ours, &counts, span, Way { lag, compressed }));
        }
    }
    let (left, helped, moved) = left_out(&all)?;
    let best = all.iter().min_by(|a, b| unexplained(a, None).total_cmp(&unexplained(b, None)))?;
    let slope = slope(best, None)?;
    let error = slope_error(best, slope, span);
    let helps = helped as f64 >= HELPS_IN * moved as f64 && moved >= 2;
    if left > MOST_LEFT
        || !helps
        || slope.abs() < SIGNIFICANT * error
        || !(slope.is_finite() && error.is_finite())
    {
        return None;
    }
    let mut known: Vec<f64> = theirs.iter().copied().filter(|value| value.is_finite()).collect();
    let reference = counted(median(&mut known)?, scale, best.way.compressed);
    Some(RegressorEffect {
        name: regressor.name.to_owned(),
        lag: best.way.lag,
        compressed: best.way.compressed,
        scale,
        // James and Stein's factor: what an error could have made is taken off.
        slope: slope * (1.0 - (error / slope).powi(2)),
        slope_error: error,
        reference,
        left,
    })
}

/// Leaves each block out in turn, the choice of the way included. The share of its change that is left, blocks in which
/// that is less than all, and blocks in which the regressor moves at all.
fn left_out(all: &[Changes]) -> Option<(f64, usize, usize)> {
    let (mut left, mut total, mut helped, mut moved) = (0.0, 0.0, 0, 0);
    let first = all.first()?;
    let movement = |block: &[(f64, f64)]| block.iter().map(|(_, theirs)| theirs.abs()).sum::<f64>();
    let even = first.blocks.iter().map(|block| movement(block)).sum::<f64>() / BLOCKS as f64;
    for out in 0..BLOCKS {
        if movement(&first.blocks[out]) <= MOVES * even {
            continue;
        }
        moved += 1;
        let chosen =
            all.iter().min_by(|a, b| unexplained(a, Some(out)).total_cmp(&unexplained(b, Some(out))))?;
        let slope = slope(chosen, Some(out))?;
        let (mut error, mut change) = (0.0, 0.0);
        for (ours, theirs) in &chosen.blocks[out] {
            error += (ours - slope * theirs).abs();
            change += ours.abs();
        }
        helped += usize::from(error < change);
        left += error;
        total += change;
    }
    (total > 0.0).then(|| (left / total, helped, moved))
}

/// Share of the change that is left in the blocks that are learnt from.
fn unexplained(changes: &Changes, out: Option<usize>) -> f64 {
    let Some(slope) = slope(changes, out) else { return f64::INFINITY };
    let (mut error, mut change) = (0.0, 0.0);
    for (ours, theirs) in learnt_from(changes, out) {
        error += (ours - slope * theirs).abs();
        change += ours.abs();
    }
    if change > 0.0 { error / change } else { f64::INFINITY }
}

fn learnt_from(changes: &Changes, out: Option<usize>) -> impl Iterator<Item = &(f64, f64)> {
    changes
        .blocks
        .iter()
        .enumerate()
        .filter(move |(index, _)| Some(*index) != out)
        .flat_map(|(_, block)| block)
}

/// Slope through the origin with Huber's weights, in three rounds.
fn slope(changes: &Changes, out: Option<usize>) -> Option<f64> {
    let mut slope = 0.0;
    let mut limit = f64::INFINITY;
    for round in 0..4 {
        let mut sums = Sums::default();
        let (mut distance, mut count) = (0.0, 0.0);
        for (ours, theirs) in learnt_from(changes, out) {
            let error = (ours - slope * theirs).abs();
            let weight = if error <= limit { 1.0 } else { limit / error };
            sums.product += weight * ours * theirs;
            sums.square += weight * theirs * theirs;
            distance += error;
            count += 1.0;
        }
        if !(sums.square > 0.0 && sums.square.is_finite()) {
            return None;
        }
        // The mean distance is 0.8 of the deviation of a normal distribution; the first round has no slope yet.
        if round > 0 {
            limit = (HUBER * 1.25 * distance / f64::max(count, 1.0)).max(f64::MIN_POSITIVE);
        }
        slope = sums.product / sums.square;
    }
    Some(slope)
}

/// Standard error of a slope. Changes over `span` steps overlap, so only one in `span` is news.
fn slope_error(changes: &Changes, slope: f64, span: usize) -> f64 {
    let (mut errors, mut square, mut count) = (0.0, 0.0, 0.0);
    for (ours, theirs) in learnt_from(changes, None) {
        errors += (ours - slope * theirs).powi(2);
        square += theirs * theirs;
        count += 1.0;
    }
    let free = f64::max(count / span as f64 - 1.0, 1.0);
    (errors / count / (square / count) / free).sqrt()
}

/// Changes over `span` steps of both series where all four values are known; `None` when there are few.
fn changes(ours: &[f64], theirs: &[f64], span: usize, way: Way) -> Option<Changes> {
    let mut blocks = vec![Vec::new(); BLOCKS];
    for index in span + way.lag..ours.len() {
        let change = ours[index] - ours[index - span];
        let their = |index: usize| theirs.get(index - way.lag).copied().unwrap_or(f64::NAN);
        let their_change = their(index) - their(index - span);
        if change.is_finite() && their_change.is_finite() {
            blocks[index * BLOCKS / ours.len()].push((change, their_change));
        }
    }
    let count: usize = blocks.iter().map(Vec::len).sum();
    (count >= LEAST_CHANGES).then_some(Changes { way, blocks })
}

/// The values less their median by slot of the season, as far as there are enough seasons to know it.
fn deseasonalised(values: &[f64], season: Option<usize>) -> Vec<f64> {
    let Some(season) =
        season.filter(|season| *season > 1 && values.len() >= season.saturating_mul(LEAST_SEASONS))
    else {
        return values.to_vec();
    };
    let slot = |slot: usize| {
        let mut of_slot: Vec<f64> =
            values.iter().skip(slot).step_by(season).copied().filter(|value| value.is_finite()).collect();
        median(&mut of_slot).unwrap_or(0.0)
    };
    let profile: Vec<f64> = (0..season).map(slot).collect();
    values.iter().enumerate().map(|(index, value)| value - profile[index % season]).collect()
}

/// The values, without those whose squares are no numbers any more.
fn possible(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| if value.abs() < LARGEST { *value } else { f64::NAN }).collect()
}

/// Deviation of a regressor from its median, robust as long as it moves most of the time; `None` for a constant.
fn scale_of(values: &[f64]) -> Option<f64> {
    let mut known: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    let centre = median(&mut known)?;
    let mut distances: Vec<f64> = known.iter().map(|value| (value - centre).abs()).collect();
    let mean = distances.iter().sum::<f64>() / distances.len() as f64;
    let robust = median(&mut distances).unwrap_or(0.0);
    let scale = if robust > 0.05 * mean { 1.4826 * robust } else { mean };
    (scale > 0.0 && scale.is_finite()).then_some(scale)
}

fn median(values: &mut [f64]) -> Option<f64> {
    crate::calendar::effects::median(values)
}
