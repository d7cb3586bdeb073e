//! The columns of the regression: time, bends, seasons, holidays, regressors, scaled as Prophet scales them.
use super::map::{Join, Prior, Problem};
use super::{Growth, Mode, Prophet};
use foremesh_core::forecast::model::History;
use std::collections::BTreeSet;
use std::f64::consts::TAU;

/// Milliseconds of a day.
const DAY_MS: f64 = 86_400_000.0;
/// Steps that are learnt from at most, the newest ones: four weeks of minutes. It bounds a fit to tens of milliseconds.
const MOST_STEPS: usize = 40_320;
/// Standard deviation of the priors of the trend's slope and offset.
const TREND_SD: f64 = 5.0;

/// A season and its number of sine and cosine pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Season {
    days: f64,
    pairs: usize,
}

/// A regressor: where it is found, and what is taken off and divided by.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Regressor {
    index: usize,
    mean: f64,
    deviation: f64,
}

/// How a step of time becomes a row of the regression. Frozen at the fit.
#[derive(Clone, Debug)]
pub(super) struct Design {
    start_ms: i64,
    step_ms: f64,
    /// First step that is learnt from.
    skipped: usize,
    /// First observed step, and the steps from there to the last one: time is 0 there and 1 at the end.
    first: usize,
    span: f64,
    pub(super) growth: Growth,
    /// Where the trend may bend, in scaled time.
    pub(super) changepoints: Vec<f64>,
    seasons: Vec<Season>,
    /// Days since 1970 of each day that has an effect of its own.
    holidays: Vec<BTreeSet<i64>>,
    regressors: Vec<Regressor>,
    /// Largest absolute value of the history; the regression is on values divided by it.
    pub(super) scale: f64,
    /// How each column joins.
    joins: Vec<Join>,
}

impl Design {
    /// Looks at the history, which has at least two observed steps.
    pub(super) fn new(settings: &Prophet, history: &History<'_>) -> Self {
        let skipped = history.values.len().saturating_sub(MOST_STEPS);
        let observed: Vec<usize> =
            (skipped..history.values.len()).filter(|at| history.values[*at].is_finite()).collect();
        let (first, last) = (observed.first().copied().unwrap_or(0), observed.last().copied().unwrap_or(0));
        let span = (last - first).max(1) as f64;
        let scale = observed.iter().map(|at| history.values[*at].abs()).fold(0.0, f64::max);
        let mut design = Self {
            start_ms: history.start.unix_ms(),
            step_ms: history.step.ms() as f64,
            skipped,
            first,
            span,
            growth: settings.growth,
            changepoints: Vec::new(),
            seasons: seasons(history, span),
            holidays: holidays(settings),
            regressors: regressors(history, &observed),
            scale: if scale > 0.0 { scale } else { 1.0 },
            joins: Vec::new(),
        };
        if settings.growth == Growth::Linear {
            design.changepoints =
                changepoints(settings, &observed).into_iter().map(|at| design.time(at)).collect();
        }
        design.joins = vec![Join::Trend; design.trend_width()];
        let pairs: usize = design.seasons.iter().map(|season| season.pairs).sum();
        design.joins.extend(vec![join(settings.season_mode); 2 * pairs]);
        let others = design.holidays.len() + design.regressors.len();
        design.joins.extend(vec![join(settings.regressor_mode); others]);
        design
    }

    /// Scaled time of a step: 0 at the first observed one, 1 at the last.
    pub(super) fn time(&self, at: usize) -> f64 {
        (at as f64 - self.first as f64) / self.span
    }

    /// Columns of the trend, which stand first.
    fn trend_width(&self) -> usize {
        match self.growth {
            Growth::Linear => 2 + self.changepoints.len(),
            Growth::Flat => 1,
        }
    }

    /// How each column joins.
    pub(super) fn joins(&self) -> &[Join] {
        &self.joins
    }

    /// Writes the row of a step; `regressor` gives the value of each regressor there.
    pub(super) fn row(&self, at: usize, regressor: impl Fn(usize) -> f64, row: &mut Vec<f64>) {
        row.clear();
        row.push(1.0);
        if self.growth == Growth::Linear {
            let time = self.time(at);
            row.push(time);
            row.extend(self.changepoints.iter().map(|bend| (time - bend).max(0.0)));
        }
        let days = (self.start_ms as f64 + self.step_ms * at as f64) / DAY_MS;
        for season in &self.seasons {
            // Higher pairs by the addition theorems.
            let (sine, cosine) = (TAU * (days / season.days).fract()).sin_cos();
            let (mut s, mut c) = (sine, cosine);
            for _ in 0..season.pairs {
                row.extend([s, c]);
                (s, c) = (s * cosine + c * sine, c * cosine - s * sine);
            }
        }
        let day = days.floor() as i64;
        row.extend(self.holidays.iter().map(|days| if days.contains(&day) { 1.0 } else { 0.0 }));
        row.extend(self.regressors.iter().map(|known| {
            let value = (regressor(known.index) - known.mean) / known.deviation;
            // An unknown value counts as a usual one.
            if value.is_finite() { value } else { 0.0 }
        }));
    }

