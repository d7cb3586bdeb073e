//! Learning effects from past occurrences.
//!
//! For each tag: differences from the local baseline, their median over occurrences in each phase; additive or as a
//! factor, and in how many phases, as predicts occurrences best that were left out; then drawn towards what was known
//! before, or towards nothing when the same is seen where no event is.
use super::{
    EffectKind, EffectSource, Effects, Priors, TagEffect, coverage,
    differences::{Scene, median},
    steps_of,
    ways::{
        Difference, Differences, STRONGEST, Way, deviation_between, left_out_error, phase_counts,
        placebo_deviation, profile, shift_mean,
    },
};
use crate::{
    calendar::{ExpectedEffect, Occurrence},
    time::{Step, Timestamp},
};
use std::{collections::BTreeMap, ops::Range};

/// Occurrences that are learnt from: the newest ones. More would cost time and remember what is long over.
const MOST_LEARNT: usize = 40;
/// By what share a less simple way must be better: differences below are chance with so few occurrences.
const BETTER_BY: f64 = 0.03;
/// Occurrences from which a factor is as simple as a difference; two levels tell them apart by luck.
const KINDS_FROM: usize = 3;
/// Weight of like services, in occurrences: n / (n + 3) of the effect is what was seen.
const LIKE_SERVICES: f64 = 3.0;
/// Weight of what people expect, in occurrences: as much as one that was seen.
const EXPECTATION: f64 = 1.0;
/// Standard deviation of what people or like services say, as a share of it, until an occurrence was seen.
const UNSEEN_SPREAD: f64 = 0.5;
/// Steps of an occurrence without which its own strength is not judged.
const LEAST_STEPS: usize = 3;
/// Values beyond this are errors of whoever sent them.
const LARGEST: f64 = 1e100;
/// Share of the usual value below which a value counts as that in a logarithm: logarithms near zero are wild, and of zero
/// there is none.
const LEAST_SHARE: f64 = 0.1;
/// Share of a step that an event must cover for its value to be learnt from.
const COVERED: f64 = 0.5;

/// Learns the effects of events on one series.
///
/// `values` has one value for each step from `start` on, `NaN` for a gap. `occurrences` are those that concern the
/// series, past ones and those within the horizon, without cancelled ones; `season` is in steps. `metric` is the name
/// of the quantity with its unit.
pub fn learn(
    metric: &str,
    values: &[f64],
    start: Timestamp,
    step: Step,
    season: Option<usize>,
    occurrences: &[Occurrence],
    priors: &Priors,
) -> Effects {
    let history = History { values, start, step, season };
    let mut tags: BTreeMap<&str, Vec<&Occurrence>> = BTreeMap::new();
    for occurrence in occurrences.iter().filter(|one| one.start < one.end) {
        tags.entry(occurrence.tag()).or_default().push(occurrence);
    }
    let placed: Vec<Occurrence> = occurrences.iter().filter(|one| one.start < one.end).cloned().collect();
    let mut effects = Effects::new(step, BTreeMap::new(), placed);
    // Where events of several tags meet, each is learnt from what the others leave, and once more when all are known.
    let rounds = if tags.len() > 1 { 2 } else { 1 };
    for _ in 0..rounds {
        for (tag, of_tag) in &tags {
            effects.by_tag.remove(*tag);
            let prior = Prior::of(tag, of_tag, metric, priors);
            let learnt = history.learn_tag(tag, of_tag, &effects, &prior);
            effects.by_tag.extend(learnt.map(|effect| ((*tag).to_owned(), effect)));
        }
    }
    for tag in tags.keys() {
        history.judge_occurrences(tag, &mut effects);
    }
    effects
}

/// The series that is learnt from.
struct History<'a> {
    values: &'a [f64],
    start: Timestamp,
    step: Step,
    season: Option<usize>,
}

/// What was known of a tag before.
struct Prior {
    known: Option<(EffectKind, f64)>,
    weight: f64,
    source: EffectSource,
}

