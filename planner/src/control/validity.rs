//! Whether a plan still holds just before it is acted on, judged on the newest pass.
use crate::rollout::Validator;
use async_trait::async_trait;
use foremesh_core::{
    decide::{assess_services, risks},
    inputs::{Inputs, OwnedInputs},
    placement::place,
    policy::Mode,
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
        (inputs.now > record.entered_at).then(|| judge(&inputs, record))
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

    let assessments = assess_services(&now);
    let at_risk: Vec<_> = risks(&now, &assessments, Mode::Auto)
        .into_iter()
        .filter(|risk| *risk.service == wanted.service)
        .collect();
    if at_risk.is_empty() {
        return Validity::Changed(format!("no breach of `{}` is predicted any more", wanted.service));
    }
    let placement = place(&now, &at_risk, &[]);
    if let Some((_, why)) = placement.staying.first() {
        return Validity::Changed(format!("`{}` would not be moved any more: {why}", wanted.service));
    }
    match placement.moves.first() {
        Some(again) if again.to == wanted.to && again.replica == wanted.replica => Validity::Holds,
        Some(other) => Validity::Changed(format!("`{}` is the better target by now", other.to)),
        None => Validity::Changed(format!("`{}` would not be moved any more", wanted.service)),
    }
}
