//! The objects of a trial, made of those of production. A function of what was read.
use super::{
    TRIAL_LABEL, Wanted,
    api::{kind_path, named},
    label_of,
    needs::list,
    space::{KEPT_IN, is_meshed, revision},
};
use serde_json::{Map, Value, json};

/// What production has.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The Deployment.
    pub(super) deployment: Value,
    /// Labels of its namespace.
    pub(super) labels: Value,
    /// The staging namespace.
    pub(super) space: Value,
    /// Services of its namespace.
    pub(super) services: Vec<Value>,
    /// What its pods read.
    pub(super) config_maps: Vec<Value>,
    /// What of that is secret.
    pub(super) secrets: Vec<Value>,
}

/// Where each object is made, and what it is, in this order.
///
/// # Errors
/// What cannot be tried, in words.
pub(super) fn copies(seen: &Seen, wanted: &Wanted, domain: &str) -> Result<Vec<(String, Value)>, String> {
    let (from, name) = named(&wanted.workload).ok_or("only Deployments can be copied")?;
    let template = &seen.deployment["spec"]["template"];
    more_than_probes(template, &wanted.paths)?;
    let is_meshed = is_meshed(&seen.labels, template);
    if !is_meshed && !wanted.calls_production {
        return Err("its pods have no sidecar, so nothing keeps the copies from calling production; say \
                    `callees: production` in the policy's trial if that harms nobody"
            .to_owned());
    }
    same_revision(seen, template, is_meshed)?;
    let to = seen.space["metadata"]["name"].as_str().unwrap_or_default();
    let label = label_of(&wanted.id);
    let meta = |name: &str| json!({"name": name, "namespace": to, "labels": ours(&label)});
    let mut made = Vec::new();
    let mut add = |group: &str, plural: &str, object: Value| {
        made.push((kind_path(group, plural, Some(to)), object));
    };
    for (plural, kind, objects) in
        [("configmaps", "ConfigMap", &seen.config_maps), ("secrets", "Secret", &seen.secrets)]
    {
        for object in objects {
            let mut copy = json!({"apiVersion": "v1", "kind": kind, "metadata": meta(object["metadata"]["name"].as_str().unwrap_or_default())});
            for field in ["data", "binaryData", "type"] {
                if !object[field].is_null() {
                    copy[field] = object[field].clone();
                }
            }
            add("", plural, copy);
        }
    }
    if let Some(account) = template["spec"]["serviceAccountName"].as_str().filter(|name| *name != "default") {
        // Without the rights of the one in production.
        let object = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(account)});
        add("", "serviceaccounts", object);
    }
    if wanted.calls_production {
        // So that the short names by which it calls are those of production.
        for service in seen.services.iter().filter(|service| !selects(service, template)) {
            let name = service["metadata"]["name"].as_str().unwrap_or_default();
            let ports: Vec<Value> = list(&service["spec"]["ports"]).iter().map(port_of_alias).collect();
            let spec = json!({"type": "ExternalName", "externalName": format!("{name}.{from}.svc.{domain}"), "ports": ports});
            let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": meta(name), "spec": spec});
            add("", "services", object);
        }
    }
    for (end, node) in [("source", wanted.source.as_str()), ("target", wanted.target.as_str())] {
        let name = format!("{}-{end}", &name[..name.len().min(56)]);
        add("", "pods", pod(seen, wanted, &meta(&name), (end, node), is_meshed));
    }
    Ok(made)
}

fn ours(label: &str) -> Value {
    json!({TRIAL_LABEL: label, "app.kubernetes.io/managed-by": "foremesh"})
}

/// A service that answers its ready check need not serve anything else.
fn more_than_probes(template: &Value, paths: &[String]) -> Result<(), String> {
    let probes: Vec<&str> = list(&template["spec"]["containers"])
        .iter()
        .flat_map(|container| {
            ["readinessProbe", "livenessProbe", "startupProbe"].map(|probe| &container[probe])
        })
        .filter_map(|probe| probe["httpGet"]["path"].as_str())
        .collect();
    let is_probe = |path: &String| probes.contains(&path.split('?').next().unwrap_or_default());
    if !paths.is_empty() && paths.iter().all(is_probe) {
        return Err("the policy's trial asks for nothing but what its probes ask for, and a ready check says nothing of \
                    how it serves; name requests that its callers send"
            .to_owned());
    }
    Ok(())
}

