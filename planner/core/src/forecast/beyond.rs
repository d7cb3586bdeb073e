//! Breaches that are no simple threshold: below instead of above, or against a bound that changes from step to step.
use super::Forecast;
use crate::{time::Timestamp, units::Probability};

/// When the steps of a breach count together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Steps that must be beyond, at least 1.
    pub(crate) steps: usize,
    /// Among so many in a row, at least `steps`.
    pub(crate) of: usize,
    /// Index of the first step that is looked at.
    pub(crate) first: usize,
    /// Index after the last step at which it may begin.
    pub(crate) end: usize,
}

impl Run {
    /// Index of the step at which `steps` of `of` steps begin to be beyond, in a row of `length` steps.
    pub(crate) fn begins(self, length: usize, beyond: impl Fn(usize) -> bool) -> Option<usize> {
        let steps = self.steps.max(1);
        let of = self.of.max(steps);
        let end = self.end.min(length);
        // A window of `of` steps slides over the row; only its first step must be before the end.
        let mut count = (self.first..(self.first + of).min(length)).filter(|at| beyond(*at)).count();
        for start in self.first..end {
            let here = beyond(start);
            if here && count >= steps {
                return Some(start);
            }
            count -= usize::from(here);
            if start + of < length {
                count += usize::from(beyond(start + of));
            }
        }
        None
    }
}

impl Forecast {
    /// Probability of a run from joint paths, given what is beyond at a step, and when it begins in the middle one of
    /// the paths that have one.
    pub(crate) fn run(
        &self,
        run: Run,
        beyond: impl Fn(usize, f64) -> bool,
    ) -> (Probability, Option<Timestamp>) {
        let mut begun = Vec::new();
        let begins = |path: &[f32]| run.begins(path.len(), |at| beyond(at, f64::from(path[at])));
        for path in self.paths.iter() {
            begun.extend(begins(path));
        }
        let probability = self.paths.probability_of(begun.len());
        begun.sort_unstable();
        let middle = begun.get(begun.len() / 2).and_then(|at| self.steps.get(*at)).map(|step| step.at);
        (Probability::new(probability).unwrap_or_default(), middle)
    }
}
