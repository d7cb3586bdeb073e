//! What models on recent values share: a robust scale, bounds, and the recent past without holes.
use foremesh_core::{
    forecast::model::History,
    time::{Step, Timestamp},
};

/// Milliseconds of a day and of a week.
pub(crate) const DAY_MS: i64 = 86_400_000;
/// See [`DAY_MS`].
pub(crate) const WEEK_MS: i64 = 7 * DAY_MS;

/// Steps of a gap over which the last value is carried; a longer gap is read from the season before.
pub(crate) const CARRIED: usize = 6;

/// Steps of a week of 5-minute steps. A week of 1-minute steps would be 80 kB for each series.
const MOST_WEEK_STEPS: i64 = 2_016;

/// Magnitude above which a value is a defect of its source; far below where squares of it overflow.
const LARGEST: f64 = 1e100;

/// Values beyond this on the `asinh` scale are 5 million million spreads away and say nothing more.
const FARTHEST: f64 = 30.0;

/// Where values lie and how far they spread, by medians, so that a few wild ones do not count.
///
/// `asinh` is linear near 0 and logarithmic far out, and takes both signs: a spike of 100 spreads is worth about 5.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    center: f64,
    spread: f64,
}

impl Scale {
    /// Median and median absolute deviation of finite values, the latter made comparable to a standard deviation.
    /// Where more than half of the values are the same, the standard deviation stands in for it. `None` when nothing
    /// varies.
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        let center = median(&mut values)?;
        let count = values.len() as f64;
        let deviation = (values.iter().map(|v| (v - center).powi(2)).sum::<f64>() / count).sqrt();
        for value in &mut values {
            *value = (*value - center).abs();
        }
        // 1.4826 makes the deviation of normal values equal to their standard deviation (Rousseeuw, Croux 1993).
        let robust = median(&mut values)? * 1.4826;
        let spread = if robust > 0.05 * deviation { robust } else { deviation };
        // Below the precision of the values there is only rounding.
        (spread.is_finite() && spread > center.abs() * 1e-12 && spread > 1e-200)
            .then_some(Self { center, spread })
    }

    /// To the scale.
    pub(crate) fn shrink(&self, value: f64) -> f64 {
        ((value - self.center) / self.spread).asinh().clamp(-FARTHEST, FARTHEST)
    }

    /// Back from it.
    pub(crate) fn restore(&self, scaled: f64) -> f64 {
        scaled.clamp(-FARTHEST, FARTHEST).sinh() * self.spread + self.center
    }

    /// Spread against the size of the values, as a logarithm: noisy series differ from calm ones by it.
    pub(crate) fn log_variation(&self) -> f64 {
        (self.spread / (self.center.abs() + self.spread)).max(1e-6).ln()
    }
}

fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    Some(*values.select_nth_unstable_by(middle, f64::total_cmp).1)
}

/// What values can be, and what they have been.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    lowest: f64,
    highest: f64,
    least: f64,
    most: f64,
}

impl Bounds {
    /// Bounds of a history that has seen nothing yet.
    pub(crate) fn of(history: &History<'_>) -> Self {
        Self {
            lowest: history.lowest.unwrap_or(f64::NEG_INFINITY),
            highest: history.highest.unwrap_or(f64::INFINITY),
            least: f64::INFINITY,
            most: f64::NEG_INFINITY,
        }
    }

    /// The value, or `NaN` for one that cannot be.
    pub(crate) fn checked(&self, value: f64) -> f64 {
        let possible = value.abs() <= LARGEST && value >= self.lowest && value <= self.highest;
        if possible { value } else { f64::NAN }
    }

    /// Takes an observed value into account.
    pub(crate) fn include(&mut self, value: f64) {
        if value.is_finite() {
            self.least = self.least.min(value);
            self.most = self.most.max(value);
        }
    }

    /// Keeps a prediction within what was seen and a quarter of its range on each side, and within what can be.
    /// Without it a small slip on the `asinh` scale becomes a value that was never near.
    pub(crate) fn clamp(&self, value: f64) -> f64 {
        let slack = 0.25 * (self.most - self.least);
        value.max(self.least - slack).min(self.most + slack).max(self.lowest).min(self.highest)
    }
}

/// The recent past of a series, one value for each step and no holes.
#[derive(Clone, Debug)]
pub(crate) struct Recent {
    /// Oldest first.
    values: Vec<f64>,
    /// Start of the first step that is kept, in milliseconds.
    start_ms: i64,
    step_ms: i64,
    season: Option<usize>,
    /// Steps that are kept at least.
    keep: usize,
    /// Steps since the newest observed value.
    gap: usize,
    last: f64,
}

