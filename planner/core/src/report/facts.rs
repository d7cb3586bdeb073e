//! A decision as facts in fields: what [`AuditRecord::explain`] says in words, for machines, with what would come of
//! doing nothing and of the alternatives.
use super::{AuditRecord, Decided, PlannedMove};
use crate::{
    decide::Decision,
    duration::in_words,
    history::Metric,
    ids::{NodeId, PlanId, PolicyId, ReplicaId, ServiceId, WorkloadId},
    inputs::Inputs,
    latency::bounded,
    placement::NothingBecause,
    plan::{Costs, Effect, Rejection, RejectionReason},
    policy::{Mode, Quantity, Subject, Unit, Verdict},
    time::Timestamp,
    units::Probability,
};
use serde::{Deserialize, Serialize};

/// With so many refused nodes or fewer, each is told with its own reason.
const FEW: usize = 6;

/// Alternatives that are told in words.
const TOLD: usize = 3;

/// One decision about one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The service.
    pub service: ServiceId,
    /// When it was decided.
    pub at: Timestamp,
    /// Which pass decided.
    pub pass: u64,
    /// `move`, `awaiting_approval`, `recommend`, `refused` or `nothing`.
    pub decision: String,
    /// The policy that counted, its rule, and how far it may go.
    pub policy: PolicyId,
    /// The rule.
    pub rule: String,
    /// Its mode.
    pub mode: Mode,
    /// Why nothing is done, or who refused the move; with `guard_rail` the kind of reason.
    pub because: Option<String>,
    /// Kind of the reason, such as `cooldown` or `limit_reached`.
    pub guard_rail: Option<String>,
    /// What comes when nothing is done, where a breach is predicted.
    pub if_nothing_is_done: Option<IfNothing>,
    /// The move, where one is planned.
    pub planned: Option<MoveFacts>,
    /// Nodes that were refused, those that share a reason together.
    pub refused: Vec<Group>,
    /// Nodes that could take it and cost more, the cheapest first.
    pub alternatives: Vec<Alternative>,
    /// What doing nothing and the whole plan cost, where one was made.
    pub costs: Option<Costs>,
    /// What the plan does to the services at risk, and to those that are moved for them.
    pub effects: Vec<Effect>,
    /// How sure all of that is.
    pub uncertainty: Uncertainty,
}

/// What comes when nothing is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IfNothing {
    /// When the breach begins.
    pub from: Timestamp,
    /// Time until then, in milliseconds.
    pub in_ms: i64,
    /// The worst that is expected, in the unit of the objective; `null` for a latency without bound, as of a saturated node.
    #[serde(with = "crate::latency")]
    pub worst: f64,
    /// The objective.
    pub objective: f64,
    /// Unit of both.
    pub unit: Unit,
    /// What the value is of; `None` for the service itself.
    pub subject: Option<Subject>,
    /// By which share the worst passes the objective; `null` like the worst.
    #[serde(with = "crate::latency")]
    pub beyond_share: f64,
    /// Requests per second that it concerns: the most that are expected, or those of now.
    pub requests_per_second: Option<f64>,
}

/// A planned move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MoveFacts {
    /// The plan.
    pub plan: PlanId,
    /// What moves.
    pub workload: WorkloadId,
    /// Which replica.
    pub replica: ReplicaId,
    /// From where.
    pub from: NodeId,
    /// Where to.
    pub to: NodeId,
    /// Highest expected latency in milliseconds when it stays; `null` where the node saturates.
    #[serde(with = "crate::latency")]
    pub stay_ms: f64,
    /// The same on the target.
    #[serde(with = "crate::latency")]
    pub move_ms: f64,
    /// How long the move takes, in milliseconds.
    pub takes_ms: i64,
    /// Time between its end and the breach, in milliseconds: why now, and how much later would still do.
    pub spare_ms: i64,
}

