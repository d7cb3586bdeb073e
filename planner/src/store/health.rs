//! Whether appends work, shared between the writer and whoever asks.
use std::sync::{Arc, Mutex, PoisonError};

/// Whether appends work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// The last commit worked.
    Ready,
    /// The last commit failed, and why: nothing is acknowledged until one works again.
    Failing(String),
}

/// The writer's report, read by others.
#[derive(Clone, Debug, Default)]
pub(crate) struct HealthCell(Arc<Mutex<Option<String>>>);

impl HealthCell {
    pub(crate) fn get(&self) -> Health {
        let failure = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failure.clone().map_or(Health::Ready, Health::Failing)
    }

    /// Notes the result of a commit; true when that is a change worth a log line.
    pub(crate) fn set(&self, failure: Option<String>) -> bool {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = *held != failure;
        *held = failure;
        changed
    }
}
