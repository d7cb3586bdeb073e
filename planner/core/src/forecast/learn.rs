//! One step of the streaming forecaster: compare what was said with what came, learn, remember, and say what is next.
use super::{
    candidates::{CANDIDATES, REFERENCE, RIDGE, predictions},
    forecaster::{COLUMNS, Claim, FIRST_SCALE, Forecaster, NEED},
    memory::{SeasonNow, Seasonal},
    paths::{KNOTS, between},
    ridge::features::{base, row},
    scale::{Code, GAP, Scale, decode, encode, units},
    tracker::{ENOUGH, KEPT, storm},
    weights::share,
};

/// Coefficients and weights are renewed every so many steps, and always before a forecast.
const REFIT: u64 = 12;

/// In the beginning they are renewed at every step.
const YOUNG: u64 = 64;

/// Half-life of the ridge: so many seasons, at least so many steps.
const MEMORY_SEASONS: f32 = 6.0;
const MEMORY_STEPS: f32 = 500.0;

/// Errors of the candidates are remembered for about so many targets.
const KEEP: f32 = 1.0 - 1.0 / 100.0;

/// Penalty of the ridge for each row, and at least.
const RIDGE_PENALTY: f32 = 0.000_1;
const RIDGE_LEAST: f32 = 1.0;

/// Errors beyond so many typical ones pull only linearly.
const HUBER: f32 = 1.0;

/// Rows before the ridge says something.
const RIDGE_ROWS: f32 = 6.0;

/// Rates of the spread of one-step errors, fast and slow.
const SPREAD: f32 = 0.06;
const CALM: f32 = 0.01;

/// Changes beyond so many typical ones are clipped where levels and coefficients are learnt.
const OUTLIER: f32 = 20.0;

/// After a drift the ridge keeps this share of its rows' weight. The merits of the candidates are kept: which of them is
/// good at changes is what a drift shows, and forgetting it cost 3 % of the error on 5-minute series.
const DRIFT_KEEP: f32 = 0.3;

/// Scales are renewed when the unit is off by this factor, or the centre by a unit.
const SCALE_OFF: f64 = 1.5;

/// Without a long season, every so many steps at most one error goes into the sample of a band.
const LEAST_SAMPLED: usize = 6;

/// Levels of the highest value of a horizon on which claims are made.
const CLAIMED: [f32; 4] = [0.2, 0.4, 0.6, 0.8];

impl Forecaster {
    /// Collects the first values until a scale can be told.
    pub(super) fn start_with(&mut self, value: f64) {
        self.start.push(value);
        let known = self.start.iter().filter(|value| value.is_finite()).count();
        let own = Scale::of(self.start.iter().copied());
        let (Some(own), true) = (own, known >= NEED || self.like.is_some()) else { return };
        let scale = match self.like {
            // The like series strays by a share of its level, and so may this one.
            Some(like) => {
                let ratio = (own.centre / like.centre).abs();
                let ratio = if ratio.is_finite() && ratio > 0.0 { ratio } else { 1.0 };
                let unit = like.unit * ratio;
                Scale { centre: own.centre, unit: if unit.is_normal() { unit } else { own.unit } }
            }
            None => own,
        };
        self.scale = Some(scale);
        for value in std::mem::take(&mut self.start) {
            self.step(value);
        }
    }

    /// Sets the scale anew when it is off, and lives through the kept history again in the new one.
    pub(super) fn look_at_scale(&mut self) {
        self.next_scale = (self.memory.observed * 4).max(FIRST_SCALE);
        let Some(old) = self.scale else { return };
        let value = |model: f32| if model.is_nan() { f64::NAN } else { old.value(model) };
        let values: Vec<f64> = self.memory.values().map(value).collect();
        let Some(new) = Scale::of(values.iter().copied()) else { return };
        let ratio = new.unit / old.unit;
        let near = (1.0 / SCALE_OFF..SCALE_OFF).contains(&ratio)
            && ((new.centre - old.centre) / old.unit).abs() < 1.0;
        if near {
            return;
        }
        let mut fresh = Self::new(self.shape);
        fresh.scale = Some(new);
        fresh.next_scale = self.next_scale;
        (fresh.lowest, fresh.highest) = (self.lowest, self.highest);
        fresh.calibration = self.calibration;
        fresh.drift = self.drift;
        fresh.chosen = self.chosen.clone();
        fresh.failures = self.failures;
        fresh.memory.start_at(self.memory.steps - values.len() as u64);
        for value in values {
            fresh.step(value);
        }
        fresh.unsure_until = self.unsure_until;
        fresh.experts = std::mem::take(&mut self.experts);
        for expert in &mut fresh.experts {
            expert.forget_pending();
            expert.ahead.fill(f32::NAN);
        }
        *self = fresh;
    }

