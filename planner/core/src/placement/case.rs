//! One service at risk: whether its node is the cause, which replicas may be moved for it, and whether that is in time.
use super::{NothingBecause, Risk, space::Aim, space::MeshSpace};
use crate::{
    history::Metric,
    plan::{Cause, Move, MoveReason, Traffic},
    policy::{Breach, PredictedLatency, Subject, Trigger},
    twin::{MEDIAN, NodeIx, ReplicaIx, ServiceIx, UPPER},
};
use std::collections::BTreeMap;

/// Part of the risk that counts again for a service that comes close to its objective.
const MISS: f64 = 0.25;

/// How far callees are followed.
const DEEP: usize = 3;

/// Other replicas of a hot node that may be moved for one that stays.
const NEIGHBOURS: usize = 12;

/// One service at risk, with what can be done about it.
#[derive(Clone, Debug)]
pub(super) struct Case<'r, 'a> {
    pub(super) risk: &'r Risk<'a>,
    pub(super) service: ServiceIx,
    pub(super) objective: PredictedLatency,
    /// Highest expected latency in milliseconds when nothing is done.
    pub(super) stay_ms: f64,
    /// The most that it may be to count as cured.
    pub(super) limit_ms: f64,
    /// Replicas that may be moved for it, and why these.
    pub(super) units: BTreeMap<ReplicaIx, Cause>,
    /// Why its own replicas are not moved, when none is.
    pub(super) refused: Option<NothingBecause>,
    aim: Aim,
}

impl<'r, 'a> Case<'r, 'a> {
    /// Looks at one service, and chooses what may be moved for it.
    ///
    /// # Errors
    /// Why nothing can be done for it.
    pub(super) fn new(space: &mut MeshSpace<'_, 'a>, risk: &'r Risk<'a>) -> Result<Self, NothingBecause> {
        let service = space.mesh.service_ix(risk.service).ok_or(NothingBecause::NoWorkload)?;
        let own: Vec<ReplicaIx> = space.mesh.replicas_of(service).collect();
        if own.is_empty() {
            return Err(NothingBecause::NoWorkload);
        }
        let refused = refused(space, risk, &own);
        if let Some(why @ NothingBecause::RolloutInProgress { .. }) = refused {
            return Err(why);
        }
        let mut case = match Self::looked_at(space, risk, service) {
            Ok(case) => case,
            Err(why) => return Err(refused.unwrap_or(why)),
        };
        case.refused = refused;
        case.choose_units(space, &own);
        if case.units.is_empty() {
            return Err(case
                .refused
                .take()
                .unwrap_or(NothingBecause::NoFeasibleNode { rejected: Vec::new() }));
        }
        Ok(case)
    }

    /// Looks at one service; nothing may be moved for it yet.
    ///
    /// # Errors
    /// Why no change of a node would cure it, or why that is not known.
    pub(super) fn looked_at(
        space: &MeshSpace<'_, 'a>,
        risk: &'r Risk<'a>,
        service: ServiceIx,
    ) -> Result<Self, NothingBecause> {
        if let Some(why) = space.mesh.service_unknown(service) {
            return Err(NothingBecause::TwinUnknown { why: why.clone() });
        }
        let objective = risk.objective.copied().ok_or(NothingBecause::NoObjective)?;
        let objective = held_to(space, service, objective);
        let expected_ms = space.evaluation().worst_ms(service, MEDIAN).unwrap_or(f64::INFINITY);
        let alike = risk.objective.is_some_and(|own| own.quantile == objective.quantile);
        let forecast_ms = risk.worst_ms().filter(|_| alike);
        let stay_ms = forecast_ms.map_or(expected_ms, |forecast_ms| forecast_ms.min(expected_ms));
        let margin = risk.policy.margin;
        let below = objective.above_ms * (1.0 - margin.target);
        let limit_ms =
            if risk.worst_ms().is_some() { below.min(stay_ms * (1.0 - margin.gain)) } else { below };
        let aim = aim(space, risk, (service, objective.above_ms), limit_ms, expected_ms)?;
        let units = BTreeMap::new();
        Ok(Self { risk, service, objective, stay_ms, limit_ms, units, refused: None, aim })
    }

    /// What the search is to reach for it.
    pub(super) const fn aim(&self) -> Aim {
        self.aim
    }

