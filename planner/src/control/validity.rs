//! Whether a plan still holds just before it is acted on, judged on the newest pass.
use crate::rollout::Validator;
use async_trait::async_trait;
use foremesh_core::{
    inputs::{Inputs, OwnedInputs},
    policy::Mode,
    revalidate::revalidate,
    rollout::{RolloutRecord, Validity},
};
use std::sync::{Arc, Mutex, PoisonError};

/// The inputs of the newest pass, shared between the loop that makes them and the rollouts that ask.
#[derive(Debug, Default)]
pub struct LatestInputs(Mutex<Option<Arc<OwnedInputs>>>);

impl LatestInputs {
    /// Takes the inputs of a new pass.
    pub fn replace(&self, inputs: Arc<OwnedInputs>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(inputs);
    }

    /// The inputs of the newest pass.
    pub fn get(&self) -> Option<Arc<OwnedInputs>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Validator for LatestInputs {
    /// Whether the move would be decided again now, with its own load not counted twice and with the time that is
    /// left. `None` while no pass was made since the move was decided.
    async fn validate(&self, record: &RolloutRecord) -> Option<Validity> {
        let inputs = self.get()?;
        // A trial loads the nodes, so what was seen before its end says nothing of them.
        let tried_at = record.trial.report().map_or(record.entered_at, |report| report.at);
        (inputs.now > record.entered_at.max(tried_at)).then(|| judge(&inputs, record))
    }
}

fn judge(inputs: &OwnedInputs, record: &RolloutRecord) -> Validity {
    let wanted = &record.relocation;
    let in_flight: Vec<_> =
        inputs.in_flight.iter().filter(|moving| moving.workload != wanted.workload).cloned().collect();
    let mut durations = inputs.move_duration_ms.clone();
    let planned = inputs.borrow().duration_of(&wanted.workload);
    let left = planned.saturating_sub(inputs.now.ms_since(record.entered_at)).max(0);
    durations.insert(wanted.workload.clone(), left);
    let now = Inputs { in_flight: &in_flight, move_duration_ms: &durations, ..inputs.borrow() };

    // What a human approved, policies need not be allowed to do by themselves.
    let least = if record.approval.is_some() { Mode::Approve } else { Mode::Auto };
    match revalidate(&now, wanted, least) {
        Ok(()) => Validity::Holds,
        Err(why) => Validity::Changed(why.to_string()),
    }
}