    /// The regression over the observed steps of the history.
    pub(super) fn problem(&self, settings: &Prophet, history: &History<'_>) -> Problem {
        let (mut rows, mut targets, mut row) = (Vec::new(), Vec::new(), Vec::new());
        for (at, value) in history.values.iter().enumerate().skip(self.skipped) {
            if value.is_finite() {
                self.row(at, |index| covariate(history, index, at), &mut row);
                rows.extend_from_slice(&row);
                targets.push(value / self.scale);
            }
        }
        let mut priors = vec![Prior::Normal(TREND_SD)];
        if self.growth == Growth::Linear {
            priors.push(Prior::Normal(TREND_SD));
            priors.extend(vec![Prior::Laplace(settings.changepoint_scale); self.changepoints.len()]);
        }
        let pairs: usize = self.seasons.iter().map(|season| season.pairs).sum();
        priors.extend(vec![Prior::Normal(settings.season_scale); 2 * pairs]);
        let others = self.holidays.len() + self.regressors.len();
        priors.extend(vec![Prior::Normal(settings.regressor_scale); others]);
        Problem { rows, targets, priors, joins: self.joins.clone() }
    }
}

fn join(mode: Mode) -> Join {
    match mode {
        Mode::Additive => Join::Added,
        Mode::Multiplicative => Join::Multiplied,
    }
}

fn covariate(history: &History<'_>, index: usize, at: usize) -> f64 {
    history.covariates[index].values.get(at).copied().unwrap_or(f64::NAN)
}

/// Prophet's automatic seasons, where the history expects one: a day, a week and a year when seen twice, with 4, 3 and
/// 10 pairs; and the history's own season when it is none of these.
fn seasons(history: &History<'_>, span: f64) -> Vec<Season> {
    let Some(expected) = history.season.filter(|season| *season > 1) else {
        return Vec::new();
    };
    let step = history.step.ms() as f64 / DAY_MS;
    let seen = span * step;
    let mut seasons = Vec::new();
    for (days, needed, finest, pairs) in
        [(365.25, 730.0, f64::INFINITY, 10), (7.0, 14.0, 7.0, 3), (1.0, 2.0, 1.0, 4)]
    {
        if seen >= needed && step < finest {
            seasons.push(Season { days, pairs });
        }
    }
    let own = expected as f64 * step;
    let known = seasons.iter().any(|season| (season.days - own).abs() < 1e-6 * own);
    if !known && seen >= 2.0 * own && (own - 1.0).abs() > 1e-6 {
        seasons.push(Season { days: own, pairs: 4.min((expected - 1) / 2).max(1) });
    }
    seasons
}

/// Steps at which the trend may bend: evenly by rank over the first part of the observed ones, as
/// `numpy.linspace(...).round()` puts them.
fn changepoints(settings: &Prophet, observed: &[usize]) -> Vec<usize> {
    let range = (observed.len() as f64 * settings.changepoint_range.clamp(0.0, 1.0)).floor() as usize;
    let count = settings.changepoints.min(range.saturating_sub(1));
    (1..=count)
        .map(|rank| {
            let place = (range - 1) as f64 * rank as f64 / count as f64;
            observed[place.round_ties_even() as usize]
        })
        .collect()
}

/// One set of days for each holiday and each day around it.
fn holidays(settings: &Prophet) -> Vec<BTreeSet<i64>> {
    let mut sets = Vec::new();
    for holiday in &settings.holidays {
        for offset in -(holiday.before as i64)..=holiday.after as i64 {
            let day = |ms: i64| ms.div_euclid(DAY_MS as i64).saturating_add(offset);
            sets.push(holiday.days.iter().map(|at| day(at.unix_ms())).collect());
        }
    }
    sets
}

/// Mean and deviation of each regressor over the observed steps; one that is constant or only 0 and 1 stays as it is.
fn regressors(history: &History<'_>, observed: &[usize]) -> Vec<Regressor> {
    (0..history.covariates.len())
        .map(|index| {
            let values: Vec<f64> = observed
                .iter()
                .map(|at| covariate(history, index, *at))
                .filter(|value| value.is_finite())
                .collect();
            let count = values.len() as f64;
            let mean = values.iter().sum::<f64>() / count;
            let deviation =
                (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt();
            let flag = values.iter().all(|value| [0.0, 1.0].contains(value));
            if flag || deviation <= 1e-12 * mean.abs() || !deviation.is_finite() {
                Regressor { index, mean: 0.0, deviation: 1.0 }
            } else {
                Regressor { index, mean, deviation }
            }
        })
        .collect()
}