/// Nodes that were refused for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The reason in short.
    pub why: String,
    /// The nodes, by name.
    pub nodes: Vec<NodeId>,
    /// The whole reason of the first of them.
    pub example: String,
}

/// A node that could take it and costs more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    /// The node.
    pub node: NodeId,
    /// What a move there costs, in tier-weighted requests per second at risk.
    pub cost: f64,
    /// By how much that is more than the chosen node.
    pub more: f64,
    /// Highest expected latency there, in milliseconds.
    pub predicted_ms: f64,
}

/// How sure a decision is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Uncertainty {
    /// Probability of the breach within the look-ahead; `None` when nothing can be said.
    pub probability: Option<Probability>,
    /// The model that forecast it.
    pub model: Option<String>,
    /// Its mean absolute error over past forecasts, in milliseconds.
    pub mean_error_ms: Option<f64>,
    /// Age of the newest value behind it, in milliseconds.
    pub data_age_ms: Option<i64>,
    /// Past moves of which the twin's prediction was compared with what came; it knows nothing of its error at 0.
    pub twin_moves: usize,
    /// What came over what the twin predicted, in the middle.
    pub twin_ratio: f64,
    /// Factor within which two of three of those are.
    pub twin_factor: f64,
}

impl Facts {
    /// The facts of a record, with what the inputs and the decision of its pass say about the service.
    pub fn new(record: &AuditRecord, inputs: &Inputs<'_>, decision: &Decision) -> Self {
        let (decided, planned, rejected, because, kind) = parts(&record.decided);
        let plans = [Mode::Auto, Mode::Approve, Mode::Recommend]
            .into_iter()
            .filter_map(|mode| decision.plan_in(mode));
        let plan = planned.and_then(|planned| plans.into_iter().find(|plan| plan.id == planned.plan));
        let if_nothing = if_nothing(record, inputs);
        let breach_at = if_nothing.as_ref().map(|if_nothing| if_nothing.from);
        Self {
            service: record.service.clone(),
            at: record.at,
            pass: record.pass,
            decision: decided.to_owned(),
            policy: record.seen.policy.clone(),
            rule: record.seen.rule.clone(),
            mode: record.seen.mode,
            because,
            guard_rail: kind,
            planned: planned.map(|planned| move_facts(planned, breach_at, record.at)),
            refused: Group::of(rejected),
            alternatives: alternatives(rejected),
            costs: plan.and_then(|plan| plan.costs),
            effects: plan.map(|plan| plan.effects.clone()).unwrap_or_default(),
            uncertainty: uncertainty(record, inputs),
            if_nothing_is_done: if_nothing,
        }
    }
}

impl Facts {
    /// What [`AuditRecord::explain`] does not say: what doing nothing and the alternatives would cost, and how sure it
    /// is. Each line is indented like those.
    pub fn in_words(&self) -> String {
        let mut lines = Vec::new();
        if let Some(nothing) = &self.if_nothing_is_done {
            let worst = Quantity::new(nothing.worst, nothing.unit);
            let objective = Quantity::new(nothing.objective, nothing.unit);
            let whom =
                nothing.requests_per_second.map_or(String::new(), |rps| format!(", for {rps:.1} requests/s"));
            let share = bounded(nothing.beyond_share)
                .map_or(String::new(), |share| format!(" ({:.0} % beyond)", share * 100.0));
            lines.push(format!(
                "if nothing is done: from {} on, {worst} against {objective}{share}{whom}",
                in_words(nothing.in_ms)
            ));
        }
        if let Some(planned) = &self.planned {
            lines.push(match planned.spare_ms {
                spare if spare >= 0 => format!("why now: the move could wait {} at most", in_words(spare)),
                late => {
                    format!("why now: it comes {} too late to be over before the breach", in_words(-late))
                }
            });
        }
        if let Some(Costs { staying, chosen }) = &self.costs {
            lines.push(format!(
                "doing nothing costs {:.2}, the plan {:.2}: {:.2} at risk, {:.2} network, {:.2} money, {:.2} for moving",
                staying.total(),
                chosen.total(),
                chosen.risk,
                chosen.network,
                chosen.money,
                chosen.disruption
            ));
        }
        for other in self.alternatives.iter().take(TOLD) {
            let Alternative { node, cost, more, predicted_ms } = other;
            lines.push(format!("or {node}: up to {predicted_ms:.1} ms, costs {cost:.2}, {more:.2} more"));
        }
        let Uncertainty { twin_moves, twin_ratio, twin_factor, .. } = &self.uncertainty;
        if *twin_moves > 0 {
            lines.push(format!(
                "past moves: {twin_moves}; what came was {twin_ratio:.2} times what was predicted, within a factor of \
                 {twin_factor:.2} two times of three"
            ));
        }
        lines.iter().flat_map(|line| ["  ", line, "\n"]).collect()
    }
}

