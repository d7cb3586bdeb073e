//! The next write on the way in and on the way out, from the objects as they are.
use crate::{
    Host, IstioError, Kind, MANAGER, Objects, Reason, Shares, Write,
    check::{Found, check},
    objects::{called, is_own, list, namespace},
    record::{self, Record},
    route, subsets,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What is wanted of a service's traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Split by these shares.
    Split(Shares),
    /// As if nothing had been.
    Restored,
}

impl Goal {
    /// The next write towards it.
    ///
    /// # Errors
    /// As [`enter`].
    pub fn next(&self, objects: &Objects, host: &Host) -> Result<Option<Write>, IstioError> {
        match self {
            Self::Split(shares) => enter(objects, host, shares),
            Self::Restored => Ok(leave(objects, host)),
        }
    }
}

/// The next write so that the traffic of a host is split by shares: the subsets, then each route, then a note that the
/// route is in force. `None` when all is so.
///
/// # Errors
/// When the host cannot be split, no location would get traffic, or what was in force was taken back by somebody else.
pub fn enter(objects: &Objects, host: &Host, shares: &Shares) -> Result<Option<Write>, IstioError> {
    if shares.values().all(|share| *share == 0) {
        return Err(IstioError::new(
            Reason::Weights,
            format!("service {}", host.full),
            "no location would get traffic",
            "give at least one replica a weight",
        ));
    }
    let found = Found::of(objects, host);
    reverted(objects, host, &found)?;
    check(objects, host)?;
    let rule_record = found.rule.and_then(record::of);
    let routed = rule_record.as_ref().is_some_and(|record| record.routed);

    let wanted = wanted_routes(&found, host, shares);
    let mut bases: BTreeSet<Option<String>> = found
        .routes
        .iter()
        .filter(|object| !is_own(object, host))
        .flat_map(|object| route::subsets(object, host))
        .map(|subset| match subset {
            Some(subset) => found.ours.base(subset).unwrap_or(Some(subset)).map(str::to_owned),
            None => None,
        })
        .collect();
    let own = objects.virtual_services.iter().find(|object| is_own(object, host));
    let needs_own = own.is_some() || !found.routed;
    if needs_own {
        bases.insert(None);
    }
    let rule = rule_with(found.rule, host, &bases, &found, routed);
    if let Some(write) = step(Kind::DestinationRule, found.rule, rule) {
        return Ok(Some(write));
    }
    for (before, after) in wanted {
        if let Some(write) = Write::change(Kind::VirtualService, before, &after) {
            return Ok(Some(write));
        }
    }
    if needs_own && let Some(write) = step(Kind::VirtualService, own, own_route(own, host, shares)) {
        return Ok(Some(write));
    }
    let is_split = found.routes.iter().any(|object| route::is_split(object, host, &found.ours));
    let rule = rule_with(found.rule, host, &bases, &found, is_split);
    Ok(step(Kind::DestinationRule, found.rule, rule))
}

/// The next write so that the objects are as if nothing had been: the routes first, then the subsets. What users changed
/// meanwhile stays.
pub fn leave(objects: &Objects, host: &Host) -> Option<Write> {
    let found = Found::of(objects, host);
    if let Some(rule) = found.rule
        && let Some(record) = record::of(rule)
        && record.routed
    {
        let mut after = rule.clone();
        record::put(&mut after, &Record { routed: false, ..record });
        return Write::change(Kind::DestinationRule, rule, &after);
    }
    let at = |object: &&Value| is_own(object, host) || ours(object, host, &found);
    for object in objects.virtual_services.iter().filter(at) {
        if is_own(object, host) {
            return Some(Write::delete(Kind::VirtualService, object));
        }
        let record = record::of(object);
        let mut after = object.clone();
        if route::is_split(object, host, &found.ours) {
            after["spec"]["http"] = route::joined(object, host, &found.ours).into();
        }
        record::take(&mut after, record.as_ref());
        if let Some(write) = Write::change(Kind::VirtualService, object, &after) {
            return Some(write);
        }
    }
    let rule = found.rule?;
    if is_own(rule, host) {
        return Some(Write::delete(Kind::DestinationRule, rule));
    }
    Write::change(Kind::DestinationRule, rule, &subsets::restored(rule, &found.ours))
}

/// The shares that the routes have now; `None` when nothing is split.
pub fn in_force(objects: &Objects, host: &Host) -> Option<Shares> {
    let found = Found::of(objects, host);
    found.routes.iter().find_map(|object| route::shares(object, host, &found.ours))
}