    pub(super) fn step(&mut self, value: f64) {
        let Some(scale) = self.scale else { return };
        let mut actual = if value.is_finite() { scale.model(value) } else { f32::NAN };
        let mut pull = actual;
        if !actual.is_nan() {
            if self.memory.observed > 0 {
                let gone = self.shape.season.unwrap_or(self.memory.kept() / 2) as u64;
                if self.reseeding || self.memory.silent > gone {
                    self.move_level(value);
                    actual = self.scale.map_or(actual, |scale| scale.model(value));
                    pull = actual;
                }
                let change = actual - self.memory.levels.last;
                let reach = OUTLIER * self.rough.max(0.05);
                if self.memory.observed > FIRST_SCALE {
                    pull = self.memory.levels.last + change.clamp(-reach, reach);
                }
                self.rough += 0.03 * (change.abs().min(reach) - self.rough);
            } else if self.like.is_some() {
                let usual = self.memory.profile_at(self.memory.steps);
                if !usual.is_nan() {
                    self.memory.shift(actual - usual);
                }
            }
            self.reseeding = false;
            self.learn(actual, pull);
        }
        self.memory.observe(actual, pull);
        if self.memory.steps.is_multiple_of(REFIT) || self.memory.observed < YOUNG {
            self.refit();
        }
        self.forget_before_season();
        self.settle_claim();
        self.say();
    }

    /// After an intervention or a long silence: all that is remembered moves to the new level.
    fn move_level(&mut self, value: f64) {
        let usual = self.memory.profile_at(self.memory.steps);
        let old = self.memory.levels.slow;
        // After a short transition the old level is the best guess of what would have been; after a long one it is the
        // time of day, as far as that is known.
        let long = self.memory.silent > self.shape.horizon as u64;
        let expected = if long && !usual.is_nan() { usual } else { old };
        if let Some(scale) = &mut self.scale {
            // Moving the centre moves all that is remembered by the same amount in the unit of the series, so that
            // seasons keep their height.
            let by = value - scale.value(expected);
            let centre = scale.centre + by;
            if centre.is_finite() {
                scale.centre = centre;
            }
        }
        self.memory.restart();
        self.pending.fill(GAP);
        self.claim = None;
        for expert in &mut self.experts {
            expert.forget_pending();
        }
        self.next_scale = self.next_scale.min(self.memory.observed + FIRST_SCALE);
        if self.unsure_until < self.memory.steps {
            // A silence of a season is as good as an intervention.
            self.reseed();
        }
    }

    /// Compares what was said with what came, and takes the rows in whose target it is.
    fn learn(&mut self, actual: f32, pull: f32) {
        let index = self.memory.steps;
        let season = self.shape.season.unwrap_or(0) as f32;
        let growth = (std::f32::consts::LN_2 / (MEMORY_SEASONS * season).max(MEMORY_STEPS)).exp();
        let sampled = self.sampled();
        let actual_units = units(actual);
        let mut reference = [f32::NAN; KNOTS];
        let mut offset = 0;
        for (knot, ahead) in self.knots.into_iter().enumerate() {
            let slot = offset + ((index + 1) as u32 % ahead as u32) as usize * COLUMNS;
            offset += ahead * COLUMNS;
            let Some(origin) = (index + 1).checked_sub(ahead as u64) else { continue };
            let said: &[Code] = &self.pending[slot..slot + COLUMNS];
            let combined = decode(said[CANDIDATES]);
            if !combined.is_nan() {
                let mut errors = [f32::NAN; CANDIDATES];
                for (error, code) in errors.iter_mut().zip(said) {
                    *error =
                        if *code == GAP { f32::NAN } else { (actual_units - units(decode(*code))).abs() };
                }
                let storm_then = decode(said[CANDIDATES + 1]).max(0.01);
                reference[knot] = errors[REFERENCE];
                self.errors[knot].add(&errors, KEEP);
                let error = actual - combined;
                self.trackers[knot].add(error, storm_then, origin.is_multiple_of(sampled));
                if knot == 0 {
                    self.feel(error);
                }
            }
            let levels = self.memory.levels_ago(ahead - 1);
            if !levels.last.is_nan() {
                let seasonal = self.memory.season_now(origin).map(|now| self.memory.season_for(&now, ahead));
                let row = row(&levels, seasonal.as_ref(), self.memory.angle(index));
                self.grams[knot].add(&row, pull - base(&levels), growth, HUBER);
            }
        }
        for expert in &mut self.experts {
            expert.compare(index, actual, &reference, &self.knots, KEEP);
        }
    }

