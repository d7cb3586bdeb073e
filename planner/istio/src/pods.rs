//! Pods of a service, their locations and their weights.
use crate::{
    Host, IstioError, LOCATION_LABEL, Location, Reason, Shares,
    objects::{list, name},
};
use foremesh_core::ids::ReplicaId;
use serde_json::Value;
use std::collections::BTreeMap;

pub(crate) fn location(pod: &Value) -> Option<Location> {
    Location::of(pod["metadata"]["labels"][LOCATION_LABEL].as_str()?)
}

pub(crate) fn is_ready(pod: &Value) -> bool {
    let conditions = list(pod, "/status/conditions");
    conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Locations for the pods that have none yet. The replica that is given up is the source, others stay.
///
/// # Errors
/// When it is not known which one is given up.
pub(crate) fn assign<'p>(
    pods: &'p [Value],
    weights: &BTreeMap<ReplicaId, u32>,
    source: Option<&ReplicaId>,
    host: &Host,
) -> Result<Vec<(&'p Value, Location)>, IstioError> {
    let free: Vec<&Value> = pods.iter().filter(|pod| location(pod).is_none()).collect();
    let has_source = pods.iter().any(|pod| location(pod) == Some(Location::Source));
    let weight = |pod: &Value| weights.get(&ReplicaId::new(name(pod))).copied().unwrap_or(0);
    let source = match (source, &free[..]) {
        _ if has_source => None,
        (Some(source), _) => Some(source.as_str().to_owned()),
        (None, []) => None,
        (None, [only]) => Some(name(only).to_owned()),
        (None, several) => {
            let most = several.iter().map(|pod| weight(pod)).max().unwrap_or(0);
            let mut less = several.iter().filter(|pod| weight(pod) < most);
            match (less.next(), less.next()) {
                (Some(one), None) => Some(name(one).to_owned()),
                _ => {
                    return Err(IstioError::new(
                        Reason::Weights,
                        format!("service {}", host.full),
                        "by the weights alone it is not known which replica is given up",
                        "name the source replica",
                    ));
                }
            }
        }
    };
    let of = |pod: &Value| {
        if source.as_deref() == Some(name(pod)) { Location::Source } else { Location::Stay }
    };
    Ok(free.into_iter().map(|pod| (pod, of(pod))).collect())
}

/// Shares of the locations by the weights of their pods.
///
/// # Errors
/// When pods of one location shall have different weights, or a weight is for no pod.
pub(crate) fn shares(
    pods: &[Value],
    weights: &BTreeMap<ReplicaId, u32>,
    host: &Host,
) -> Result<Shares, IstioError> {
    let refuse = |problem: String, remedy: &str| {
        Err(IstioError::new(Reason::Weights, format!("service {}", host.full), problem, remedy))
    };
    if let Some(missing) =
        weights.iter().find(|(id, weight)| **weight > 0 && pods.iter().all(|pod| name(pod) != id.as_str()))
    {
        return refuse(
            format!("replica {} has a weight and is no pod of it", missing.0),
            "take a new snapshot",
        );
    }
    let mut by_location: BTreeMap<Location, Vec<(&str, u32)>> = BTreeMap::new();
    for pod in pods {
        let weight = weights.get(&ReplicaId::new(name(pod))).copied();
        match (location(pod), weight) {
            (Some(location), Some(weight)) => {
                by_location.entry(location).or_default().push((name(pod), weight));
            }
            // A replica that came since follows the others at its location.
            (_, None | Some(0)) => {}
            (None, Some(_)) => {
                return refuse(format!("pod {} has no label {LOCATION_LABEL}", name(pod)), "label it");
            }
        }
    }
    let mut shares = Shares::new();
    for (location, pods) in by_location {
        let weight = pods[0].1;
        if let Some(other) = pods.iter().find(|pod| pod.1 != weight) {
            let (one, at) = (pods[0].0, location.as_str());
            let problem =
                format!("{one} and {} are both at `{at}` and shall have different weights", other.0);
            return refuse(problem, "move one replica at a time");
        }
        shares.insert(location, weight.saturating_mul(u32::try_from(pods.len()).unwrap_or(u32::MAX)));
    }
    Ok(shares)
}

/// Weights of the ready pods by the shares of their locations; 100 for each where nothing is split.
pub(crate) fn weights(pods: &[Value], shares: Option<&Shares>) -> BTreeMap<ReplicaId, u32> {
    let ready = || pods.iter().filter(|pod| is_ready(pod));
    let Some(shares) = shares else {
        return ready().map(|pod| (ReplicaId::new(name(pod)), 100)).collect();
    };
    let mut weights = BTreeMap::new();
    for (at, share) in shares {
        let mut here: Vec<&str> = ready().filter(|pod| location(pod) == Some(*at)).map(name).collect();
        here.sort_unstable();
        let count = u32::try_from(here.len()).unwrap_or(u32::MAX);
        for (index, pod) in (0u32..).zip(here) {
            let more = u32::from(index < share % count);
            weights.insert(ReplicaId::new(pod), share / count + more);
        }
    }
    weights
}
