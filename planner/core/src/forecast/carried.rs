//! Attached models that outlive the forecaster that they were attached to.
use super::{experts::Expert, forecaster::Forecaster};

/// Attached models with their errors, between two forecasters of the same series.
#[derive(Debug)]
pub(crate) struct Carried(Vec<Expert>);

impl Forecaster {
    /// Takes the attached models away that were fitted to the series. Those that can begin anew stay, to live through it
    /// again.
    pub(crate) fn take_experts(&mut self) -> Carried {
        let all = std::mem::take(&mut self.experts);
        let (anew, fitted) = all.into_iter().partition(|expert| expert.anew().is_some());
        self.experts = anew;
        Carried(fitted)
    }

    /// Lets models take part that were taken from another forecaster of the series. They are shown the values that they
    /// `missed`, which end with the newest one, and what they said before is not compared any more.
    pub(crate) fn carry_on(&mut self, carried: Carried, missed: &[f64]) {
        let Some(scale) = self.scale else { return };
        for mut expert in carried.0 {
            for value in missed {
                expert.update(*value, &[]);
            }
            expert.forget_pending();
            // What it says now is said at another count of steps, and on another scale.
            if !expert.predict(self.memory.steps, &scale) {
                self.failures += 1;
            }
            self.experts.push(expert);
        }
        self.refit();
    }
}