    /// Cost of doing nothing for it.
    pub(super) fn staying(&self, space: &MeshSpace<'_, '_>) -> f64 {
        space.mesh.weight(self.service) * self.risk.trigger.probability().get()
    }

    /// Whether the present layout of the search cures it; the latency that it comes to.
    pub(super) fn cured(&self, space: &MeshSpace<'_, '_>) -> Option<f64> {
        let ms = space.evaluation().worst_ms(self.service, MEDIAN)?;
        let away = self.aim.source.is_none_or(|_| !self.aim.missed_source(space.evaluation()));
        let saved = self.risk.trigger.saving().is_none_or(|at_least| self.saving(space) >= at_least);
        (ms <= self.limit_ms && away && saved).then_some(ms)
    }

    /// Money per hour that the layout saves by its own replicas: the whole price of a node that they leave empty, less that
    /// of one that they found empty, else by the share of a node that they ask for.
    fn saving(&self, space: &MeshSpace<'_, '_>) -> f64 {
        let moved = space
            .mesh
            .replicas_of(self.service)
            .filter(|unit| space.home_of(*unit) != space.evaluation().node_of(*unit));
        moved.fold(0.0, |sum, unit| {
            let (home, at) = (space.home_of(unit), space.evaluation().node_of(unit));
            let left_empty = space.evaluation().replicas_on(home).next().is_none();
            let found_empty = space.evaluation().replicas_on(at).all(|other| other == unit);
            sum + space.price(unit, home, left_empty) - space.price(unit, at, found_empty)
        })
    }

    /// Its highest expected latency in milliseconds in the present layout; infinite when it has no bound.
    pub(super) fn expected_ms(&self, space: &MeshSpace<'_, '_>) -> f64 {
        space.evaluation().worst_ms(self.service, MEDIAN).unwrap_or(f64::INFINITY)
    }

    /// A move of one of its own replicas, which brings it to a latency in milliseconds.
    pub(super) fn planned(
        &self,
        space: &MeshSpace<'_, '_>,
        unit: ReplicaIx,
        (from, to): (NodeIx, NodeIx),
        move_ms: f64,
    ) -> Move {
        let (workload, replica) = space.mesh.replica(unit);
        let (risk, breach) = (self.risk, self.risk.trigger.breach());
        Move {
            workload: workload.clone(),
            service: risk.service.clone(),
            replica: replica.clone(),
            from: space.mesh.node(from).clone(),
            to: space.mesh.node(to).clone(),
            reason: MoveReason {
                policy: risk.policy.id.clone(),
                rule: risk.rule.name.clone(),
                quantile: self.objective.quantile,
                objective_ms: self.objective.above_ms,
                breach_at: breach.map_or(space.inputs.now, |breach| breach.at),
                breach_probability: risk.trigger.probability(),
                stay_ms: self.stay_ms,
                move_ms,
                model: risk.model.clone(),
                lead_ms: space.inputs.duration_of(workload),
                on_behalf_of: None,
                cause: Cause::OwnNode,
            },
            ramp_percent: risk.policy.ramp_percent.clone(),
            traffic: Traffic::of_replica(space.weight_of(unit), 100),
            shift_to: None,
            after: Vec::new(),
            then: Vec::new(),
        }
    }

    /// Whether a move is one of a service that it waits for, or of its own.
    pub(super) fn waits_for(&self, space: &MeshSpace<'_, '_>, planned: &Move) -> bool {
        let service = space.mesh.service_ix(&planned.service);
        service.is_some_and(|service| callees(space, self.service).contains(&service))
    }

    /// Whether a replica that is moved for it would be there in time, if it could begin only so many milliseconds from now.
    pub(super) fn in_time(&self, space: &MeshSpace<'_, '_>, unit: ReplicaIx, begins_in_ms: i64) -> bool {
        in_time(space, self.risk, unit, begins_in_ms).is_ok()
    }

    fn choose_units(&mut self, space: &mut MeshSpace<'_, 'a>, own: &[ReplicaIx]) {
        for unit in own {
            if movable_in_time(space, self.risk, *unit).is_ok() {
                self.units.insert(*unit, Cause::OwnNode);
            }
        }
        if self.risk.worst_ms().is_none() && self.aim.source.is_none() {
            return;
        }
        let mut hot: Vec<NodeIx> = self.aim.source.map(|(node, _)| node).into_iter().collect();
        hot.extend(own.iter().map(|unit| space.home_of(*unit)).filter(|node| is_hot(space, *node)));
        for (callee, unit) in callees_on_hot_nodes(space, self.service) {
            let node = space.home_of(unit);
            hot.push(node);
            if movable_in_time(space, self.risk, unit).is_ok() {
                let (service, node) = (space.mesh.service(callee).clone(), space.mesh.node(node).clone());
                self.units.entry(unit).or_insert(Cause::Callee { service, node });
            }
        }
        hot.sort_unstable();
        hot.dedup();
        for node in hot {
            self.add_neighbours(space, node);
        }
    }

