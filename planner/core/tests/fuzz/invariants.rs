//! What must hold of every decision, judged by code that shares nothing with the planner's own checks.
use crate::{
    bounds::{Occupied, objections_to_move},
    policies::Wanted,
    rollouts::Flight,
    store::{Key, STEP_MS, Store},
    tally::{Tally, name_of},
};
use foremesh_core::{
    decide::{Decision, decide},
    gauge::GaugeMetric,
    history::Metric,
    ids::WorkloadId,
    inputs::OwnedInputs,
    plan::{Move, Plan},
    policy::PastMove,
    report::{AuditRecord, records},
    topology::Workload,
    twin::simulate,
    verify::verify,
};

const DAY_MS: i64 = 24 * 3_600_000;
const SIX_HOURS_MS: i64 = 6 * 3_600_000;

/// A moment of the day, as the planner sees it and as it truly is.
#[derive(Clone, Copy)]
pub(crate) struct Checked<'c> {
    pub(crate) inputs: &'c OwnedInputs,
    pub(crate) wanted: &'c [Wanted],
    pub(crate) flights: &'c [Flight],
    pub(crate) past: &'c [PastMove],
    pub(crate) store: &'c Store,
    pub(crate) true_now_ms: i64,
    pub(crate) set_back_ms: Option<i64>,
    /// Whether to check also what costs much, although nothing is moved.
    pub(crate) thorough: bool,
}

