//! Counters that only grow, until what counts starts again, and their mean rates step by step.
//!
//! The rule for a reset is that of Prometheus (`extrapolatedRate` in `promql/functions.go`): a value below the one before
//! means that counting began again at 0, so the increase is the value itself. Nothing is extrapolated: an increase
//! counts for exactly the time between the two readings that show it.
use crate::time::{Step, Timestamp};
use std::collections::BTreeMap;

/// How much a counter grew between two readings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Increase {
    /// When it was read before, or began to count.
    pub from: Timestamp,
    /// When it was read; later than `from`.
    pub to: Timestamp,
    /// By how much it grew, 0 or more.
    pub amount: f64,
}

/// The last reading of one counter.
#[derive(Clone, Debug)]
pub struct Counter {
    last: Option<(Timestamp, f64)>,
    max_gap_ms: i64,
}

impl Counter {
    /// A counter that was never read. Readings further apart than `max_gap_ms` tell nothing of the time between.
    pub const fn new(max_gap_ms: i64) -> Self {
        Self { last: None, max_gap_ms }
    }

    /// When it was read last.
    pub fn last_read(&self) -> Option<Timestamp> {
        self.last.map(|(at, _)| at)
    }

    /// Takes a reading; `since` is when the counter began to count, where that is known.
    ///
    /// `None` for the first reading, after a gap, for one that is not a finite number of 0 or more, and for one that is
    /// not newer than the last. A clock that went back by more than the gap begins anew.
    pub fn read(&mut self, since: Option<Timestamp>, at: Timestamp, value: f64) -> Option<Increase> {
        if !value.is_finite() || value < 0.0 {
            return None;
        }
        let near = |from: Timestamp| (1..=self.max_gap_ms).contains(&at.ms_since(from));
        if let Some((last, _)) = self.last
            && at <= last
            && last.ms_since(at) <= self.max_gap_ms
        {
            return None;
        }
        let increase = match (self.last, since) {
            // It began after the last reading: what was counted before its end is lost, what it shows is all since.
            (Some((last, _)), Some(since)) if since > last && near(since) => {
                Some(Increase { from: since, to: at, amount: value })
            }
            (None, Some(since)) if near(since) => Some(Increase { from: since, to: at, amount: value }),
            (Some((last, before)), _) if near(last) => {
                let amount = if value < before { value } else { value - before };
                Some(Increase { from: last, to: at, amount })
            }
            _ => None,
        };
        self.last = Some((at, value));
        increase
    }

    /// Notes an increase that somebody else worked out, as counters of delta temporality do. `None` where
    /// [`Counter::read`] would have none.
    pub fn add(&mut self, from: Timestamp, to: Timestamp, amount: f64) -> Option<Increase> {
        let known = self.last.is_some_and(|(last, _)| to <= last && last.ms_since(to) <= self.max_gap_ms);
        if known || !amount.is_finite() || amount < 0.0 || !(1..=self.max_gap_ms).contains(&to.ms_since(from))
        {
            return None;
        }
        // What overlaps the last one would count the same time twice.
        let from = self.last.map_or(from, |(last, _)| if last < to { from.max(last) } else { from });
        self.last = Some((to, 0.0));
        Some(Increase { from, to, amount })
    }
}

/// What increases say of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepPart {
    /// The increase within the step.
    pub amount: f64,
    /// How much of the step the readings tell of, in milliseconds.
    pub covered_ms: i64,
}

/// Shares out increases to the steps that they lie in, in proportion to the time.
#[derive(Clone, Debug)]
pub struct Steps {
    step: Step,
    open: BTreeMap<Timestamp, StepPart>,
}

impl Steps {
    /// No steps yet.
    pub const fn new(step: Step) -> Self {
        Self { step, open: BTreeMap::new() }
    }

    /// Adds an increase to the steps that it spans.
    pub fn add(&mut self, increase: Increase) {
        let whole_ms = increase.to.ms_since(increase.from);
        let mut start = self.step.floor(increase.from);
        while whole_ms > 0 && start < increase.to {
            let end = start.plus_ms(self.step.ms());
            let within_ms = end.min(increase.to).ms_since(start.max(increase.from));
            let part = self.open.entry(start).or_default();
            part.amount += increase.amount * (within_ms as f64 / whole_ms as f64);
            part.covered_ms += within_ms;
            start = end;
        }
    }

    /// Takes out the steps that ended by `by`, oldest first, each with its start.
    pub fn take(&mut self, by: Timestamp) -> BTreeMap<Timestamp, StepPart> {
        let open = self.open.split_off(&self.step.floor(by));
        std::mem::replace(&mut self.open, open)
    }
}

#[cfg(test)]
mod tests;
