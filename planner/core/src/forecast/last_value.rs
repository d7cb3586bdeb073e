//! The newest value, carried on: the model that everything else has to beat.
use super::{Fitted, Model};

/// Carries the newest value forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastValue;

impl Model for LastValue {
    fn name(&self) -> &'static str {
        "last_value"
    }

    fn warm_up(&self) -> usize {
        1
    }

    fn fit<'h>(&self, history: &'h [f64]) -> Box<dyn Fitted + 'h> {
        Box::new(Carried(history.iter().rev().find(|value| value.is_finite()).copied().unwrap_or(f64::NAN)))
    }
}

struct Carried(f64);

impl Fitted for Carried {
    fn predict(&self, out: &mut [f64]) {
        out.fill(self.0);
    }
}