/// Decides, and says what is wrong with it. A plan that the twin confirms is given back: that one is carried out.
pub(crate) fn check(checked: &Checked<'_>, tally: &mut Tally) -> Result<Option<Plan>, String> {
    let inputs = checked.inputs.borrow();
    let decision = decide(&inputs).map_err(|error| error.to_string())?;
    count(&decision, tally);
    let recorded = records(&inputs, &decision, 1);
    ensure(recorded.len() == decision.assessments.len(), || {
        let named: Vec<&str> = recorded.iter().map(|record| record.service.as_str()).collect();
        format!("{} services were assessed, but only {named:?} are on record", decision.assessments.len())
    })?;
    if decision.plan.is_some() || checked.thorough {
        same_again(checked.inputs, &decision)?;
    }
    let Some(plan) = decision.plan else { return Ok(None) };
    tally.count("plans");
    plan_holds(checked, &plan, tally).map_err(|wrong| {
        let record: Vec<String> = recorded.iter().map(AuditRecord::explain).collect();
        format!("{wrong}\n{}", record.join(""))
    })?;
    let verified = verify(plan.clone(), &inputs).map_err(|error| error.to_string())?;
    match simulate(verified, &inputs) {
        Ok(_) => Ok(Some(plan)),
        Err(error) => {
            // The simulation of single requests may know better; then nothing is moved.
            let why = name_of(&serde_json::to_value(&error).unwrap_or_default());
            tally.count(format!("plans that the twin refused: {why}"));
            Ok(None)
        }
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn count(decision: &Decision, tally: &mut Tally) {
    tally.count("decisions");
    for assessed in &decision.assessments {
        for rule in &assessed.assessment.rules {
            let verdict = serde_json::to_value(&rule.verdict).unwrap_or_default();
            tally.count(format!("verdict: {}", name_of(&verdict)));
        }
    }
    for (_, because) in &decision.nothing_because {
        let because = serde_json::to_value(because).unwrap_or_default();
        tally.count(format!("stays: {}", name_of(&because)));
        for rejected in because["rejected"].as_array().into_iter().flatten() {
            tally.count(format!("refused node: {}", name_of(&rejected["why"])));
        }
    }
    for rejected in decision.plan.iter().flat_map(|plan| &plan.rejected) {
        let why = serde_json::to_value(&rejected.why).unwrap_or_default();
        tally.count(format!("refused node: {}", name_of(&why)));
    }
    if decision.recommended.is_some() {
        tally.count("recommendations");
    }
}

/// The same inputs, and what was written of them, decide the same to the byte.
fn same_again(inputs: &OwnedInputs, decision: &Decision) -> Result<(), String> {
    let text = |decision: &Decision| serde_json::to_string(decision).map_err(|error| error.to_string());
    let first = text(decision)?;
    let again = decide(&inputs.borrow()).map_err(|error| error.to_string())?;
    ensure(text(&again)? == first, || "deciding twice gives two decisions".to_owned())?;
    let record = serde_json::to_string(inputs).map_err(|error| error.to_string())?;
    let read: OwnedInputs =
        serde_json::from_str(&record).map_err(|error| format!("unreadable record: {error}"))?;
    let again = decide(&read.borrow()).map_err(|error| error.to_string())?;
    ensure(text(&again)? == first, || "the record of the inputs decides otherwise".to_owned())
}

fn plan_holds(checked: &Checked<'_>, plan: &Plan, tally: &mut Tally) -> Result<(), String> {
    let inputs = checked.inputs.borrow();
    verify(plan.clone(), &inputs)
        .map_err(|error| format!("verify: {:?} of {:?}", error.violations, plan.moves))?;
    let age_ms = inputs.now.ms_since(inputs.snapshot.taken_at);
    ensure(age_ms.abs() <= inputs.settings.snapshot_limit_ms, || format!("a snapshot of {age_ms} ms ago"))?;
    let mut now = Occupied::of(inputs.snapshot);
    let starts = |flight: &&Flight| flight.shown().is_none() && !flight.planned.is_shift();
    for flight in checked.flights.iter().filter(starts) {
        now.0.push((flight.planned.workload.clone(), flight.planned.to.clone()));
    }
    for at in 0..plan.moves.len() {
        let (planned, earlier) = (&plan.moves[at], Earlier::of(&plan.moves, at));
        permitted(checked, planned, &earlier, tally).map_err(|wrong| format!("{wrong}: {planned:?}"))?;
        may_move(checked, planned, &plan.moves[..at])?;
        data_is_fresh(checked, planned)?;
        if planned.is_shift() {
            tally.count("moves of traffic alone");
            continue;
        }
        let found = objections_to_move(
            inputs.snapshot,
            &earlier.occupied(&now),
            &planned.workload,
            &planned.from,
            &planned.to,
        );
        ensure(found.is_empty(), || found.join("; "))?;
    }
    Ok(())
}

/// The moves of a plan before one of them.
struct Earlier<'p> {
    /// Those that it waits for, directly or through others.
    done: Vec<&'p Move>,
    /// Those that may run beside it.
    beside: Vec<&'p Move>,
}

impl<'p> Earlier<'p> {
    fn of(moves: &'p [Move], at: usize) -> Self {
        let mut waits_for: Vec<&WorkloadId> = moves[at].after.iter().collect();
        let (mut done, mut beside) = (Vec::new(), Vec::new());
        for before in moves[..at].iter().rev() {
            if waits_for.contains(&&before.workload) {
                waits_for.extend(&before.after);
                done.push(before);
            } else {
                beside.push(before);
            }
        }
        Self { done, beside }
    }

    fn all(&self) -> impl Iterator<Item = &'p Move> {
        self.done.iter().chain(&self.beside).copied()
    }

    /// Who is where when the move begins.
    fn occupied(&self, now: &Occupied) -> Occupied {
        let mut occupied = now.clone();
        let moves = |before: &&Move| !before.is_shift();
        occupied
            .0
            .extend(self.all().filter(moves).map(|before| (before.workload.clone(), before.to.clone())));
        for done in self.done.iter().copied().filter(moves) {
            occupied.remove(&done.workload, &done.from);
        }
        occupied
    }
}

/// A policy that may move things wants it, and one that may move this service lets it be moved: the same one, unless it is
/// moved for the sake of another service.
fn permitted(
    checked: &Checked<'_>,
    planned: &Move,
    earlier: &Earlier<'_>,
    tally: &mut Tally,
) -> Result<(), String> {
    let asks = checked.wanted.iter().find(|wanted| wanted.policy.id == planned.reason.policy);
    let asks = asks.ok_or_else(|| format!("{} is no policy", planned.reason.policy))?;
    ensure(asks.mode == "auto", || format!("moved in mode {}", asks.mode))?;
    let at_risk = planned.reason.on_behalf_of.as_ref().unwrap_or(&planned.service);
    ensure(asks.is_about(at_risk), || "moved by a policy about others".to_owned())?;
    let rule = asks.policy.rules.iter().find(|rule| rule.name == planned.reason.rule);
    let rule = rule.ok_or_else(|| format!("{} is no rule", planned.reason.rule))?;
    for part in rule.when.parts() {
        let part = serde_json::to_value(part).unwrap_or_default();
        tally.count(format!("moved by: {}", name_of(&part)));
    }
    tally.count(if planned.reason.on_behalf_of.is_some() { "moved for another" } else { "moved for itself" });
    let lets = |policy: &Wanted| {
        let frozen = policy.freezes.iter().find(|f| (f.from..f.to).contains(&checked.inputs.now));
        ensure(frozen.is_none(), || format!("moved in the freeze {frozen:?}"))?;
        rested(checked, policy, planned)?;
        within_limits(checked, policy, planned, earlier)
    };
    if asks.is_about(&planned.service) {
        return lets(asks);
    }
    let own =
        checked.wanted.iter().filter(|wanted| wanted.mode == "auto" && wanted.is_about(&planned.service));
    let judged: Vec<Result<(), String>> = own.map(lets).collect();
    ensure(judged.iter().any(Result::is_ok), || {
        format!("no policy lets {} move: {judged:?}", planned.workload)
    })
}

