//! Whether a limit range of a namespace would refuse a pod like one that runs already.
//!
//! A limit range is asked when a pod is made, so one that was written later than the pods refuses their successors.
use crate::objects::Quantity;
use serde_json::Value;

/// The first limit that a pod breaks, in words.
pub(super) fn limited(pod: &Value, ranges: &[Value]) -> Option<String> {
    ranges.iter().find_map(|range| {
        let limits = range["spec"]["limits"].as_array()?;
        let broken = limits.iter().find_map(|limit| match limit["type"].as_str() {
            Some("Container") => containers(pod).find_map(|container| broken(&container["resources"], limit)),
            Some("Pod") => of_pod(pod, limit),
            _ => None,
        })?;
        Some(format!("limit range `{}` {broken}", range["metadata"]["name"].as_str().unwrap_or_default()))
    })
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let list = |name: &str| pod["spec"][name].as_array().map(Vec::as_slice).unwrap_or_default();
    list("containers").iter().chain(list("initContainers"))
}

/// Its own limits, which have the defaults of the day when it was made.
fn broken(resources: &Value, limit: &Value) -> Option<String> {
    for (name, most) in limit["max"].as_object().into_iter().flatten() {
        let own = amount(&resources["limits"][name]).or_else(|| amount(&limit["default"][name]));
        match (own, amount(most)) {
            (Some(own), Some(most)) if own <= most => {}
            (None, _) => {
                return Some(format!("wants a limit of {name} for every container, and one has none"));
            }
            _ => {
                let own = &resources["limits"][name];
                return Some(format!("allows a container at most {most} of {name}, and one has {own}"));
            }
        }
    }
    for (name, least) in limit["min"].as_object().into_iter().flatten() {
        let own = amount(&resources["requests"][name]).or_else(|| amount(&limit["defaultRequest"][name]));
        if own.zip(amount(least)).is_none_or(|(own, least)| own < least) {
            let own = &resources["requests"][name];
            return Some(format!(
                "wants every container to request at least {least} of {name}, and one has {own}"
            ));
        }
    }
    None
}

fn of_pod(pod: &Value, limit: &Value) -> Option<String> {
    let of = |name: &str| pod["spec"][name].as_array().map(Vec::as_slice).unwrap_or_default();
    limit["max"].as_object()?.iter().find_map(|(name, most)| {
        let sum: Option<f64> =
            of("containers").iter().map(|container| amount(&container["resources"]["limits"][name])).sum();
        let fits = sum.zip(amount(most)).is_some_and(|(sum, most)| sum <= most);
        (!fits).then(|| {
            format!("allows a pod at most {most} of {name}, and its containers may use more together")
        })
    })
}

fn amount(value: &Value) -> Option<f64> {
    serde_json::from_value::<Quantity>(value.clone()).ok().map(Quantity::get)
}
