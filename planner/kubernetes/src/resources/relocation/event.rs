//! One event for each change of state, on the resource and on the Deployment.
use super::{
    KIND,
    object::{Wanted, short},
};
use crate::resources::{GROUP, VERSION};
use foremesh_core::{
    rollout::{Phase, RolloutRecord, Transition},
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

/// The events of all changes of state from number `told` on. Each has the same name whenever it is made, so making it again
/// does no harm.
pub(super) fn events(
    record: &RolloutRecord,
    wanted: &Wanted,
    about: &About<'_>,
    told: usize,
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
    for (number, change) in record.history.iter().enumerate().skip(told) {
        if now.ms_since(change.at) > TOLD_FOR_MS {
            continue;
        }
        let event = |of: &str, regarding: &Value, related: Option<&Value>, note: &str| {
            let mut event = json!({
                "apiVersion": "events.k8s.io/v1",
                "kind": "Event",
                "metadata": {
                    "namespace": namespace,
                    "name": format!("{of}.{number}"),
                    "labels": {"app.kubernetes.io/managed-by": "foremesh"},
                },
                "eventTime": micro_time(change.at),
                "reportingController": "foremesh.dev/planner",
                "reportingInstance": reporter,
                "action": "Relocate",
                "reason": change.to.phase().name(),
                "type": kind(change),
                "regarding": regarding,
                "note": note,
            });
            if let Some(related) = related {
                event["related"] = related.clone();
            }
            event
        };
        events.push(event(name, &relocation, moved.as_ref(), &note(&change.why)));
        if let Some(moved) = &moved {
            let planned = &record.relocation;
            let note = note(&format!("{} to {}: {}", planned.from, planned.to, change.why));
            events.push(event(&format!("{deployment}.{name}"), moved, Some(&relocation), &note));
        }
    }
    events
}

fn kind(change: &Transition) -> &'static str {
    match change.to.phase() {
        Phase::RollingBack | Phase::RolledBack | Phase::Failed => "Warning",
        _ => "Normal",
    }
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
