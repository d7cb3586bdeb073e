//! The streaming forecaster of one series: it takes a value at each step and can say at any time what comes next.
//!
//! Everything it knows fits into about 12 KB: the last season in 16-bit steps, levels, a profile, the normal matrices of
//! a direct ridge, the errors of every candidate, and past forecasts as joint error paths. A step costs microseconds
//! and allocates nothing.
use super::{
    calibration::Calibration,
    candidates::{CANDIDATES, NAMES, REFERENCE},
    drift::Drift,
    experts::Expert,
    memory::Memory,
    model::{Contribution, Fitted},
    paths::{KNOTS, Paths, knots},
    restrict::Chosen,
    ridge::gram::{Gram, PLAIN, SEASONAL},
    scale::{Code, GAP, Scale},
    tracker::Tracker,
    weights::Errors,
};
use crate::{forecast::LEVELS, time::Step};

/// What is known of a series before its first value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Length of a step.
    pub step: Step,
    /// Length of the season in steps; `None` when none is expected. It counts once more than a season was seen.
    pub season: Option<usize>,
    /// Steps ahead, at least 1.
    pub horizon: usize,
    /// Values below this cannot happen and count as gaps.
    pub lowest: Option<f64>,
    /// Values above this cannot happen and count as this; 1 for a share.
    pub highest: Option<f64>,
}

/// Observed steps before anything is said: from fewer not even a spread can be told.
pub const NEED: usize = 3;

/// Observed steps after which the scale is looked at for the first time; each next time after so many times as many.
pub(super) const FIRST_SCALE: u64 = 12;

/// After an intervention bands are this much wider for [`UNSURE_MS`].
pub(super) const UNSURE: f32 = 2.0;

/// An hour.
const UNSURE_MS: i64 = 3_600_000;

/// Columns of a pending row: the candidates, the combination, and the storm factor.
pub(super) const COLUMNS: usize = CANDIDATES + 2;

/// Claims on the highest value of the next horizon, by which breach probabilities are calibrated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) origin: u64,
    pub(super) limits: [f32; 4],
    pub(super) claimed: [f32; 4],
}

/// The state of one series.
#[derive(Debug)]
pub struct Forecaster {
    pub(super) shape: Shape,
    pub(super) knots: [usize; KNOTS],
    /// Values before the scale is known.
    pub(super) start: Vec<f64>,
    pub(super) scale: Option<Scale>,
    /// Scale of the series that this one started like.
    pub(super) like: Option<Scale>,
    pub(super) memory: Memory,
    pub(super) grams: [Gram; KNOTS],
    /// For each knot a ring of as many rows as its distance, each with [`COLUMNS`].
    pub(super) pending: Box<[Code]>,
    pub(super) errors: [Errors; KNOTS],
    pub(super) weights: [[f32; CANDIDATES]; KNOTS],
    pub(super) trackers: [Tracker; KNOTS],
    /// Bands of a like series, until own errors are enough.
    pub(super) prior: Option<Box<[[f32; LEVELS.len()]; KNOTS]>>,
    pub(super) paths: Paths,
    pub(super) claim: Option<Claim>,
    pub(super) calibration: Calibration,
    /// Typical one-step error lately, and over a longer time, in model scale.
    pub(super) spread: f32,
    pub(super) calm: f32,
    /// Typical change from value to value, in model scale.
    pub(super) rough: f32,
    pub(super) drift: Drift,
    pub(super) lowest: f64,
    pub(super) highest: f64,
    /// Range of the series that this one started like; 0 without one.
    pub(super) like_range: f64,
    pub(super) next_scale: u64,
    /// The next value is the new level.
    pub(super) reseeding: bool,
    /// Index of the step up to which bands are wider.
    pub(super) unsure_until: u64,
    pub(super) experts: Vec<Expert>,
    pub(super) chosen: Chosen,
    pub(super) failures: u64,
}

