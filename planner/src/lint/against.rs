//! Rules and policies that work against each other: a move for one is undone for the other, or one hides the other.
use super::{
    findings::{Findings, Severity},
    found::Found,
    single::field,
    words::part_in_words,
};
use foremesh_core::{
    inputs::Settings,
    policy::{Base, Bound, Condition, Consumer, Mode, PredictedLatency, PredictedUsage, Resource, Sustained},
};

pub(super) fn check(policies: &[Found], findings: &mut Findings) {
    for (index, found) in policies.iter().enumerate() {
        loops(found, findings);
        without_objective(found, policies, findings);
        shadowed_within(found, findings);
        for other in &policies[index + 1..] {
            if overlap(found, other) {
                differing(found, other, findings);
                shadowed_between(found, other, findings);
            }
        }
        for (at, other) in policies.iter().enumerate() {
            if at == index || overlap(found, other) {
                money(found, other, findings);
            }
        }
    }
}

fn overlap(a: &Found, b: &Found) -> bool {
    a.policy.services.iter().any(|glob| b.policy.services.iter().any(|other| glob.overlaps(other)))
}

/// Each part of each rule with its place: number of the rule, and of the part where there are several.
fn parts(found: &Found) -> impl Iterator<Item = (usize, Option<usize>, &Condition)> {
    found.policy.rules.iter().enumerate().flat_map(|(index, rule)| {
        let several = matches!(rule.when, Condition::All(_));
        rule.when.parts().iter().enumerate().map(move |(at, part)| (index, several.then_some(at), part))
    })
}

/// A node from which rules move away before the placement calls it full: where the replica goes, it is moved away again.
fn loops(found: &Found, findings: &mut Findings) {
    let most = Settings::default().max_utilisation;
    for (rule, at, part) in parts(found) {
        let Condition::PredictedUsage(PredictedUsage {
            of: Consumer::Node,
            resource: Resource::Cpu,
            above: Bound::Share { share, of: Base::Capacity },
            ..
        }) = part
        else {
            continue;
        };
        if found.policy.mode > Mode::Observe && *share <= most {
            let message = format!(
                "rule `{}` moves away from nodes above {:.0} % of CPU, but targets may be filled up to {:.0} % (`max_utilisation`): a \
                 node that takes a replica may be one that it is moved away from next; write a share above {:.0}%",
                found.policy.rules[rule].name,
                share * 100.0,
                most * 100.0,
                most * 100.0
            );
            let place = found.in_rule(rule, at, "predictedUsage.above");
            findings.add(Severity::Warning, "loop", &found.file, place, message);
        }
    }
}

/// Latency rules that hold on targets: those of policies that do more than look.
fn objectives<'f>(
    policies: impl IntoIterator<Item = &'f Found>,
) -> impl Iterator<Item = &'f PredictedLatency> {
    let acting = policies.into_iter().filter(|found| found.policy.mode > Mode::Observe);
    acting.flat_map(|found| parts(found).filter_map(|(.., part)| part.latency()))
}

/// A policy that would move, but cannot judge a target.
fn without_objective(found: &Found, policies: &[Found], findings: &mut Findings) {
    let around = policies.iter().filter(|other| overlap(found, other));
    if found.policy.mode == Mode::Observe || objectives(around).next().is_some() {
        return;
    }
    let message = format!(
        "no predictedLatency rule tells which latency the services of policy `{}` must keep where they go, so they are never \
         moved; add a rule with the objective",
        found.policy.id
    );
    findings.add(Severity::Warning, "no-objective", &found.file, found.place("spec.rules"), message);
}

/// Money moves a replica to a cheaper node, and another rule moves it back.
fn money(saving: &Found, other: &Found, findings: &mut Findings) {
    if saving.policy.mode == Mode::Observe || other.policy.mode == Mode::Observe {
        return;
    }
    for (rule, at, part) in parts(saving) {
        // A saving that is asked for together with a breach makes no moves of its own.
        if !matches!(part, Condition::CostSaving(_)) || at.is_some() {
            continue;
        }
        for (other_rule, _, against) in parts(other) {
            let why = match against {
                Condition::PredictedLatency(latency) if latency.probability.get() < 0.5 => format!(
                    "a target is judged by what is expected there, but that rule fires at a probability of {}",
                    latency.probability.get()
                ),
                Condition::PredictedLatency(_) if saving.policy.margin.target <= 0.0 => {
                    "without `margin.target` a target may be at its objective".to_owned()
                }
                Condition::PredictedUsage(PredictedUsage { of: Consumer::Node, .. })
                | Condition::PredictedExhaustion(_)
                | Condition::PredictedThroughput(_) => {
                    "cheap nodes fill up until that rule moves services away from them".to_owned()
                }
                _ => continue,
            };
            let message = format!(
                "rule `{}` moves services to cheaper nodes, and rule `{}` of policy `{}` may move the same services back: {why}; ask \
                 for the saving and the other condition together in `all`, or raise `margin.target` and `cooldown`",
                saving.policy.rules[rule].name, other.policy.rules[other_rule].name, other.policy.id
            );
            findings.add(Severity::Warning, "money-against", &saving.file, saving.rule(rule), message);
        }
    }
}

