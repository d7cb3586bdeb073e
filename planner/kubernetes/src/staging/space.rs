//! The namespace that trials are made in: what it consists of, and whether one that is there is such a one.
//!
//! The planner neither makes nor deletes it, so it needs no right to do that to any namespace.
use super::STAGING_LABEL;
use serde_json::{Value, json};

/// Name of what keeps the copies in, and of what lets the load in.
pub const STAGING_RULES: &str = "foremesh-trial";
/// Label of copies that may call nothing; a rule of the mesh selects by it.
pub(super) const KEPT_IN: (&str, &str) = ("foremesh.dev/trial-callees", "none");
/// Pods that the namespace may have: two are a trial, the rest is for those that are on their way out.
const MOST_PODS: u32 = 8;
/// What makes and repairs it.
pub(super) const MAKE: &str = "make it with `foremesh install staging | kubectl apply -f -` (`--namespace`, `--revision`), or \
                               with `foremesh install planner --trials`";

/// All of a staging namespace, for `kubectl apply`: its sidecars come from a revision of Istio, or from the usual one.
pub fn space(namespace: &str, revision: Option<&str>) -> Vec<Value> {
    let mut labels = json!({STAGING_LABEL: "true"});
    match revision {
        Some(revision) => labels["istio.io/rev"] = json!(revision),
        None => labels["istio-injection"] = json!("enabled"),
    }
    let inside = |version: &str, kind: &str, spec: Value| {
        json!({
            "apiVersion": version, "kind": kind, "metadata": {"name": STAGING_RULES, "namespace": namespace},
            "spec": spec
        })
    };
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}),
        inside("security.istio.io/v1", "PeerAuthentication", lets_in()),
        inside("networking.istio.io/v1", "Sidecar", keeps_in()),
        inside("v1", "ResourceQuota", json!({"hard": {"count/pods": MOST_PODS.to_string()}})),
    ]
}

/// The load comes from the planner, which has no identity of the mesh; only here, where nothing else is.
fn lets_in() -> Value {
    json!({"mtls": {"mode": "PERMISSIVE"}})
}

fn keeps_in() -> Value {
    json!({
        "workloadSelector": {"labels": {KEPT_IN.0: KEPT_IN.1}},
        "egress": [{"hosts": ["./*"]}], "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}
    })
}

/// Whether a namespace is one of ours.
///
/// # Errors
/// What it is instead.
pub(super) fn is_ours(namespace: &Value) -> Result<(), String> {
    if namespace["metadata"]["labels"][STAGING_LABEL] != "true" {
        return Err(format!(
            "it does not have the label {STAGING_LABEL}=true, so it is somebody else's, and nothing is made or deleted in it"
        ));
    }
    Ok(())
}

/// Whether copies can be made in it, and kept in.
///
/// # Errors
/// What is missing.
pub(super) fn is_prepared(namespace: &Value, tls: &Value, sidecar: &Value) -> Result<(), String> {
    is_ours(namespace)?;
    if !namespace["metadata"]["deletionTimestamp"].is_null() {
        return Err("it is being deleted".to_owned());
    }
    if tls["spec"]["mtls"] != lets_in()["mtls"] || !tls["spec"]["selector"].is_null() {
        return Err(format!("its PeerAuthentication {STAGING_RULES} does not let the load in"));
    }
    let wanted = keeps_in();
    for field in ["workloadSelector", "egress", "outboundTrafficPolicy"] {
        if sidecar["spec"][field] != wanted[field] {
            return Err(format!(
                "the `{field}` of its Sidecar {STAGING_RULES} is not {}, so nothing would keep the copies in",
                wanted[field]
            ));
        }
    }
    Ok(())
}

/// Whether pods of a template get a sidecar in a namespace with these labels, by Istio's own rules.
pub(super) fn is_meshed(labels: &Value, template: &Value) -> bool {
    let by = |meta: &Value| meta["sidecar.istio.io/inject"].as_str().map(str::to_owned);
    let own = by(&template["metadata"]["labels"]).or_else(|| by(&template["metadata"]["annotations"]));
    own.map_or_else(|| revision(labels, template).is_some(), |word| word == "true")
}

/// The revision of Istio that sidecars come from; none where there are none.
pub(super) fn revision(labels: &Value, template: &Value) -> Option<String> {
    match labels["istio-injection"].as_str() {
        Some("enabled") => return Some("default".to_owned()),
        Some(_) => return None,
        None => {}
    }
    let of = [&labels["istio.io/rev"], &template["metadata"]["labels"]["istio.io/rev"]];
    of.into_iter().find_map(Value::as_str).map(str::to_owned)
}
