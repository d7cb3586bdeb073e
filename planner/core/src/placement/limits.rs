//! Which moves begin now, where only so many are allowed at once, and which follow later.
use super::{NothingBecause, space::MeshSpace};
use crate::{
    plan::Move,
    policy::{NotPermitted, permit::Scope, permits},
    twin::ReplicaIx,
};

/// Moves of a layout, now and later.
#[derive(Clone, Debug, Default)]
pub(super) struct Split {
    pub(super) now: Vec<Move>,
    pub(super) later: Vec<Move>,
    /// Why each of the later ones has to wait.
    why: Vec<NotPermitted>,
}

impl Split {
    /// Why a service waits whose moves all come later.
    pub(super) fn why_later(&self, planned: &Move) -> NothingBecause {
        let at = self.later.iter().position(|later| later == planned);
        match at.and_then(|at| self.why.get(at)) {
            Some(NotPermitted::Concurrent { scope: Scope::Planner, limit, .. }) => {
                let (workload, to) = (planned.workload.clone(), planned.to.clone());
                NothingBecause::LimitReached { limit: *limit, workload, to }
            }
            Some(why) => NothingBecause::NotPermitted { why: why.clone() },
            None => NothingBecause::CuredByOthers,
        }
    }
}

/// Takes moves in their order as long as the guard rails allow. A move of a later wave waits for all of the wave before
/// it, so it does not run beside them; it comes later when one that it waits for does.
pub(super) fn split(space: &mut MeshSpace<'_, '_>, in_order: Vec<(usize, Move, ReplicaIx)>) -> Split {
    let mut split = Split::default();
    let mut waves: Vec<usize> = Vec::new();
    let mut complete = 0;
    for (wave, mut planned, unit) in in_order {
        let beside: Vec<Move> =
            split.now.iter().zip(&waves).filter(|(_, at)| **at == wave).map(|(m, _)| m.clone()).collect();
        let Some(policy) = space.known(unit).policy else { continue };
        let (workload, from, to) = (&planned.workload, &planned.from, &planned.to);
        let alone = permits(&space.inputs, policy, workload, from, to, &beside);
        // The budget of a day counts all of them.
        let permitted = alone.and_then(|()| match permits(&space.inputs, policy, workload, from, to, &split.now) {
            Err(NotPermitted::Concurrent { .. }) => Ok(()),
            other => other,
        });
        let waits = wave > complete && !split.later.is_empty();
        match permitted {
            Ok(()) if !waits => {
                let of_before = split.now.iter().zip(&waves).filter(|(_, at)| **at + 1 == wave);
                planned.after = of_before.map(|(before, _)| before.workload.clone()).collect();
                split.now.push(planned);
                waves.push(wave);
                complete = wave;
            }
            refused => {
                let limit = space.inputs.settings.max_concurrent_moves;
                let moves = space.inputs.in_flight.len() + beside.len();
                let waiting = NotPermitted::Concurrent { scope: Scope::Planner, limit, moves };
                split.why.push(refused.err().unwrap_or(waiting));
                split.later.push(planned);
            }
        }
    }
    split
}
