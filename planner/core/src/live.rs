//! One series that is forecast all the time: values go in as they come, and a forecast comes out whenever one is asked
//! for. On the way, known events and regressors are taken out and put back, and a change of place starts anew.
//!
//! What it holds is a function of the values and surroundings that it was given, in that order; nothing else.
mod judged;
#[cfg(test)]
mod tests;

pub use judged::{Judged, Score};

use crate::{
    calendar::{self, Effects, InForce, Occurrence, Priors},
    covariate::{self, Future, Regressor, RegressorEffects},
    forecast::{Excluded, Forecast, ForecastError, ForecastSettings, Forecaster, Shape, model::Fitted},
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
}

/// A series that is forecast all the time.
#[derive(Debug)]
pub struct LiveSeries {
    shape: Shape,
    step: Step,
    forecaster: Forecaster,
    /// Start of the first step that was given to the forecaster.
    from: Timestamp,
    /// Start of the next step that it will be given.
    fed_to: Timestamp,
    /// End of the newest value.
    observed_to: Option<Timestamp>,
    /// End of the last move that it knows.
    moved: Option<Timestamp>,
    effects: Option<Learned>,
    regressors: RegressorEffects,
    regressors_learned_at: Option<Timestamp>,
    names: Vec<String>,
    judged: Judged,
    /// Steps with a value, those at places before the present one included.
    seen: usize,
    /// Start of the next step that counts among them.
    counted_to: Timestamp,
}

#[derive(Debug)]
struct Learned {
    effects: Effects,
    occurrences: Vec<Occurrence>,
}

/// Regressors are learned again after so many shares of a season, since what they do changes slowly.
const RELEARN_PER_SEASON: usize = 4;
/// Steps after which regressors are learned again where there is no season.
const RELEARN_STEPS: usize = 360;
/// No regressor acts later than so many steps.
const LONGEST_LAG: usize = 64;

impl LiveSeries {
    /// Nothing is known yet. `like` is a series of the same kind whose usual errors are taken for ours at first.
    pub fn new(shape: Shape, start: Timestamp, like: Option<&Self>) -> Self {
        let forecaster =
            like.map_or_else(|| Forecaster::new(shape), |like| Forecaster::like(&like.forecaster, shape));
        Self {
            shape,
            step: shape.step,
            forecaster,
            from: start,
            fed_to: start,
            observed_to: None,
            moved: None,
            effects: None,
            regressors: RegressorEffects::default(),
            regressors_learned_at: None,
            names: Vec::new(),
            judged: Judged::default(),
            seen: 0,
            counted_to: start,
        }
    }

    /// Takes in what is new in the series. Values that were taken in before are not looked at again, unless an event
    /// has ended since, or was called off: then all is learned anew.
    pub fn advance(&mut self, series: &Series, around: &Surroundings<'_>) {
        if let Some(moved) = around.moves.last().map(|last| last.to).filter(|to| self.moved < Some(*to))
            && moved <= series.end()
        {
            self.start_anew(series, moved, around);
        } else if self.fed_to < series.start() && self.observed_to.is_some() {
            // Longer silent than anything is kept.
            self.forecaster.skip(self.step.count(self.fed_to, series.start()).unsigned_abs());
            self.fed_to = series.start();
        }
        if self.learn_events(series, around) | self.learn_regressors(series, around) {
            self.forecaster = Forecaster::like(&self.forecaster, self.shape);
            self.fed_to = self.from.max(series.start());
            self.observed_to = None;
        }
        self.feed(series, around);
        let counted = self.values(series, self.counted_to, series.end());
        self.seen =
            (self.seen + counted.iter().filter(|value| value.is_finite()).count()).max(series.observed());
        self.counted_to = self.counted_to.max(series.end());
    }

    /// After a move nothing that was measured at the old place counts, but how well it could be forecast does.
    fn start_anew(&mut self, series: &Series, moved: Timestamp, around: &Surroundings<'_>) {
        self.moved = Some(moved);
        self.forecaster = Forecaster::like(&self.forecaster, self.shape);
        self.forecaster.be_unsure();
        // A step that was begun at the old place is of both.
        let first = self.step.floor(moved.plus_ms(self.step.ms() - 1));
        self.from = first.max(series.start());
        self.fed_to = self.from;
        self.observed_to = None;
        // What an event does is the best guess for the new place too.
        if let Some(learned) = self.effects.take() {
            let effects = calendar::learn(
                around.metric,
                &[],
                self.from,
                self.step,
                self.shape.season,
                around.occurrences,
                &Priors::of([&learned.effects]),
            );
            self.effects = Some(Learned { effects, occurrences: around.occurrences.to_vec() });
        }
    }

    /// Whether the history looks different now.
    fn learn_events(&mut self, series: &Series, around: &Surroundings<'_>) -> bool {
        if around.occurrences.is_empty() {
            return self.effects.take().is_some_and(|learned| !learned.effects.is_empty());
        }
        let ended = |occurrences: &[Occurrence], by: Timestamp| {
            occurrences.iter().filter(|occurrence| occurrence.end <= by).cloned().collect::<Vec<_>>()
        };
        let by = series.end();
        let same_past = self
            .effects
            .as_ref()
            .is_some_and(|learned| ended(&learned.occurrences, self.fed_to) == ended(around.occurrences, by));
        if same_past && self.effects.as_ref().is_some_and(|learned| learned.occurrences == around.occurrences)
        {
            return false;
        }
        let values = self.values(series, self.from, by);
        let start = self.from.max(series.start());
        let effects = calendar::learn(
            around.metric,
            &values,
            start,
            self.step,
            self.shape.season,
            around.occurrences,
            around.priors,
        );
        self.effects = Some(Learned { effects, occurrences: around.occurrences.to_vec() });
        !same_past && self.fed_to > self.from
    }

