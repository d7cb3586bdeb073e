//! Nothing of a move is left.
use super::{At, Mark, Step, TARGET, mark};

/// What comes next until no pod says anything of the move, and it is forgotten.
pub(in crate::relocate) fn release(at: &At<'_>) -> Step {
    for pod in at.seen.live() {
        let location = pod.location.is_some().then_some(None);
        // A target that was left as one of the replicas has its cost from the webhook.
        let cost = (pod.location.as_deref() == Some(TARGET)).then(|| at.usual_cost(pod)).flatten();
        if location.is_some() {
            return Step::Mark(Mark { location, ..cost.unwrap_or_else(|| mark(pod)) });
        }
    }
    Step::Forget
}