/// The replica is there, and nothing keeps its workload.
fn may_move(checked: &Checked<'_>, planned: &Move, before: &[Move]) -> Result<(), String> {
    let workload = checked.inputs.snapshot.workloads.get(&planned.workload);
    let workload: &Workload = workload.ok_or("the workload is not in the snapshot")?;
    let replica = workload.replicas.get(&planned.replica).ok_or("the replica is not in the snapshot")?;
    ensure(replica.node == planned.from && planned.from != planned.to, || "from or to is wrong".to_owned())?;
    ensure(workload.service == planned.service, || "the service is wrong".to_owned())?;
    if planned.is_shift() {
        return may_shift(checked, workload, planned, before);
    }
    ensure(workload.replicas.values().all(|replica| replica.ready), || "a replica is not ready".to_owned())?;
    ensure(workload.pinned.is_none(), || "it is pinned".to_owned())?;
    let scheduling = &workload.scheduling;
    ensure(scheduling.changing.is_none(), || "it is being changed".to_owned())?;
    if let Some(autoscaler) = &scheduling.autoscaler {
        ensure(!autoscaler.scaling, || "it is being scaled".to_owned())?;
        let room = workload.replicas.len() < autoscaler.max_replicas as usize;
        ensure(room, || "it has as many replicas as its autoscaler allows".to_owned())?;
    }
    let broken = scheduling.budgets.iter().any(|b| b.health.is_some_and(|h| h.healthy < h.wanted));
    ensure(!broken, || "its disruption budget is broken".to_owned())?;
    let full = scheduling.quotas.iter().any(|quota| quota.free_replicas == Some(0));
    ensure(!full, || "its quota has no place for a successor".to_owned())?;
    let moving = checked.flights.iter().any(|flight| flight.planned.workload == planned.workload)
        || before.iter().any(|other| other.workload == planned.workload);
    ensure(!moving, || "it moves already".to_owned())
}

/// The one who gets the traffic is there, and no weight is made or lost.
fn may_shift(
    checked: &Checked<'_>,
    workload: &Workload,
    planned: &Move,
    before: &[Move],
) -> Result<(), String> {
    ensure(checked.inputs.snapshot.capabilities.weights, || "this platform has no weights".to_owned())?;
    ensure(workload.pinned.is_none(), || "it is pinned".to_owned())?;
    let ends = [Some(&planned.replica), planned.shift_to.as_ref()].map(|end| workload.replicas.get(end?));
    let [Some(source), Some(target)] = ends else { return Err("an end is not there".to_owned()) };
    ensure(target.node == planned.to && target.ready && source.ready, || {
        "an end does not answer".to_owned()
    })?;
    let (was, will) = (planned.traffic.before, planned.traffic.after);
    let all = source.weight + target.weight;
    ensure(was.source == source.weight && all == will.source + will.target, || {
        format!("weights {} and {} become {will}", source.weight, target.weight)
    })?;
    ensure(will.source < was.source, || "the source loses nothing".to_owned())?;
    let moving = checked.flights.iter().any(|flight| flight.planned.workload == planned.workload)
        || before.iter().any(|other| other.workload == planned.workload);
    ensure(!moving, || "it moves already".to_owned())
}