impl Recent {
    /// Nothing yet; the first value will be of the step that starts at `start`.
    pub(crate) fn new(start: Timestamp, step: Step, season: Option<usize>, keep: usize) -> Self {
        let season = season.filter(|season| *season > 1);
        Self {
            values: Vec::new(),
            start_ms: start.unix_ms(),
            step_ms: step.ms(),
            season,
            keep: keep.max(1),
            gap: usize::MAX,
            last: f64::NAN,
        }
    }

    /// Bytes of what it keeps.
    pub(crate) fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<f64>()
    }

    /// Takes the next value; `NaN` for a gap. Values before the first observed one are dropped, as nothing can stand
    /// in for them.
    pub(crate) fn push(&mut self, value: f64) {
        let filled = if value.is_finite() {
            self.gap = 0;
            self.last = value;
            value
        } else {
            self.gap = self.gap.saturating_add(1);
            let before = self.season.filter(|_| self.gap > CARRIED);
            let same_phase = before.and_then(|season| self.values.len().checked_sub(season));
            same_phase.map_or(self.last, |at| self.values[at])
        };
        if filled.is_finite() {
            self.values.push(filled);
        } else {
            self.start_ms = self.start_ms.saturating_add(self.step_ms);
        }
        // Half of what is held is dropped at once, so that a push costs the same on average however much is kept.
        if self.values.len() > 2 * self.keep {
            self.shorten();
        }
    }

    /// The same with only so many steps.
    pub(crate) fn keeping(mut self, keep: usize) -> Self {
        self.keep = keep.max(1);
        self.shorten();
        self.values.shrink_to(2 * self.keep);
        self
    }

    fn shorten(&mut self) {
        let dropped = self.values.len().saturating_sub(self.keep);
        self.values.drain(..dropped);
        self.start_ms = self.start_ms.saturating_add(self.step_ms.saturating_mul(dropped as i64));
    }

    /// The values, oldest first.
    pub(crate) fn values(&self) -> &[f64] {
        &self.values
    }

    /// Length of the season in steps.
    pub(crate) fn season(&self) -> Option<usize> {
        self.season
    }

    /// Length of a step in milliseconds.
    pub(crate) fn step_ms(&self) -> i64 {
        self.step_ms
    }

    /// Sine and cosine of the angle that the start of a step makes on a clock of this period. Steps count from the
    /// oldest kept value and may lie ahead of the newest.
    pub(crate) fn clock(&self, step: usize, period_ms: i64) -> (f64, f64) {
        let at = self.start_ms.saturating_add(self.step_ms.saturating_mul(step as i64));
        let angle = std::f64::consts::TAU * at.rem_euclid(period_ms) as f64 / period_ms as f64;
        angle.sin_cos()
    }

    /// The newest value that is whole seasons before `step` and before `origin`; `more` seasons further back on wish.
    pub(crate) fn same_phase(&self, step: usize, origin: usize, more: usize) -> Option<f64> {
        let season = self.season?;
        let seasons = (step + 1).saturating_sub(origin).div_ceil(season) + more;
        step.checked_sub(seasons * season).and_then(|at| self.values.get(at)).copied()
    }

    /// The newest value that is whole weeks before `step` and before `origin`, where a week is more than a season.
    pub(crate) fn same_weekday(&self, step: usize, origin: usize) -> Option<f64> {
        let week =
            week_steps(self.step_ms).filter(|week| self.season.is_some_and(|season| season < *week))?;
        let weeks = (step + 1).saturating_sub(origin).div_ceil(week);
        step.checked_sub(weeks * week).and_then(|at| self.values.get(at)).copied()
    }

    /// Mean over up to three seasons of the values around the same phase.
    pub(crate) fn profile(&self, step: usize, origin: usize) -> Option<f64> {
        let season = self.season?;
        // A quarter of an hour each way when a season is a day.
        let around = (season / 96).max(1);
        let first = (step + 1).saturating_sub(origin).div_ceil(season);
        let (mut sum, mut count) = (0.0, 0);
        for seasons in first..first + 3 {
            let Some(middle) = step.checked_sub(seasons * season) else { break };
            let near = &self.values[middle.saturating_sub(around)..(middle + around + 1).min(origin)];
            sum += near.iter().sum::<f64>() / near.len() as f64;
            count += 1;
        }
        (count > 0).then(|| sum / f64::from(count))
    }
}

/// Steps that a forecast may look back to, beside those of its own window.
pub(crate) fn reach(season: Option<usize>, step_ms: i64, horizon: usize) -> usize {
    season.map_or(0, |season| (4 * season).max(week_steps(step_ms).unwrap_or(0)) + season / 96 + 1 + horizon)
}

/// Steps of a week; `None` where it is not a whole number of them, or too many to keep for each series.
fn week_steps(step_ms: i64) -> Option<usize> {
    let steps = WEEK_MS / step_ms;
    (WEEK_MS % step_ms == 0 && (2..=MOST_WEEK_STEPS).contains(&steps)).then_some(steps as usize)
}
