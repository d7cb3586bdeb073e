//! Which moves begin now, where only so many are allowed at once, and which follow later.
use super::{NothingBecause, case::Case, one_by_one::follow_no_more, search::Space, space::MeshSpace};
use crate::{
    plan::Move,
    policy::{
        NotPermitted,
        permit::{Scope, budget_left},
        permits,
    },
    twin::ReplicaIx,
    verify::waited_for,
};

/// Moves of a layout, now and later.
#[derive(Clone, Debug, Default)]
pub(super) struct Split {
    pub(super) now: Vec<Move>,
    pub(super) later: Vec<Move>,
    /// Why each of the later ones has to wait; `None` for the planner's own limit.
    why: Vec<Option<NotPermitted>>,
    limit: usize,
}

impl Split {
    /// Puts everything off: what may begin now does not pay alone.
    pub(super) fn put_off(&mut self, space: &mut MeshSpace<'_, '_>) {
        self.why.splice(0..0, self.now.iter().map(|_| None));
        for planned in &mut self.now {
            planned.then.clear();
        }
        self.later.splice(0..0, self.now.drain(..));
        for (unit, _) in space.moved() {
            let home = space.home_of(unit);
            space.put(unit, home);
        }
    }

    /// Later moves, and why each has to wait.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (&Move, Option<&NotPermitted>)> {
        self.later.iter().zip(self.why.iter().map(Option::as_ref))
    }

    /// Why a service waits whose moves all come later.
    pub(super) fn why_later(&self, planned: &Move) -> NothingBecause {
        let at = self.later.iter().position(|later| later == planned);
        match at.and_then(|at| self.why.get(at)).cloned().flatten() {
            Some(why) => why.into(),
            None => NothingBecause::LimitReached {
                limit: self.limit,
                workload: planned.workload.clone(),
                to: planned.to.clone(),
            },
        }
    }
}

/// Takes moves in their order as long as the guard rails allow. A move of a later wave waits for all of the wave before
/// it, so it does not run beside them; it comes later when one that it waits for does. What comes later is taken back.
pub(super) fn split(space: &mut MeshSpace<'_, '_>, in_order: Vec<(usize, Move, ReplicaIx)>) -> Split {
    let limit = space.inputs.settings.max_concurrent_moves;
    let mut split = Split { limit, ..Split::default() };
    let mut at_wave = 0;
    let (mut beside, mut before): (Vec<Move>, Vec<Move>) = (Vec::new(), Vec::new());
    let chosen = space.beside.len();
    for (wave, mut planned, unit) in in_order {
        if wave != at_wave {
            before = std::mem::take(&mut beside);
            at_wave = wave;
        }
        let waits = wave > 0 && !split.later.is_empty();
        let full = space.inputs.in_flight.len() + chosen + beside.len() >= limit;
        let why =
            if waits || full { Some(None) } else { refused(space, &planned, unit, &beside, &split.now) };
        match why {
            None => {
                planned.after = before.iter().map(|before| before.workload.clone()).collect();
                split.now.push(planned.clone());
                beside.push(planned);
            }
            Some(why) => {
                let home = space.home_of(unit);
                space.put(unit, home);
                split.why.push(why);
                split.later.push(planned);
            }
        }
    }
    split
}

/// A service that needs several moves is not left with some of them: what the planner's limit put off is made one after
/// the other instead, when that is in time.
pub(super) fn join(
    space: &mut MeshSpace<'_, '_>,
    cases: &[Case<'_, '_>],
    in_the_end: &[bool],
    split: &mut Split,
) {
    for case in cases.iter().zip(in_the_end).filter(|(_, cured)| **cured).map(|(case, _)| case) {
        while case.cured(space).is_none() && serving(space, case, &split.now).is_some() {
            let found = split.later.iter().position(|later| serves(space, case, later));
            let Some(at) = found.filter(|at| split.why[*at].is_none()) else { break };
            let mut planned = split.later[at].clone();
            let again = split.now.iter().any(|other| other.workload == planned.workload);
            let first = split.now.iter().map(|other| space.inputs.duration_of(&other.workload)).max();
            let unit = space.mesh.replica_ix(&planned.workload, &planned.replica);
            let (Some(unit), Some(to), false) = (unit, space.mesh.node_ix(&planned.to), again) else { break };
            let refused = refused(space, &planned, unit, &[], &split.now).is_some();
            if refused || !case.in_time(space, unit, first.unwrap_or(0)) || space.judge(unit, to).is_err() {
                break;
            }
            planned.after = split.now.iter().map(|before| before.workload.clone()).collect();
            space.put(unit, to);
            split.now.push(planned);
            split.later.remove(at);
            split.why.remove(at);
        }
    }
}

