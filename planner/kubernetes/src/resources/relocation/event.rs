//! One event for each change of state and for what became of the move, on the resource and on the Deployment.
use super::{
    KIND, RelocationStatus,
    object::{Wanted, short, verdict},
};
use crate::resources::{GROUP, VERSION};
use foremesh_core::{
    aftermath::Worth,
    rollout::{Phase, RolloutRecord},
    time::Timestamp,
};
use k8s_openapi::jiff;
use serde_json::{Value, json};

/// Changes of state that are older than this, in milliseconds, are told by nobody any more: about as long as events stay.
const TOLD_FOR_MS: i64 = 3_600_000;
/// Longest message that the API server takes, in bytes.
const LONGEST_NOTE: usize = 1_024;

/// What the events are about: the resource's and the Deployment's uid. Without the latter there are none on it.
pub(super) struct About<'a> {
    pub(super) relocation: &'a str,
    pub(super) deployment: Option<&'a str>,
}

/// Something to tell.
struct Notice {
    /// What makes its event another one than the others of the rollout.
    key: String,
    at: Timestamp,
    reason: &'static str,
    is_warning: bool,
    why: String,
}

/// All changes of state from number `told` on, and what became of the move that `before` does not say yet.
fn notices(record: &RolloutRecord, told: usize, before: Option<&RelocationStatus>) -> Vec<Notice> {
    let changes = record.history.iter().enumerate().skip(told).map(|(number, change)| Notice {
        key: number.to_string(),
        at: change.at,
        reason: change.to.phase().name(),
        is_warning: matches!(change.to.phase(), Phase::RollingBack | Phase::RolledBack | Phase::Failed),
        why: change.why.clone(),
    });
    let says = |kind: &str| before.is_some_and(|status| status.conditions.iter().any(|of| of.kind == kind));
    let judged = record.benefit.as_ref().filter(|_| !says("Worthwhile")).map(|benefit| Notice {
        key: "benefit".to_owned(),
        at: benefit.at,
        reason: verdict(benefit.verdict),
        is_warning: benefit.verdict == Worth::NotWorthIt,
        why: benefit.why.clone(),
    });
    let back = record.moved_back.as_ref().filter(|_| !says("TakenBack")).map(|back| Notice {
        key: "taken-back".to_owned(),
        at: back.at,
        reason: "TakenBack",
        is_warning: true,
        why: back.in_words(),
    });
    changes.chain(judged).chain(back).collect()
}

/// Whether there is anything to tell beyond what a resource says.
pub(super) fn is_told(record: &RolloutRecord, before: Option<&RelocationStatus>) -> bool {
    notices(record, transitions(before), before).is_empty()
}

fn transitions(before: Option<&RelocationStatus>) -> usize {
    before.map_or(0, |status| usize::try_from(status.transitions).unwrap_or(0))
}

/// The events of all that a resource does not say yet. Each has the same name whenever it is made, so making it again does no
/// harm.
pub(super) fn events(
    record: &RolloutRecord,
    wanted: &Wanted,
    about: &About<'_>,
    before: Option<&RelocationStatus>,
    reporter: &str,
    now: Timestamp,
) -> Vec<Value> {
    let Wanted { namespace, name, deployment, .. } = wanted;
    let relocation = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": KIND, "namespace": namespace, "name": name,
        "uid": about.relocation,
    });
    let moved = about.deployment.map(|uid| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "namespace": namespace, "name": deployment, "uid": uid})
    });
    let mut events = Vec::new();
    for Notice { key, at, reason, is_warning, why } in notices(record, transitions(before), before) {
        if now.ms_since(at) > TOLD_FOR_MS {
            continue;
        }
        let event = |of: &str, regarding: &Value, related: Option<&Value>, note: &str| {
            let mut event = json!({
                "apiVersion": "events.k8s.io/v1",
                "kind": "Event",
                "metadata": {
                    "namespace": namespace,
                    "name": format!("{of}.{key}"),
                    "labels": {"app.kubernetes.io/managed-by": "foremesh"},
                },
                "eventTime": micro_time(at),
                "reportingController": "foremesh.dev/planner",
                "reportingInstance": reporter,
                "action": "Relocate",
                "reason": reason,
                "type": if is_warning { "Warning" } else { "Normal" },
                "regarding": regarding,
                "note": note,
            });
            if let Some(related) = related {
                event["related"] = related.clone();
            }
            event
        };
        events.push(event(name, &relocation, moved.as_ref(), &note(&why)));
        if let Some(moved) = &moved {
            let planned = &record.relocation;
            let note = note(&format!("{} to {}: {why}", planned.from, planned.to));
            events.push(event(&format!("{deployment}.{name}"), moved, Some(&relocation), &note));
        }
    }
    events
}

fn note(why: &str) -> String {
    let mut note = short(why);
    while note.len() > LONGEST_NOTE {
        note.pop();
    }
    note
}

fn micro_time(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(at.unix_ms()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    jiff::fmt::strtime::format("%Y-%m-%dT%H:%M:%S%.6fZ", at).unwrap_or_default()
}
