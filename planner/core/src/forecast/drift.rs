//! Drift: Page's cumulative sums (1954) of standardised one-step errors, one upwards and one downwards. They stay near
//! zero while errors cancel out, and rise when the forecast lags behind a change for several steps.

/// Errors below this many typical ones, in the same direction, do not add up.
const SLACK: f32 = 0.8;

/// Sum at which a drift is called.
const LIMIT: f32 = 14.0;

/// One error counts for at most so many typical ones, or a single spike would be called a drift.
const MOST: f32 = 4.0;

/// Watches one series.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Drift {
    up: f32,
    down: f32,
    /// Drifts called so far.
    pub(super) called: u32,
}

impl Drift {
    /// Takes a one-step error in typical errors; `true` when a drift is called, which starts the sums again.
    pub(super) fn add(&mut self, error: f32) -> bool {
        let error = error.clamp(-MOST, MOST);
        self.up = (self.up + error - SLACK).max(0.0);
        self.down = (self.down - error - SLACK).max(0.0);
        let drifts = self.up > LIMIT || self.down > LIMIT;
        if drifts {
            (self.up, self.down) = (0.0, 0.0);
            self.called = self.called.saturating_add(1);
        }
        drifts
    }
}