/// One past occurrence.
struct Seen {
    steps: Range<usize>,
    /// Share of each step that it covers, and the middle of that part in the occurrence, from 0 to 1.
    coverage: Vec<(f64, f64)>,
}

impl Prior {
    fn of(tag: &str, occurrences: &[&Occurrence], metric: &str, priors: &Priors) -> Self {
        let expected = occurrences.iter().rev().find_map(|one| one.expected.as_ref());
        match (expected.filter(|effect| effect.concerns(metric)), priors.get(tag)) {
            (Some(ExpectedEffect::Factor(factor)), _) => Self {
                known: Some((EffectKind::Factor, factor.ln())),
                weight: EXPECTATION,
                source: EffectSource::Expected,
            },
            (Some(ExpectedEffect::Difference { by, .. }), _) => Self {
                known: Some((EffectKind::Additive, *by)),
                weight: EXPECTATION,
                source: EffectSource::Expected,
            },
            (None, Some(log)) => Self {
                known: Some((EffectKind::Factor, log)),
                weight: LIKE_SERVICES,
                source: EffectSource::LikeServices,
            },
            (None, None) => Self { known: None, weight: 0.0, source: EffectSource::Learned },
        }
    }

    /// The effect before an occurrence was seen.
    fn unseen(&self, level: f64) -> Option<TagEffect> {
        let (kind, size) = self.known?;
        let spread = size.abs() * UNSEEN_SPREAD;
        Some(TagEffect { kind, phases: vec![size], spread, level, occurrences: 0, source: self.source })
    }

    /// The known effect on the scale of `kind`.
    fn on(&self, kind: EffectKind, level: f64) -> Option<f64> {
        let (known, size) = self.known?;
        match (known, kind) {
            (EffectKind::Factor, EffectKind::Additive) => {
                Some(level * size.exp_m1()).filter(|by| by.is_finite())
            }
            (EffectKind::Additive, EffectKind::Factor) => as_log_factor(known, size, level),
            _ => Some(size),
        }
    }
}

/// An effect as the logarithm of a factor; `None` where there is no such factor.
pub(super) fn as_log_factor(kind: EffectKind, size: f64, level: f64) -> Option<f64> {
    match kind {
        EffectKind::Factor => Some(size),
        EffectKind::Additive => Some((size / level).ln_1p()).filter(|log| level > 0.0 && log.is_finite()),
    }
}

/// Logarithms of values that are usually around `level`; `NaN` for gaps and where there is none.
fn logarithms(values: &[f64], level: f64) -> Vec<f64> {
    let least = level * LEAST_SHARE;
    let log = |value: &f64| if *value >= 0.0 && least > 0.0 { value.max(least).ln() } else { f64::NAN };
    values.iter().map(log).collect()
}

