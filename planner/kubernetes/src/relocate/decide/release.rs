//! Nothing of a move is left.
use super::{At, Change, Mark, Step, TARGET, mark};

/// What comes next until no pod says anything of the move, and it is forgotten.
pub(in crate::relocate) fn release(at: &At<'_>) -> Step {
    let labelled = at.seen.live().find(|pod| pod.location.is_some());
    if let Some(pod) = labelled {
        // A target that was left as one of the replicas has its cost from the webhook.
        let cost = (pod.location.as_deref() == Some(TARGET)).then(|| at.usual_cost(pod)).flatten();
        return Step::Mark(Mark { location: Change::To(None), ..cost.unwrap_or_else(|| mark(pod)) });
    }
    Step::Forget
}
