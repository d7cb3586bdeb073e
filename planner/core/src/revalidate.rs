//! A move that was decided a moment ago, judged again just before it begins.
//!
//! It stands when the service that it is for is still at risk, and when it would be decided again, or, since another one
//! may be a little cheaper by now, when it still passes the checker and the twin and still cures that service. A plan that
//! a human approved is judged in the same way, all of its moves together.
use crate::{
    decide::{assess_in, risks},
    ids::ServiceId,
    inputs::Inputs,
    placement::{Placement, place_in, stale},
    plan::{Cause, Move, Plan},
    policy::Mode,
    report::{Refusal, checked},
    twin::MeshModel,
    undo::rested,
};
use std::collections::BTreeSet;

/// Why a move does not stand any more.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Outdated {
    /// The service is well now.
    #[error("no breach of `{0}` is predicted any more")]
    NoBreach(ServiceId),
    /// It would break an invariant or an objective now.
    #[error("{0}")]
    Refused(String),
    /// It would not help enough any more.
    #[error("`{service}` would still reach {expected_ms:.1} ms, the objective is {objective_ms:.1} ms")]
    NoCure {
        /// The service that it is for.
        service: ServiceId,
        /// Its expected latency after the move, in milliseconds.
        expected_ms: f64,
        /// Its objective in milliseconds.
        objective_ms: f64,
    },
}

/// Judges a move on newer inputs, which must not have it in flight. `least` is the mode that the policy of the service at
/// risk must have at least: [`Mode::Approve`] of a move that a human approved, else [`Mode::Auto`].
///
/// # Errors
/// [`Outdated`] with what has changed.
pub fn revalidate(inputs: &Inputs<'_>, planned: &Move, least: Mode) -> Result<(), Outdated> {
    if matches!(planned.reason.cause, Cause::Undo { .. }) {
        // No breach asked for it.
        if let Some(stale) = stale(inputs) {
            return Err(Outdated::Refused(stale.to_string()));
        }
        return stands_alone(&rested(inputs), planned, &[]);
    }
    let mesh = MeshModel::build(inputs);
    let moves = std::slice::from_ref(planned);
    let Again::Otherwise { later } = again(inputs, &mesh, moves, least)? else { return Ok(()) };
    stands_alone(inputs, planned, &later)?;
    cures(&mesh, moves, &later, served_by(planned))
}

/// Judges all moves of a plan on newer inputs, none of which may be in flight. The checker and the twin are not asked:
/// they judge whole plans themselves.
///
/// # Errors
/// [`Outdated`] with what has changed.
pub fn revalidate_plan(inputs: &Inputs<'_>, plan: &Plan, least: Mode) -> Result<(), Outdated> {
    let mesh = MeshModel::build(inputs);
    let Again::Otherwise { later } = again(inputs, &mesh, &plan.moves, least)? else { return Ok(()) };
    served(&plan.moves).into_iter().try_for_each(|service| cures(&mesh, &plan.moves, &later, service))
}

fn served_by(planned: &Move) -> &ServiceId {
    planned.reason.on_behalf_of.as_ref().unwrap_or(&planned.service)
}

fn served(moves: &[Move]) -> BTreeSet<&ServiceId> {
    moves.iter().map(served_by).collect()
}

/// What would be decided now for the services that moves are for.
enum Again {
    /// Those moves.
    Same,
    /// Others.
    Otherwise {
        /// What would follow the moves that are judged. It need not be what was to follow when they were decided.
        later: Vec<Move>,
    },
}

fn again(inputs: &Inputs<'_>, mesh: &MeshModel, moves: &[Move], least: Mode) -> Result<Again, Outdated> {
    let assessments = assess_in(inputs, mesh);
    let served = served(moves);
    let modes = [Mode::Auto, Mode::Approve].into_iter().filter(|mode| *mode >= least);
    let at_risk = modes.flat_map(|mode| risks(inputs, &assessments, mode));
    let at_risk: Vec<_> = at_risk.filter(|risk| served.contains(risk.service)).collect();
    if let Some(well) = served.into_iter().find(|service| at_risk.iter().all(|risk| risk.service != *service))
    {
        return Err(Outdated::NoBreach(well.clone()));
    }
    let placement = place_in(inputs, mesh, &at_risk, &[]);
    let same = |planned: &Move| {
        placement.moves.iter().any(|again| {
            let ends = again.workload == planned.workload
                && again.to == planned.to
                && again.replica == planned.replica;
            ends && again.traffic == planned.traffic && again.shift_to == planned.shift_to
        })
    };
    if moves.iter().all(same) {
        return Ok(Again::Same);
    }
    if let Some((service, why)) = placement.staying.first().filter(|_| placement.moves.is_empty()) {
        return Err(Outdated::Refused(format!("`{service}` would not be moved any more: {why}")));
    }
    let follows = |later: &Move| {
        moves.iter().any(|first| later.workload == first.workload && first.then.contains(&later.replica))
    };
    Ok(Again::Otherwise { later: placement.later.into_iter().filter(follows).collect() })
}

/// Whether the checker and the twin let the move pass by itself, followed by what it cures nobody without.
fn stands_alone(inputs: &Inputs<'_>, planned: &Move, later: &[Move]) -> Result<(), Outdated> {
    let alone = Move { after: Vec::new(), ..planned.clone() };
    let alone = Placement { moves: vec![alone], later: later.to_vec(), ..Placement::default() };
    let refused = |why: String| Outdated::Refused(why);
    let plan = Plan::build(inputs, &alone).map_err(|error| refused(error.to_string()))?;
    let plan = plan.ok_or_else(|| refused("it moves nothing".to_owned()))?;
    let simulated = checked(plan, inputs).map(|_| ());
    simulated.map_err(|why| match why {
        Refusal::Checker(error) => refused(error.to_string()),
        Refusal::Twin(error) => refused(error.to_string()),
        Refusal::Outdated(error) | Refusal::Executor(error) => refused(error),
    })
}

fn cures(mesh: &MeshModel, moves: &[Move], later: &[Move], served: &ServiceId) -> Result<(), Outdated> {
    let Some(service) = mesh.service_ix(served) else { return Ok(()) };
    let Some(objective) = mesh.objective(service) else { return Ok(()) };
    let mut layout = mesh.start();
    for moved in moves.iter().chain(later) {
        if layout.carry_out(moved).is_none() {
            return Ok(());
        }
    }
    let expected_ms = layout.expected_ms(service).unwrap_or(f64::INFINITY);
    let objective_ms = objective.above_ms;
    if expected_ms <= objective_ms {
        return Ok(());
    }
    Err(Outdated::NoCure { service: served.clone(), expected_ms, objective_ms })
}
