//! Which pods a pod must be near to, away from, or spread among.
use super::{topology_key, world::World};
use crate::objects::{PodTerm, Rules, Selector, SpreadRule};
use foremesh_core::topology::{Scheduling, Spread};
use std::collections::{BTreeMap, BTreeSet};

/// Label that tells the versions of a Deployment apart. While nothing is being rolled out all replicas have the same.
const VERSION_LABEL: &str = "pod-template-hash";

/// Takes over required affinity and anti-affinity between pods, and required spreads.
pub(super) fn bind(
    scheduling: &mut Scheduling,
    rules: &Rules,
    world: &World<'_>,
    own: usize,
) -> BTreeSet<String> {
    let mut unknown = BTreeSet::new();
    for term in &rules.without {
        unknown.extend(away(scheduling, term, world, own).err());
    }
    for term in &rules.with {
        unknown.extend(near(scheduling, term, world, own).err());
    }
    for rule in &rules.spread {
        match spread(rule, world, own) {
            Ok(spread) => scheduling.spread.push(spread),
            Err(reason) => {
                unknown.insert(reason);
            }
        }
    }
    unknown.extend(kept_away(world, own));
    unknown
}

fn away(scheduling: &mut Scheduling, term: &PodTerm, world: &World<'_>, own: usize) -> Result<(), String> {
    let say = |why: String| format!("its pod anti-affinity has {why}");
    let over = topology_key(&term.topology_key).map_err(say)?;
    let found = selected(term, world, own);
    if let Some(why) = found.unsayable() {
        return Err(say(why));
    }
    if found.own {
        scheduling.apart.insert(over);
    }
    for other in found.others {
        // A zone holds its nodes: not in the same zone says more.
        let known = scheduling.not_with.entry(world.controllers[other].id.to_string()).or_insert(over);
        *known = (*known).max(over);
    }
    Ok(())
}

fn near(scheduling: &mut Scheduling, term: &PodTerm, world: &World<'_>, own: usize) -> Result<(), String> {
    let say = |why: String| format!("its pod affinity has {why}");
    let over = topology_key(&term.topology_key).map_err(say)?;
    let found = selected(term, world, own);
    if let Some(why) = found.unsayable() {
        return Err(say(why));
    }
    match (found.own, found.others.first(), found.others.len()) {
        (false, Some(other), 1) => {
            let known = scheduling.only_with.entry(world.controllers[*other].id.to_string()).or_insert(over);
            *known = (*known).min(over);
            Ok(())
        }
        (true, None, _) => Err(say("itself for a neighbour: its replicas must stay together".to_owned())),
        (false, None, _) => Err(say("a selector that selects no managed workload".to_owned())),
        _ => Err(say("a selector that several workloads can satisfy".to_owned())),
    }
}

fn spread(rule: &SpreadRule, world: &World<'_>, own: usize) -> Result<Spread, String> {
    let say = |why: String| format!("its topology spread has {why}");
    let over = topology_key(&rule.topology_key).map_err(say)?;
    let (taints, affinity) = (rule.node_taints_policy.as_deref(), rule.node_affinity_policy.as_deref());
    if taints == Some("Honor") || affinity == Some("Ignore") {
        return Err(say("a policy of which nodes count that is not the usual one".to_owned()));
    }
    if rule.min_domains.is_some_and(|fewest| fewest > 1) {
        return Err(say("minDomains, which are not known".to_owned()));
    }
    if let Some(key) = rule.match_label_keys.iter().find(|key| *key != VERSION_LABEL) {
        return Err(say(format!("matchLabelKeys with `{key}`, which is not known")));
    }
    let namespace = world.controllers[own].meta.namespace.as_str();
    let found = select(rule.label_selector.as_ref(), BTreeSet::from([namespace]), world, own);
    if let Some(why) = found.unsayable() {
        return Err(say(why));
    }
    if !found.own || !found.others.is_empty() {
        return Err(say("a selector that does not select its own replicas alone".to_owned()));
    }
    Ok(Spread { over, max_skew: rule.max_skew.max(1) })
}

/// Pods of no managed workload that must be away from this one: the scheduler holds that too.
fn kept_away(world: &World<'_>, own: usize) -> Option<String> {
    let controller = &world.controllers[own];
    for (selector, keeper) in world.kept_away.get(controller.meta.namespace.as_str()).into_iter().flatten() {
        if controller.labels.iter().any(|labels| selector.matches(labels)) {
            let (namespace, name) = (&keeper.meta.namespace, &keeper.meta.name);
            return Some(format!("pod `{namespace}/{name}`, which is not managed, must be away from it"));
        }
    }
    None
}

/// Which pods a selector means.
#[derive(Debug, Default)]
struct Selected {
    own: bool,
    /// Workloads all of whose replicas are meant.
    others: BTreeSet<usize>,
    /// A workload of which only some replicas are meant.
    partly: Option<String>,
    /// A pod of no managed workload.
    besides: Option<String>,
}

impl Selected {
    /// Why the model cannot say it: its conditions are between whole workloads.
    fn unsayable(&self) -> Option<String> {
        let partly = self.partly.as_ref();
        let partly =
            partly.map(|workload| format!("a selector of some replicas of `{workload}` and not of all"));
        let besides = || {
            let pod = self.besides.as_ref()?;
            Some(format!("a selector that selects pod `{pod}`, which is not managed"))
        };
        partly.or_else(besides)
    }
}

fn selected(term: &PodTerm, world: &World<'_>, own: usize) -> Selected {
    let namespace = &world.controllers[own].meta.namespace;
    let namespaces = world.namespaces_of(namespace, &term.namespaces, term.namespace_selector.as_ref());
    select(term.label_selector.as_ref(), namespaces, world, own)
}

fn select(
    selector: Option<&Selector>,
    namespaces: BTreeSet<&str>,
    world: &World<'_>,
    own: usize,
) -> Selected {
    let mut found = Selected::default();
    let Some(selector) = selector else { return found };
    let mut owners: BTreeMap<usize, (bool, bool)> = BTreeMap::new();
    for alike in namespaces.into_iter().filter_map(|namespace| world.alike.get(namespace)).flatten() {
        let meant = selector.matches(&alike.pod.meta.labels);
        match alike.owner {
            Some(owner) => {
                let (some, all) = owners.entry(owner).or_insert((false, true));
                (*some, *all) = (*some || meant, *all && meant);
            }
            None if meant && found.besides.is_none() => {
                found.besides = Some(format!("{}/{}", alike.pod.meta.namespace, alike.pod.meta.name));
            }
            None => {}
        }
    }
    for (owner, (some, all)) in owners {
        if some && !all {
            found.partly = Some(world.controllers[owner].id.to_string());
        } else if all && owner == own {
            found.own = true;
        } else if all {
            found.others.insert(owner);
        }
    }
    found
}
