//! What one policy does that nobody wants: rules that always or never fire, freezes without end, rests that are too
//! short, and what a snapshot says about it.
use super::{
    findings::{Findings, Severity},
    found::Found,
};
use foremesh_calendar::freezes;
use foremesh_core::{
    duration::in_words,
    inputs::Settings,
    policy::{Base, Bound, Condition, Mode, Resource, Sustained},
    time::{Step, Timestamp},
    topology::Snapshot,
};

/// A forecast of 48 joint paths claims no probability below half of one of 49, and none above the rest; a little more, as
/// it may know fewer.
const LEAST_PROBABILITY: f64 = 0.02;
const MOST_PROBABILITY: f64 = 0.98;

/// Use below this share of what there is, or unserved demand, is where everything is all of the time.
const HARDLY_ANY: f64 = 0.05;

/// How far freeze windows are looked at.
const TWO_WEEKS_MS: i64 = 14 * 24 * 3_600_000;

pub(super) fn check(found: &Found, snapshot: Option<&Snapshot>, now: Timestamp, findings: &mut Findings) {
    for (index, rule) in found.policy.rules.iter().enumerate() {
        let several = matches!(rule.when, Condition::All(_));
        for (at, part) in rule.when.parts().iter().enumerate() {
            let place = (index, several.then_some(at));
            threshold(found, place, part, findings);
            if let Some(sustained) = part.sustained() {
                how_long(found, place, part, &sustained, findings);
            }
        }
    }
    mode(found, findings);
    cooldown(found, findings);
    frozen(found, now, findings);
    if let Some(snapshot) = snapshot {
        against_snapshot(found, snapshot, findings);
    }
}

fn warn(found: &Found, code: &'static str, path: &str, message: String, findings: &mut Findings) {
    findings.add(Severity::Warning, code, &found.file, found.place(path), message);
}

/// Name of a condition in a policy.
pub(super) const fn field(part: &Condition) -> &'static str {
    match part {
        Condition::PredictedLatency(_) => "predictedLatency",
        Condition::PredictedThroughput(_) => "predictedThroughput",
        Condition::PredictedAvailability(_) => "predictedAvailability",
        Condition::PredictedUsage(_) => "predictedUsage",
        Condition::PredictedExhaustion(_) => "predictedExhaustion",
        Condition::CostSaving(_) => "costSaving",
        Condition::All(_) => "all",
    }
}

fn threshold(found: &Found, (rule, at): (usize, Option<usize>), part: &Condition, findings: &mut Findings) {
    let (key, always, why) = match part {
        Condition::PredictedUsage(usage) => match usage.above {
            Bound::Share { share, .. } if share <= HARDLY_ANY => (
                "above",
                true,
                "almost any use is above it; write the share at which it gets tight, such as 80%",
            ),
            Bound::Share { share, of: Base::Capacity | Base::Limit } if share >= 1.0 => (
                "above",
                false,
                "no more can be used than there is; write less than 100%, or use predictedExhaustion",
            ),
            _ => return,
        },
        Condition::PredictedAvailability(availability) if availability.below >= 0.999_999 => {
            ("below", true, "one failure in a million requests is below it; write what users notice")
        }
        Condition::PredictedThroughput(throughput) if throughput.below_demand_by >= 0.95 => {
            ("belowDemandBy", false, "nodes would have to be twenty times too full; write less, such as 10%")
        }
        _ => return,
    };
    let (code, fires) = if always { ("always-fires", "always") } else { ("never-fires", "never") };
    let name = &found.policy.rules[rule].name;
    let message = format!("rule `{name}` {fires} fires: {why}");
    let place = found.in_rule(rule, at, &format!("{}.{key}", field(part)));
    findings.add(Severity::Warning, code, &found.file, place, message);
}

fn how_long(
    found: &Found,
    (rule, at): (usize, Option<usize>),
    part: &Condition,
    sustained: &Sustained,
    findings: &mut Findings,
) {
    let name = &found.policy.rules[rule].name;
    let probability = sustained.probability.get();
    let mut warn = |code, key: &str, message: String| {
        let place = found.in_rule(rule, at, &format!("{}.{key}", field(part)));
        findings.add(Severity::Warning, code, &found.file, place, message);
    };
    if probability <= LEAST_PROBABILITY {
        let message = format!(
            "rule `{name}` always fires: a forecast never says that something is less probable than about {LEAST_PROBABILITY}; \
             ask for more than {probability}"
        );
        warn("always-fires", "probability", message);
    }
    if probability >= MOST_PROBABILITY {
        let message = format!(
            "rule `{name}` never fires: a forecast never says that something is more probable than about {MOST_PROBABILITY}; \
             ask for less than {probability}"
        );
        warn("never-fires", "probability", message);
    }
    let needed_ms = Step::MINUTE.times(sustained.of);
    if needed_ms > sustained.within_ms {
        let message = format!(
            "rule `{name}` counts {} of {} steps, which are {} at the usual step of a minute, but looks only {} ahead; \
             lengthen `within` or count fewer steps",
            sustained.steps,
            sustained.of,
            in_words(needed_ms),
            in_words(sustained.within_ms)
        );
        warn("steps-beyond-look-ahead", "within", message);
    }
}

fn mode(found: &Found, findings: &mut Findings) {
    let policy = &found.policy;
    if policy.mode == Mode::Approve && policy.waiver.is_none() && policy.trial.is_none() {
        let message = "plans wait for `foremesh approve`, and it will refuse them: it is not said how they are tried, and \
                       nobody waives the trial; write `trial: {requests: [{path: /...}]}`, \
                       `trial: {waivedBy: your name, reason: why}`, or mode `recommend`";
        warn(found, "approve-refused", "spec.mode", message.to_owned(), findings);
    }
}