/// Sidecars of another revision may behave in another way, and would measure that.
fn same_revision(seen: &Seen, template: &Value, is_meshed: bool) -> Result<(), String> {
    let there = revision(&seen.space["metadata"]["labels"], &Value::Null);
    let here = revision(&seen.labels, template).or_else(|| Some("default".to_owned()));
    if is_meshed && there != here {
        let said = |revision: Option<String>| revision.unwrap_or_else(|| "none".to_owned());
        return Err(format!(
            "its sidecars come from revision {} of Istio, and those of the staging namespace from {}; make that with the same \
             `--revision`",
            said(here),
            said(there)
        ));
    }
    Ok(())
}

/// Whether a service's selector takes pods of a template.
pub(super) fn selects(service: &Value, template: &Value) -> bool {
    let Some(selector) = service["spec"]["selector"].as_object().filter(|selector| !selector.is_empty())
    else {
        return false;
    };
    selector.iter().all(|(key, value)| template["metadata"]["labels"][key] == *value)
}

fn port_of_alias(port: &Value) -> Value {
    let mut alias = Map::new();
    for field in ["name", "port", "protocol", "appProtocol"] {
        if !port[field].is_null() {
            alias.insert(field.to_owned(), port[field].clone());
        }
    }
    Value::Object(alias)
}

/// The template as a pod that stays on one node, that no service of production would select, and that ends by itself.
fn pod(seen: &Seen, wanted: &Wanted, meta: &Value, (end, node): (&str, &str), is_meshed: bool) -> Value {
    let template = &seen.deployment["spec"]["template"];
    let mut metadata = meta.clone();
    let mut labels = template["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    for selector in seen.services.iter().filter_map(|service| service["spec"]["selector"].as_object()) {
        for key in selector.keys() {
            if let Some(value) = labels.get_mut(key) {
                *value = json!(other(template["metadata"]["labels"][key].as_str().unwrap_or_default()));
            }
        }
    }
    for (key, value) in meta["labels"].as_object().into_iter().flatten() {
        labels.insert(key.clone(), value.clone());
    }
    labels.insert("foremesh.dev/trial-end".to_owned(), json!(end));
    // A sidecar where production has one, and only there.
    labels.insert("sidecar.istio.io/inject".to_owned(), json!(is_meshed.to_string()));
    if !wanted.calls_production {
        labels.insert(KEPT_IN.0.to_owned(), json!(KEPT_IN.1));
    }
    let mode = "istio.io/dataplane-mode";
    if let Some(of_all) = seen.labels.get(mode) {
        labels.entry(mode).or_insert_with(|| of_all.clone());
    }
    metadata["labels"] = Value::Object(labels);
    if !template["metadata"]["annotations"].is_null() {
        metadata["annotations"] = template["metadata"]["annotations"].clone();
    }
    let mut spec = template["spec"].clone();
    if let Some(fields) = spec.as_object_mut() {
        // It must not push anything of production out of its place.
        for field in ["nodeName", "priorityClassName", "priority", "preemptionPolicy"] {
            fields.remove(field);
        }
    }
    spec["activeDeadlineSeconds"] = json!(wanted.lives.as_secs().max(1));
    spec["terminationGracePeriodSeconds"] = json!(1);
    pin(&mut spec, node);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

/// Another value of a label that is still one.
fn other(value: &str) -> String {
    format!("{}-foremesh-trial", &value[..value.len().min(48)]).trim_start_matches('-').to_owned()
}

/// By the scheduler, so that room, taints and rules count; each term of what was required before goes on to hold.
fn pin(spec: &mut Value, node: &str) {
    let field = json!({"key": "metadata.name", "operator": "In", "values": [node]});
    let required = &mut spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let mut terms = list(&required["nodeSelectorTerms"]).to_vec();
    if terms.is_empty() {
        terms.push(json!({}));
    }
    for term in &mut terms {
        let mut fields = list(&term["matchFields"]).to_vec();
        fields.push(field.clone());
        term["matchFields"] = json!(fields);
    }
    *required = json!({"nodeSelectorTerms": terms});
}
