//! What is usual at this time of the season: a robust profile over the last seasons.
use super::{
    median_last_hour::median,
    model::{Cost, Family, Fitted, History, Model, ModelError, Prediction},
};

/// The median over the same slot, and its neighbours where a season has many, of the last seasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotProfile;

/// Seasons that are looked back: a week of days.
const SEASONS: usize = 7;

/// A season with more steps than this is smoothed over neighbouring slots: 5-minute and 1-minute steps of a day.
const FINE: usize = 100;

/// Neighbours on either side of a fine slot.
const NEIGHBOURS: usize = 3;

impl Model for SlotProfile {
    fn name(&self) -> &'static str {
        "slot_profile"
    }

    fn family(&self) -> Family {
        Family::Baseline
    }

    fn cost(&self, observed: usize) -> Cost {
        Cost { fit_us: 0.001 * observed as f64, update_us: 0.01, predict_us: 20.0 }
    }

    fn warm_up(&self, season: Option<usize>, _horizon: usize) -> usize {
        season.unwrap_or(1)
    }

    fn fit(&self, history: &History<'_>) -> Result<Box<dyn Fitted>, ModelError> {
        let season = history.season.filter(|season| *season > 0).ok_or(ModelError::NoSeason)?;
        let mut fitted = Slots {
            season,
            neighbours: if season > FINE { NEIGHBOURS } else { 0 },
            past: vec![f64::NAN; season * SEASONS],
            next: 0,
        };
        for value in history.values {
            fitted.update(*value, &[]);
        }
        let have = fitted.past.iter().filter(|value| value.is_finite()).count();
        if have == 0 {
            return Err(ModelError::NotEnoughHistory { have, need: season });
        }
        Ok(Box::new(fitted))
    }
}

/// The values of the last seasons, as a ring.
#[derive(Debug)]
struct Slots {
    season: usize,
    neighbours: usize,
    past: Vec<f64>,
    /// Place in the ring of the step after the newest.
    next: usize,
}

impl Slots {
    /// What is usual so many steps after the newest one.
    fn usual(&self, ahead: usize) -> f64 {
        let mut found = [0.0; SEASONS * (2 * NEIGHBOURS + 1)];
        let mut count = 0;
        let length = self.past.len();
        for back in 1..=SEASONS {
            // The ring is a whole number of seasons long, so that the oldest season takes the place of the next one.
            let slot = self.next + ahead % self.season + length - (back * self.season) % length;
            for neighbour in 0..=2 * self.neighbours {
                let value = self.past[(slot + neighbour + length - self.neighbours) % length];
                if value.is_finite() {
                    found[count] = value;
                    count += 1;
                }
            }
        }
        median(&mut found[..count])
    }
}

impl Fitted for Slots {
    fn update(&mut self, value: f64, _covariates: &[f64]) {
        self.past[self.next] = value;
        self.next = (self.next + 1) % self.past.len();
    }

    fn predict(&mut self, _future: &[&[f64]], out: &mut [Prediction]) {
        for (ahead, prediction) in out.iter_mut().enumerate() {
            *prediction = Prediction { point: self.usual(ahead), quantiles: None };
        }
    }
}
