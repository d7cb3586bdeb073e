//! A move that was decided a moment ago, judged again just before it begins.
//!
//! It stands when the service that it is for is still at risk, and when it would be decided again, or, since another one
//! may be a little cheaper by now, when it still passes the checker and the twin and still cures that service.
use crate::{
    decide::{assess_in, risks},
    ids::ServiceId,
    inputs::Inputs,
    placement::{Placement, place_in},
    plan::{Move, Plan},
    policy::Mode,
    report::{Refusal, checked},
    twin::MeshModel,
};

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

/// Judges a move on newer inputs, which must not have it in flight.
///
/// # Errors
/// [`Outdated`] with what has changed.
pub fn revalidate(inputs: &Inputs<'_>, planned: &Move) -> Result<(), Outdated> {
    let served = planned.reason.on_behalf_of.as_ref().unwrap_or(&planned.service);
    let mesh = MeshModel::build(inputs);
    let assessments = assess_in(inputs, &mesh);
    let at_risk: Vec<_> =
        risks(inputs, &assessments, Mode::Auto).into_iter().filter(|risk| risk.service == served).collect();
    if at_risk.is_empty() {
        return Err(Outdated::NoBreach(served.clone()));
    }
    let placement = place_in(inputs, &mesh, &at_risk, &[]);
    let same = |again: &Move| {
        let ends =
            again.workload == planned.workload && again.to == planned.to && again.replica == planned.replica;
        ends && again.traffic == planned.traffic && again.shift_to == planned.shift_to
    };
    if placement.moves.iter().any(same) {
        return Ok(());
    }
    if let Some((_, why)) = placement.staying.first().filter(|_| placement.moves.is_empty()) {
        return Err(Outdated::Refused(format!("`{served}` would not be moved any more: {why}")));
    }
    // What follows it now need not be what was to follow it when it was decided.
    let later: Vec<Move> = placement
        .later
        .into_iter()
        .filter(|later| later.workload == planned.workload && planned.then.contains(&later.replica))
        .collect();
    stands_alone(inputs, planned, &later)?;
    cures(&mesh, planned, &later, served)
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
        Refusal::Executor(error) => refused(error),
    })
}

fn cures(mesh: &MeshModel, planned: &Move, later: &[Move], served: &ServiceId) -> Result<(), Outdated> {
    let Some(service) = mesh.service_ix(served) else { return Ok(()) };
    let Some(objective) = mesh.objective(service) else { return Ok(()) };
    let mut layout = mesh.start();
    for moved in [planned].into_iter().chain(later) {
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
