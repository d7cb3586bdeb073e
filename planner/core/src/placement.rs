//! Which replica goes where, for all services at risk at once.
//!
//! A service is at risk because a node that it depends on will be too full. So its own replicas can be moved, or those
//! of a service that it waits for, or others that live on the hot node: whatever costs least. [`search`] looks for the
//! cheapest layout of the whole mesh in the [`MeshSpace`]; [`accept`] keeps of it what cures somebody by the margins of
//! the policies; [`order`] says what must wait for what. Moves in flight and moves chosen before stand on their targets.
//! Staying is always a candidate, and every service that stays has a reason.
mod accept;
mod case;
pub mod constraint;
mod cost;
pub mod layout;
mod limits;
mod nothing;
mod one_by_one;
mod order;
pub mod search;
mod space;
mod told;
mod traffic;

pub use cost::Cost;
pub use nothing::NothingBecause;
pub use space::{Aim, Chosen, MeshSpace};

use crate::{
    ids::ServiceId,
    inputs::Inputs,
    plan::{Costs, Effect, Move, Rejection, Unlisted},
    policy::{Mode, PredictedLatency, RelocationPolicy, Rule, Trigger},
    time::Timestamp,
    twin::{MeshModel, ReplicaIx, ServiceIx},
};
use case::Case;
use std::cmp::Reverse;

/// Looks that the search takes at most, for each service at risk and in all: a bound on time that does not depend on the
/// machine.
const EFFORT_EACH: usize = 700;
const EFFORT: usize = 250_000;

/// A service that is to be placed anew.
#[derive(Clone, Debug)]
pub struct Risk<'a> {
    /// The service.
    pub service: &'a ServiceId,
    /// The policy whose rule fired.
    pub policy: &'a RelocationPolicy,
    /// That rule.
    pub rule: &'a Rule,
    /// What made it fire: a predicted breach, or a wish to save money.
    pub trigger: Trigger,
    /// The latency that must hold on the target: that of the rule at its own quantile, or of the strictest rule of all
    /// policies that select the service. `None` when no rule looks at latency.
    pub objective: Option<&'a PredictedLatency>,
    /// The model that predicts it.
    pub model: String,
}

impl Risk<'_> {
    /// Start of the predicted breach, if it is one.
    pub fn at(&self) -> Option<Timestamp> {
        self.trigger.breach().map(|breach| breach.at)
    }

    /// Highest predicted latency in milliseconds when nothing is done, if that is what the move is for.
    pub fn worst_ms(&self) -> Option<f64> {
        self.trigger.breach()?.worst_ms()
    }
}

/// Where to put the services at risk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placement {
    /// Moves in the order in which they are made; each says what it waits for.
    pub moves: Vec<Move>,
    /// Moves that belong to them and must wait for another plan, because so many at once are not allowed.
    pub later: Vec<Move>,
    /// What the moves are expected to do, those that follow later included.
    pub effects: Vec<Effect>,
    /// What staying and the moves cost.
    pub costs: Option<Costs>,
    /// Nodes that were refused, for the moves above.
    pub rejected: Vec<Rejection>,
    /// Refused nodes that are not listed.
    pub unlisted: Vec<Unlisted>,
    /// Services at risk that are not moved, and why.
    pub staying: Vec<(ServiceId, NothingBecause)>,
}

/// Chooses moves for the services at risk, or shifts of their traffic where the platform can do that. Equal inputs give equal placements: ties go to the smaller name. `before` are
/// moves that were chosen already: they stand on their targets, and do not count against the limit.
pub fn place<'a>(inputs: &Inputs<'a>, risks: &[Risk<'a>], before: &[Move]) -> Placement {
    place_in(inputs, &MeshModel::build(inputs), risks, before)
}

/// As [`place`], in a mesh that was built from the same inputs.
pub fn place_in<'a>(inputs: &Inputs<'a>, mesh: &MeshModel, risks: &[Risk<'a>], before: &[Move]) -> Placement {
    if risks.is_empty() {
        return Placement::default();
    }
    if let Some(stale) = stale(inputs) {
        let staying = risks.iter().map(|risk| (risk.service.clone(), stale.clone())).collect();
        return Placement { staying, ..Placement::default() };
    }
    let whole = place_replicas(inputs, mesh, risks, Chosen { before, beside: &[] });
    if inputs.snapshot.capabilities.weights {
        return traffic::place(inputs, mesh, risks, before, whole);
    }
    whole
}

