//! What to write, given what the journal and the cluster have; nothing here reads a clock or a cluster.
use super::{
    RelocationStatus,
    object::{Wanted, lost},
    store::Found,
};
use foremesh_core::{ids::RolloutId, time::Timestamp};
use k8s_openapi::jiff;
use std::{cmp::Reverse, collections::BTreeMap};

/// How long resources of what is over stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Since the end, in milliseconds.
    pub for_ms: i64,
    /// In each namespace, the newest.
    pub at_most: usize,
}

/// A rollout of the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// Its name.
    pub rollout: RolloutId,
    /// What is to be there of it.
    pub wanted: Wanted,
    /// Whether it is over.
    pub over: bool,
    /// Whether it can still be asked to turn back, and was not yet.
    pub can_abort: bool,
    /// It was seen going on, and its end was not written yet. One that is over and missing was deleted otherwise, or is of
    /// another time.
    pub owed: bool,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Write<'a> {
    /// Make the object, and say what there is to say.
    Make(&'a Known),
    /// Write the status; with the rollout, if it is known.
    Say(&'a Found, Option<&'a Known>, Box<RelocationStatus>),
    /// Let it be deleted.
    LetGo(&'a Found),
    /// Delete it.
    Delete(&'a Found),
    /// Ask the rollout to turn back, because of this.
    Abort(&'a Known, String),
}

/// What to write, in this order. `found` are the resources of this planner's namespace.
pub fn decide<'a>(known: &'a [Known], found: &'a [Found], keep: Keep, now: Timestamp) -> Vec<Write<'a>> {
    let by_name: BTreeMap<_, _> =
        found.iter().map(|found| ((&found.namespace, &found.name), found)).collect();
    let mut writes = Vec::new();
    let mut of_known = Vec::new();
    for known in known {
        let Some(found) = by_name.get(&(&known.wanted.namespace, &known.wanted.name)) else {
            if !known.over || known.owed {
                writes.push(Write::Make(known));
            }
            continue;
        };
        of_known.push((&found.namespace, &found.name));
        let status =
            RelocationStatus { observed_generation: found.generation, ..known.wanted.status.clone() };
        if found.status.as_ref() != Some(&status) {
            writes.push(Write::Say(found, Some(known), Box::new(status)));
        }
        if known.over && found.is_held {
            writes.push(Write::LetGo(found));
        }
        if known.can_abort
            && let Some(why) = asked_to_stop(found)
        {
            writes.push(Write::Abort(known, why));
        }
    }
    for found in found.iter().filter(|found| !of_known.contains(&(&found.namespace, &found.name))) {
        if !found.is_over() {
            let before = found.status.clone().unwrap_or_default();
            writes.push(Write::Say(found, None, Box::new(lost(&before, now))));
        }
        if found.is_held {
            writes.push(Write::LetGo(found));
        }
    }
    writes.extend(too_many(found, keep, now).into_iter().map(Write::Delete));
    writes
}

fn asked_to_stop(found: &Found) -> Option<String> {
    let Found { namespace, name, .. } = found;
    if found.is_deleted {
        return Some(format!("Relocation {namespace}/{name} is to be deleted"));
    }
    found.abort.then(|| format!("`spec.abort` of Relocation {namespace}/{name} was set"))
}

/// Those of what is over that are too old, or more than stay in a namespace.
fn too_many(found: &[Found], keep: Keep, now: Timestamp) -> Vec<&Found> {
    let mut over: BTreeMap<&str, Vec<(i64, &Found)>> = BTreeMap::new();
    for found in found.iter().filter(|found| found.is_over() && !found.is_deleted) {
        let since = found.status.as_ref().and_then(|status| status.since.parse::<jiff::Timestamp>().ok());
        // What does not say when it ended is as new as can be, until there are too many.
        let ended = since.map_or(now.unix_ms(), jiff::Timestamp::as_millisecond);
        over.entry(&found.namespace).or_default().push((ended, found));
    }
    let mut too_many = Vec::new();
    for of_namespace in over.values_mut() {
        of_namespace.sort_by_key(|(ended, found)| (Reverse(*ended), found.name.clone()));
        for (place, (ended, found)) in of_namespace.iter().enumerate() {
            if place >= keep.at_most || now.unix_ms().saturating_sub(*ended) > keep.for_ms {
                too_many.push(*found);
            }
        }
    }
    too_many
}
