//! A decision in words: why this service, why now, why there, why not the others.
use super::{AuditRecord, Decided, PlannedMove, Seen, facts::Group};
use crate::{
    duration::in_words,
    history::KEPT_QUANTILES,
    ids::{NodeId, ReplicaId},
    latency::in_ms,
    placement::NothingBecause,
    plan::Rejection,
    policy::{Breach, Quantity, Subject, Unit, Verdict},
    time::Timestamp,
};
use std::fmt::Write as _;

/// Nodes of a group that are named.
const NAMED: usize = 3;

impl AuditRecord {
    /// The decision in words, a few lines of plain text. Times are relative to the decision.
    pub fn explain(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let service = &self.service;
        match &self.decided {
            Decided::Move(planned) => {
                let PlannedMove { plan, planned, .. } = planned;
                writeln!(text, "{service}: {} ({plan})", planned.as_order())?;
            }
            Decided::AwaitingApproval(planned) => {
                let PlannedMove { plan, planned, .. } = planned;
                writeln!(text, "{service}: waits for approval: {} ({plan})", planned.as_order())?;
                writeln!(text, "  `foremesh approve {plan}` carries it out, if it still holds then")?;
            }
            Decided::Recommend(planned) => {
                let PlannedMove { plan, planned, .. } = planned;
                writeln!(text, "{service}: recommended, not done: {} ({plan})", planned.as_order())?;
            }
            Decided::Refused { planned, by } if planned.planned.is_shift() => {
                let PlannedMove { plan, planned, .. } = planned;
                writeln!(text, "{service}: not done: {} ({plan}), because {by}", planned.as_order())?;
            }
            Decided::Refused { planned, by } => {
                let PlannedMove { plan, planned, .. } = planned;
                let (replica, from, to) = (&planned.replica, &planned.from, &planned.to);
                writeln!(text, "{service}: not moved: {replica} from {from} to {to} ({plan}), because {by}")?;
            }
            Decided::Nothing { because } => writeln!(text, "{service}: nothing to do, because {because}")?,
        }
        write_seen(text, &self.seen, self.at)?;
        match &self.decided {
            Decided::Move(planned)
            | Decided::AwaitingApproval(planned)
            | Decided::Recommend(planned)
            | Decided::Refused { planned, .. } => write_move(text, planned),
            Decided::Nothing {
                because: NothingBecause::NoFeasibleNode { rejected } | NothingBecause::NoGain { rejected },
            } => write_rejected(text, rejected),
            Decided::Nothing { .. } => Ok(()),
        }
    }
}

fn write_seen(text: &mut String, seen: &Seen, now: Timestamp) -> std::fmt::Result {
    match &seen.measured {
        Some(measured) => {
            let latency = measured.latency_ms.iter().zip(KEPT_QUANTILES);
            let shown = latency.filter(|(_, quantile)| [0.5, 0.99].contains(quantile));
            write!(text, "  now: {:.1} requests/s", measured.throughput_rps)?;
            for (latency_ms, quantile) in shown {
                write!(text, ", P{:.0} {latency_ms:.1} ms", quantile * 100.0)?;
            }
            writeln!(text)?;
        }
        None => writeln!(text, "  now: no traffic")?,
    }
    let Seen { policy, rule, objective, .. } = seen;
    let kind = if objective.unit == Unit::Milliseconds { "objective" } else { "limit" };
    write!(text, "  rule {policy}/{rule} ({kind} {objective}): ")?;
    match &seen.verdict {
        Verdict::Breach(breach) => write_breach(text, breach, now)?,
        Verdict::Healthy(healthy) => writeln!(
            text,
            "healthy, {} at worst{}, probability of a breach {:.2}",
            healthy.worst,
            of_subject(healthy.subject.as_ref()),
            healthy.probability.get()
        )?,
        Verdict::Opportunity(opportunity) => {
            let saving = Quantity::new(opportunity.at_least, Unit::MoneyPerHour);
            writeln!(text, "healthy, moves for a saving of at least {saving}")?;
        }
        Verdict::Unknown { why } => writeln!(text, "unknown: {why}")?,
    }
    let (Some(model), Some(age_ms)) = (&seen.model, seen.data_age_ms) else { return Ok(()) };
    write!(text, "  forecast by {model}, ")?;
    if let Some(mae_ms) = seen.backtest_mae_ms {
        write!(text, "mean error {mae_ms:.1} ms, ")?;
    }
    writeln!(text, "data {} old", in_words(age_ms))
}

fn write_breach(text: &mut String, breach: &Breach, now: Timestamp) -> std::fmt::Result {
    write!(
        text,
        "breach in {}, {} at worst{}, probability {:.2}, {} steps beyond",
        in_words(breach.at.ms_since(now)),
        breach.worst,
        of_subject(breach.subject.as_ref()),
        breach.probability.get(),
        breach.steps_beyond
    )?;
    if let Some(saving) = breach.saving_at_least {
        write!(text, ", a move must save {}", Quantity::new(saving, Unit::MoneyPerHour))?;
    }
    writeln!(text)
}

fn of_subject(subject: Option<&Subject>) -> String {
    subject.map_or_else(String::new, |subject| format!(" for {subject}"))
}

fn write_move(text: &mut String, planned: &PlannedMove) -> std::fmt::Result {
    let reason = &planned.planned.reason;
    writeln!(
        text,
        "  staying: {}; moving: {}; the move takes {}",
        up_to(reason.stay_ms),
        up_to(reason.move_ms),
        in_words(reason.lead_ms)
    )?;
    let then: Vec<&str> = planned.planned.then.iter().map(ReplicaId::as_str).collect();
    if !then.is_empty() {
        writeln!(text, "  to follow when it is over, without which it would not help: {}", then.join(", "))?;
    }
    write_rejected(text, &planned.rejected)
}

fn up_to(ms: f64) -> String {
    let words = in_ms(ms);
    if ms.is_finite() { format!("up to {words}") } else { words }
}

/// A few nodes each with its reason; of many, those that share one are counted together.
fn write_rejected(text: &mut String, rejected: &[Rejection]) -> std::fmt::Result {
    for group in Group::of(rejected) {
        match group.nodes.as_slice() {
            [node] => writeln!(text, "  not {node}: {}", group.example)?,
            nodes => {
                let names: Vec<&str> = nodes.iter().take(NAMED).map(NodeId::as_str).collect();
                let more = if nodes.len() > NAMED { ", …" } else { "" };
                let (count, names) = (nodes.len(), names.join(", "));
                writeln!(
                    text,
                    "  not {count} nodes ({names}{more}): {}; {}: {}",
                    group.why, nodes[0], group.example
                )?;
            }
        }
    }
    Ok(())
}