    fn learn_regressors(&mut self, series: &Series, around: &Surroundings<'_>) -> bool {
        let names: Vec<&str> = around.regressors.iter().map(|(regressor, _)| regressor.name).collect();
        let every = self.shape.season.map_or(RELEARN_STEPS, |season| (season / RELEARN_PER_SEASON).max(1));
        let due =
            self.regressors_learned_at.is_none_or(|at| self.step.count(at, series.end()) >= every as i64);
        if self.names == names && (names.is_empty() || !due) {
            return false;
        }
        self.names = names.iter().map(|name| (*name).to_owned()).collect();
        self.regressors_learned_at = Some(series.end());
        let before = std::mem::take(&mut self.regressors);
        if !names.is_empty() {
            let mut values = series.values().to_vec();
            if let Some(learned) = &self.effects {
                learned.effects.subtract(&mut values, series.start());
            }
            let regressors: Vec<Regressor<'_>> =
                around.regressors.iter().map(|(regressor, _)| *regressor).collect();
            self.regressors = covariate::learn(&values, self.shape.season, self.shape.horizon, &regressors);
        }
        self.regressors != before && self.fed_to > self.from
    }

    /// Values of the steps from `from` to `to`.
    fn values(&self, series: &Series, from: Timestamp, to: Timestamp) -> Vec<f64> {
        let index = |at: Timestamp| {
            usize::try_from(self.step.count(series.start(), at)).unwrap_or(0).min(series.values().len())
        };
        let (first, end) = (index(from), index(to));
        series.values().get(first..end.max(first)).unwrap_or_default().to_vec()
    }

    fn feed(&mut self, series: &Series, around: &Surroundings<'_>) {
        let start = self.fed_to.max(series.start());
        self.judged.observe(start, self.step, &self.values(series, start, series.end()));
        let values = self.cleaned(series, start, series.end(), around);
        if let Some(newest) = values.iter().rposition(|value| value.is_finite()) {
            self.observed_to = Some(start.plus_ms(self.step.times(newest + 1)));
        }
        for value in &values {
            self.forecaster.observe(*value);
        }
        self.fed_to = start.plus_ms(self.step.times(values.len()));
    }

    /// Values from `start` to `end` as they are learnt from: without effects, and with gaps while it moved.
    fn cleaned(
        &self,
        series: &Series,
        start: Timestamp,
        end: Timestamp,
        around: &Surroundings<'_>,
    ) -> Vec<f64> {
        let mut values = self.values(series, start, end);
        for moving in around.moves {
            for (index, value) in values.iter_mut().enumerate() {
                let at = start.plus_ms(self.step.times(index));
                if at.plus_ms(self.step.ms()) > moving.from && at < moving.to {
                    *value = f64::NAN;
                }
            }
        }
        if let Some(learned) = &self.effects {
            learned.effects.subtract(&mut values, start);
        }
        self.subtract_regressors(series, start, &mut values, around);
        // A quiet step in an event may be less than its usual effect; what is left of it is nothing, not impossible.
        let (least, most) =
            (self.shape.lowest.unwrap_or(f64::NEG_INFINITY), self.shape.highest.unwrap_or(f64::INFINITY));
        for (cleaned, raw) in values.iter_mut().zip(self.values(series, start, end)) {
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
        let data_age_ms = now.ms_since(observed_to).max(0);
        if data_age_ms > settings.stale_limit_ms {
            return Err(ForecastError::Stale { age_ms: data_age_ms, limit_ms: settings.stale_limit_ms });
        }
        let mut forecast = self.forecaster.outlook(subject, around.metric, self.fed_to, data_age_ms)?;
        forecast.made_at = now;
        forecast.seasons = self.shape.season.map(|season| self.seen as f64 / season.max(1) as f64);
        let (effects, shape) = (self.effects.as_ref().map(|learned| &learned.effects), self.shape);
        if effects.is_some_and(|effects| !effects.is_empty()) || !self.regressors.is_empty() {
            forecast.rewrite((shape.lowest, shape.highest), |index, at, point, band| {
                let (point, band) = self.regressors.add_back(index, around.regressors, point, band);
                match effects {
                    Some(effects) => (effects.add_back(at, point), effects.add_back_band(at, band)),
                    None => (point, band),
                }
            });
        }
        let forecast = forecast.beginning_at(self.step.floor(now)).up_to(settings.horizon);
        self.judged.publish(&forecast);
        Ok(forecast)
    }

    /// How good the forecasts that it gave turned out to be.
    pub fn judged(&self) -> &Judged {
        &self.judged
    }

    /// Events with an effect between `from`, inclusive, and `to`, exclusive.
    pub fn in_force(&self, from: Timestamp, to: Timestamp) -> Vec<InForce> {
        self.effects.as_ref().map(|learned| learned.effects.in_force(from, to)).unwrap_or_default()
    }

    /// What events do to this series; `None` when no event concerns it.
    pub fn effects(&self) -> Option<&Effects> {
        self.effects.as_ref().map(|learned| &learned.effects)
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

    /// Whether a model of this name takes part.
    pub fn has(&self, name: &str) -> bool {
        self.forecaster.has(name)
    }

    /// Lets a model take part that was fitted to [`Self::training`].
    pub fn attach(&mut self, name: &str, model: Box<dyn Fitted>) {
        self.forecaster.attach(name, model);
    }
}
