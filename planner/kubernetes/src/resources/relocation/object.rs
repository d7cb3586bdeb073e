//! From a record of the journal to what the resource says; nothing here reads a clock or a cluster.
use super::{
    Benefit, Condition, FINALIZER, KIND, LONGEST_HISTORY, PLANNER, ROLLOUT, RelocationSpec, RelocationStatus,
    Transition, Why,
};
use crate::resources::{GROUP, VERSION};
use foremesh_core::{
    aftermath::Worth,
    ids::{RolloutId, WorkloadId},
    rollout::{Phase, RolloutRecord, Stage, State},
    time::Timestamp,
};
use k8s_openapi::jiff;
use serde_json::{Value, json};

/// Longest text of a field, in letters: a reason carries whole errors.
const LONGEST_TEXT: usize = 1_024;

/// The object of a rollout, as it is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Its namespace: that of the workload.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The workload's name, without its namespace.
    pub deployment: String,
    /// What is to be made, when it is missing.
    pub object: Value,
    /// What is to be said.
    pub status: RelocationStatus,
}

/// What is to be there of a rollout; none when it is not of a Deployment.
pub fn wanted(record: &RolloutRecord, planner: &str) -> Option<Wanted> {
    let (namespace, deployment) = split(&record.relocation.workload)?;
    let name = name(&record.id);
    let object = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": KIND,
        "metadata": {
            "namespace": namespace,
            "name": name,
            "labels": {"app.kubernetes.io/managed-by": "foremesh", PLANNER: planner},
            "annotations": {ROLLOUT: record.id.as_str()},
            "finalizers": [FINALIZER],
        },
        "spec": spec(record),
    });
    let (namespace, deployment) = (namespace.to_owned(), deployment.to_owned());
    Some(Wanted { namespace, name, deployment, object, status: status(record) })
}

fn split(workload: &WorkloadId) -> Option<(&str, &str)> {
    workload.as_str().split_once('/').filter(|(_, name)| !name.contains('/'))
}

/// A name that Kubernetes takes: the rollout's own where that is one, else what is left of it, and a digest.
pub fn name(rollout: &RolloutId) -> String {
    let own = rollout.as_str();
    let lower: String = own
        .chars()
        .map(|letter| match letter.to_ascii_lowercase() {
            letter @ ('a'..='z' | '0'..='9' | '-' | '.') => letter,
            _ => '-',
        })
        .take(200)
        .collect();
    let parts: Vec<&str> =
        lower.split('.').map(|part| part.trim_matches('-')).filter(|part| !part.is_empty()).collect();
    let clean = parts.join(".");
    if clean == own {
        return clean;
    }
    // FNV-1a: the same in every version, and nobody chooses these names to make two of them equal.
    let digest = own.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| {
        (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{clean}-{digest:016x}").trim_start_matches('-').to_owned()
}

/// In whole seconds, as Kubernetes writes times.
pub(super) fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.unix_ms().div_euclid(1000))
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .to_string()
}

/// Kubernetes does not keep fractions as they are written, and an object would never be equal to what is wanted.
fn whole(value: f64) -> Option<i64> {
    value.is_finite().then(|| value.round() as i64)
}

pub(super) fn short(text: &str) -> String {
    if text.chars().count() <= LONGEST_TEXT {
        return text.to_owned();
    }
    text.chars().take(LONGEST_TEXT - 1).chain(['…']).collect()
}

fn spec(record: &RolloutRecord) -> RelocationSpec {
    let (planned, reason) = (&record.relocation, &record.relocation.reason);
    RelocationSpec {
        plan: record.plan.to_string(),
        generation: record.generation.cast_signed(),
        service: planned.service.to_string(),
        workload: split(&planned.workload).map_or("", |(_, name)| name).to_owned(),
        replica: planned.replica.to_string(),
        from: planned.from.to_string(),
        to: planned.to.to_string(),
        why: Why {
            policy: reason.policy.to_string(),
            rule: reason.rule.clone(),
            breach_at: time(reason.breach_at),
            breach_percent: whole(reason.breach_probability.get() * 100.0).unwrap_or(0),
            objective_ms: whole(reason.objective_ms).unwrap_or(0),
            stay_ms: whole(reason.stay_ms),
            move_ms: whole(reason.move_ms),
        },
        approved_by: record.approval.as_ref().map(|approval| approval.by.clone()),
        abort: false,
    }
}

fn status(record: &RolloutRecord) -> RelocationStatus {
    let left_out = record.history.len().saturating_sub(LONGEST_HISTORY);
    let history = record.history.iter().skip(left_out).map(|change| Transition {
        at: time(change.at),
        from: change.from.to_string(),
        to: change.to.to_string(),
        why: short(&change.why),
    });
    RelocationStatus {
        observed_generation: 0,
        state: record.state.phase().name().to_owned(),
        step: record.state.to_string(),
        why: short(record.why()),
        traffic_percent: traffic(record),
        since: time(record.entered_at),
        deadline: (!record.state.is_last()).then(|| time(record.deadline)),
        target: record.target.as_ref().map(ToString::to_string),
        transitions: i64::try_from(record.history.len()).unwrap_or(i64::MAX),
        history: history.collect(),
        conditions: conditions(record),
        benefit: benefit(record),
    }
}