    fn add_neighbours(&mut self, space: &mut MeshSpace<'_, 'a>, node: NodeIx) {
        let mut others: Vec<ReplicaIx> = space.evaluation().replicas_on(node).collect();
        others.retain(|unit| space.home_of(*unit) == node && !self.units.contains_key(unit));
        // Those first that free most CPU for what moving them costs.
        let worth = |space: &MeshSpace<'_, '_>, unit: ReplicaIx| {
            let requests = space.mesh.weight(space.service_of(unit)) * space.evaluation().share_of(unit);
            space.size(unit) / (requests + 1.0)
        };
        others.sort_by(|a, b| worth(space, *b).total_cmp(&worth(space, *a)).then(a.cmp(b)));
        let mut taken = 0;
        for unit in others {
            if taken == NEIGHBOURS {
                return;
            }
            if space.service_of(unit) != self.service && movable_in_time(space, self.risk, unit).is_ok() {
                let node = space.mesh.node(node).clone();
                self.units.insert(unit, Cause::Neighbour { of: self.risk.service.clone(), node });
                taken += 1;
            }
        }
    }
}

/// What the service must keep wherever it goes. The twin holds each service to one objective: where that of another rule is
/// nearer to being missed than that of the rule that fired, the target must keep that one.
fn held_to(space: &MeshSpace<'_, '_>, service: ServiceIx, own: PredictedLatency) -> PredictedLatency {
    match space.mesh.objective(service) {
        Some(held) if held.quantile != own.quantile || held.above_ms < own.above_ms => PredictedLatency {
            quantile: held.quantile,
            above_ms: held.above_ms,
            within_ms: held.within_ms,
            ..own
        },
        _ => own,
    }
}

/// Why none of a service's own replicas may be moved; `None` when one may.
fn refused<'a>(space: &mut MeshSpace<'_, 'a>, risk: &Risk<'a>, own: &[ReplicaIx]) -> Option<NothingBecause> {
    let mut first = None;
    for unit in own {
        match movable_in_time(space, risk, *unit) {
            Ok(()) => return None,
            Err(why) => first = first.or(Some(why)),
        }
    }
    first
}

/// Whether a replica may be moved, and is there before the breach begins.
///
/// A move that comes later is a rescue: it is made when the breach, as forecast, then still lasts as long as the move
/// takes, within the look-ahead. Else the move would bring its disturbance and little else.
fn movable_in_time<'a>(
    space: &mut MeshSpace<'_, 'a>,
    risk: &Risk<'a>,
    unit: ReplicaIx,
) -> Result<(), NothingBecause> {
    if let Some(why) = &space.known(unit).stays {
        return Err(why.clone());
    }
    in_time(space, risk, unit, 0)
}

fn in_time(
    space: &MeshSpace<'_, '_>,
    risk: &Risk<'_>,
    unit: ReplicaIx,
    begins_in_ms: i64,
) -> Result<(), NothingBecause> {
    let Some(breach) = risk.trigger.breach() else { return Ok(()) };
    let needed_ms = space.inputs.duration_of(space.mesh.replica(unit).0).saturating_add(begins_in_ms);
    let left_ms = breach.at.ms_since(space.inputs.now);
    if left_ms >= needed_ms || lasts_after_ms(space, risk, breach, needed_ms) >= needed_ms {
        return Ok(());
    }
    Err(NothingBecause::TooLate { left_ms, needed_ms })
}

