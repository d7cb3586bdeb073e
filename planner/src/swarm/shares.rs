//! What each address of a service gets, when tasks come and go and when weights are given: pure.
//!
//! A weight belongs to a replica, a task of a slot on a node. When its task starts again there, it has another address and the
//! same weight. When Swarm puts the slot on another node, the new replica has the weight of the old one. What has a weight and
//! does not answer at the moment, and what runs and was given none, is kept in the [`Memory`] beside the file of the endpoints.
use super::answering::{Answering, Place};
use crate::endpoints::Endpoint;
use foremesh_core::{ids::ReplicaId, plan::WHOLE};
use std::{collections::BTreeMap, net::SocketAddr};

/// What the addresses of a service get.
pub(super) type Shares = BTreeMap<SocketAddr, Endpoint>;
/// Weights of replicas that are at no address with a weight.
pub(super) type Memory = BTreeMap<ReplicaId, u32>;

/// The shares of before at the addresses of now, and what is remembered of those that do not answer.
pub(super) fn followed(known: &Shares, memory: &Memory, now: &Answering) -> (Shares, Memory) {
    let mut weights: BTreeMap<&ReplicaId, u32> = memory.iter().map(|(id, weight)| (id, *weight)).collect();
    for (id, weight) in weights_of(known) {
        weights.insert(id, weight);
    }
    let runs = |id: &ReplicaId| now.of(id).next().is_some();
    let mut shares = Shares::new();
    let mut remembered = Memory::new();
    // What somebody has written by hand stays.
    shares.extend(known.iter().filter(|(_, of)| of.replica.is_none()).map(|(at, of)| (*at, of.clone())));
    let mut ids: Vec<&ReplicaId> = now.places.iter().map(|place| &place.replica).collect();
    ids.dedup();
    for id in ids {
        let slot = now.slot_of(id);
        let heir = || {
            let gone = weights.iter().filter(|(other, _)| now.slot_of(other) == slot && !runs(other));
            gone.map(|(_, weight)| *weight).max()
        };
        let weight = match weights.get(id) {
            Some(weight) => *weight,
            None if now.moving.is_some() && now.moving == slot => 0,
            None => heir().unwrap_or(WHOLE),
        };
        if weight == 0 {
            remembered.insert(id.clone(), 0);
        } else {
            shares.extend(placed(known, now, id, weight));
        }
    }
    for (id, weight) in weights {
        let slot = now.slot_of(id);
        let of_slot = || now.places.iter().any(|place| Some(place.slot) == slot);
        // It comes back, unless its slot is gone or runs elsewhere.
        let waits = slot.is_some_and(|slot| now.slots.contains(&slot)) && (now.moving == slot || !of_slot());
        if !runs(id) && waits {
            remembered.insert(id.clone(), weight);
        }
    }
    if shares.is_empty() {
        // Of what has a weight nothing answers: better one that was to have none than nobody.
        for place in now.places.iter().filter(|place| !place.stands_in) {
            remembered.remove(&place.replica);
            shares.insert(place.address, endpoint(place, WHOLE));
        }
    }
    (shares, remembered)
}

/// Weights by replica.
pub(super) fn weights_of(shares: &Shares) -> BTreeMap<&ReplicaId, u32> {
    let mut weights = BTreeMap::new();
    for endpoint in shares.values() {
        if let Some(replica) = &endpoint.replica {
            *weights.entry(replica).or_default() += endpoint.weight;
        }
    }
    weights
}

/// The addresses of a replica with a weight: as it is shared out between them already, as far as they still answer; else the
/// first one.
fn placed(known: &Shares, now: &Answering, id: &ReplicaId, weight: u32) -> Vec<(SocketAddr, Endpoint)> {
    let had = |place: &Place| {
        known.get(&place.address).filter(|of| of.replica.as_ref() == Some(id)).map(|of| of.weight)
    };
    let total: u64 = now.of(id).filter_map(had).map(u64::from).sum();
    let mut parts: Vec<(&Place, u32)> = now
        .of(id)
        .map(|place| {
            let part = had(place).map_or(0, |had| u64::from(weight) * u64::from(had) / total.max(1));
            (place, u32::try_from(part).unwrap_or(u32::MAX))
        })
        .collect();
    let given: u32 = parts.iter().map(|(_, part)| part).sum();
    // What is left over by rounding, or all of it, to the one that has most.
    let mut most = 0;
    for (index, (_, part)) in parts.iter().enumerate() {
        if *part > parts[most].1 {
            most = index;
        }
    }
    if let Some((_, part)) = parts.get_mut(most) {
        *part += weight - given;
    }
    let parts = parts.into_iter().filter(|(_, weight)| *weight > 0);
    parts.map(|(place, weight)| (place.address, endpoint(place, weight))).collect()
}

