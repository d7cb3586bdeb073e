//! One forecast against one threshold.
use super::Sight;
use crate::{
    forecast::{Forecast, Run},
    policy::{
        Breach, Healthy, Quantity, Sustained, UnknownReason, Verdict, quantity::Unit, verdict::Subject,
    },
    time::Timestamp,
    units::{Probability, Quantile},
};
use std::ops::Range;

/// Seasons without which nothing is said of a series that has one: a whole one, and a quarter to compare with it.
const LEARNING_SEASONS: f64 = 1.25;

/// Seasons from which on joint paths are trusted: two but for some gaps.
const SURE_SEASONS: f64 = 1.9;

/// On which side of the limit a value is a breach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Above it.
    Above,
    /// At it or above.
    Reaching,
    /// Below it.
    Below,
}

/// What values are compared with, and how they are told.
#[derive(Clone, Debug)]
pub(super) struct Comparison {
    side: Side,
    /// In the unit of the series.
    limit: f64,
    /// The limit as the rule has it.
    threshold: Quantity,
    /// What of the series is one of that unit.
    scale: f64,
    subject: Option<Subject>,
}

impl Comparison {
    pub(super) const fn above_ms(limit: f64) -> Self {
        let threshold = Quantity::ms(limit);
        Self { side: Side::Above, limit, threshold, scale: 1.0, subject: None }
    }

    pub(super) const fn below_share(limit: f64) -> Self {
        let threshold = Quantity::share(limit);
        Self { side: Side::Below, limit, threshold, scale: 1.0, subject: None }
    }

    /// Use above a limit in the unit of the series.
    pub(super) const fn use_of(subject: Subject, limit: f64, unit: Unit) -> Self {
        let threshold = Quantity::new(limit, unit);
        Self { side: Side::Above, limit, threshold, scale: 1.0, subject: Some(subject) }
    }

    /// Use above a share of `base`, or, of all of it, at least that.
    pub(super) fn share_of(subject: Subject, share: f64, base: f64, side: Side) -> Self {
        let threshold = Quantity::share(share);
        Self { side, limit: share * base, threshold, scale: base, subject: Some(subject) }
    }

    fn beyond(&self, value: f64) -> bool {
        match self.side {
            Side::Above => value > self.limit,
            Side::Reaching => value >= self.limit,
            Side::Below => value < self.limit,
        }
    }

    /// Probability that one step by itself is beyond the limit.
    fn alone(&self, forecast: &Forecast, step: usize) -> Option<f64> {
        // The level of a value that several levels share is the highest of them, so the limit itself is told apart from
        // what is just below it.
        match self.side {
            Side::Above => forecast.exceedance(step, self.limit).map(Probability::get),
            Side::Reaching => forecast.exceedance(step, self.limit.next_down()).map(Probability::get),
            Side::Below => forecast.exceedance(step, self.limit.next_down()).map(|above| 1.0 - above.get()),
        }
    }

    /// The worst value of the steps at the level that a rule with this probability judges.
    fn worst(&self, forecast: &Forecast, steps: Range<usize>, probability: Probability) -> Quantity {
        let low = self.side == Side::Below;
        let level = if low { probability.get() } else { 1.0 - probability.get() };
        let level = Quantile::new(level).ok();
        let values = steps.filter_map(|index| forecast.quantile(index, level?));
        let worst = values.reduce(if low { f64::min } else { f64::max }).unwrap_or_default();
        Quantity::new(worst / self.scale, self.threshold.unit)
    }
}

/// The part of a forecast that a rule looks at.
pub(super) fn look_ahead(
    sustained: &Sustained,
    forecast: &Forecast,
    sight: &Sight<'_>,
) -> Result<Run, UnknownReason> {
    let (now, limit_ms) = (sight.inputs.now, sight.inputs.settings.forecast_limit_ms);
    let age_ms = forecast.age_ms(now);
    if age_ms > limit_ms {
        return Err(UnknownReason::Stale { age_ms, limit_ms });
    }
    let too_short = |have_ms| UnknownReason::HorizonTooShort { have_ms, need_ms: sustained.within_ms };
    // The first step began before `now`, so the horizon may end a part of a step before the look-ahead does.
    let have_ms = forecast.end().ms_since(now);
    if have_ms.saturating_add(forecast.step.ms()) <= sustained.within_ms {
        return Err(too_short(have_ms));
    }
    let first = forecast.index_at(now).ok_or_else(|| too_short(have_ms.min(0)))?;
    if let Some(seasons) = forecast.seasons.filter(|seasons| *seasons < LEARNING_SEASONS) {
        return Err(UnknownReason::Learning { seasons, need: LEARNING_SEASONS });
    }
    let until: Timestamp = now.plus_ms(sustained.within_ms);
    let end = forecast.steps.partition_point(|step| step.at < until);
    Ok(Run { steps: sustained.steps, of: sustained.of, first, end })
}

/// Whether a sustained breach is probable enough: that `steps` of `of` steps in a row are beyond the limit, the first
/// of them within the look-ahead. The steps count together, as they hang together in the forecast's joint paths.
pub(super) fn assess(
    sustained: &Sustained,
    comparison: &Comparison,
    forecast: &Forecast,
    sight: &Sight<'_>,
) -> Result<Verdict, UnknownReason> {
    let run = look_ahead(sustained, forecast, sight)?;
    let (probability, begins) = forecast.run(run, |_, value| comparison.beyond(value));
    // Until a second season confirms the first, its one breach is one piece of evidence, however many paths saw it.
    let probability = match forecast.seasons {
        Some(seasons) if seasons < SURE_SEASONS => {
            let alone = step_by_step(run, comparison, forecast);
            if alone < probability { alone } else { probability }
        }
        _ => probability,
    };
    let steps = run.first..run.end;
    let worst = comparison.worst(forecast, steps.clone(), sustained.probability);
    let (threshold, subject) = (comparison.threshold, comparison.subject.clone());
    if probability < sustained.probability {
        return Ok(Verdict::Healthy(Healthy { worst, threshold, subject, probability }));
    }
    let likely = |index: &usize| comparison.alone(forecast, *index) >= Some(sustained.probability.get());
    Ok(Verdict::Breach(Breach {
        at: begins.unwrap_or(forecast.steps[run.first].at).max(sight.inputs.now),
        probability,
        worst,
        threshold,
        subject,
        steps_beyond: steps.filter(likely).count(),
        saving_at_least: None,
    }))
}

/// Probability with which the rule would still fire if each step stood alone: the lowest one among the steps that make
/// it fire, in the window where that is highest.
fn step_by_step(run: Run, comparison: &Comparison, forecast: &Forecast) -> Probability {
    let last = forecast.steps.len();
    let windows = (run.first..run.end).map(|start| {
        let mut alone: Vec<f64> = (start..(start + run.of).min(last))
            .filter_map(|index| comparison.alone(forecast, index))
            .collect();
        alone.sort_unstable_by(|a, b| b.total_cmp(a));
        alone.get(run.steps.saturating_sub(1)).copied().unwrap_or(0.0)
    });
    Probability::new(windows.fold(0.0, f64::max)).unwrap_or_default()
}
