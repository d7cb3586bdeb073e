//! One series that is forecast all the time: values go in as they come, and a forecast comes out whenever one is asked
//! for. On the way, known events and regressors are taken out and put back, and a change of place starts anew.
//!
//! What it holds is a function of the values and surroundings that it was given, in that order; nothing else.
mod ahead;
mod events;
mod judged;
mod median_and_tail;
mod relearn;
#[cfg(test)]
mod tests;

pub use judged::{Judged, Score};
pub use median_and_tail::UpperQuantile;

use events::Events;
use median_and_tail::{MedianAndTail, Quantile};

use crate::{
    calendar::{Effects, InForce, Occurrence, Priors},
    covariate::{self, Future, Regressor, RegressorEffects},
    forecast::{
        Excluded, Forecast, ForecastError, ForecastSettings, Forecaster, Shape,
        model::{Fitted, MEDIAN_AND_TAIL},
    },
    series::Series,
    time::{Step, Timestamp},
};

/// What is known around a series.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// Name of the quantity with its unit, such as `latency_p99_ms`.
    pub metric: &'a str,
    /// Events that concern the series: those since its start and those within the horizon, without cancelled ones.
    pub occurrences: &'a [Occurrence],
    /// What the events do to like services.
    pub priors: &'a Priors,
    /// When the thing that is measured was brought to another place, oldest first: from the first traffic there to the
    /// last here. Empty for quantities that do not depend on the place.
    pub moves: &'a [Excluded],
    /// Regressors that may have an effect, with one value for each step of the series and of the horizon.
    pub regressors: &'a [(Regressor<'a>, Future<'a>)],
    /// What the series is made of, if it is an upper quantile of latency.
    pub parts: Option<UpperQuantile<'a>>,
}

/// A series that is forecast all the time.
#[derive(Debug)]
pub struct LiveSeries {
    shape: Shape,
    step: Step,
    forecaster: Forecaster,
    /// Start of the first step that may be learnt from.
    from: Timestamp,
    /// Start of the next step that the forecaster will be given.
    fed_to: Timestamp,
    /// End of the series when it was seen last: some steps after `fed_to` while the newest values are awaited.
    series_end: Timestamp,
    /// End of the newest value.
    observed_to: Option<Timestamp>,
    /// End of the last move that it knows.
    moved: Option<Timestamp>,
    events: Events,
    regressors: RegressorEffects,
    regressors_learned_at: Option<Timestamp>,
    /// Whether regressors are to be learned again, and that was put off.
    regressors_wait: bool,
    names: Vec<String>,
    judged: Judged,
    /// Steps with a value, those at places before the present one included.
    seen: usize,
    /// Start of the next step that counts among them.
    counted_to: Timestamp,
}

/// Regressors are learned again after so many shares of a season, since what they do changes slowly.
const RELEARN_PER_SEASON: usize = 4;
/// Steps after which regressors are learned again where there is no season.
const RELEARN_STEPS: usize = 360;
/// No regressor acts later than so many steps.
const LONGEST_LAG: usize = 64;

/// Steps for which a missing newest value is awaited, before it is a gap for good.
pub const MOST_AWAITED: usize = 3;

impl LiveSeries {
    /// Nothing is known yet. `like` is a series of the same kind whose usual errors are taken for ours at first.
    pub fn new(shape: Shape, start: Timestamp, like: Option<&Self>) -> Self {
        let start = shape.step.floor(start);
        let forecaster =
            like.map_or_else(|| Forecaster::new(shape), |like| Forecaster::like(&like.forecaster, shape));
        let mut new = Self {
            shape,
            step: shape.step,
            forecaster,
            from: start,
            fed_to: start,
            series_end: start,
            observed_to: None,
            moved: None,
            events: Events::default(),
            regressors: RegressorEffects::default(),
            regressors_learned_at: None,
            regressors_wait: false,
            names: Vec::new(),
            judged: Judged::default(),
            seen: 0,
            counted_to: start,
        };
        new.keep_phase();
        new
    }

    /// Takes in what is new in the series. Values that were taken in before are not looked at again, unless an event
    /// has ended since, or one that had begun was called off: then all is learned anew. A missing newest value is
    /// awaited for [`MOST_AWAITED`] steps.
    pub fn advance(&mut self, series: &Series, around: &Surroundings<'_>) {
        self.take_in(series, around, true);
    }