/// Whether a user's route holds something of ours for this host.
fn ours(object: &Value, host: &Host, found: &Found<'_>) -> bool {
    route::is_split(object, host, &found.ours) || marked(object, host)
}

fn marked(object: &Value, host: &Host) -> bool {
    record::of(object).is_some_and(|record| record.host == host.full)
}

/// What was in force is not any more, and it was not us.
fn reverted(objects: &Objects, host: &Host, found: &Found<'_>) -> Result<(), IstioError> {
    let split: Vec<&&Value> =
        found.routes.iter().filter(|object| route::is_split(object, host, &found.ours)).collect();
    let gone = |object: String, problem: &str| {
        let remedy = "see who writes it (GitOps), let it leave these fields alone, and take the move back";
        Err(IstioError::new(Reason::Reverted, object, problem, remedy))
    };
    let record = found.rule.and_then(record::of);
    let Some(record) = record else {
        return match split.first() {
            None => Ok(()),
            Some(object) => gone(
                called(Kind::VirtualService, object),
                "it routes by subsets of the move that its DestinationRule does not have any more",
            ),
        };
    };
    if record.routed && split.is_empty() {
        return gone(
            format!("service {}", host.full),
            "the weights of the move were taken out of its routes",
        );
    }
    let users = objects.virtual_services.iter().filter(|object| !is_own(object, host));
    for object in users.filter(|object| marked(object, host)) {
        if !route::is_split(object, host, &found.ours) {
            return gone(
                called(Kind::VirtualService, object),
                "the weights of the move were taken out of it",
            );
        }
    }
    if let (Some(object), Some(rule)) = (split.first(), found.rule) {
        let there: BTreeSet<&str> =
            list(rule, "/spec/subsets").iter().filter_map(|subset| subset["name"].as_str()).collect();
        let missing = split.iter().flat_map(|object| route::subsets(object, host)).flatten();
        if missing.into_iter().any(|name| found.ours.base(name).is_some() && !there.contains(name)) {
            return gone(
                called(Kind::VirtualService, object),
                "it routes by subsets of the move that its DestinationRule does not have any more",
            );
        }
    }
    Ok(())
}

/// The users' routes, as they are and as they shall be.
fn wanted_routes<'o>(found: &Found<'o>, host: &Host, shares: &Shares) -> Vec<(&'o Value, Value)> {
    let users = found.routes.iter().filter(|object| !is_own(object, host));
    let wanted = users.map(|object| {
        let before = route::joined(object, host, &found.ours);
        let annotated =
            record::of(object).map_or_else(|| record::annotated(object), |record| record.annotated);
        let mut after = (*object).clone();
        let split = route::split(&before, namespace(object), host, shares);
        if split == before {
            // All that it gives to the host is a weight of nothing.
            return (*object, after);
        }
        after["spec"]["http"] = split.into();
        let record = Record {
            host: host.full.clone(),
            before: Some(before.into()),
            annotated,
            shares: shares.clone(),
            ..Record::default()
        };
        record::put(&mut after, &record);
        (*object, after)
    });
    wanted.collect()
}

fn rule_with(
    rule: Option<&Value>,
    host: &Host,
    bases: &BTreeSet<Option<String>>,
    found: &Found<'_>,
    routed: bool,
) -> Value {
    let own = || own(Kind::DestinationRule, host, &json!({"host": host.full}));
    let rule = rule.cloned().unwrap_or_else(own);
    subsets::with(&rule, bases, &found.ours, routed)
}

fn own_route(own_now: Option<&Value>, host: &Host, shares: &Shares) -> Value {
    let whole = [json!({"route": [{"destination": {"host": host.full}}]})];
    let new = || own(Kind::VirtualService, host, &json!({"hosts": [host.full]}));
    let mut object = own_now.cloned().unwrap_or_else(new);
    object["spec"]["http"] = route::split(&whole, &host.namespace, host, shares).into();
    let record = Record {
        host: host.full.clone(),
        before: Some(whole.to_vec().into()),
        shares: shares.clone(),
        ..Record::default()
    };
    record::put(&mut object, &record);
    object
}

fn own(kind: Kind, host: &Host, spec: &Value) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": kind.name(),
        "metadata": {"name": host.own(), "namespace": host.namespace, "labels": {"app.kubernetes.io/managed-by": MANAGER}},
        "spec": spec,
    })
}

fn step(kind: Kind, before: Option<&Value>, after: Value) -> Option<Write> {
    match before {
        Some(before) => Write::change(kind, before, &after),
        None => Some(Write::Create { kind, object: after }),
    }
}