/// The workload has rested, the longer the more often it moved, and does not go back at once.
fn rested(checked: &Checked<'_>, policy: &Wanted, planned: &Move) -> Result<(), String> {
    let now = checked.inputs.now;
    let own: Vec<&PastMove> = checked.past.iter().filter(|past| past.workload == planned.workload).collect();
    let Some(last) = own.iter().max_by_key(|past| past.ended_at) else { return Ok(()) };
    // What was to follow that move goes on with the same cure.
    if last.then.contains(&planned.replica) {
        return Ok(());
    }
    let since_ms = now.ms_since(last.ended_at);
    ensure(since_ms >= policy.cooldown_ms, || format!("moved again after {since_ms} ms"))?;
    let lately = own.iter().filter(|past| now.ms_since(past.ended_at) < DAY_MS).count() as i32;
    let base_ms = policy.cooldown_ms.max(last.ended_at.ms_since(last.started_at)) as f64;
    let most_ms = SIX_HOURS_MS.max(policy.cooldown_ms) as f64;
    let rest_ms = (base_ms * 2.0_f64.powi((lately - 1).max(0))).min(most_ms);
    ensure(since_ms as f64 >= rest_ms, || {
        format!("rested {since_ms} ms of {rest_ms}, {lately} moves lately")
    })?;
    let back = own.iter().filter(|past| past.from == planned.to && past.to == planned.from);
    let soon = back.filter(|past| now.ms_since(past.ended_at) < policy.cooldown_ms).count();
    ensure(soon == 0, || "it goes back and forth".to_owned())
}

fn within_limits(
    checked: &Checked<'_>,
    policy: &Wanted,
    planned: &Move,
    earlier: &Earlier<'_>,
) -> Result<(), String> {
    let inputs = checked.inputs;
    let flying: Vec<&Move> = checked.flights.iter().map(|flight| &flight.planned).collect();
    let others: Vec<&Move> = flying.iter().chain(&earlier.beside).copied().collect();
    let namespace = |planned: &Move| inputs.snapshot.workloads.get(&planned.workload)?.namespace.clone();
    let within = |what: &str, limit: Option<usize>, count: usize| {
        ensure(limit.is_none_or(|limit| count < limit), || format!("{count} moves already, {what}"))
    };
    within("of all", Some(inputs.settings.max_concurrent_moves), others.len())?;
    within("of all by the policy", policy.all, others.len())?;
    for node in [&planned.from, &planned.to] {
        let there = others.iter().filter(|other| other.from == *node || other.to == *node).count();
        within(&format!("at {node}"), policy.per_node, there)?;
    }
    if let Some(own) = namespace(planned) {
        let there = others.iter().filter(|other| namespace(other).as_ref() == Some(&own)).count();
        within(&format!("in {own}"), policy.per_namespace, there)?;
    }
    let lately = checked
        .past
        .iter()
        .filter(|past| inputs.now.ms_since(past.started_at) < DAY_MS && policy.is_about(&past.service));
    let under_way = flying.into_iter().chain(earlier.all()).filter(|other| policy.is_about(&other.service));
    within("of the day", policy.per_day, lately.count() + under_way.count())
}

/// What the move is decided on was measured lately, in truth.
fn data_is_fresh(checked: &Checked<'_>, planned: &Move) -> Result<(), String> {
    let inputs = checked.inputs;
    // A step is measured at its end, and steps are recorded whole.
    let limit_ms = inputs.settings.forecast_limit_ms + STEP_MS;
    let fresh = |what: &str, keys: &[Key]| {
        let ages = keys.iter().filter_map(|key| checked.store.true_age_ms(key, checked.true_now_ms));
        let age_ms = ages.min().unwrap_or(i64::MAX);
        // Whose clock was set back since takes older values for new ones, and cannot know.
        let deceived = checked.set_back_ms.is_some_and(|at| checked.true_now_ms - at <= age_ms);
        ensure(age_ms <= limit_ms || deceived, || format!("{what} was measured {age_ms} ms ago"))
    };
    fresh("throughput", &[Key::Service(planned.service.to_string(), Metric::Throughput)])?;
    let at_risk = planned.reason.on_behalf_of.as_ref().unwrap_or(&planned.service);
    let policy = inputs.policies.iter().find(|policy| policy.id == planned.reason.policy);
    let rule = policy.and_then(|p| p.rules.iter().find(|rule| rule.name == planned.reason.rule));
    if rule.is_some_and(|rule| rule.latency().is_some()) {
        fresh("latency", &[Key::Service(at_risk.to_string(), Metric::Latency(3))])?;
    }
    let node = planned.to.to_string();
    fresh(
        "the target",
        &[
            Key::Node(node.clone(), GaugeMetric::CpuBackgroundMillicores),
            Key::Node(node, GaugeMetric::CpuUsedMillicores),
        ],
    )
}