    fn take_in(&mut self, series: &Series, around: &Surroundings<'_>, relearn: bool) {
        let horizon = i64::try_from(self.shape.horizon).unwrap_or(i64::MAX);
        if self.step.count(series.end(), self.fed_to) > horizon {
            // The clock was far ahead. What it said then is worth nothing, and waiting for that time would be silence.
            self.forget_time(series.start());
        }
        self.series_end = series.end();
        // An unfinished move ends after all others; those before it count.
        let moved = around.moves.iter().rev().map(|moving| moving.to).find(|to| *to <= series.end());
        if let Some(moved) = moved.filter(|to| self.moved < Some(*to)) {
            self.start_anew(series, moved);
        }
        self.skip_to(series.start());
        if around.parts.is_some() && !self.forecaster.has(MEDIAN_AND_TAIL) {
            let mut expert = MedianAndTail::new(self.shape);
            expert.skip(self.phase());
            self.forecaster.attach(MEDIAN_AND_TAIL, Box::new(expert));
        }
        // Before the first value there is nothing to learn anew.
        let relearn = relearn || self.forecaster.observed() == 0;
        if self.learn_events(series, around, relearn) | self.learn_regressors(series, around, relearn) {
            self.replay(series, around);
        } else {
            self.feed(series, around);
        }
        self.count(series);
    }

    /// Counts the steps that were observed so far, at whatever place.
    fn count(&mut self, series: &Series) {
        let new = usize::try_from(self.step.count(series.start(), self.counted_to)).unwrap_or(0);
        let values = series.values().get(new..).unwrap_or_default();
        self.seen += values.iter().filter(|value| value.is_finite()).count();
        self.seen = self.seen.max(series.observed());
        self.counted_to = self.counted_to.max(series.end());
    }

    /// Begins again at a step with nothing but what the forecaster knows of its errors and its season. One that has seen
    /// nothing is left as it is: gaps look the same without effects, and it may have begun like another series.
    fn rebuild(&mut self, first: Timestamp) {
        if self.forecaster.observed() > 0 {
            self.forecaster = Forecaster::like(&self.forecaster, self.shape);
            self.fed_to = first;
            self.keep_phase();
        } else {
            self.skip_to(first);
        }
    }

    fn skip_to(&mut self, first: Timestamp) {
        if self.fed_to < first {
            self.forecaster.skip(self.step.count(self.fed_to, first).unsigned_abs());
            self.fed_to = first;
        }
    }

    /// Lets the forecaster's count of steps begin at the same place of the season for every series and every rebuild, or
    /// a season that is taken over would be one of another time of day.
    fn keep_phase(&mut self) {
        self.forecaster.skip(self.phase());
    }

    /// Place in the season of the next step that the forecaster will be given.
    fn phase(&self) -> u64 {
        let Some(season) = self.shape.season.filter(|season| *season > 1) else { return 0 };
        let steps = self.fed_to.unix_ms().div_euclid(self.step.ms());
        steps.rem_euclid(i64::try_from(season).unwrap_or(i64::MAX)).unsigned_abs()
    }

    fn forget_time(&mut self, start: Timestamp) {
        (self.from, self.fed_to, self.observed_to, self.moved) = (start, start, None, None);
        self.forecaster = Forecaster::like(&self.forecaster, self.shape);
        self.keep_phase();
        self.regressors_learned_at = None;
        self.judged.forget_waiting();
        self.events.carry_over();
    }

    /// After a move nothing that was measured at the old place counts, but how well it could be forecast does, and what
    /// events do there is the best guess for the new place.
    fn start_anew(&mut self, series: &Series, moved: Timestamp) {
        self.moved = Some(moved);
        // A step that was begun at the old place is of both.
        let first = self.step.floor(moved.plus_ms(self.step.ms() - 1)).max(series.start());
        self.from = first;
        self.observed_to = None;
        self.judged.forget_waiting();
        self.events.carry_over();
        self.rebuild(first);
        self.forecaster.be_unsure();
    }

    /// Whether the history looks different now.
    fn learn_events(&mut self, series: &Series, around: &Surroundings<'_>, relearn: bool) -> bool {
        let start = self.from.max(series.start());
        let end = self.fed_to.plus_ms(self.step.times(self.new_values(series, around).len()));
        let history = events::Span { start, end, step: self.step, season: self.shape.season };
        let mut events = std::mem::take(&mut self.events);
        let values = || self.measured(series, start, end, around);
        let changed = events.learn(history, values, self.fed_to, around, relearn);
        self.events = events;
        changed && self.fed_to > start
    }