/// Why nothing may move, when it is not known well enough what runs where.
pub(crate) fn stale(inputs: &Inputs<'_>) -> Option<NothingBecause> {
    let age_ms = inputs.now.ms_since(inputs.snapshot.taken_at);
    let limit_ms = inputs.settings.snapshot_limit_ms;
    (age_ms > limit_ms || age_ms < -limit_ms).then_some(NothingBecause::SnapshotStale { age_ms, limit_ms })
}

/// Moves of whole replicas, beside what was chosen before.
fn place_replicas<'a>(
    inputs: &Inputs<'a>,
    mesh: &MeshModel,
    risks: &[Risk<'a>],
    chosen: Chosen<'_>,
) -> Placement {
    let mut placement = Placement::default();
    let (mut space, cases) = prepare(inputs, mesh, risks, chosen, &mut placement.staying);
    let effort = EFFORT.min(EFFORT_EACH * cases.len());
    search::search(&mut space, effort);
    accept::keep_cures(&mut space, &cases);
    let promised = chosen.before.iter().chain(chosen.beside);
    let promised: Vec<layout::Step> = promised.filter_map(|m| space.layout.step_of(m)).collect();
    let mut ordered = order::order(&space, &promised);
    while !ordered.stuck.is_empty() {
        for unit in std::mem::take(&mut ordered.stuck) {
            let home = space.home_of(unit);
            search::Space::put(&mut space, unit, home);
        }
        accept::keep_cures(&mut space, &cases);
        ordered = order::order(&space, &promised);
    }
    describe(&mut space, &cases, &ordered, &mut placement);
    placement.staying.sort_by(|a, b| a.0.cmp(&b.0));
    placement
}

/// The space with the services that something can be done for, the weightiest first; the others get their reason.
fn prepare<'r, 'm, 'a>(
    inputs: &Inputs<'a>,
    mesh: &'m MeshModel,
    risks: &'r [Risk<'a>],
    chosen: Chosen<'_>,
    staying: &mut Vec<(ServiceId, NothingBecause)>,
) -> (MeshSpace<'m, 'a>, Vec<Case<'r, 'a>>) {
    let mut space = space_with(inputs, mesh, risks, chosen);
    let mut cases: Vec<Case<'r, 'a>> = Vec::new();
    for risk in risks {
        if let Some(service) = mesh.service_ix(risk.service) {
            space.ask(service, risk.policy);
        }
    }
    for risk in risks {
        match Case::new(&mut space, risk) {
            Ok(case) => cases.push(case),
            Err(why) => staying.push((risk.service.clone(), why)),
        }
    }
    weightiest_first(&space, &mut cases);
    space.set_aims(cases.iter().map(Case::aim).collect());
    space.set_first(cases.iter().flat_map(|case| case.units.keys().copied()).collect());
    (space, cases)
}