/// How long the breach lasts after a move that begins now, within the look-ahead, in milliseconds: the steps whose
/// median is beyond the objective; for a breach of anything but latency, the rest of the look-ahead.
fn lasts_after_ms(space: &MeshSpace<'_, '_>, risk: &Risk<'_>, breach: &Breach, needed_ms: i64) -> i64 {
    let now = space.inputs.now;
    let from = now.plus_ms(needed_ms).max(breach.at);
    let until = now.plus_ms(risk.rule.when.within_ms());
    let latency = risk.rule.latency();
    let forecast = latency.and_then(|latency| {
        let metric = Metric::latency(latency.quantile.get())?;
        Some((latency, space.inputs.forecast(risk.service, metric)?.ok()?))
    });
    let Some(latency) = latency else { return until.ms_since(from).max(0) };
    let twin = space.mesh.service_ix(risk.service).map_or(0, |service| {
        space.without_moves().expected_above_ms(service, latency.above_ms, (from, until))
    });
    let history = forecast.map_or(0, |(_, forecast)| {
        let within = forecast.steps.iter().filter(|step| step.at >= from && step.at < until);
        let beyond = within.filter(|step| step.quantiles[MEDIAN] > latency.above_ms).count();
        forecast.step.times(beyond)
    });
    twin.max(history)
}

/// What must be reached for the service to be cured.
fn aim(
    space: &MeshSpace<'_, '_>,
    risk: &Risk<'_>,
    (service, objective_ms): (ServiceIx, f64),
    limit_ms: f64,
    expected_ms: f64,
) -> Result<Aim, NothingBecause> {
    let evaluation = space.evaluation();
    let (weight, seen) = (space.mesh.weight(service), evaluation.risk(service));
    let nothing = Aim { service, limit_ms: None, miss: 0.0, source: None, stay: 0.0 };
    let not_the_node = |forecast_ms: f64| NothingBecause::CauseIsNotTheNode { expected_ms, forecast_ms };
    match &risk.trigger {
        Trigger::Opportunity(_) => Ok(nothing),
        Trigger::Breach(breach) => match (breach.worst_ms(), &breach.subject) {
            (Some(forecast_ms), _) => {
                // The node is taken for the cause when the twin is as sure of the breach as the rule demands. The history may
                // still tell of a node that was full before a neighbour left it.
                let sure = risk.rule.latency().map_or(0.0, |rule| rule.probability.get());
                let explains = |risk: f64, ms: f64| risk >= sure || ms > objective_ms;
                if !explains(seen, expected_ms) {
                    let without = space.without_moves();
                    let ms = without.worst_ms(service, MEDIAN).unwrap_or(f64::INFINITY);
                    return Err(if explains(without.risk(service), ms) {
                        NothingBecause::CuredByOthers
                    } else {
                        not_the_node(forecast_ms)
                    });
                }
                let miss = MISS * weight * seen;
                Ok(Aim { limit_ms: Some(limit_ms), miss, ..nothing })
            }
            (None, Some(Subject::Node(node))) => {
                let node = space.mesh.node_ix(node).ok_or(NothingBecause::NoWorkload)?;
                let stay = weight * breach.probability.get();
                Ok(Aim { source: Some((node, 0.0)), stay, ..nothing })
            }
            _ => Err(NothingBecause::NoNodeCures),
        },
    }
}

fn is_hot(space: &MeshSpace<'_, '_>, node: NodeIx) -> bool {
    space.evaluation().highest_use(node, UPPER) > space.inputs.settings.max_utilisation
}

/// A service, which comes first, and those that it waits for, directly or through others.
fn callees(space: &MeshSpace<'_, '_>, service: ServiceIx) -> Vec<ServiceIx> {
    let graph = &space.inputs.learned.graph.0;
    let mut seen = vec![service];
    let mut from = 0;
    for _ in 0..DEEP {
        let to = seen.len();
        for at in from..to {
            let calls = graph.get(space.mesh.service(seen[at])).into_iter().flatten();
            for call in calls.filter(|call| call.waits) {
                if let Some(callee) = space.mesh.service_ix(&call.callee).filter(|ix| !seen.contains(ix)) {
                    seen.push(callee);
                }
            }
        }
        from = to;
    }
    seen
}

/// Replicas on hot nodes of the services that a service waits for, directly or through others.
fn callees_on_hot_nodes(space: &MeshSpace<'_, '_>, service: ServiceIx) -> Vec<(ServiceIx, ReplicaIx)> {
    let of_callee = |callee: &ServiceIx| {
        let callee = *callee;
        space.mesh.replicas_of(callee).map(move |unit| (callee, unit))
    };
    let waited_for = callees(space, service);
    let found = waited_for[1..].iter().flat_map(of_callee);
    found.filter(|(_, unit)| is_hot(space, space.home_of(*unit))).collect()
}
