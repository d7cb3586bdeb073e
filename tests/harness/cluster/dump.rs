//! All objects of a cluster, to see whether it is as it was.
use super::Cluster;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Kinds that change without anybody's doing.
const RESTLESS: [&str; 4] = ["metrics.k8s.io", "events", "componentstatuses", "leases"];

/// Objects without what changes by itself: versions, states, and who leads.
#[derive(Debug, Clone, PartialEq)]
pub struct Dump(BTreeMap<String, Value>);

impl Cluster {
    /// All objects that there are.
    pub async fn dump(&self) -> Result<Dump, String> {
        let kinds = self.kubectl(&["api-resources", "--verbs=list", "-o", "name"]).await?;
        let kinds: Vec<&str> =
            kinds.lines().filter(|kind| !RESTLESS.iter().any(|restless| kind.contains(restless))).collect();
        let list = self.get(&["--all-namespaces", &kinds.join(",")]).await?;
        let items = list["items"].as_array().ok_or("no list of objects")?;
        let mut dump = BTreeMap::new();
        for item in items {
            let meta = &item["metadata"];
            let mut name = match meta["namespace"].as_str() {
                Some(namespace) => format!("{} {} of {namespace}", item["kind"], meta["name"]),
                None => format!("{} {}", item["kind"], meta["name"]),
            };
            name = name.replace('"', "");
            if item["kind"] == "Pod" && !item["metadata"]["ownerReferences"].is_null() {
                // Pods come and go, and one that was moved is another one: what is said of it must be the same.
                let owner = &item["metadata"]["ownerReferences"][0];
                name = format!("pod of {} {}", owner["kind"], owner["name"]).replace('"', "");
                while dump.contains_key(&name) {
                    name.push('+');
                }
            }
            dump.insert(name, at_rest(item.clone()));
        }
        Ok(Dump(dump))
    }
}

fn at_rest(mut object: Value) -> Value {
    if object["kind"] == "Pod" && !object["metadata"]["ownerReferences"].is_null() {
        let mut said = object["metadata"]["annotations"].take();
        if let Some(said) = said.as_object_mut() {
            // What the injector says of the pod has times in it.
            said.retain(|name, _| name.contains("foremesh") || name.contains("deletion-cost"));
        }
        let mut labels = object["metadata"]["labels"].take();
        if let Some(labels) = labels.as_object_mut() {
            // Kubernetes tells by them where the pod is.
            labels.retain(|name, _| !name.starts_with("topology.kubernetes.io/"));
        }
        return serde_json::json!([labels, said]);
    }
    if let Some(object) = object.as_object_mut() {
        // Where a service's pods are.
        for field in ["status", "endpoints", "subsets"] {
            object.remove(field);
        }
    }
    if let Some(meta) = object["metadata"].as_object_mut() {
        for field in ["managedFields", "resourceVersion", "generation"] {
            meta.remove(field);
        }
        let notes = meta.get_mut("annotations").and_then(Value::as_object_mut);
        if let Some(notes) = notes {
            notes.remove("control-plane.alpha.kubernetes.io/leader");
            notes.remove("endpoints.kubernetes.io/last-change-trigger-time");
            if notes.is_empty() {
                meta.remove("annotations");
            }
        }
    }
    object
}

impl Dump {
    /// What is not as it was before: which objects, and what they were and are.
    pub fn differences(&self, before: &Self) -> Vec<String> {
        let names: BTreeSet<&String> = self.0.keys().chain(before.0.keys()).collect();
        let differs = names.into_iter().filter_map(|name| match (before.0.get(name), self.0.get(name)) {
            (Some(_), None) => Some(format!("{name} is gone")),
            (None, Some(new)) => Some(format!("{name} is new: {new}")),
            (Some(old), Some(new)) if old != new => Some(format!("{name} was {old}, is {new}")),
            _ => None,
        });
        differs.collect()
    }
}
