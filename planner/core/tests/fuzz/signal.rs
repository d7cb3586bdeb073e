//! Made-up signals: a level with steps, ramps, a random walk, a short season and noise.
use crate::random::Random;
use std::f64::consts::TAU;

/// The range that a signal starts in and the range that it may reach.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) usual: (f64, f64),
    pub(crate) most: f64,
}

/// A signal of so many steps; `season` is the length of a season in steps, if there is one.
pub(crate) fn signal(random: &mut Random, steps: usize, range: Range, season: Option<usize>) -> Vec<f64> {
    let (least, usual) = range.usual;
    let level = random.between(least, usual);
    let mut values = vec![level; steps];
    if random.chance(0.3) {
        let width = level * random.between(0.005, 0.04);
        walk(random, &mut values, width);
    }
    for _ in 0..random.count(0, 3) {
        let (from, length) = (random.count(0, steps - 1), random.count(6, 60));
        let height = (range.most - level) * random.between(0.2, 1.0);
        // A ramp can be foreseen, a step cannot.
        let rise = if random.chance(0.7) { random.count(4, 30) } else { 1 };
        bump(&mut values, from, length, rise, height);
    }
    if let Some(season) = season.filter(|_| random.chance(0.7)) {
        let (height, phase) = ((range.most - level) * random.between(0.1, 0.8), random.uniform() * TAU);
        for (at, value) in values.iter_mut().enumerate() {
            *value += height * (0.5 + 0.5 * (TAU * at as f64 / season as f64 + phase).sin());
        }
    }
    let noise = random.one_of(&[0.0, 0.01, 0.03, 0.1]);
    for value in &mut values {
        *value = (*value * (1.0 + noise * random.normal())).max(0.0);
    }
    values
}

/// Factors that are 1 but for a time or two at which something is wrong.
pub(crate) fn faults(random: &mut Random, steps: usize, probability: f64, factor: (f64, f64)) -> Vec<f64> {
    let mut values = vec![1.0; steps];
    while random.chance(probability) {
        let (from, length) = (random.count(0, steps - 1), random.count(3, 40));
        let height = random.between(factor.0, factor.1) - 1.0;
        bump(&mut values, from, length, random.one_of(&[1, 1, 8]), height);
    }
    values
}

fn walk(random: &mut Random, values: &mut [f64], width: f64) {
    let mut off = 0.0;
    for value in values {
        off += width * random.normal();
        *value = (*value + off).max(0.0);
    }
}

/// Rises over `rise` steps to a height, stays there for some time, and is gone.
fn bump(values: &mut [f64], from: usize, length: usize, rise: usize, height: f64) {
    for (since, value) in values.iter_mut().skip(from).take(rise + length).enumerate() {
        *value += height * ((since + 1) as f64 / rise as f64).min(1.0);
    }
}