impl Forecaster {
    /// Knows nothing yet.
    pub fn new(shape: Shape) -> Self {
        let shape = Shape { horizon: shape.horizon.max(1), ..shape };
        let knots = knots(shape.horizon);
        let memory = Memory::new(shape.season, shape.horizon);
        let features = if shape.season.is_some_and(|season| season > 1) { SEASONAL } else { PLAIN };
        let paths = Paths::new(memory.kept(), shape.horizon);
        let rows: usize = knots.iter().sum();
        let mut weights = [[0.0; CANDIDATES]; KNOTS];
        for weights in &mut weights {
            weights[REFERENCE] = 1.0;
        }
        Self {
            shape,
            knots,
            start: Vec::new(),
            scale: None,
            like: None,
            memory,
            grams: std::array::from_fn(|_| Gram::new(features)),
            pending: vec![GAP; rows * COLUMNS].into_boxed_slice(),
            errors: [Errors::NONE; KNOTS],
            weights,
            trackers: std::array::from_fn(|_| Tracker::new()),
            prior: None,
            paths,
            claim: None,
            calibration: Calibration::NONE,
            spread: 0.0,
            calm: 0.0,
            rough: 0.0,
            drift: Drift::default(),
            lowest: f64::INFINITY,
            highest: f64::NEG_INFINITY,
            like_range: 0.0,
            next_scale: FIRST_SCALE,
            reseeding: false,
            unsure_until: 0,
            experts: Vec::new(),
            chosen: Chosen::default(),
            failures: 0,
        }
    }

    /// Knows nothing of its own yet, but starts with what a like series learnt: the shape of its season, its coefficients,
    /// the merits of the candidates and its bands. One value then is enough for a forecast. The other series must have
    /// the same shape, or nothing is taken over.
    pub fn like(other: &Self, shape: Shape) -> Self {
        /// What is taken over weighs as much as so many rows and errors of its own.
        const ROWS: f32 = 64.0;
        const ERRORS: f32 = 16.0;
        let mut new = Self::new(shape);
        new.chosen.clone_from(&other.chosen);
        let same = other.shape.season == shape.season && other.shape.horizon == shape.horizon;
        let Some(scale) = other.scale.filter(|_| same) else { return new };
        new.like = Some(scale);
        new.like_range = (other.highest - other.lowest).max(0.0).max(other.like_range).min(f64::MAX / 16.0);
        new.grams.clone_from(&other.grams);
        for gram in &mut new.grams {
            let rows = gram.rows();
            gram.decay((ROWS / rows.max(ROWS)).min(1.0));
        }
        new.errors = other.errors;
        for errors in &mut new.errors {
            errors.forget((ERRORS / errors.count.max(ERRORS)).min(1.0));
        }
        new.weights = other.weights;
        new.experts = other.experts.iter().filter_map(Expert::anew).collect();
        let plain = |knot: usize| *other.trackers[knot].plain();
        new.prior = Some(Box::new(std::array::from_fn(plain)));
        new.calibration = other.calibration;
        (new.spread, new.calm, new.rough) = (other.spread, other.calm, other.rough);
        new.memory.borrow_profile(&other.memory);
        new.next_scale = shape.season.unwrap_or(0).max(96) as u64;
        new
    }

    /// What it was made for.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Steps with a value so far.
    pub fn observed(&self) -> usize {
        let started = self.start.iter().filter(|value| value.is_finite()).count();
        started + self.memory.observed as usize
    }

    /// Takes the value of the next step; `NaN` for a gap. A value that cannot be is a gap.
    pub fn observe(&mut self, value: f64) {
        self.observe_beside(value, &[]);
    }

    /// The same, with what else was measured in that step, for attached models that read it.
    pub fn observe_beside(&mut self, value: f64, beside: &[f64]) {
        let possible = value.is_finite() && self.shape.lowest.is_none_or(|lowest| value >= lowest);
        // A share a little above 1 is one that was rounded.
        let value = self.shape.highest.map_or(value, |highest| value.min(highest));
        let value = if possible { value } else { f64::NAN };
        if possible {
            self.lowest = self.lowest.min(value);
            self.highest = self.highest.max(value);
        }
        for expert in &mut self.experts {
            expert.update(value, beside);
        }
        if self.scale.is_some() {
            self.step(value);
            if self.memory.observed >= self.next_scale {
                self.look_at_scale();
            }
        } else if possible || !self.start.is_empty() {
            self.start_with(value);
        } else {
            self.memory.skip(1);
        }
    }

    /// Passes over so many steps without a value, at a cost that does not grow with their number.
    pub fn skip(&mut self, steps: u64) {
        if self.scale.is_none() {
            // Values so long ago say nothing together with those to come.
            if steps > super::memory::BRIDGED {
                self.memory.skip(self.start.len() as u64);
                self.start.clear();
                self.memory.skip(steps);
                self.experts.iter_mut().for_each(|expert| expert.skip(steps));
            } else {
                (0..steps).for_each(|_| self.observe(f64::NAN));
            }
            return;
        }
        if steps <= self.shape.horizon as u64 {
            (0..steps).for_each(|_| self.observe(f64::NAN));
            return;
        }
        self.memory.skip(steps);
        self.pending.fill(GAP);
        self.claim = None;
        if steps > self.memory.kept() as u64 {
            // Whoever attached them knows how to fit them to what comes after such a silence.
            self.experts.clear();
        }
        for expert in &mut self.experts {
            expert.forget_pending();
            expert.skip(steps);
        }
    }

