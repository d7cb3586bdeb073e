//! Destinations of routes, split by location and put together again.
use crate::{
    Host, Location, Shares,
    objects::{list, namespace, text},
    record,
    share::divide,
    subsets::Ours,
};
use serde_json::Value;

/// Whether a destination of a route is the host.
fn goes_to(destination: &Value, host: &Host, namespace: &str) -> bool {
    host.is(text(destination, "/destination/host"), namespace)
}

fn subset(destination: &Value) -> Option<&str> {
    destination.pointer("/destination/subset").and_then(Value::as_str).filter(|subset| !subset.is_empty())
}

/// The weight that counts: the only destination gets all, whatever it says.
fn weight(destination: &Value, only: bool) -> u64 {
    match destination["weight"].as_u64().unwrap_or(0) {
        0 if only => 100,
        weight => weight,
    }
}

/// Whether a rule, or one of its destinations, goes to the host.
pub(crate) fn touches(route: &Value, host: &Host) -> bool {
    destinations(route, host).next().is_some()
}

fn destinations<'v>(route: &'v Value, host: &'v Host) -> impl Iterator<Item = &'v Value> {
    let within = namespace(route);
    let all = list(route, "/spec/http").iter().flat_map(|rule| list(rule, "/route"));
    all.filter(move |destination| goes_to(destination, host, within))
}

/// The subsets that a route's destinations at the host name.
pub(crate) fn subsets<'v>(route: &'v Value, host: &'v Host) -> impl Iterator<Item = Option<&'v str>> {
    destinations(route, host).map(subset)
}

/// Whether there is a destination with a subset of ours.
pub(crate) fn is_split(route: &Value, host: &Host, ours: &Ours) -> bool {
    subsets(route, host).flatten().any(|subset| ours.base(subset).is_some())
}

/// A user's list of rules with each destination at the host split by location.
pub(crate) fn split(http: &[Value], within: &str, host: &Host, shares: &Shares) -> Vec<Value> {
    http.iter().map(|rule| split_rule(rule, within, host, shares)).collect()
}

fn split_rule(rule: &Value, within: &str, host: &Host, shares: &Shares) -> Value {
    let route = list(rule, "/route");
    if !route.iter().any(|destination| goes_to(destination, host, within)) {
        return rule.clone();
    }
    let only = route.len() == 1;
    let parts = route.iter().flat_map(|destination| {
        if goes_to(destination, host, within) {
            split_destination(destination, only, shares)
        } else {
            vec![destination.clone()]
        }
    });
    let parts: Vec<Value> = parts.collect();
    let mut rule = rule.clone();
    rule["route"] = parts.into();
    rule
}

fn split_destination(destination: &Value, only: bool, shares: &Shares) -> Vec<Value> {
    let weight = weight(destination, only);
    if weight == 0 {
        return vec![destination.clone()];
    }
    let part = |(location, weight): (Location, u64)| {
        let mut part = destination.clone();
        part["destination"]["subset"] = location.subset(subset(destination)).into();
        part["weight"] = weight.into();
        part
    };
    divide(weight, shares).into_iter().map(part).collect()
}

/// The user's list of rules, without what is ours in it. What is as it was made is what was there before, field by field;
/// what the user has changed since stays changed.
pub(crate) fn joined(route: &Value, host: &Host, ours: &Ours) -> Vec<Value> {
    let record = record::of(route).unwrap_or_default();
    let before = record.before.as_ref().and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let within = namespace(route);
    let made = split(before, within, host, &record.shares);
    let rules = list(route, "/spec/http").iter().enumerate();
    let joined = rules.map(|(index, rule)| {
        let is_split = list(rule, "/route").iter().any(|destination| {
            goes_to(destination, host, within)
                && subset(destination).is_some_and(|subset| ours.base(subset).is_some())
        });
        if !is_split {
            return rule.clone();
        }
        let at = if made.get(index) == Some(rule) {
            Some(index)
        } else {
            made.iter().position(|made| made == rule)
        };
        at.and_then(|at| before.get(at)).cloned().unwrap_or_else(|| {
            let mut rule = rule.clone();
            rule["route"] = join(list(&rule, "/route"), before, within, host, ours, &record.shares).into();
            rule
        })
    });
    joined.collect()
}

