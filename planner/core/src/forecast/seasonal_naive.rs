//! The same step of the last season.
use super::{Fitted, Model};

/// Repeats the last season; a gap in it is filled by the season before, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeasonalNaive {
    season: usize,
}

impl SeasonalNaive {
    /// A season of this many steps; 0 counts as 1.
    pub const fn new(season: usize) -> Self {
        Self { season: if season == 0 { 1 } else { season } }
    }
}

impl Model for SeasonalNaive {
    fn name(&self) -> &'static str {
        "seasonal_naive"
    }

    fn warm_up(&self) -> usize {
        self.season
    }

    fn fit<'h>(&self, history: &'h [f64]) -> Box<dyn Fitted + 'h> {
        Box::new(Repeated { history, season: self.season })
    }
}

struct Repeated<'h> {
    history: &'h [f64],
    season: usize,
}

impl Fitted for Repeated<'_> {
    fn predict(&self, out: &mut [f64]) {
        for (ahead, value) in out.iter_mut().enumerate() {
            // Beyond one season the forecast repeats itself: go back whole seasons until inside the history.
            let back = self.season - ahead % self.season;
            let same_phase = (back..=self.history.len()).step_by(self.season);
            *value = same_phase
                .map(|back| self.history[self.history.len() - back])
                .find(|past| past.is_finite())
                .unwrap_or(f64::NAN);
        }
    }
}