    /// Steps between two errors in the sample of a band: it reaches back over about a season, or over what there is.
    fn sampled(&self) -> u64 {
        let most = (self.shape.season.unwrap_or(0) / KEPT).max(LEAST_SAMPLED) as u64;
        (self.memory.observed / KEPT as u64).min(most).max(1)
    }

    /// Once the season is known the errors from before say nothing about those to come.
    fn forget_before_season(&mut self) {
        let Some(season) = self.shape.season else { return };
        let known = self.memory.begun() + season as u64;
        let enough = ENOUGH as u64 * self.sampled();
        if self.memory.steps == known + self.shape.horizon as u64 + enough {
            self.trackers.iter_mut().for_each(|tracker| tracker.keep_newest(ENOUGH));
            self.paths.forget_before(known);
        }
    }

    /// Follows the spread of one-step errors, and looks for drift.
    fn feel(&mut self, error: f32) {
        let size = error.abs();
        if self.calm == 0.0 {
            (self.spread, self.calm) = (size, size);
        }
        let most = 8.0 * self.spread + 0.02;
        self.spread += SPREAD * (size.min(most) - self.spread);
        let calm = self.calm.max(1e-3);
        self.calm += CALM.max(1.0 / (self.memory.observed as f32 + 1.0)) * (size.min(most) - self.calm);
        if self.memory.observed > YOUNG && self.drift.add(error / (1.25 * calm)) {
            self.grams.iter_mut().for_each(|gram| gram.decay(DRIFT_KEEP));
            self.memory.hurry();
        }
    }

    /// Renews coefficients and weights.
    pub(super) fn refit(&mut self) {
        for gram in &mut self.grams {
            if gram.rows() >= RIDGE_ROWS {
                gram.solve(RIDGE_PENALTY, RIDGE_LEAST);
            }
        }
        self.reweigh();
    }

    fn reweigh(&mut self) {
        self.chosen.fell_back = false;
        for knot in 0..KNOTS {
            let mut ratios = self.errors[knot].ratios();
            if self.experts.is_empty() && self.chosen.all() {
                self.weights[knot] = share(&ratios, &mut []);
                continue;
            }
            let mut of_experts: Vec<f32> =
                self.experts.iter().map(|expert| expert.ratio(&self.errors[knot], knot)).collect();
            if !self.chosen.all() {
                match self.chosen.only(&ratios, &self.experts, &of_experts) {
                    Some(left) => (ratios, of_experts) = left,
                    None => self.chosen.fell_back = true,
                }
            }
            self.weights[knot] = share(&ratios, &mut of_experts);
            for (expert, weight) in self.experts.iter_mut().zip(of_experts) {
                expert.weights[knot] = weight;
            }
        }
    }

    /// What past seasons say about the newest origin.
    pub(super) fn season_now(&self) -> Option<SeasonNow> {
        self.memory.season_now(self.memory.steps)
    }

    /// What each candidate says about a step ahead (from 1).
    pub(super) fn candidates(
        &self,
        now: Option<&SeasonNow>,
        ahead: usize,
        place: (usize, f32),
    ) -> [f32; CANDIDATES] {
        let levels = &self.memory.levels;
        let seasonal: Option<Seasonal> = now.map(|now| self.memory.season_for(now, ahead));
        let row = row(levels, seasonal.as_ref(), self.memory.angle(self.memory.steps + ahead as u64 - 1));
        let (upper, share) = place;
        let of = |knot: usize| {
            let gram = &self.grams[knot];
            if gram.solved() { gram.predict(&row) } else { f32::NAN }
        };
        let mut ridge = of(upper);
        if share > 0.0 {
            ridge += share * (of(upper - 1) - ridge);
        }
        let ridge = (base(levels) + ridge).clamp(-24.0, 24.0);
        let mut all = predictions(levels, seasonal.as_ref(), ahead, ridge);
        all[RIDGE] = ridge;
        all
    }