/// A verdict as Kubernetes writes reasons.
pub(super) const fn verdict(worth: Worth) -> &'static str {
    match worth {
        Worth::WorthIt => "WorthIt",
        Worth::NotWorthIt => "NotWorthIt",
        Worth::CannotBeKnown => "CannotBeKnown",
    }
}

fn benefit(record: &RolloutRecord) -> Option<Benefit> {
    let benefit = record.benefit.as_ref()?;
    let compared = benefit.compared.as_ref();
    let percent = |share: f64| whole(share * 100.0);
    Some(Benefit {
        verdict: verdict(benefit.verdict).to_owned(),
        why: short(&benefit.why),
        measured_ms: compared.and_then(|of| whole(of.measured_ms)),
        move_ms: compared.and_then(|of| whole(of.predicted_ms)),
        stay_ms: compared.and_then(|of| whole(of.stay_ms)),
        measured_over_percent: compared.and_then(|of| percent(of.measured_over)),
        stay_over_percent: compared.and_then(|of| percent(of.stay_over)),
    })
}

/// How much of its way the traffic has gone. While it is given back: how much there was to give back.
fn traffic(record: &RolloutRecord) -> Option<i64> {
    let of = |state| match state {
        State::Ramping { step } => record.ramp_percent(step).map(i64::from),
        State::Draining | State::Settling { .. } | State::Succeeded => Some(100),
        State::Failed => None,
        _ => Some(0),
    };
    match record.state {
        State::RollingBack { stage: Stage::Shift, .. } => {
            let mut left = record.history.iter().rev().map(|change| change.from);
            of(left.find(|state| state.phase() != Phase::RollingBack)?)
        }
        state => of(state),
    }
}

fn conditions(record: &RolloutRecord) -> Vec<Condition> {
    let begun = record.history.first().map_or(record.entered_at, |first| first.at);
    let (phase, over) = (record.state.phase(), record.state.is_last());
    let condition = |kind: &str, is: Option<bool>, since| Condition {
        kind: kind.to_owned(),
        status: is.map_or("Unknown", |is| if is { "True" } else { "False" }).to_owned(),
        reason: phase.name().to_owned(),
        message: short(record.why()),
        last_transition_time: time(since),
    };
    let ended = if over { record.entered_at } else { begun };
    let worthwhile = record.benefit.as_ref().map(|benefit| Condition {
        kind: "Worthwhile".to_owned(),
        status: match benefit.verdict {
            Worth::WorthIt => "True",
            Worth::NotWorthIt => "False",
            Worth::CannotBeKnown => "Unknown",
        }
        .to_owned(),
        reason: verdict(benefit.verdict).to_owned(),
        message: short(&benefit.why),
        last_transition_time: time(benefit.at),
    });
    let taken_back = record.moved_back.as_ref().map(|back| Condition {
        kind: "TakenBack".to_owned(),
        status: "True".to_owned(),
        reason: "BySomebodyElse".to_owned(),
        message: short(&back.in_words()),
        last_transition_time: time(back.at),
    });
    let mut conditions = vec![
        condition("Progressing", Some(!over), ended),
        condition("Succeeded", over.then_some(phase == Phase::Succeeded), ended),
        condition("RolledBack", over.then_some(matches!(phase, Phase::RolledBack | Phase::Aborted)), ended),
    ];
    conditions.extend(worthwhile.into_iter().chain(taken_back));
    conditions
}

/// Reason of the conditions of one whose rollout nobody knows.
pub(super) const LOST: &str = "Unknown";

/// What is said of one whose rollout nobody knows any more. It is no change of state of that rollout, so it is not counted.
pub(super) fn lost(before: &RelocationStatus, now: Timestamp) -> RelocationStatus {
    let why = "unknown: the planner that leads knows nothing of it, because its journal was lost or is that of another \
               planner; what was begun of it has been taken back";
    let at = time(now);
    let mut history = before.history.clone();
    history.push(Transition {
        at: at.clone(),
        from: before.step.clone(),
        to: Phase::Failed.name().to_owned(),
        why: why.to_owned(),
    });
    let left_out = history.len().saturating_sub(LONGEST_HISTORY);
    let condition = |kind: &str, status: &str| Condition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        reason: LOST.to_owned(),
        message: why.to_owned(),
        last_transition_time: at.clone(),
    };
    RelocationStatus {
        state: Phase::Failed.name().to_owned(),
        step: Phase::Failed.name().to_owned(),
        why: why.to_owned(),
        traffic_percent: None,
        since: at.clone(),
        deadline: None,
        history: history.split_off(left_out),
        conditions: vec![
            condition("Progressing", "False"),
            condition("Succeeded", "Unknown"),
            condition("RolledBack", "Unknown"),
        ],
        ..before.clone()
    }
}