type Parts<'r> = (&'static str, Option<&'r PlannedMove>, &'r [Rejection], Option<String>, Option<String>);

fn parts(decided: &Decided) -> Parts<'_> {
    match decided {
        Decided::Move(planned) => ("move", Some(planned), &planned.rejected, None, None),
        Decided::AwaitingApproval(planned) => {
            ("awaiting_approval", Some(planned), &planned.rejected, None, None)
        }
        Decided::Recommend(planned) => ("recommend", Some(planned), &planned.rejected, None, None),
        Decided::Refused { planned, by } => {
            let who = serde_json::to_value(by).ok();
            let who = who.and_then(|who| Some(who.get("who")?.as_str()?.to_owned()));
            ("refused", Some(planned), &planned.rejected, Some(by.to_string()), who)
        }
        Decided::Nothing { because } => {
            let rejected = match because {
                NothingBecause::NoFeasibleNode { rejected } | NothingBecause::NoGain { rejected } => rejected,
                _ => &[][..],
            };
            let kind = serde_json::to_value(because).ok();
            let kind = kind.and_then(|kind| Some(kind.get("kind")?.as_str()?.to_owned()));
            ("nothing", None, rejected, Some(because.to_string()), kind)
        }
    }
}

fn if_nothing(record: &AuditRecord, inputs: &Inputs<'_>) -> Option<IfNothing> {
    let Verdict::Breach(breach) = &record.seen.verdict else { return None };
    let (worst, objective) = (breach.worst.value, breach.threshold.value);
    Some(IfNothing {
        from: breach.at,
        in_ms: breach.at.ms_since(record.at),
        worst,
        objective,
        unit: breach.worst.unit,
        subject: breach.subject.clone(),
        beyond_share: if objective == 0.0 { 0.0 } else { (worst / objective - 1.0).abs() },
        requests_per_second: requests(record, inputs),
    })
}

fn requests(record: &AuditRecord, inputs: &Inputs<'_>) -> Option<f64> {
    let forecast = inputs.forecast(&record.service, Metric::Throughput).and_then(Result::ok);
    let expected = forecast.and_then(|made| made.steps.iter().map(|step| step.point).reduce(f64::max));
    expected.or(record.seen.measured.map(|measured| measured.throughput_rps))
}

fn move_facts(planned: &PlannedMove, breach_at: Option<Timestamp>, now: Timestamp) -> MoveFacts {
    let made = &planned.planned;
    let breach_at = breach_at.unwrap_or(made.reason.breach_at);
    MoveFacts {
        plan: planned.plan.clone(),
        workload: made.workload.clone(),
        replica: made.replica.clone(),
        from: made.from.clone(),
        to: made.to.clone(),
        stay_ms: made.reason.stay_ms,
        move_ms: made.reason.move_ms,
        takes_ms: made.reason.lead_ms,
        spare_ms: breach_at.ms_since(now).saturating_sub(made.reason.lead_ms),
    }
}

