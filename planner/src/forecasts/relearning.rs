//! Whose events and regressors are learned again in a pass: an event that concerns thousands of series ends for all of
//! them at once, and each then replays its history.
use super::SeriesId;
use foremesh_core::time::Timestamp;
use std::collections::BTreeMap;

/// Who waits, and what is left of the pass's budget. It is spent by what relearning is said to cost, not by a clock.
#[derive(Debug)]
pub(super) struct Relearning {
    budget_us: f64,
    left_us: f64,
    /// Whether one was learned in this pass; that one is never refused.
    spent: bool,
    since: BTreeMap<SeriesId, Timestamp>,
}

impl Relearning {
    pub(super) fn new(budget_us: f64) -> Self {
        Self { budget_us, left_us: budget_us, spent: false, since: BTreeMap::new() }
    }

    /// Begins a pass over the series for which `there` holds; the others are forgotten.
    pub(super) fn begin_pass(&mut self, there: impl Fn(&SeriesId) -> bool) {
        (self.left_us, self.spent) = (self.budget_us, false);
        self.since.retain(|id, _| there(id));
    }

    /// Notes whether a series waits.
    pub(super) fn note(&mut self, id: &SeriesId, waits: bool, now: Timestamp) {
        if !waits {
            self.since.remove(id);
        } else if !self.since.contains_key(id) {
            self.since.insert(id.clone(), now);
        }
    }

    /// Series that wait.
    pub(super) fn waiting(&self) -> usize {
        self.since.len()
    }

    /// Who is next: most likely to breach an objective, then who has waited longest.
    pub(super) fn in_order(&self, risks: &BTreeMap<SeriesId, f64>) -> Vec<SeriesId> {
        let risk = |id: &SeriesId| risks.get(id).copied().unwrap_or(0.0);
        let mut order: Vec<(&SeriesId, f64, Timestamp)> =
            self.since.iter().map(|(id, since)| (id, risk(id), *since)).collect();
        order.sort_by(|(_, risk_a, since_a), (_, risk_b, since_b)| {
            risk_b.total_cmp(risk_a).then_with(|| since_a.cmp(since_b))
        });
        order.into_iter().map(|(id, ..)| id.clone()).collect()
    }

    /// Whether there is something left to spend this cost from; the first one of a pass may cost more than there is.
    pub(super) fn spend(&mut self, cost_us: f64) -> bool {
        if self.spent && cost_us > self.left_us {
            return false;
        }
        self.spent = true;
        self.left_us -= cost_us;
        true
    }
}