impl History<'_> {
    /// The values, without those whose squares are no numbers any more.
    fn possible(&self) -> Vec<f64> {
        let possible = |value: &f64| if value.abs() < LARGEST { *value } else { f64::NAN };
        self.values.iter().map(possible).collect()
    }

    fn learn_tag(
        &self,
        tag: &str,
        occurrences: &[&Occurrence],
        others: &Effects,
        prior: &Prior,
    ) -> Option<TagEffect> {
        let mut values = self.possible();
        others.subtract(&mut values, self.start);
        let clean = self.clean(tag, &values, others);
        let mut past: Vec<Seen> = occurrences.iter().filter_map(|one| self.seen(one, &values)).collect();
        past.drain(..past.len().saturating_sub(MOST_LEARNT));
        let mut all: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        let level = median(&mut all).unwrap_or(0.0);
        let logs = logarithms(&values, level);
        // What can be negative has no factor.
        let factors = level > 0.0 && all.iter().all(|value| *value >= 0.0);
        let mut kinds = vec![EffectKind::Additive, EffectKind::Factor];
        if prior.known.is_some_and(|(kind, _)| kind == EffectKind::Factor) {
            kinds.reverse();
        }
        kinds.retain(|kind| factors || *kind == EffectKind::Additive);
        let mut best: Option<(f64, Way, Differences)> = None;
        for kind in kinds {
            let on_scale = if kind == EffectKind::Factor { &logs } else { &values };
            let scene = Scene { values: on_scale, clean: &clean, season: self.season };
            let straight = all_differences(&scene, &past, false);
            let bent = all_differences(&scene, &past, true);
            // A bend that only some occurrences can be freed of does not compare.
            let usable = if bent.len() == straight.len() {
                vec![(false, straight), (true, bent)]
            } else {
                vec![(false, straight)]
            };
            for (bent, differences) in usable.into_iter().filter(|(_, differences)| !differences.is_empty()) {
                for phases in phase_counts(&differences) {
                    let way = Way { kind, bent, phases };
                    let error = left_out_error(&differences, way);
                    let least = best.as_ref().map(|(least, known, _)| {
                        if known.kind == kind || past.len() < KINDS_FROM || prior.known.is_some() {
                            least * (1.0 - BETTER_BY)
                        } else {
                            *least
                        }
                    });
                    if least.is_none_or(|least| error < least) {
                        best = Some((error, way, differences.clone()));
                    }
                }
            }
        }
        let Some((_, way, differences)) = best else { return prior.unseen(level) };
        let on_scale = if way.kind == EffectKind::Factor { &logs } else { &values };
        let scene = Scene { values: on_scale, clean: &clean, season: self.season };
        Some(estimate(&scene, &past, way, &differences, prior))
    }

    /// Whether each step has a value and neither an event of this tag nor one of a tag whose effect is not known yet.
    fn clean(&self, tag: &str, values: &[f64], others: &Effects) -> Vec<bool> {
        let mut clean: Vec<bool> = values.iter().map(|value| value.is_finite()).collect();
        for one in &others.placed {
            let other = one.occurrence.tag();
            if other == tag || !others.by_tag.contains_key(other) {
                let steps = steps_of(&one.occurrence, self.start, self.step, clean.len());
                clean[steps].fill(false);
            }
        }
        clean
    }

    /// An occurrence of which at least one step was observed.
    fn seen(&self, occurrence: &Occurrence, values: &[f64]) -> Option<Seen> {
        let steps = steps_of(occurrence, self.start, self.step, values.len());
        let coverage = steps.clone().map(|index| {
            let at = self.start.plus_ms(self.step.times(index));
            let (weight, first, end) = coverage(occurrence, at, self.step);
            (weight, f64::midpoint(first, end))
        });
        let coverage: Vec<(f64, f64)> = coverage.collect();
        let observed = values.get(steps.clone())?.iter().any(|value| value.is_finite());
        observed.then_some(Seen { steps, coverage })
    }

    /// How strong each past occurrence was, as far as it can be told from chance: what it left in the history is
    /// subtracted by its own strength, and one that goes on is expected to go on as it began.
    fn judge_occurrences(&self, tag: &str, effects: &mut Effects) {
        let Some(effect) = effects.by_tag.remove(tag) else { return };
        let mut values = self.possible();
        effects.subtract(&mut values, self.start);
        let clean = self.clean(tag, &values, effects);
        if effect.kind == EffectKind::Factor {
            values = logarithms(&values, effect.level);
        }
        let scene = Scene { values: &values, clean: &clean, season: self.season };
        let energy =
            effect.phases.iter().map(|phase| phase * phase).sum::<f64>() / effect.phases.len() as f64;
        let all: Vec<Option<Seen>> = effects
            .placed
            .iter()
            .map(|one| (one.occurrence.tag() == tag).then(|| self.seen(&one.occurrence, &values)).flatten())
            .collect();
        let chance = placebo_deviation(&scene, all.iter().flatten().map(|seen| seen.steps.len()), false);
        let told = effect.spread.powi(2) / (effect.spread.powi(2) + chance.powi(2)).max(f64::MIN_POSITIVE);
        if energy > 0.0 && effect.source == EffectSource::Learned {
            for (one, seen) in effects.placed.iter_mut().zip(&all) {
                let strength = seen.as_ref().and_then(|seen| strength(&scene, seen, &effect));
                let strength = strength.filter(|strength| strength.is_finite());
                one.amplitude =
                    strength.map_or(1.0, |strength| (1.0 + told * (strength - 1.0)).clamp(0.0, STRONGEST));
            }
        }
        effects.by_tag.insert(tag.to_owned(), effect);
    }
}

