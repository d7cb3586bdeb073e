//! A series: values at fixed steps, with gaps that stay gaps.
use crate::time::{Step, Timestamp};
use serde::{Deserialize, Serialize};

/// Values of one quantity, one for each step from `start` on; a step without data is `NaN`, never a made-up number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    start: Timestamp,
    step: Step,
    values: Vec<f64>,
}

impl Series {
    /// A series whose first value belongs to the step that starts at `start`.
    pub fn new(start: Timestamp, step: Step, values: Vec<f64>) -> Self {
        Self { start: step.floor(start), step, values }
    }

    /// Start of the first step.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// Length of a step.
    pub fn step(&self) -> Step {
        self.step
    }

    /// One value for each step, `NaN` for a gap.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Adds the value of the next step.
    pub fn push(&mut self, value: f64) {
        self.values.push(value);
    }

    /// Adds gaps until there are so many steps.
    pub fn pad(&mut self, steps: usize) {
        self.values.resize(self.values.len().max(steps), f64::NAN);
    }

    /// Start of the first step that is not in the series any more.
    pub fn end(&self) -> Timestamp {
        self.start.plus_ms(self.step.times(self.values.len()))
    }

    /// The steps that have a value, each with its start.
    pub fn measured(&self) -> impl Iterator<Item = (Timestamp, f64)> + '_ {
        let steps = self.values.iter().enumerate().filter(|(_, value)| value.is_finite());
        steps.map(|(place, value)| (self.start.plus_ms(self.step.times(place)), *value))
    }

    /// Steps that have a value.
    pub fn observed(&self) -> usize {
        self.values.iter().filter(|v| v.is_finite()).count()
    }
}
