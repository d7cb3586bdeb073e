//! Parts: a replica moves to where not all of its requests have room, and the other replicas take the rest.
use super::permitted;
use crate::{
    ids::ReplicaId,
    inputs::Inputs,
    placement::{Chosen, MeshSpace, Placement, Risk, case::Case, search::Space, space_with, told},
    plan::{Cause, Move, Traffic},
    topology::Replica,
    twin::{MeshModel, NodeIx, ReplicaIx, UPPER},
};

/// Parts of its weight that a replica may keep, in percent, the largest first.
const PARTS: [u32; 3] = [75, 50, 25];

/// Services, replicas of each, and targets that are looked at.
const SERVICES: usize = 16;
const UNITS: usize = 4;
const TARGETS: usize = 8;

/// One way to move a replica.
#[derive(Clone, Copy, Debug)]
struct Way {
    unit: ReplicaIx,
    to: NodeIx,
    part: u32,
}

/// Adds such moves for services that are still at risk with those of the placement; whether there were any.
pub(super) fn add<'a>(
    inputs: &Inputs<'a>,
    mesh: &MeshModel,
    risks: &[Risk<'a>],
    before: &[Move],
    placement: &mut Placement,
) -> bool {
    let open = |risk: &&Risk<'a>| {
        risk.worst_ms().is_some()
            && placement.later.iter().all(|later| later.service != *risk.service)
            && mesh.service_ix(risk.service).is_some_and(|service| mesh.replicas_of(service).count() > 1)
    };
    let moves = placement.moves.len();
    let open: Vec<&Risk<'a>> = risks.iter().filter(open).take(SERVICES).collect();
    let space = |beside: &[Move]| space_with(inputs, mesh, risks, Chosen { before, beside });
    let mut with = None;
    for risk in open {
        let space = with.get_or_insert_with(|| space(&placement.moves));
        if let Some(service) = mesh.service_ix(risk.service) {
            space.ask(service, risk.policy);
        }
        let Ok(case) = Case::new(space, risk) else { continue };
        let cured = case.cured(space).is_some();
        let Some((way, planned)) = (if cured { None } else { best(space, &case, &placement.moves) }) else {
            continue;
        };
        let (rejected, unlisted) = told::rejected(space, way.unit, &case);
        placement.rejected.extend(rejected.into_iter().filter(|refused| refused.node != planned.to));
        placement.unlisted.extend(unlisted);
        placement.staying.retain(|(service, _)| service != risk.service);
        placement.moves.push(planned);
        with = None;
    }
    placement.rejected.sort_by(|a, b| a.workload.cmp(&b.workload).then(a.node.cmp(&b.node)));
    placement.moves.len() > moves
}

/// The way that cures the service and costs least.
fn best(space: &mut MeshSpace<'_, '_>, case: &Case<'_, '_>, chosen: &[Move]) -> Option<(Way, Move)> {
    let own = case.units.iter().filter(|(_, cause)| **cause == Cause::OwnNode).map(|(unit, _)| *unit);
    let units: Vec<ReplicaIx> = own.filter(|unit| leaves_somebody(space, *unit)).take(UNITS).collect();
    let mut best: Option<(f64, Way, Move)> = None;
    for unit in units {
        if chosen.iter().any(|planned| planned.workload == *space.mesh.replica(unit).0) {
            continue;
        }
        for to in space.targets(unit).into_iter().take(TARGETS) {
            for part in PARTS {
                let way = Way { unit, to, part };
                let Some((change, planned)) = tried(space, case, way) else { continue };
                let cheaper = best.as_ref().is_none_or(|(least, ..)| change < *least);
                if cheaper && permitted(space, case.risk, &planned, chosen) {
                    best = Some((change, way, planned));
                }
            }
        }
    }
    best.map(|(_, way, planned)| (way, planned))
}

/// Whether another replica of its workload serves, which can take what is left.
fn leaves_somebody(space: &MeshSpace<'_, '_>, unit: ReplicaIx) -> bool {
    let (workload, own) = space.mesh.replica(unit);
    let replicas = space.inputs.snapshot.workloads.get(workload).map(|described| &described.replicas);
    let serves = |(id, replica): (&ReplicaId, &Replica)| id != own && replica.ready && replica.weight > 0;
    replicas.is_some_and(|replicas| replicas.iter().any(serves))
}

/// The move with what it changes in cost, when it may be, cures the service and pays.
fn tried(space: &mut MeshSpace<'_, '_>, case: &Case<'_, '_>, way: Way) -> Option<(f64, Move)> {
    let Way { unit, to, part } = way;
    let weight = space.weight_of(unit);
    let traffic = Traffic::of_replica(weight, part);
    if traffic.after.target == 0 {
        return None;
    }
    let home = space.home_of(unit);
    let others: Vec<NodeIx> = space
        .mesh
        .replicas_of(case.service)
        .filter(|other| *other != unit)
        .map(|other| space.evaluation().node_of(other))
        .collect();
    let (before, staying) = (space.swayed(), space.money(unit, home));
    space.evaluation.weigh(unit, f64::from(traffic.after.target));
    let mut found = None;
    if space.judge(unit, to).is_ok() {
        let money = space.money(unit, to) - staying;
        space.put(unit, to);
        let bear = others
            .iter()
            .all(|node| space.evaluation().highest_use(*node, UPPER) <= space.most_for(unit, *node));
        if bear && space.allowed() && case.cured(space).is_some() {
            let mut planned = case.planned(space, unit, (home, to), case.expected_ms(space));
            planned.traffic = traffic;
            let change = space.swayed() - before + money + space.disruption_of(&planned);
            found = (change < 0.0).then_some((change, planned));
        }
        space.put(unit, home);
    }
    space.evaluation.weigh(unit, f64::from(weight));
    found
}