/// The effect, drawn towards what was known.
fn estimate(
    scene: &Scene<'_>,
    past: &[Seen],
    way: Way,
    differences: &Differences,
    prior: &Prior,
) -> TagEffect {
    let count = differences.len() as f64;
    let mut phases = profile(differences, way.phases);
    let mean = phases.iter().sum::<f64>() / phases.len() as f64;
    let mut baselines: Vec<f64> = differences.iter().flatten().map(|step| step.baseline).collect();
    let level = median(&mut baselines).unwrap_or(0.0);
    let level = if way.kind == EffectKind::Factor { level.exp() } else { level };
    let chance = placebo_deviation(scene, past.iter().map(|seen| seen.steps.len()), way.bent);
    let between = deviation_between(differences, &phases, mean);
    // What occurrences differ by, beyond what windows without an event differ by.
    let own = (between * between - chance * chance).max(0.0).sqrt();
    let error = between.max(chance) / count.sqrt();
    if let Some(known) = prior.on(way.kind, level) {
        let drawn = (count * mean + prior.weight * known) / (count + prior.weight);
        shift_mean(&mut phases, mean, drawn);
    } else {
        // James and Stein's factor, cut at 0: an effect no larger than its error is none.
        let energy = phases.iter().map(|phase| phase * phase).sum::<f64>() / phases.len() as f64;
        let kept = if energy > 0.0 { (1.0 - error * error / energy).max(0.0) } else { 0.0 };
        for phase in &mut phases {
            *phase *= kept;
        }
    }
    TagEffect {
        kind: way.kind,
        phases,
        spread: own.hypot(error),
        level,
        occurrences: differences.len(),
        source: EffectSource::Learned,
    }
}

/// Size of the effect in one occurrence as a multiple of the usual one, by least squares; `None` when too little of
/// it was seen.
fn strength(scene: &Scene<'_>, seen: &Seen, effect: &TagEffect) -> Option<f64> {
    let one = differences(scene, seen, false)?;
    let expected = |position: f64| effect.between(position, position + 1e-9);
    let square: f64 = one.iter().map(|step| expected(step.position).powi(2)).sum();
    let product: f64 = one.iter().map(|step| expected(step.position) * step.difference).sum();
    (one.len() >= LEAST_STEPS && square > 0.0).then(|| product / square)
}

/// Differences of all occurrences that have a baseline.
fn all_differences(scene: &Scene<'_>, past: &[Seen], bent: bool) -> Differences {
    past.iter().filter_map(|seen| differences(scene, seen, bent)).collect()
}

/// Differences in the steps that the occurrence covers enough, or in the one that it covers most.
fn differences(scene: &Scene<'_>, seen: &Seen, bent: bool) -> Option<Vec<Difference>> {
    let baseline = scene.baseline(&seen.steps, bent)?;
    let most = seen.coverage.iter().map(|(weight, _)| *weight).fold(0.0, f64::max);
    let enough = COVERED.min(most);
    let steps = seen.steps.clone().zip(baseline).zip(&seen.coverage);
    let found = steps.filter_map(|((index, baseline), (weight, position))| {
        let value = scene.values.get(index).copied().filter(|value| value.is_finite())?;
        let difference = (value - baseline) / weight;
        (*weight >= enough && *weight > 0.0).then_some(Difference {
            position: *position,
            baseline,
            difference,
        })
    });
    let found: Vec<Difference> = found.collect();
    (!found.is_empty()).then_some(found)
}