    fn learn_regressors(&mut self, series: &Series, around: &Surroundings<'_>, relearn: bool) -> bool {
        let names: Vec<&str> = around.regressors.iter().map(|(regressor, _)| regressor.name).collect();
        let every = self.shape.season.map_or(RELEARN_STEPS, |season| (season / RELEARN_PER_SEASON).max(1));
        let due =
            self.regressors_learned_at.is_none_or(|at| self.step.count(at, series.end()) >= every as i64);
        if self.names == names && (names.is_empty() || !due) {
            self.regressors_wait = false;
            return false;
        }
        self.regressors_wait = !relearn;
        if !relearn {
            return false;
        }
        self.names = names.iter().map(|name| (*name).to_owned()).collect();
        self.regressors_learned_at = Some(series.end());
        let mut learned = RegressorEffects::default();
        if !names.is_empty() {
            let mut values = self.measured(series, series.start(), series.end(), around);
            if let Some(effects) = self.events.effects() {
                effects.subtract(&mut values, series.start());
            }
            let regressors: Vec<Regressor<'_>> =
                around.regressors.iter().map(|(regressor, _)| *regressor).collect();
            learned = covariate::learn(&values, self.shape.season, self.shape.horizon, &regressors);
        }
        if ahead::alike(&self.regressors, &learned) {
            return false;
        }
        self.regressors = learned;
        self.fed_to > self.from
    }

    /// Values of the steps from `from` to `to`, with gaps while it moved.
    fn measured(
        &self,
        series: &Series,
        from: Timestamp,
        to: Timestamp,
        around: &Surroundings<'_>,
    ) -> Vec<f64> {
        let index = |at: Timestamp| {
            usize::try_from(self.step.count(series.start(), at)).unwrap_or(0).min(series.values().len())
        };
        let (first, end) = (index(from), index(to));
        let mut values = series.values().get(first..end.max(first)).unwrap_or_default().to_vec();
        for moving in around.moves {
            for (index, value) in values.iter_mut().enumerate() {
                let at = from.plus_ms(self.step.times(index));
                if at.plus_ms(self.step.ms()) > moving.from && at < moving.to {
                    *value = f64::NAN;
                }
            }
        }
        values
    }

    /// Values that can be taken in now, without missing ones that may still come.
    fn new_values(&self, series: &Series, around: &Surroundings<'_>) -> Vec<f64> {
        let mut values = self.measured(series, self.fed_to, series.end(), around);
        let observed = values.iter().rposition(|value| value.is_finite()).map_or(0, |newest| newest + 1);
        values.truncate(observed.max(values.len().saturating_sub(MOST_AWAITED)));
        values
    }

    fn feed(&mut self, series: &Series, around: &Surroundings<'_>) {
        let start = self.fed_to;
        let measured = self.new_values(series, around);
        if let Some(newest) = measured.iter().rposition(|value| value.is_finite()) {
            self.observed_to = Some(start.plus_ms(self.step.times(newest + 1)));
        }
        self.judged.observe(start, self.step, &measured);
        let end = start.plus_ms(self.step.times(measured.len()));
        for (index, value) in self.cleaned(series, start, end, around).into_iter().enumerate() {
            match around.parts {
                Some(parts) => {
                    let start = start.plus_ms(self.step.times(index));
                    let mixed = self.is_mixed(start, parts.window);
                    let quantile = Quantile { start, measured: measured[index], cleaned: value, mixed };
                    self.forecaster.observe_beside(value, &parts.parts(&quantile));
                }
                None => self.forecaster.observe(value),
            }
        }
        self.fed_to = end;
    }

    /// Whether not all of so many steps up to the one that starts at `start` are of this place and without an event.
    fn is_mixed(&self, start: Timestamp, window: usize) -> bool {
        let end = start.plus_ms(self.step.ms());
        let first = end.plus_ms(-self.step.times(window));
        (self.moved.is_some() && first < self.from)
            || self.events.effects().is_some_and(|effects| effects.acts(first, end))
    }

    /// Values from `start` to `end` as they are learnt from: without effects, and with gaps while it moved.
    fn cleaned(
        &self,
        series: &Series,
        start: Timestamp,
        end: Timestamp,
        around: &Surroundings<'_>,
    ) -> Vec<f64> {
        let mut values = self.measured(series, start, end, around);
        if let Some(effects) = self.events.effects() {
            effects.subtract(&mut values, start);
        }
        self.subtract_regressors(series, start, &mut values, around);
        // A quiet step in an event may be less than its usual effect; what is left of it is nothing, not impossible.
        let (least, most) =
            (self.shape.lowest.unwrap_or(f64::NEG_INFINITY), self.shape.highest.unwrap_or(f64::INFINITY));
        for (cleaned, raw) in values.iter_mut().zip(self.measured(series, start, end, around)) {
            if (least..=most).contains(&raw) {
                *cleaned = cleaned.clamp(least, most);
            }
        }
        values
    }

    /// Takes the effects of regressors out of values that begin at `start`.
    fn subtract_regressors(
        &self,
        series: &Series,
        start: Timestamp,
        values: &mut Vec<f64>,
        around: &Surroundings<'_>,
    ) {
        if self.regressors.is_empty() || values.is_empty() {
            return;
        }
        let offset = usize::try_from(self.step.count(series.start(), start)).unwrap_or(0);
        // A lag reaches back before the first value.
        let back = offset.min(LONGEST_LAG);
        let regressors: Vec<Regressor<'_>> = around
            .regressors
            .iter()
            .map(|(regressor, _)| Regressor {
                name: regressor.name,
                values: regressor.values.get(offset - back..).unwrap_or_default(),
            })
            .collect();
        values.splice(..0, std::iter::repeat_n(f64::NAN, back));
        self.regressors.subtract(values, &regressors);
        values.drain(..back);
    }