/// Joins what stands side by side and was one destination.
fn join(
    route: &[Value],
    before: &[Value],
    within: &str,
    host: &Host,
    ours: &Ours,
    shares: &Shares,
) -> Vec<Value> {
    let mut groups: Vec<(Option<Value>, Vec<Value>)> = Vec::new();
    for destination in route {
        let base = subset(destination)
            .filter(|_| goes_to(destination, host, within))
            .and_then(|name| ours.base(name));
        let whole = base.map(|base| whole(destination, base));
        match groups.last_mut() {
            Some((Some(last), parts)) if whole.as_ref() == Some(last) => parts.push(destination.clone()),
            _ => groups.push((whole, vec![destination.clone()])),
        }
    }
    let only = groups.len() == 1;
    let known: Vec<(&Value, Vec<Value>)> = before
        .iter()
        .flat_map(|rule| {
            let route = list(rule, "/route");
            route.iter().filter(|one| goes_to(one, host, within)).map(move |one| (one, route.len() == 1))
        })
        .filter(|(_, was_only)| *was_only == only)
        .map(|(destination, only)| (destination, split_destination(destination, only, shares)))
        .collect();
    let joined = groups.into_iter().flat_map(|(whole, parts)| {
        let Some(mut whole) = whole else { return parts };
        if let Some((was, _)) = known.iter().find(|(_, made)| *made == parts) {
            return vec![(*was).clone()];
        }
        let weight: u64 = parts.iter().filter_map(|part| part["weight"].as_u64()).sum();
        if !(only && weight == 100) {
            whole["weight"] = weight.into();
        }
        vec![whole]
    });
    joined.collect()
}

/// A destination of ours with the user's subset and without a weight.
fn whole(destination: &Value, base: Option<&str>) -> Value {
    let mut whole = destination.clone();
    if let Some(fields) = whole.as_object_mut() {
        fields.remove("weight");
    }
    if let Some(fields) = whole["destination"].as_object_mut() {
        match base {
            Some(base) => fields.insert("subset".to_owned(), base.into()),
            None => fields.remove("subset"),
        };
    }
    whole
}

/// The shares by which a route is split: those that were asked for where it is as it was made, else what its weights say.
pub(crate) fn shares(route: &Value, host: &Host, ours: &Ours) -> Option<Shares> {
    if !is_split(route, host, ours) {
        return None;
    }
    let within = namespace(route);
    if let Some(record) = record::of(route) {
        let made = split(&joined(route, host, ours), within, host, &record.shares);
        if made == list(route, "/spec/http") {
            return Some(record.shares);
        }
    }
    let mut shares = Shares::new();
    for destination in destinations(route, host) {
        if let Some(location) = subset(destination).and_then(|name| ours.location(name)) {
            let part = destination["weight"].as_u64().unwrap_or(0);
            *shares.entry(location).or_default() += u32::try_from(part).unwrap_or(u32::MAX);
        }
    }
    Some(shares)
}

/// Destinations of ours in each rule that get traffic, by subset, with their weights; 0 where it is the only one.
pub(crate) fn parts<'v>(
    route: &'v Value,
    host: &'v Host,
    ours: &'v Ours,
) -> impl Iterator<Item = Vec<(String, u64)>> {
    let within = namespace(route);
    list(route, "/spec/http").iter().filter_map(move |rule| {
        let all = list(rule, "/route");
        let with_traffic: Vec<&Value> = all.iter().filter(|one| weight(one, all.len() == 1) > 0).collect();
        let only = with_traffic.len() == 1;
        let mut parts: Vec<(String, u64)> = with_traffic
            .into_iter()
            .filter(|one| goes_to(one, host, within))
            .filter_map(|one| {
                let name = subset(one).filter(|name| ours.base(name).is_some())?;
                Some((name.to_owned(), if only { 0 } else { one["weight"].as_u64().unwrap_or(0) }))
            })
            .collect();
        parts.sort();
        (!parts.is_empty()).then_some(parts)
    })
}