impl Group {
    /// Refused nodes, those that share a reason together where there are many, the largest group first. What only
    /// costs more is a group too.
    pub fn of(rejected: &[Rejection]) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        let few = rejected.len() <= FEW;
        for rejection in rejected {
            let why = rejection.why.in_short();
            match groups.iter_mut().find(|group| !few && group.why == why) {
                // Several replicas may have been tried on one node.
                Some(group) if group.nodes.contains(&rejection.node) => {}
                Some(group) => group.nodes.push(rejection.node.clone()),
                None => groups.push(Self {
                    why: why.to_owned(),
                    nodes: vec![rejection.node.clone()],
                    example: rejection.why.to_string(),
                }),
            }
        }
        groups.sort_by_key(|group| std::cmp::Reverse(group.nodes.len()));
        groups
    }
}

fn alternatives(rejected: &[Rejection]) -> Vec<Alternative> {
    let cost = |rejection: &Rejection| match &rejection.why {
        RejectionReason::CostsMore { cost, predicted_ms, chosen, .. } => Some(Alternative {
            node: rejection.node.clone(),
            cost: *cost,
            more: cost - chosen,
            predicted_ms: *predicted_ms,
        }),
        _ => None,
    };
    let mut all: Vec<Alternative> = rejected.iter().filter_map(cost).collect();
    all.sort_by(|a, b| a.cost.total_cmp(&b.cost).then(a.node.cmp(&b.node)));
    all
}

fn uncertainty(record: &AuditRecord, inputs: &Inputs<'_>) -> Uncertainty {
    let seen = &record.seen;
    let (middle, spread) = inputs.learned.twin.spread();
    Uncertainty {
        probability: match &seen.verdict {
            Verdict::Breach(breach) => Some(breach.probability),
            Verdict::Healthy(healthy) => Some(healthy.probability),
            Verdict::Opportunity(_) | Verdict::Unknown { .. } => None,
        },
        model: seen.model.clone(),
        mean_error_ms: seen.backtest_mae_ms,
        data_age_ms: seen.data_age_ms,
        twin_moves: inputs.learned.twin.moves.len(),
        twin_ratio: f64::from(middle).exp(),
        twin_factor: f64::from(spread).exp(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejection(node: &str, why: RejectionReason) -> Rejection {
        Rejection { workload: "cart".into(), node: node.into(), why }
    }

    #[test]
    fn many_nodes_are_told_by_what_they_share_and_few_one_by_one() {
        let full = |at: u32| {
            let why =
                RejectionReason::NotEnoughCpu { needed_millicores: 100.0, free_millicores: f64::from(at) };
            rejection(&format!("n{at}"), why)
        };
        let mut rejected: Vec<Rejection> = (0..3).map(full).collect();
        rejected.push(rejection("z", RejectionReason::Cordoned));
        assert_eq!(Group::of(&rejected).len(), 4, "few");
        rejected.extend((3..17).map(full));
        rejected.push(full(16));
        let groups = Group::of(&rejected);
        assert_eq!(
            groups.iter().map(|group| (group.why.as_str(), group.nodes.len())).collect::<Vec<_>>(),
            [("no room", 17), ("take nothing now", 1)]
        );
        assert!(groups[0].example.contains("0 are free"), "{}", groups[0].example);
    }

    #[test]
    fn alternatives_are_those_that_only_cost_more() {
        let more =
            |cost: f64| RejectionReason::CostsMore { cost, predicted_ms: 9.0, chosen: 2.0, chosen_ms: 8.0 };
        let rejected =
            [rejection("a", more(5.0)), rejection("b", RejectionReason::Cordoned), rejection("c", more(3.0))];
        let found: Vec<(String, f64)> =
            alternatives(&rejected).into_iter().map(|other| (other.node.to_string(), other.more)).collect();
        assert_eq!(found, [("c".to_owned(), 1.0), ("a".to_owned(), 3.0)]);
    }
}