    /// The combination at a step ahead (from 1).
    pub(super) fn combine(&self, candidates: &[f32; CANDIDATES], ahead: usize, place: (usize, f32)) -> f32 {
        let (upper, share) = place;
        let lower = upper.saturating_sub(1);
        // Between two knots only who counts at both has a say, unless nobody does.
        let (mut sum, mut total, mut rest, mut rest_total) = (0.0, 0.0, 0.0, 0.0);
        let mut take = |high: f32, low: f32, value: f32| {
            let weight = high + share * (low - high);
            if weight > 0.0 && !value.is_nan() {
                rest += weight * value;
                rest_total += weight;
                if share == 0.0 || (high > 0.0 && low > 0.0) {
                    sum += weight * value;
                    total += weight;
                }
            }
        };
        for (index, value) in candidates.iter().enumerate() {
            take(self.weights[upper][index], self.weights[lower][index], *value);
        }
        for expert in &self.experts {
            take(expert.weights[upper], expert.weights[lower], expert.said(self.memory.steps, ahead));
        }
        match (total > 0.0, rest_total > 0.0) {
            (true, _) => sum / total,
            (false, true) => rest / rest_total,
            (false, false) => self.memory.levels.middle,
        }
    }

    /// Writes down what is said now about the knots, to be compared when the values come.
    fn say(&mut self) {
        let (Some(scale), false) = (self.scale, self.memory.levels.last.is_nan()) else { return };
        let origin = self.memory.steps;
        for expert in &mut self.experts {
            if expert.asked(origin) {
                if !expert.predict(origin, &scale) {
                    self.failures += 1;
                }
                expert.remember(origin, &self.knots);
            }
        }
        let now = self.season_now();
        let storm = storm(self.spread);
        let mut points = [0.0; KNOTS];
        let mut offset = 0;
        for (knot, ahead) in self.knots.into_iter().enumerate() {
            let candidates = self.candidates(now.as_ref(), ahead, (knot, 0.0));
            points[knot] = self.combine(&candidates, ahead, (knot, 0.0));
            let slot = offset + (origin as u32 % ahead as u32) as usize * COLUMNS;
            offset += ahead * COLUMNS;
            let said = &mut self.pending[slot..slot + COLUMNS];
            for (code, candidate) in said.iter_mut().zip(&candidates) {
                *code = encode(*candidate);
            }
            said[CANDIDATES] = encode(points[knot]);
            said[CANDIDATES + 1] = encode(storm);
        }
        if self.paths.wanted(origin) {
            self.paths.push(origin, &points, storm);
            self.refresh();
            self.make_claim(&points);
        }
    }

    /// Renews the quantiles of the bands.
    pub(super) fn refresh(&mut self) {
        for (knot, tracker) in self.trackers.iter_mut().enumerate() {
            let prior = self.prior.as_ref().map(|prior| &prior[knot]);
            tracker.refresh(self.spread.max(self.calm).max(0.02), self.knots[knot], prior);
        }
    }

    /// Claims levels of the highest value of the next horizon, from the joint paths.
    fn make_claim(&mut self, points: &[f32; KNOTS]) {
        if self.claim.is_some() {
            return;
        }
        let horizon = self.shape.horizon;
        let storm = storm(self.spread);
        let mut highest = [0.0f32; super::paths::PATHS];
        let mut count = 0;
        for path in self.paths.iter().filter(|path| path.over(&self.memory, horizon)) {
            let mut most = f32::NEG_INFINITY;
            for ahead in 1..=horizon {
                let place = between(&self.knots, ahead);
                let error = self.trackers[place.0].corrected(path.error(&self.memory, ahead, place), storm);
                most = most.max(super::paths::blend(points, place) + error);
            }
            if most.is_finite() {
                highest[count] = most;
                count += 1;
            }
        }
        if count < 16 {
            return;
        }
        let highest = &mut highest[..count];
        highest.sort_unstable_by(f32::total_cmp);
        let limits = CLAIMED.map(|level| highest[((count as f32 * level) as usize).min(count - 1)]);
        let claimed = limits.map(|limit| {
            let above = count - highest.partition_point(|most| *most <= limit);
            (above as f32 + 0.5) / (count as f32 + 1.0)
        });
        self.claim = Some(Claim { origin: self.memory.steps, limits, claimed });
    }

    /// Learns whether a claim came true once its horizon is over.
    fn settle_claim(&mut self) {
        let Some(claim) = self.claim else { return };
        let end = claim.origin + self.shape.horizon as u64;
        if self.memory.steps < end {
            return;
        }
        self.claim = None;
        let most = (claim.origin..end).map(|index| self.memory.at(index)).fold(f32::NEG_INFINITY, f32::max);
        if most.is_finite() {
            for (limit, claimed) in claim.limits.into_iter().zip(claim.claimed) {
                self.calibration.learn(claimed, most > limit);
            }
        }
    }
}
