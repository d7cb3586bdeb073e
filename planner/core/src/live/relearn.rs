//! Learning anew what events and regressors do, which replays the history: dear enough that somebody has to spread it.
use super::{LiveSeries, Surroundings};
use crate::series::Series;

/// CPU time of one step that is replayed, in microseconds, and of learning what events do there.
const REPLAYED_STEP_US: f64 = 12.0;

impl LiveSeries {
    /// [`Self::advance`] that puts off what would replay the history: known effects stay as they are, and
    /// [`Self::relearning_waits`] says so until [`Self::advance`] is called. What begins anew for other reasons, such as a
    /// move, is not put off.
    pub fn advance_only(&mut self, series: &Series, around: &Surroundings<'_>) {
        self.take_in(series, around, false);
    }

    /// Whether events or regressors are to be learned again.
    pub fn relearning_waits(&self) -> bool {
        self.events.wait() || self.regressors_wait
    }

    /// Expected CPU time of learning again, in microseconds.
    pub fn relearning_cost_us(&self) -> f64 {
        let steps = self.step.count(self.from, self.fed_to).max(0).unsigned_abs();
        REPLAYED_STEP_US * steps.min(self.seen as u64) as f64
    }

    /// Begins again at the first step that may be learnt from. Attached models stay: their own past is a little off where
    /// an event was, until they are fitted again, but they need not prove themselves twice.
    pub(super) fn replay(&mut self, series: &Series, around: &Surroundings<'_>) {
        let (fed_to, first) = (self.fed_to, self.from.max(series.start()));
        let carried = self.forecaster.take_experts();
        self.rebuild(first);
        self.feed(series, around);
        let missed = self.cleaned(series, fed_to, self.fed_to.max(fed_to), around);
        self.forecaster.carry_on(carried, &missed);
    }
}