fn endpoint(place: &Place, weight: u32) -> Endpoint {
    Endpoint {
        zone: place.zone.clone(),
        weight,
        replica: Some(place.replica.clone()),
        node: Some(place.node.clone()),
    }
}

/// Shares by weights that are given. A replica that answers and has no weight is remembered as one without.
///
/// # Errors
/// Which replica answers nowhere.
pub(super) fn given(
    known: &Shares,
    now: &Answering,
    weights: &BTreeMap<ReplicaId, u32>,
) -> Result<(Shares, Memory), ReplicaId> {
    let mut shares = Shares::new();
    for (id, weight) in weights.iter().filter(|(_, weight)| **weight > 0) {
        let parts = placed(known, now, id, *weight);
        if parts.is_empty() {
            // An endpoint that somebody put into the file by hand goes by its address.
            let address: SocketAddr = id.as_str().parse().map_err(|_| id.clone())?;
            shares.insert(address, Endpoint { weight: *weight, ..Endpoint::default() });
        }
        shares.extend(parts);
    }
    let without = now.places.iter().map(|place| &place.replica);
    let without = without.filter(|id| weights.get(id).is_none_or(|weight| *weight == 0));
    Ok((shares, without.map(|id| (id.clone(), 0)).collect()))
}

/// A step on the way from the task that stands in for a replica to its own: so many percent at its own. None when there is no
/// more to do.
pub(super) fn switched(known: &Shares, now: &Answering, id: &ReplicaId, percent: u32) -> Option<Shares> {
    let own = now.own(id)?;
    let total = weights_of(known).get(id).copied().filter(|total| *total > 0)?;
    let others = known.iter().filter(|(_, of)| of.replica.as_ref() != Some(id));
    let mut shares: Shares = others.map(|(at, of)| (*at, of.clone())).collect();
    let part = u64::from(total) * u64::from(percent.min(100)) / 100;
    let at_own = u32::try_from(part).unwrap_or(total).max(1);
    shares.insert(own.address, endpoint(own, at_own));
    if let Some(stands_in) = now.of(id).find(|place| place.stands_in)
        && total > at_own
    {
        shares.insert(stands_in.address, endpoint(stands_in, total - at_own));
    } else {
        shares.insert(own.address, endpoint(own, total));
    }
    Some(shares)
}

/// How much of a replica's weight its own task has, in percent.
pub(super) fn percent_at_own(known: &Shares, now: &Answering, id: &ReplicaId) -> u32 {
    let total = weights_of(known).get(id).copied().unwrap_or(0);
    let at_own = now.own(id).and_then(|own| known.get(&own.address)).map_or(0, |of| of.weight);
    (u64::from(at_own) * 100 / u64::from(total.max(1))) as u32
}

/// The shares without what stands in for a slot: all that the slot has goes to its own task, wherever that runs. None when
/// nothing of the service would be left.
pub(super) fn given_back(
    known: &Shares,
    memory: &Memory,
    now: &Answering,
    slot: u64,
) -> Option<(Shares, Memory)> {
    let of_slot = |of: &Endpoint| of.replica.as_ref().and_then(|id| now.slot_of(id)) == Some(slot);
    let had: u32 = known.values().filter(|of| of_slot(of)).map(|of| of.weight).sum();
    let others = known.iter().filter(|(_, of)| !of_slot(of));
    let mut shares: Shares = others.map(|(at, of)| (*at, of.clone())).collect();
    let own = now.places.iter().find(|place| place.slot == slot && !place.stands_in);
    if let Some(own) = own {
        shares.insert(own.address, endpoint(own, if had == 0 { WHOLE } else { had }));
    }
    let memory = memory.iter().filter(|(id, _)| now.slot_of(id) != Some(slot));
    (!shares.is_empty()).then(|| (shares, memory.map(|(id, weight)| (id.clone(), *weight)).collect()))
}

#[cfg(test)]
mod tests;
