//! Traffic that goes elsewhere without a replica, or with only a part of it.
//!
//! Where a service has several replicas and the platform can weigh them, a hot node is relieved the soonest by giving the
//! replica on it fewer requests: nothing is started, nothing gets cold, and the way back is as short. A *shift* takes a
//! part of one replica's weight to another one that runs already. And where no node has room for a whole replica, one may
//! have room for it with a *part* of its requests, when the other replicas can take the rest.
//!
//! Three ways are compared by how many services they leave at risk, and then by cost: whole replicas alone, shifts first
//! and whole replicas for the rest; what is left after the better one may still be cured by a part.
mod parts;
mod shifts;
mod weighed;

use super::{Chosen, MeshSpace, Placement, Risk, place_replicas};
use crate::{inputs::Inputs, plan::Move, policy::permits, twin::MeshModel};
use weighed::Weighed;

/// The better of what was found with whole replicas alone and what is found with weights.
pub(super) fn place<'a>(
    inputs: &Inputs<'a>,
    mesh: &MeshModel,
    risks: &[Risk<'a>],
    before: &[Move],
    whole: Placement,
) -> Placement {
    let shifted = shifts::shifts(inputs, mesh, risks, before);
    let mut chosen = whole;
    if !shifted.moves.is_empty() {
        let rest: Vec<Risk<'a>> =
            risks.iter().filter(|risk| !shifted.cured.contains(risk.service)).cloned().collect();
        let mut with = place_replicas(inputs, mesh, &rest, Chosen { before, beside: &shifted.moves });
        with.staying.extend(shifted.staying);
        with.moves.splice(0..0, shifted.moves);
        let scored = |placement: &Placement| Weighed::of(inputs, mesh, risks, before, &placement.moves);
        let scored_with = scored(&with);
        if scored_with.beats(&scored(&chosen)) {
            chosen = told(&scored_with, with);
        }
    }
    if parts::add(inputs, mesh, risks, before, &mut chosen) {
        return told(&Weighed::of(inputs, mesh, risks, before, &chosen.moves), chosen);
    }
    chosen
}

/// Costs and effects told anew, against doing nothing at all.
fn told(weighed: &Weighed<'_, '_>, mut placement: Placement) -> Placement {
    placement.costs = Some(weighed.costs());
    let effects = weighed.effects(placement.moves.iter().map(|planned| &planned.service));
    placement.effects.retain(|old| effects.iter().all(|new| new.service != old.service));
    placement.effects.extend(effects);
    placement.effects.sort_by(|a, b| a.service.cmp(&b.service));
    placement.staying.sort_by(|a, b| a.0.cmp(&b.0));
    placement
}

/// Whether the guard rails let it begin beside what was chosen.
fn permitted(space: &MeshSpace<'_, '_>, risk: &Risk<'_>, planned: &Move, chosen: &[Move]) -> bool {
    let inputs = &space.inputs;
    let full = inputs.in_flight.len() + chosen.len() >= inputs.settings.max_concurrent_moves;
    let ends = (&planned.workload, &planned.replica);
    !full && permits(inputs, risk.policy, ends, &planned.from, &planned.to, chosen).is_ok()
}