    /// An intervention, such as one of our own moves, a restart or a change of scale: the next value is the new level.
    /// Seasons and everything learnt stay, moved to that level; bands are twice as wide for an hour. Pass gaps for the
    /// steps of the transition itself, so that nothing is learnt from them.
    pub fn reseed(&mut self) {
        if self.scale.is_some() {
            self.reseeding = true;
            self.be_unsure();
        }
    }

    /// Widens the bands for a while, since something has changed that is not in the values yet.
    pub(crate) fn be_unsure(&mut self) {
        // An hour of the usual day, and as much of a shorter one.
        let of_day = self.shape.season.map_or(u64::MAX, |season| (season as u64 / 24).max(4));
        let hour = (UNSURE_MS / self.shape.step.ms()).max(1) as u64;
        self.unsure_until = self.memory.steps + hour.min(of_day);
    }

    /// Lets a model take part that somebody else fitted to this series up to its newest value, and who will fit it again
    /// when it is due. Its weight comes from its own errors, so that it counts only after a horizon. A model of the same
    /// name is replaced and keeps its errors.
    pub fn attach(&mut self, name: &str, model: Box<dyn Fitted>) {
        match self.experts.iter_mut().find(|expert| expert.name == name) {
            Some(expert) => expert.replace(model),
            None => self.experts.push(Expert::new(name.to_owned(), model, self.shape.horizon)),
        }
    }

    /// Lets a model take part no more, and forgets what it got right.
    pub fn detach(&mut self, name: &str) {
        let before = self.experts.len();
        self.experts.retain(|expert| expert.name != name);
        if self.experts.len() < before {
            self.refit();
        }
    }

    /// Bytes of the model of this name, if one was attached.
    pub fn attached_bytes(&self, name: &str) -> Option<usize> {
        self.experts.iter().find(|expert| expert.name == name).map(Expert::bytes)
    }

    /// Whether a model of this name was attached.
    pub fn has(&self, name: &str) -> bool {
        self.experts.iter().any(|expert| expert.name == name)
    }

    /// Predictions of attached models that were no numbers. The series was forecast by the others.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Changes of the series that shortened its memory so far.
    pub fn drifts(&self) -> u32 {
        self.drift.called
    }

    /// Lowest and highest value so far; `None` before the first.
    pub fn range(&self) -> Option<(f64, f64)> {
        (self.lowest <= self.highest).then_some((self.lowest, self.highest))
    }

    /// Bytes of its state, attached models not counted.
    pub fn bytes(&self) -> usize {
        let grams: usize = self.grams.iter().map(Gram::bytes).sum();
        size_of::<Self>()
            + self.memory.bytes()
            + self.paths.bytes()
            + grams
            + size_of_val(&*self.pending)
            + self.start.capacity() * size_of::<f64>()
            + self.prior.as_ref().map_or(0, |prior| size_of_val(&**prior))
    }

    /// What the forecast is made of: for each part of the horizon the models in use, heaviest first.
    pub fn contributions(&self) -> Vec<Contribution> {
        let unit = self.scale.map_or(1.0, |scale| scale.unit);
        let mut all = Vec::new();
        let mut first = 0;
        for (knot, end) in self.knots.into_iter().enumerate() {
            if end <= first {
                continue;
            }
            let typical = f64::from(self.errors[knot].typical()) * unit;
            let ratios = self.errors[knot].ratios();
            let mut part: Vec<Contribution> = (0..CANDIDATES)
                .map(|index| Contribution {
                    first,
                    end,
                    model: NAMES[index].to_owned(),
                    weight: f64::from(self.weights[knot][index]),
                    mae: if ratios[index].is_finite() { typical * f64::from(ratios[index]) } else { 0.0 },
                    errors: self.errors[knot].count.round() as usize,
                })
                .collect();
            part.extend(self.experts.iter().map(|expert| Contribution {
                first,
                end,
                model: expert.name.clone(),
                weight: f64::from(expert.weights[knot]),
                mae: typical * f64::from(expert.ratio(&self.errors[knot], knot)),
                errors: expert.counts[knot].round() as usize,
            }));
            part.retain(|contribution| contribution.weight > 0.0);
            part.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| a.model.cmp(&b.model)));
            all.extend(part);
            first = end;
        }
        all
    }
}
