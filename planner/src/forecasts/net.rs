//! The common net of the LSTM: one for all series, trained now and then on what this planner has observed.
//!
//! Training runs on a thread of its own with the lowest priority, on copies, so that no pass waits for it. Before the
//! first net a series gets an LSTM only where a policy names it, and then one that is trained on that series alone.
mod corpus;
mod file;
#[cfg(test)]
mod tests;
mod training;

pub use corpus::TrainingSeries;
pub use training::{NetState, NetTraining};

use foremesh_core::time::Timestamp;
use std::path::PathBuf;

/// After a training that failed the next one is tried after this share of the usual time.
const RETRIES: i64 = 24;

/// How the net is trained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetSettings {
    /// Where it is kept over restarts.
    pub file: PathBuf,
    /// Time between two trainings, in milliseconds.
    pub train_every_ms: i64,
    /// Windows that one training learns from, at most: 85 µs of CPU time each. 0 trains no net.
    pub windows: usize,
}

impl NetSettings {
    /// Whether it is time to train: the last net is old, or there is none, and the last attempt is some time ago. A time
    /// that has not come yet is one that a wrong clock told.
    fn due(&self, now: Timestamp, trained: Option<Timestamp>, tried: Option<Timestamp>) -> bool {
        let over = |at: Option<Timestamp>, ms: i64| at.is_none_or(|at| now < at || now.ms_since(at) >= ms);
        self.windows > 0
            && over(trained, self.train_every_ms)
            && over(tried, (self.train_every_ms / RETRIES).max(1))
    }
}