/// A mesh with moves that stand already, in which nothing is moved that no policy as far-reaching as those of the risks is
/// about.
fn space_with<'m, 'a>(
    inputs: &Inputs<'a>,
    mesh: &'m MeshModel,
    risks: &[Risk<'a>],
    chosen: Chosen<'_>,
) -> MeshSpace<'m, 'a> {
    let mode = risks.iter().map(|risk| risk.policy.mode).min().unwrap_or(Mode::Auto);
    MeshSpace::new(inputs, mesh, mode, chosen)
}

/// In the order in which services are dealt with: by the priority of their policies, then by what is at stake.
fn weightiest_first(space: &MeshSpace<'_, '_>, cases: &mut [Case<'_, '_>]) {
    cases.sort_by(|a, b| {
        let by_priority = b.risk.policy.priority.cmp(&a.risk.policy.priority);
        let by_weight = b.staying(space).total_cmp(&a.staying(space));
        by_priority
            .then(by_weight)
            .then(a.risk.at().cmp(&b.risk.at()))
            .then(a.risk.service.cmp(b.risk.service))
    });
}

/// The space that [`place`] searches for these risks, before anything is moved: for comparing the search with others.
pub fn space_of<'m, 'a>(inputs: &Inputs<'a>, mesh: &'m MeshModel, risks: &[Risk<'a>]) -> MeshSpace<'m, 'a> {
    prepare(inputs, mesh, risks, Chosen::default(), &mut Vec::new()).0
}

/// Turns a layout into moves with their reasons, and says for every other service why it stays.
fn describe(
    space: &mut MeshSpace<'_, '_>,
    cases: &[Case<'_, '_>],
    ordered: &order::Order,
    placement: &mut Placement,
) {
    let before: Vec<Option<f64>> = space.expected_at_home();
    let before_ms = |service: ServiceIx| before[service];
    let by_gain = order::by_gain(space);
    let mut in_order: Vec<(usize, Move, ReplicaIx)> = Vec::new();
    for (wave, of_wave) in ordered.waves.iter().enumerate() {
        for pair in of_wave {
            if let Some(case) = told::case_of(space, cases, pair.0) {
                in_order.push((wave, told::planned(space, case, *pair, &before_ms), pair.0));
            }
        }
    }
    let rank = |unit: ReplicaIx| by_gain.iter().position(|other| *other == unit);
    let priority = |space: &MeshSpace<'_, '_>, unit: ReplicaIx| {
        told::case_of(space, cases, unit).map_or(0, |case| case.risk.policy.priority)
    };
    in_order.sort_by_cached_key(|(wave, _, unit)| (*wave, Reverse(priority(space, *unit)), rank(*unit)));
    let cured: Vec<bool> = cases.iter().map(|case| case.cured(space).is_some()).collect();
    let mut split = limits::split(space, in_order);
    limits::join(space, cases, &cured, &mut split);
    one_by_one::follow(space, cases, &cured, &mut split);
    limits::leave_no_half(space, cases, &mut split);
    told::reasons_of(space, cases, &mut split.now, &before_ms);
    while limits::keep_permitted(space, cases, &mut split) {
        told::reasons_of(space, cases, &mut split.now, &before_ms);
    }
    let chosen = space.cost();
    let staying = space.staying_cost();
    // What is left of a layout that was allowed need not be allowed itself.
    let allowed = space.allowed() && one_by_one::harmless_alone(space, &split.now);
    if split.now.is_empty() || chosen.total() >= staying.total() || !allowed {
        split.put_off(space);
    } else {
        placement.costs = Some(Costs { staying, chosen });
    }
    let moved = space.moved();
    let mut concerned: Vec<ServiceIx> = moved.iter().map(|(unit, _)| space.service_of(*unit)).collect();
    if !moved.is_empty() {
        concerned.extend(cases.iter().map(|case| case.service));
    }
    concerned.sort_unstable();
    concerned.dedup();
    placement.effects = told::effects(&concerned, space.evaluation(), &space.at_home());
    let follows: Vec<ReplicaIx> =
        split.now.iter().flat_map(|planned| one_by_one::followers(space, planned)).collect();
    for (unit, _) in moved.iter().filter(|(unit, _)| !follows.contains(unit)) {
        if let Some(case) = told::case_of(space, cases, *unit) {
            let (rejected, unlisted) = told::rejected(space, *unit, case);
            placement.rejected.extend(rejected);
            placement.unlisted.extend(unlisted);
        }
    }
    reasons(space, (cases, &cured), &split, placement);
    (placement.moves, placement.later) = (split.now, split.later);
    placement.rejected.sort_by(|a, b| a.workload.cmp(&b.workload).then(a.node.cmp(&b.node)));
}

/// Why each service at risk stays that does not move itself.
fn reasons(
    space: &mut MeshSpace<'_, '_>,
    (cases, in_the_end): (&[Case<'_, '_>], &[bool]),
    split: &limits::Split,
    placement: &mut Placement,
) {
    let mut uncured = Vec::new();
    for (case, cured) in cases.iter().zip(in_the_end) {
        let service = case.risk.service;
        if split.now.iter().any(|planned| planned.service == *service) {
            continue;
        }
        let now = case.cured(space).is_some();
        let because = if now && let Some(planned) = limits::serving(space, case, &split.now) {
            NothingBecause::CuredBy {
                workload: planned.workload.clone(),
                from: planned.from.clone(),
                to: planned.to.clone(),
            }
        } else if *cured && let Some(planned) = limits::serving(space, case, &split.later) {
            split.why_later(planned)
        } else if *cured {
            NothingBecause::CuredByOthers
        } else {
            uncured.push(case);
            continue;
        };
        placement.staying.push((service.clone(), because));
    }
    for case in uncured {
        placement.staying.push((case.risk.service.clone(), told::why_staying(space, case)));
    }
}
