//! How well a model warns of high values: its alarms against what came, and its probabilities against frequencies.
//!
//! An *episode* is an unbroken run of steps above the threshold. An *alarm* is raised before a step when the newest
//! value is not above the threshold and the probability of a breach within the horizon is at least the one asked for.
//! It stands until its horizon is over; alarms that are raised meanwhile belong to it and prolong it, since nobody would
//! be called twice. An episode is warned of when an alarm was raised within one horizon before its first step, and an
//! alarm is true when some value was above the threshold while it stood.
//!
//! An alarm that is prolonged for long is easily true. So alarms are also counted as *claims*: one that stands for one
//! horizon and no longer, after which the next one is a claim of its own.
use super::{replay::Replay, score, task::Task};

/// Bins of the table of probabilities against frequencies.
const BINS: usize = 10;

/// What was counted on one series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Warnings {
    /// Episodes that began within the part that is looked at.
    pub episodes: usize,
    /// Of those, the ones that were warned of.
    pub warned: usize,
    /// Steps from the newest value at the first alarm to the first step of each episode that was warned of; at least 1.
    pub leads: Vec<usize>,
    /// Alarms.
    pub alarms: usize,
    /// Of those, the true ones.
    pub true_alarms: usize,
    /// Claims.
    pub claims: usize,
    /// Of those, the true ones.
    pub true_claims: usize,
    /// Length of the part that is looked at, in days.
    pub days: f64,
    /// Probabilities with what came.
    pub calibration: Calibration,
}

/// Probabilities against what came.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    /// For each bin: forecasts, sum of their probabilities, breaches that came.
    pub bins: [(usize, f64, usize); BINS],
    /// Sum of the squared differences between probability and what came.
    pub squared: f64,
}

impl Warnings {
    /// Counts the alarms of a replay at a probability.
    pub fn new(replay: &Replay, values: &[f64], task: &Task, step_ms: i64, probability: f64) -> Self {
        let above = |at: usize| values.get(at).is_some_and(|value| *value > task.threshold);
        let mut warnings = Self::default();
        let (Some(first), Some(last)) = (task.origins.first(), task.origins.last()) else { return warnings };
        warnings.days = (last - first + task.horizon) as f64 * step_ms as f64 / 86_400_000.0;

        let mut raised = Vec::new();
        for breach in &replay.breaches {
            let window = breach.origin..breach.origin + task.horizon;
            let observed = window.clone().filter(|at| values.get(*at).is_some_and(|v| v.is_finite())).count();
            if 2 * observed >= task.horizon {
                warnings.calibration.add(breach.probability, window.clone().any(above));
            }
            if breach.probability >= probability {
                raised.push(breach.origin);
            }
        }
        warnings.count_episodes(&raised, above, *first, last + task.horizon, task.horizon);
        warnings.count_alarms(&raised, above, task.horizon);
        warnings
    }

    fn count_episodes(
        &mut self,
        raised: &[usize],
        above: impl Fn(usize) -> bool,
        from: usize,
        to: usize,
        horizon: usize,
    ) {
        for begin in (from..to).filter(|at| above(*at) && !above(at - 1)) {
            self.episodes += 1;
            let earliest = raised.iter().find(|origin| (begin + 1).saturating_sub(horizon) <= **origin);
            if let Some(origin) = earliest.filter(|origin| **origin <= begin) {
                self.warned += 1;
                self.leads.push(begin + 1 - origin);
            }
        }
    }

    fn count_alarms(&mut self, raised: &[usize], above: impl Fn(usize) -> bool, horizon: usize) {
        let mut rest = raised.iter().copied().peekable();
        while let Some(begin) = rest.next() {
            let mut end = begin + horizon;
            while let Some(next) = rest.next_if(|next| *next < end) {
                end = next + horizon;
            }
            self.alarms += 1;
            self.true_alarms += usize::from((begin..end).any(&above));
        }
        let mut over = 0;
        for begin in raised {
            if *begin >= over {
                over = begin + horizon;
                self.claims += 1;
                self.true_claims += usize::from((*begin..over).any(&above));
            }
        }
    }

    /// Adds what was counted on another series.
    pub fn add(&mut self, other: &Self) {
        self.episodes += other.episodes;
        self.warned += other.warned;
        self.leads.extend(&other.leads);
        self.alarms += other.alarms;
        self.true_alarms += other.true_alarms;
        self.claims += other.claims;
        self.true_claims += other.true_claims;
        self.days += other.days;
        for (bin, more) in self.calibration.bins.iter_mut().zip(other.calibration.bins) {
            *bin = (bin.0 + more.0, bin.1 + more.1, bin.2 + more.2);
        }
        self.calibration.squared += other.calibration.squared;
    }

    /// Share of episodes that were warned of.
    pub fn recall(&self) -> Option<f64> {
        score::Share { hits: self.warned, count: self.episodes }.get()
    }

    /// Share of alarms that were true.
    pub fn precision(&self) -> Option<f64> {
        score::Share { hits: self.true_alarms, count: self.alarms }.get()
    }

    /// Share of claims that were true.
    pub fn claim_precision(&self) -> Option<f64> {
        score::Share { hits: self.true_claims, count: self.claims }.get()
    }

    /// False claims for each day of a series.
    pub fn false_claims_per_day(&self) -> Option<f64> {
        (self.days > 0.0).then(|| (self.claims - self.true_claims) as f64 / self.days)
    }

    /// Median of the leads, in steps.
    pub fn median_lead_steps(&self) -> Option<f64> {
        score::median(self.leads.iter().map(|lead| *lead as f64))
    }

    /// False alarms for each day of a series.
    pub fn false_alarms_per_day(&self) -> Option<f64> {
        (self.days > 0.0).then(|| (self.alarms - self.true_alarms) as f64 / self.days)
    }
}

impl Calibration {
    fn add(&mut self, probability: f64, came: bool) {
        let probability = probability.clamp(0.0, 1.0);
        let bin = &mut self.bins[((probability * BINS as f64) as usize).min(BINS - 1)];
        *bin = (bin.0 + 1, bin.1 + probability, bin.2 + usize::from(came));
        self.squared += (probability - f64::from(u8::from(came))).powi(2);
    }

    /// Probabilities that were compared.
    pub fn count(&self) -> usize {
        self.bins.iter().map(|bin| bin.0).sum()
    }

    /// Mean squared difference (Brier 1950).
    pub fn brier(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.squared / self.count() as f64)
    }

    /// Brier score of always saying how often it came: what a model without skill gets.
    pub fn brier_of_base_rate(&self) -> Option<f64> {
        let came: usize = self.bins.iter().map(|bin| bin.2).sum();
        let rate = score::Share { hits: came, count: self.count() }.get()?;
        Some(rate * (1.0 - rate))
    }

    /// Mean distance of probability and frequency over the bins, weighted by their forecasts.
    pub fn expected_error(&self) -> Option<f64> {
        let sum: f64 = self.bins.iter().map(|(_, said, came)| (said - *came as f64).abs()).sum();
        (self.count() > 0).then(|| sum / self.count() as f64)
    }
}

#[cfg(test)]
mod tests;