/// Puts off what would begin now and cure nobody without what comes later.
pub(super) fn leave_no_half(space: &mut MeshSpace<'_, '_>, cases: &[Case<'_, '_>], split: &mut Split) {
    if split.later.is_empty() {
        return;
    }
    loop {
        let cured: Vec<&Case<'_, '_>> = cases.iter().filter(|case| case.cured(space).is_some()).collect();
        let needed = |planned: &Move| {
            let serves = cured.iter().any(|case| serves(space, case, planned));
            serves || split.now.iter().any(|other| other.after.contains(&planned.workload))
        };
        let Some(at) = split.now.iter().rposition(|planned| !needed(planned)) else { return };
        put_off_from(space, split, at, None);
    }
}

/// Whether a move may be made for a case.
pub(super) fn serves(space: &MeshSpace<'_, '_>, case: &Case<'_, '_>, planned: &Move) -> bool {
    let unit = space.mesh.replica_ix(&planned.workload, &planned.replica);
    unit.is_some_and(|unit| case.units.contains_key(&unit))
}

/// The first of some moves that may be made for a case.
pub(super) fn serving<'p>(
    space: &MeshSpace<'_, '_>,
    case: &Case<'_, '_>,
    moves: &'p [Move],
) -> Option<&'p Move> {
    moves.iter().find(|planned| serves(space, case, planned))
}

/// The guard rail in the way, if there is one; within it `None` where nobody lets it move.
#[allow(clippy::option_option, reason = "whether it waits, and for which guard rail, if for one")]
fn refused(
    space: &mut MeshSpace<'_, '_>,
    planned: &Move,
    unit: ReplicaIx,
    beside: &[Move],
    all: &[Move],
) -> Option<Option<NotPermitted>> {
    let inputs = space.inputs;
    let asks = inputs.policies.iter().find(|policy| policy.id == planned.reason.policy);
    let own = space.known(unit).policy;
    // A policy that asks for a move of what it is about is held to its own guard rails, for whomever that is.
    let Some(policy) = asks.filter(|asks| asks.selects(&planned.service)).or(own) else { return Some(None) };
    let chosen = |moves: &[Move]| [&space.beside, moves].concat();
    let asked = |moves: &[Move]| {
        let replica = (&planned.workload, &planned.replica);
        permits(&inputs, policy, replica, &planned.from, &planned.to, &chosen(moves)).err()
    };
    // Of all in the plan, also of those that do not run at the same time: the budget of the day, and that no workload is
    // moved twice.
    let twice =
        |why: &NotPermitted| matches!(why, NotPermitted::Concurrent { scope: Scope::Workload(_), .. });
    let of_all = || budget_left(&inputs, policy, &chosen(all)).err().or_else(|| asked(all).filter(twice));
    asked(beside).or_else(|| if all.len() > beside.len() { of_all() } else { None }).map(Some)
}

/// Puts off moves that the guard rails of the policy that asks for them do not let through: whom a move is for may have been
/// told anew since it was chosen. Whether there were any.
pub(super) fn keep_permitted(
    space: &mut MeshSpace<'_, '_>,
    cases: &[Case<'_, '_>],
    split: &mut Split,
) -> bool {
    for at in 0..split.now.len() {
        let planned = split.now[at].clone();
        let Some(unit) = space.mesh.replica_ix(&planned.workload, &planned.replica) else { continue };
        let waits_for = waited_for(&split.now, at);
        let before: Vec<Move> = split.now[..at].to_vec();
        let beside: Vec<Move> =
            (0..at).filter(|at| !waits_for.contains(at)).map(|at| before[at].clone()).collect();
        let Some(why) = refused(space, &planned, unit, &beside, &before) else { continue };
        put_off_from(space, split, at, why);
        leave_no_half(space, cases, split);
        return true;
    }
    false
}

/// Puts off the move at a place, and those that wait for it.
fn put_off_from(space: &mut MeshSpace<'_, '_>, split: &mut Split, at: usize, why: Option<NotPermitted>) {
    let mut planned = split.now.remove(at);
    follow_no_more(space, &mut planned);
    if let Some(unit) = space.mesh.replica_ix(&planned.workload, &planned.replica) {
        let home = space.home_of(unit);
        space.put(unit, home);
    }
    while let Some(waits) = split.now.iter().position(|other| other.after.contains(&planned.workload)) {
        put_off_from(space, split, waits, None);
    }
    split.why.push(why);
    split.later.push(planned);
}
