//! The steps that are shown, and vectors that hold one value for each.
use foremesh_core::time::{Step, Timestamp};

/// Histories are cut at the front in pieces of this share of the window, so that a refresh does not move all values
/// for the sake of one step.
const SLACK: usize = 20;

/// Steps that start in `start..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) step: Step,
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
}

impl Window {
    /// The whole steps before `at`, for `keep_ms`.
    pub(super) fn ending(step: Step, at: Timestamp, keep_ms: i64) -> Self {
        let end = step.floor(at);
        Self { step, start: step.floor(end.plus_ms(-keep_ms)), end }
    }

    fn steps(&self, from: Timestamp, to: Timestamp) -> usize {
        usize::try_from(self.step.count(from, to)).unwrap_or(0)
    }

    /// Sets the value of the step that starts at `at`; steps between it and the others get `empty`.
    pub(super) fn set<T: Copy>(
        &self,
        start: &mut Timestamp,
        values: &mut Vec<T>,
        at: Timestamp,
        value: T,
        empty: T,
    ) {
        if at < self.start || at >= self.end {
            return;
        }
        if values.is_empty() {
            *start = at;
            values.reserve_exact(self.steps(at, self.end) + 1);
        }
        if at < *start {
            let missing = self.steps(at, *start);
            values.splice(..0, std::iter::repeat_n(empty, missing));
            *start = at;
        }
        let index = self.steps(*start, at);
        self.grow(values, index + 1, empty);
        if let Some(cell) = values.get_mut(index) {
            *cell = value;
        }
    }

    /// Fills up to the end of the window, and cuts what is before its start once that is worth it.
    pub(super) fn slide<T: Copy>(&self, start: &mut Timestamp, values: &mut Vec<T>, empty: T) {
        if values.is_empty() {
            *start = self.end;
            return;
        }
        let whole = self.steps(self.start, self.end);
        let before = self.steps(*start, self.start).min(values.len());
        if before > whole / SLACK {
            values.drain(..before);
            *start = self.start;
        }
        self.grow(values, self.steps(*start, self.end), empty);
    }

    /// Fills up to so many values. A vector that has to be moved gets room for what comes until it is cut, and no more:
    /// doubling would take twice the memory for ever.
    fn grow<T: Copy>(&self, values: &mut Vec<T>, length: usize, empty: T) {
        if length > values.capacity() {
            let slack = self.steps(self.start, self.end) / SLACK + 1;
            values.reserve_exact(length - values.len() + slack);
        }
        if length > values.len() {
            values.resize(length, empty);
        }
    }

    /// Runs of neighbouring steps within the window, as from and to.
    pub(super) fn runs(&self, starts: impl Iterator<Item = Timestamp>) -> Vec<(Timestamp, Timestamp)> {
        let mut runs: Vec<(Timestamp, Timestamp)> = Vec::new();
        for start in starts.filter(|start| (self.start..self.end).contains(start)) {
            let end = start.plus_ms(self.step.ms());
            match runs.last_mut() {
                Some((_, to)) if *to == start => *to = end,
                _ => runs.push((start, end)),
            }
        }
        runs
    }
}
