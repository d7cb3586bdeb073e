//! What would be: other moves, another load, a failed node. The answer comes from the code that plans: the same
//! conditions, the same model of the mesh, the same checker.
mod answer;
mod checked;
mod question;
#[cfg(test)]
mod tests;

pub use answer::{Answer, CostChange, NodeChange, Outlook, Refused, ServiceChange};
pub use question::{AskedMove, Question, QuestionError};

use crate::{
    inputs::OwnedInputs,
    twin::{Evaluation, MeshModel, NodeIx, ReplicaIx, ServiceIx},
};
use question::{Asked, Resolved};
use std::collections::BTreeSet;

/// Answers a question about the mesh as it is in the inputs.
///
/// # Errors
/// [`QuestionError`] when the question names what is not there, or looks too far ahead.
pub fn answer(inputs: &OwnedInputs, question: &Question) -> Result<Answer, QuestionError> {
    let borrowed = inputs.borrow();
    let mesh = MeshModel::build(&borrowed);
    let resolved = Resolved::new(inputs, &mesh, question)?;
    let before = mesh.start();
    let mut changed = mesh.clone();
    changed.scale_load(&resolved.load);
    let mut after = changed.start();
    for Asked { replica, to, .. } in &resolved.moves {
        after.move_replica(*replica, *to);
    }
    let lost = redistribute(&changed, &mut after, &resolved.failed);
    let checked = checked::check(inputs, question, &resolved);
    Ok(answer::compare(inputs, &resolved, (&before, &after), &lost, checked))
}

/// Gives the requests of replicas on failed nodes to the others of their service; names the services of which none is
/// left.
fn redistribute(
    mesh: &MeshModel,
    after: &mut Evaluation<'_>,
    failed: &BTreeSet<NodeIx>,
) -> BTreeSet<ServiceIx> {
    let mut lost = BTreeSet::new();
    if failed.is_empty() {
        return lost;
    }
    for service in 0..mesh.services() {
        let (gone, left): (Vec<ReplicaIx>, Vec<ReplicaIx>) =
            mesh.replicas_of(service).partition(|replica| failed.contains(&after.node_of(*replica)));
        if gone.is_empty() {
            continue;
        }
        if left.is_empty() {
            lost.insert(service);
            continue;
        }
        for replica in gone {
            after.weigh(replica, 0.0);
        }
    }
    lost
}