    /// The forecast from the step that holds `now` on, of so many steps at most.
    ///
    /// # Errors
    /// [`ForecastError`] when nothing was observed, too little, or nothing lately.
    pub fn outlook(
        &mut self,
        subject: &str,
        around: &Surroundings<'_>,
        now: Timestamp,
        settings: &ForecastSettings,
    ) -> Result<Forecast, ForecastError> {
        let observed_to = self.observed_to.ok_or(if self.moved.is_some() {
            ForecastError::NotEnoughHistory { have: 0, need: settings.need() }
        } else {
            ForecastError::Empty
        })?;
        let age_ms = now.ms_since(observed_to).max(0);
        if age_ms > settings.stale_limit_ms {
            return Err(ForecastError::Stale { age_ms, limit_ms: settings.stale_limit_ms });
        }
        let mut forecast = self.forecaster.outlook(subject, around.metric, self.fed_to, age_ms)?;
        forecast.made_at = now;
        forecast.seasons = self.shape.season.map(|season| self.seen as f64 / season.max(1) as f64);
        let (effects, shape) = (self.events.effects().filter(|effects| !effects.is_empty()), self.shape);
        if effects.is_some() || !self.regressors.is_empty() {
            let awaited = self.step.count(self.fed_to, self.series_end);
            let ahead = ahead::Ahead::of(around.regressors, awaited);
            forecast.rewrite((shape.lowest, shape.highest), |index, at, point, band| {
                let (point, band) = ahead.add_back(&self.regressors, index, point, band);
                match effects {
                    Some(effects) => (effects.add_back(at, point), effects.add_back_band(at, band)),
                    None => (point, band),
                }
            });
        }
        let forecast = forecast.beginning_at(self.step.floor(now)).up_to(settings.horizon);
        if forecast.steps.is_empty() {
            let limit_ms = self.step.times(self.shape.horizon);
            return Err(ForecastError::Stale { age_ms, limit_ms });
        }
        self.judged.publish(&forecast);
        Ok(forecast)
    }

    /// How good the forecasts that it gave turned out to be.
    pub fn judged(&self) -> &Judged {
        &self.judged
    }

    /// Events with an effect between `from`, inclusive, and `to`, exclusive.
    pub fn in_force(&self, from: Timestamp, to: Timestamp) -> Vec<InForce> {
        self.effects().map(|effects| effects.in_force(from, to)).unwrap_or_default()
    }

    /// What events do to this series; `None` when no event concerns it.
    pub fn effects(&self) -> Option<&Effects> {
        self.events.effects()
    }

    /// What regressors do to it.
    pub fn regressors(&self) -> &RegressorEffects {
        &self.regressors
    }

    /// The forecaster, for what it knows of its own past.
    pub fn forecaster(&self) -> &Forecaster {
        &self.forecaster
    }

    /// What a dear model is fitted to: the values that were taken in, without the effects of events and regressors.
    pub fn training(&self, series: &Series, around: &Surroundings<'_>) -> (Timestamp, Vec<f64>) {
        let start = self.from.max(series.start());
        let mut values = self.cleaned(series, start, self.fed_to, around);
        let possible = |value: f64| {
            self.shape.lowest.is_none_or(|lowest| value >= lowest)
                && self.shape.highest.is_none_or(|highest| value <= highest)
        };
        values.iter_mut().filter(|value| !possible(**value)).for_each(|value| *value = f64::NAN);
        (start, values)
    }

    /// Leaves only the models of these names a say; see [`Forecaster::restrict`].
    pub fn restrict(&mut self, names: &[String]) {
        self.forecaster.restrict(names);
    }

    /// Lets a model take part that was fitted to the first values of [`Self::training`] and is to be judged on the
    /// others; see [`Forecaster::attach_judged`].
    pub fn attach_judged(&mut self, name: &str, model: Box<dyn Fitted>, values: &[f64], fitted_to: usize) {
        self.forecaster.attach_judged(name, model, values, fitted_to);
    }

    /// Lets a model take part no more.
    pub fn detach(&mut self, name: &str) {
        self.forecaster.detach(name);
    }

    /// Whether a model of this name takes part.
    pub fn has(&self, name: &str) -> bool {
        self.forecaster.has(name)
    }

    /// Lets a model take part that was fitted to [`Self::training`].
    pub fn attach(&mut self, name: &str, model: Box<dyn Fitted>) {
        self.forecaster.attach(name, model);
    }
}