/// Two policies for the same services that do not agree.
fn differing(a: &Found, b: &Found, findings: &mut Findings) {
    let (one, two) = (&a.policy, &b.policy);
    // A policy that only looks is how another one is tried out beside it.
    if (one.mode == Mode::Observe) != (two.mode == Mode::Observe) {
        return;
    }
    let mut differences = Vec::new();
    let mut differ = |what: &str, differs: bool| {
        if differs {
            differences.push(format!("`{what}`"));
        }
    };
    differ("mode", one.mode != two.mode);
    differ("margin", one.margin != two.margin);
    differ("cooldown", one.cooldown_ms != two.cooldown_ms);
    differ("ramp", one.ramp_percent != two.ramp_percent);
    differ("forecast.models", one.models != two.models);
    differ("limits", one.limits != two.limits);
    differ("freeze", one.freezes != two.freezes);
    differ("tiers", one.tiers != two.tiers);
    let shared = a.policy.services.iter().find_map(|glob| {
        let other = b.policy.services.iter().find(|other| glob.overlaps(other))?;
        Some(format!("`{}` and `{}`", glob.as_str(), other.as_str()))
    });
    let shared = shared.unwrap_or_default();
    let message = if differences.is_empty() {
        format!(
            "policies `{}` and `{}` select the same services ({shared}); join them, or tell them apart",
            one.id, two.id
        )
    } else {
        format!(
            "policies `{}` and `{}` select the same services ({shared}) and do not agree on {}: where both fire, the one that \
             may do more counts, else the one whose breach comes first; give each service to one of them, or write the same in both",
            one.id,
            two.id,
            differences.join(", ")
        )
    };
    let code = if differences.is_empty() { "overlap" } else { "contradiction" };
    findings.add(Severity::Warning, code, &b.file, b.place("spec.selector.services"), message);
}

fn shadowed_within(found: &Found, findings: &mut Findings) {
    for (index, rule) in found.policy.rules.iter().enumerate() {
        for (other_index, other) in found.policy.rules.iter().enumerate() {
            let equal = covers(&other.when, &rule.when) && covers(&rule.when, &other.when);
            let hidden =
                index != other_index && covers(&other.when, &rule.when) && (!equal || other_index < index);
            if hidden {
                let message = format!(
                    "rule `{}` adds nothing: whenever it fires, rule `{}` does too ({}); remove one of them",
                    rule.name,
                    other.name,
                    part_in_words(&other.when)
                );
                findings.add(Severity::Warning, "shadowed", &found.file, found.rule(index), message);
                break;
            }
        }
    }
}

/// Between policies only where one selects all that the other does, and may do as much.
fn shadowed_between(a: &Found, b: &Found, findings: &mut Findings) {
    for (hiding, hidden) in [(a, b), (b, a)] {
        if hiding.policy.services != hidden.policy.services || hiding.policy.mode < hidden.policy.mode {
            continue;
        }
        for (index, rule) in hidden.policy.rules.iter().enumerate() {
            let by = hiding.policy.rules.iter().find(|other| {
                covers(&other.when, &rule.when)
                    && !(hiding.policy.id == b.policy.id && covers(&rule.when, &other.when))
            });
            if let Some(by) = by {
                let message = format!(
                    "rule `{}` adds nothing: whenever it fires, rule `{}` of policy `{}` for the same services does too; remove \
                     one of them",
                    rule.name, by.name, hiding.policy.id
                );
                findings.add(Severity::Warning, "shadowed", &hidden.file, hidden.rule(index), message);
            }
        }
    }
}

/// Whether `wide` fires whenever `narrow` does.
fn covers(wide: &Condition, narrow: &Condition) -> bool {
    let longer = |wide: &Sustained, narrow: &Sustained| {
        wide.steps <= narrow.steps
            && wide.of >= narrow.of
            && wide.within_ms >= narrow.within_ms
            && wide.probability <= narrow.probability
    };
    match (wide, narrow) {
        (Condition::PredictedLatency(a), Condition::PredictedLatency(b)) => {
            // A quantile further out is never below one further in.
            a.quantile >= b.quantile && a.above_ms <= b.above_ms && longer(&a.sustained(), &b.sustained())
        }
        (Condition::PredictedAvailability(a), Condition::PredictedAvailability(b)) => {
            a.below >= b.below && longer(&a.sustained, &b.sustained)
        }
        (Condition::PredictedThroughput(a), Condition::PredictedThroughput(b)) => {
            a.below_demand_by <= b.below_demand_by && longer(&a.sustained, &b.sustained)
        }
        (Condition::PredictedUsage(a), Condition::PredictedUsage(b)) => {
            let lower = match (a.above, b.above) {
                (Bound::Absolute(a), Bound::Absolute(b)) => a <= b,
                (Bound::Share { share: a, of }, Bound::Share { share: b, of: other }) => {
                    of == other && a <= b
                }
                _ => false,
            };
            a.of == b.of && a.resource == b.resource && lower && longer(&a.sustained, &b.sustained)
        }
        (Condition::PredictedExhaustion(a), Condition::PredictedExhaustion(b)) => {
            a.of == b.of && a.resource == b.resource && longer(&a.sustained, &b.sustained)
        }
        (Condition::CostSaving(a), Condition::CostSaving(b)) => a.at_least <= b.at_least,
        // Several together fire less often than each of them.
        (wide, Condition::All(parts)) if !matches!(wide, Condition::All(_)) => {
            parts.iter().any(|part| field(part) == field(wide) && covers(wide, part))
        }
        _ => false,
    }
}
