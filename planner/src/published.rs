//! What the API shows: the newest pass as a whole, so that no answer mixes two passes.
use crate::{forecasts::PassForecasts, silence::SilentProxy};
use foremesh_core::{decide::Decision, inputs::OwnedInputs, report::AuditRecord, time::Timestamp};
use std::sync::{Arc, PoisonError, RwLock};

/// One pass with what it was made from.
#[derive(Debug)]
pub struct View {
    /// When it was made.
    pub at: Timestamp,
    /// Which one it was since the planner started.
    pub pass: u64,
    /// What it looked at.
    pub inputs: Arc<OwnedInputs>,
    /// All forecasts that were made for it.
    pub forecasts: Arc<PassForecasts>,
    /// What it decided.
    pub decision: Decision,
    /// The same, service by service.
    pub records: Vec<AuditRecord>,
    /// Proxies that should report and do not.
    pub silent: Vec<SilentProxy>,
}

/// The newest pass, and the failure after it when there was one.
#[derive(Debug, Default)]
pub struct Published(RwLock<State>);

#[derive(Debug, Default)]
struct State {
    view: Option<Arc<View>>,
    failure: Option<(Timestamp, String)>,
}

impl Published {
    /// Shows a new pass.
    pub fn replace(&self, view: View) {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *state = State { view: Some(Arc::new(view)), failure: None };
    }

    /// Notes that a pass came to no decision; the last good one stays visible, with its age.
    pub fn failed(&self, at: Timestamp, why: String) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).failure = Some((at, why));
    }

    /// The newest pass that came to a decision.
    pub fn view(&self) -> Option<Arc<View>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).view.clone()
    }

    /// Why the newest pass came to no decision, when it did not.
    pub fn failure(&self) -> Option<(Timestamp, String)> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).failure.clone()
    }
}
