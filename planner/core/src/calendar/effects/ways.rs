//! Ways to describe an effect, and how well each predicts occurrences that were left out.
use super::{
    EffectKind,
    differences::{Scene, centre, deviation, median},
};

/// Occurrences without which phases are coarse.
const FINE_FROM: usize = 5;
const COARSE_PHASES: [usize; 2] = [1, 3];
const FINE_PHASES: [usize; 5] = [1, 3, 4, 6, 12];
/// Standard deviation between occurrences before it was seen, as a share of the effect.
const USUAL_SPREAD: f64 = 0.25;
/// An occurrence counts as at most so many times as strong as usual.
pub(super) const STRONGEST: f64 = 3.0;
/// Windows without an event in which differences are taken too, to know what is chance.
const PLACEBOS: usize = 40;

/// A way to describe an effect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) kind: EffectKind,
    pub(super) bent: bool,
    pub(super) phases: usize,
}

/// What one step of an occurrence shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Difference {
    /// Where in the occurrence it is, from 0 to 1.
    pub(super) position: f64,
    /// What it would be without the event.
    pub(super) baseline: f64,
    /// What the event adds to that; for a step that is covered in part, what it would add to the whole.
    pub(super) difference: f64,
}

/// One entry for each occurrence.
pub(super) type Differences = Vec<Vec<Difference>>;

/// How many phases may be told apart: few with few occurrences, and none shorter than a step.
pub(super) fn phase_counts(differences: &Differences) -> impl Iterator<Item = usize> + use<> {
    let counts: &[usize] = if differences.len() >= FINE_FROM { &FINE_PHASES } else { &COARSE_PHASES };
    let mut lengths: Vec<f64> = differences.iter().map(|one| one.len() as f64).collect();
    let steps = median(&mut lengths).unwrap_or(1.0);
    counts.iter().copied().filter(move |count| *count as f64 <= steps.max(1.0))
}

/// Mean absolute error of each occurrence, predicted from the others, in the unit of the series; infinite with one.
pub(super) fn left_out_error(all: &Differences, way: Way) -> f64 {
    if all.len() < 2 {
        return f64::INFINITY;
    }
    let seen: Vec<Vec<Option<f64>>> = all.iter().map(|one| in_phases(one, way.phases)).collect();
    let mut total = 0.0;
    for (left_out, one) in all.iter().enumerate() {
        let others = seen.iter().enumerate().filter(|(index, _)| *index != left_out).map(|(_, other)| other);
        let phases = over_occurrences(others, way.phases);
        let error = |step: &Difference| {
            let predicted = step.baseline + phases[phase_of(step.position, way.phases)];
            let actual = step.baseline + step.difference;
            match way.kind {
                EffectKind::Additive => (predicted - actual).abs(),
                EffectKind::Factor => (predicted.exp() - actual.exp()).abs(),
            }
        };
        total += one.iter().map(error).sum::<f64>() / one.len() as f64;
    }
    total / all.len() as f64
}

fn phase_of(position: f64, phases: usize) -> usize {
    ((position * phases as f64) as usize).min(phases.saturating_sub(1))
}

/// Effect in each phase: the centre over occurrences of the centre over its steps. A phase that was never seen has the
/// effect of the one before it.
pub(super) fn profile(all: &Differences, phases: usize) -> Vec<f64> {
    let seen: Vec<Vec<Option<f64>>> = all.iter().map(|one| in_phases(one, phases)).collect();
    over_occurrences(&seen, phases)
}

/// The centre of the differences in each phase of one occurrence: the line below is one of medians, and in a skewed series
/// a mean is off that without any event.
fn in_phases(one: &[Difference], phases: usize) -> Vec<Option<f64>> {
    let mut steps: Vec<Vec<f64>> = vec![Vec::new(); phases];
    for step in one {
        steps[phase_of(step.position, phases)].push(step.difference);
    }
    steps.iter().map(|differences| centre(differences)).collect()
}

fn over_occurrences<'a>(seen: impl IntoIterator<Item = &'a Vec<Option<f64>>>, phases: usize) -> Vec<f64> {
    let mut of_phases: Vec<Vec<f64>> = vec![Vec::new(); phases];
    for one in seen {
        for (of_phase, effect) in of_phases.iter_mut().zip(one) {
            of_phase.extend(effect);
        }
    }
    let centres: Vec<Option<f64>> = of_phases.iter().map(|values| centre(values)).collect();
    let mut last = centres.iter().flatten().next().copied().unwrap_or(0.0);
    let mut filled = |phase: Option<f64>| {
        last = phase.unwrap_or(last);
        last
    };
    centres.into_iter().map(&mut filled).collect()
}

/// Standard deviation between occurrences of their usual difference from the profile. One or two tell little of it, so
/// it starts from a usual one that counts like one occurrence.
pub(super) fn deviation_between(all: &Differences, phases: &[f64], mean: f64) -> f64 {
    let rest = |one: &Vec<Difference>| {
        let rests = one.iter().map(|step| step.difference - phases[phase_of(step.position, phases.len())]);
        centre(&rests.collect::<Vec<f64>>()).unwrap_or(0.0)
    };
    let rests: Vec<f64> = all.iter().map(rest).collect();
    let count = rests.len() as f64;
    let observed = match rests[..] {
        [] | [_] => 0.0,
        [first, second] => (first - second).abs() / std::f64::consts::SQRT_2,
        _ => deviation(&rests, 0.0),
    };
    let usual = USUAL_SPREAD * mean.abs();
    (((count - 1.0) * observed * observed + usual * usual) / count).sqrt()
}

/// Standard deviation of what is seen in windows without an event: the centre of the differences of as many steps from
/// the same kind of baseline.
pub(super) fn placebo_deviation(scene: &Scene<'_>, lengths: impl Iterator<Item = usize>, bent: bool) -> f64 {
    let mut lengths: Vec<f64> = lengths.map(|length| length as f64).collect();
    let length = median(&mut lengths).unwrap_or(1.0).max(1.0) as usize;
    let room = scene.clean.len().saturating_sub(length);
    let window = |nth: usize| {
        let first = room * nth / PLACEBOS;
        let steps = first..first + length;
        scene.off_the_line(steps.clone())?;
        let baseline = scene.baseline(&steps, bent)?;
        let rests = steps.zip(baseline).map(|(index, baseline)| scene.values[index] - baseline);
        let rests: Vec<f64> = rests.filter(|rest| rest.is_finite()).collect();
        centre(&rests)
    };
    let windows: Vec<f64> = (0..PLACEBOS).filter_map(window).collect();
    deviation(&windows, 0.0)
}

/// Gives the phases another mean: by scaling, which keeps their shape, unless the mean changes its sign.
pub(super) fn shift_mean(phases: &mut [f64], mean: f64, wanted: f64) {
    let scale = wanted / mean;
    let scales = scale.is_finite() && (0.0..=STRONGEST).contains(&scale);
    for phase in phases {
        *phase = if scales { *phase * scale } else { *phase + wanted - mean };
    }
}