/// A workload that may move again before the forecast reaches past what the last move changed goes back and forth.
fn cooldown(found: &Found, findings: &mut Findings) {
    let policy = &found.policy;
    let within_ms = policy.rules.iter().map(|rule| rule.when.within_ms()).max().unwrap_or(0);
    let move_ms = Settings::default().default_move_duration_ms;
    // Only what moves by itself goes back and forth by itself. A quarter of the look-ahead is the least in which a
    // forecast has seen what the move brought.
    let least_ms = within_ms / 4 + move_ms;
    if policy.mode == Mode::Auto && policy.cooldown_ms < least_ms {
        let message = format!(
            "workloads rest {} after a move, but rules look {} ahead and a move takes about {}: a workload may be moved back \
             before the forecast has seen what its move brought; write `cooldown: {}` or more",
            in_words(policy.cooldown_ms),
            in_words(within_ms),
            in_words(move_ms),
            foremesh_core::duration::format_ms(round_up(least_ms))
        );
        warn(found, "cooldown-short", "spec.cooldown", message, findings);
    }
}

/// Whole minutes.
const fn round_up(ms: i64) -> i64 {
    (ms + 59_999) / 60_000 * 60_000
}

/// Freezes that leave no time for a move, and those that are over.
fn frozen(found: &Found, now: Timestamp, findings: &mut Findings) {
    let policy = std::slice::from_ref(&found.policy);
    let end = now.plus_ms(TWO_WEEKS_MS);
    let move_ms = Settings::default().default_move_duration_ms;
    let windows = freezes(policy, now, end);
    let (mut free_from, mut longest_ms) = (now, 0);
    for window in &windows {
        longest_ms = longest_ms.max(window.from.ms_since(free_from));
        free_from = free_from.max(window.to);
    }
    longest_ms = longest_ms.max(end.ms_since(free_from));
    if !windows.is_empty() && longest_ms < move_ms {
        let message = format!(
            "the freeze windows leave at most {} between them within two weeks, and a move takes about {}: the policy never \
             moves anything; shorten a window, or use mode observe",
            in_words(longest_ms.max(0)),
            in_words(move_ms)
        );
        warn(found, "always-frozen", "spec.freeze", message, findings);
    }
    for (index, window) in found.policy.freezes.iter().enumerate() {
        let once = matches!(window.when, foremesh_core::policy::FreezeTime::Once { .. });
        let mut alone = found.policy.clone();
        alone.freezes = vec![window.clone()];
        let forever = Timestamp::from_unix_ms(i64::MAX / 2);
        if once && freezes(std::slice::from_ref(&alone), now, forever).is_empty() {
            let message = format!("the freeze `{}` is over; remove it", window.name);
            warn(found, "freeze-over", &format!("spec.freeze[{index}].to"), message, findings);
        }
    }
}

fn against_snapshot(found: &Found, snapshot: &Snapshot, findings: &mut Findings) {
    let policy = &found.policy;
    for (index, glob) in policy.services.iter().enumerate() {
        if !snapshot.workloads.values().any(|workload| glob.matches(workload.service.as_str())) {
            let message = format!("no service in the snapshot is named like `{}`; correct it", glob.as_str());
            warn(found, "selects-nothing", &format!("spec.selector.services[{index}]"), message, findings);
        }
    }
    let prices: Vec<f64> = snapshot.nodes.values().map(|node| node.cost_per_hour).collect();
    let dearest = prices.iter().copied().fold(f64::MIN, f64::max);
    let cheapest = prices.iter().copied().fold(f64::MAX, f64::min);
    for (rule_index, rule) in policy.rules.iter().enumerate() {
        let several = matches!(rule.when, Condition::All(_));
        for (at, part) in rule.when.parts().iter().enumerate() {
            let (key, message) = match part {
                Condition::CostSaving(saving) if saving.at_least > dearest - cheapest => (
                    "atLeast",
                    format!(
                        "rule `{}` never fires: no two nodes of the snapshot differ by more than {:.2} per hour; give nodes \
                         their prices, or ask for less",
                        rule.name,
                        (dearest - cheapest).max(0.0)
                    ),
                ),
                Condition::PredictedUsage(usage) => {
                    let Bound::Share { of, .. } = usage.above else { continue };
                    let selected = snapshot.workloads.iter().filter(|(_, w)| policy.selects(&w.service));
                    let missing = selected.filter(|(_, workload)| match (of, usage.resource) {
                        (Base::Request, Resource::Cpu) => workload.requests.cpu_millicores.is_none(),
                        (Base::Request, Resource::Memory) => workload.requests.memory_bytes.is_none(),
                        (Base::Limit, Resource::Cpu) => workload.cpu_limit.is_none(),
                        _ => false,
                    });
                    let names: Vec<String> = missing.map(|(name, _)| format!("`{name}`")).collect();
                    if names.is_empty() {
                        continue;
                    }
                    let message = format!(
                        "rule `{}` knows nothing about {}: no {} of {} is set there; set it, or write an absolute limit",
                        rule.name,
                        names.join(", "),
                        of.name(),
                        usage.resource.name()
                    );
                    ("above", message)
                }
                _ => continue,
            };
            let place = found.in_rule(rule_index, several.then_some(at), &format!("{}.{key}", field(part)));
            findings.add(Severity::Warning, "snapshot", &found.file, place, message);
        }
    }
}
