//! Subsets by location, in a rule.
//!
//! Of the two ends of a move each subset holds the pods of both, its own end first: when that one is gone, as after a scale-down,
//! a crash or the loss of its node, the proxies give its share to the other end by themselves. A subset by label would be
//! empty until the routes are changed, and its share of the requests would fail that long.
use crate::{
    LOCATION_LABEL, Location,
    objects::{list, text},
    record::{self, Record},
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Names of our subsets, with what they are parts of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ours(BTreeMap<String, (Option<String>, Location)>);

impl Ours {
    /// Of a rule as it is, ours in it or not.
    pub(crate) fn of(rule: Option<&Value>) -> Self {
        let users = users(rule);
        let bases = users.iter().map(|name| Some(name.clone())).chain([None]);
        let names = bases.flat_map(|base| {
            Location::ALL.map(|location| (location.subset(base.as_deref()), (base.clone(), location)))
        });
        Self(names.filter(|(name, _)| !users.contains(name)).collect())
    }

    /// All names.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.0.keys().cloned().collect()
    }

    /// What a subset of ours is a part of: a subset of the user, or all pods. `None` when it is not ours.
    #[expect(clippy::option_option, reason = "not ours, of all pods, of a subset")]
    pub(crate) fn base(&self, name: &str) -> Option<Option<&str>> {
        self.0.get(name).map(|(base, _)| base.as_deref())
    }

    /// Where the pods of a subset of ours are.
    pub(crate) fn location(&self, name: &str) -> Option<Location> {
        self.0.get(name).map(|(_, location)| *location)
    }
}

/// Names of the user's subsets: those of before, and what was added since that cannot be ours.
pub(crate) fn users(rule: Option<&Value>) -> BTreeSet<String> {
    let Some(rule) = rule else { return BTreeSet::new() };
    let names = |subsets: &[Value]| -> BTreeSet<String> {
        subsets.iter().map(|subset| text(subset, "/name").to_owned()).collect()
    };
    let now = names(list(rule, "/spec/subsets"));
    let Some(record) = record::of(rule) else { return now };
    let mut users =
        names(record.before.as_ref().and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default());
    let made: BTreeSet<String> = users
        .iter()
        .map(|user| Some(user.as_str()))
        .chain([None])
        .flat_map(|base| Location::ALL.map(|location| location.subset(base)))
        .collect();
    users.extend(now.into_iter().filter(|name| !made.contains(name)));
    users
}

/// The user's subsets, as they are now; `None` where the field is missing and has to stay so.
fn without(rule: &Value, ours: &Ours) -> Option<Vec<Value>> {
    let now = rule["spec"].get("subsets")?.as_array()?;
    let kept: Vec<Value> =
        now.iter().filter(|subset| ours.base(text(subset, "/name")).is_none()).cloned().collect();
    let was_missing = record::of(rule).is_some_and(|record| record.before.is_none());
    if kept.is_empty() && was_missing { None } else { Some(kept) }
}

/// The traffic policy by which a subset prefers the pods of an end of a move to all others. `None` for replicas that stay, which
/// are not going away and whose own preference of near ones counts; and where the user's policy has said already which
/// endpoints come first, or says it by port, in place of whatever a subset says.
fn falling_over(rule: &Value, subset: &Value, location: Location) -> Option<Value> {
    if location == Location::Stay {
        return None;
    }
    let policies = [&subset["trafficPolicy"], &rule["spec"]["trafficPolicy"]];
    let of = |field: &str| policies.iter().map(|policy| &policy[field]).find(|value| !value.is_null());
    let mut balancer = of("loadBalancer").cloned().unwrap_or_else(|| json!({}));
    let ordered = ["localityLbSetting", "zoneAwareLbSetting"].iter().any(|field| !balancer[*field].is_null());
    if ordered || of("portLevelSettings").is_some() || !balancer.is_object() {
        return None;
    }
    let first = format!("{LOCATION_LABEL}={}", location.as_str());
    balancer["localityLbSetting"] = json!({"enabled": true, "failoverPriority": [first]});
    let mut policy = subset["trafficPolicy"].as_object().cloned().unwrap_or_default();
    policy.insert("loadBalancer".to_owned(), balancer);
    // Istio orders endpoints only where there is an outlier detection.
    if of("outlierDetection").is_none() {
        policy.insert("outlierDetection".to_owned(), gone());
    }
    Some(policy.into())
}

/// An outlier detection for a pod that does not serve at all: connections to it fail, or its sidecar answers in its place. An end
/// that serves badly is for the gate to judge. Of two pods one stays in any case.
fn gone() -> Value {
    json!({
        "consecutiveGatewayErrors": 5, "consecutive5xxErrors": 0, "splitExternalLocalOriginErrors": true,
        "consecutiveLocalOriginFailures": 5, "interval": "1s", "baseEjectionTime": "5s", "maxEjectionPercent": 50,
    })
}

/// The rule with subsets of each location for these bases. What it had of ours for others stays until the way out.
pub(crate) fn with(rule: &Value, bases: &BTreeSet<Option<String>>, ours: &Ours, routed: bool) -> Value {
    let kept = without(rule, ours);
    let mut all = kept.clone().unwrap_or_default();
    let there = list(rule, "/spec/subsets").iter().filter_map(|subset| ours.base(text(subset, "/name")));
    let mut bases = bases.clone();
    bases.extend(there.map(|base| base.map(str::to_owned)));
    for base in &bases {
        let of = all.iter().find(|subset| Some(text(subset, "/name")) == base.as_deref()).cloned();
        for location in Location::ALL {
            let mut subset = of.clone().unwrap_or_else(|| json!({}));
            subset["name"] = location.subset(base.as_deref()).into();
            if let Some(policy) = falling_over(rule, &subset, location) {
                subset["trafficPolicy"] = policy;
            } else {
                if !subset["labels"].is_object() {
                    subset["labels"] = json!({});
                }
                subset["labels"][LOCATION_LABEL] = location.as_str().into();
            }
            all.push(subset);
        }
    }
    let annotated = record::of(rule).map_or_else(|| record::annotated(rule), |record| record.annotated);
    let mut rule = rule.clone();
    rule["spec"]["subsets"] = all.into();
    let host = text(&rule, "/spec/host").to_owned();
    let record = Record { host, before: kept.map(Value::Array), annotated, routed, ..Record::default() };
    record::put(&mut rule, &record);
    rule
}

/// The rule without what is ours.
pub(crate) fn restored(rule: &Value, ours: &Ours) -> Value {
    let Some(record) = record::of(rule) else { return rule.clone() };
    let mut restored = rule.clone();
    match without(rule, ours) {
        Some(kept) => restored["spec"]["subsets"] = kept.into(),
        None => {
            if let Some(spec) = restored["spec"].as_object_mut() {
                spec.remove("subsets");
            }
        }
    }
    record::take(&mut restored, Some(&record));
    restored
}
