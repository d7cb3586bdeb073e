//! Forecasting models that are dear to fit or lean on a library, each behind [`foremesh_core::forecast::model::Model`].
//!
//! They are pure as the core is: the same history and seed give the same forecast, bit for bit. They stand in a crate
//! of their own so that the core stays small and what they pull in is built beside it.
mod arima;
#[cfg(test)]
mod bad_data;
mod cholesky;
#[cfg(test)]
mod contract;
mod extra_trees;
mod features;
mod lstm;
mod paths;
mod prophet;
mod residuals;
#[cfg(test)]
mod sample;
use foremesh_core::splitmix;

pub use arima::Arima;
pub use extra_trees::ExtraTrees;
pub use lstm::{Lstm, Network, NetworkError, Progress, TrainingBudget};
pub use prophet::{Growth, Holiday, Mode, Prophet};
pub use splitmix::SplitMix;

use foremesh_core::forecast::model::Model;

/// Every model of this crate, in the order in which reports name them.
pub fn all() -> Vec<Box<dyn Model>> {
    vec![
        Box::new(ExtraTrees::default()),
        Box::new(Arima::default()),
        Box::new(Prophet::default()),
        Box::new(Lstm::alone(1)),
    ]
}
