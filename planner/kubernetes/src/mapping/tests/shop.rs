//! The cluster that the tests change.
use crate::{
    mapping::snapshot,
    objects::{Keep, Objects},
    settings::Conventions,
    usage::Usage,
};
use foremesh_core::{
    ids::{NodeId, WorkloadId},
    time::Timestamp,
    topology::{Node, Snapshot, Workload},
};
use serde_json::{Value, json};
use std::sync::Arc;

/// Manifests, as the API server would send them.
pub(super) struct Shop(Vec<Value>);

impl Shop {
    /// Deployment `cart` with a pod on n1 and one on n2, Deployment `pay` with one on n3; n1 and n2 are in zone a, n3 in b.
    pub(super) fn open() -> Self {
        let mut shop = Self(vec![json!({
            "kind": "Namespace",
            "metadata": {"name": "shop", "labels": {"foremesh.dev/managed": "true", "team": "shop"}}
        })]);
        for (name, zone) in [("n1", "a"), ("n2", "a"), ("n3", "b")] {
            shop.add(node(name, zone));
        }
        shop.deploy("cart", 2).deploy("pay", 1);
        for (pod, of, on) in [("cart-1", "cart", "n1"), ("cart-2", "cart", "n2"), ("pay-1", "pay", "n3")] {
            shop.add(self::pod(pod, of, on));
        }
        shop
    }

    /// A Deployment with its replica set and its service, without pods.
    pub(super) fn deploy(&mut self, name: &str, replicas: u32) -> &mut Self {
        self.add(json!({
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": "shop", "uid": format!("deployment-{name}"), "generation": 3},
            "spec": {"replicas": replicas},
            "status": {"observedGeneration": 3, "replicas": replicas, "updatedReplicas": replicas}
        }));
        self.add(json!({
            "kind": "ReplicaSet",
            "metadata": {
                "name": format!("{name}-abc"), "namespace": "shop", "uid": format!("rs-{name}"),
                "ownerReferences": [owner("Deployment", &format!("deployment-{name}"))]
            }
        }));
        self.add(json!({
            "kind": "Service",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"selector": {"app": name}, "clusterIP": "10.0.0.1"}
        }))
    }

    pub(super) fn add(&mut self, manifest: Value) -> &mut Self {
        self.0.push(manifest);
        self
    }

    /// Changes one manifest: maps are merged, anything else is replaced, and `null` takes away.
    pub(super) fn change(&mut self, kind: &str, name: &str, change: Value) -> &mut Self {
        let meant = |manifest: &&mut Value| manifest["kind"] == kind && manifest["metadata"]["name"] == name;
        merge(self.0.iter_mut().find(meant).expect("the object is there"), change);
        self
    }

    /// Changes the spec of both pods of `cart`.
    pub(super) fn cart_pods(&mut self, spec: &Value) -> &mut Self {
        for pod in ["cart-1", "cart-2"] {
            self.change("Pod", pod, json!({"spec": spec}));
        }
        self
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.snapshot_with(&Usage::default())
    }

    pub(super) fn snapshot_with(&self, usage: &Usage) -> Snapshot {
        snapshot(&self.objects(), usage, &Conventions::default(), Timestamp::from_unix_ms(7))
    }

    /// One workload, which must be there.
    pub(super) fn workload(&self, id: &str) -> Workload {
        self.snapshot().workloads.remove(&WorkloadId::new(id)).expect("the workload is there")
    }

    /// One node, which must be there.
    pub(super) fn node(&self, name: &str) -> Node {
        self.snapshot().nodes.remove(&NodeId::new(name)).expect("the node is there")
    }

    pub(super) fn objects(&self) -> Objects {
        let mut objects = Objects::default();
        for manifest in &self.0 {
            let of = manifest.clone();
            match manifest["kind"].as_str().expect("it has a kind") {
                "Node" => objects.nodes.push(read(of)),
                "Pod" => objects.pods.push(read(of)),
                "Deployment" => objects.deployments.push(read(of)),
                "ReplicaSet" => objects.replica_sets.push(read(of)),
                "StatefulSet" => objects.stateful_sets.push(read(of)),
                "Service" => objects.services.push(read(of)),
                "PodDisruptionBudget" => objects.budgets.push(read(of)),
                "HorizontalPodAutoscaler" => objects.scalers.push(read(of)),
                "PersistentVolumeClaim" => objects.claims.push(read(of)),
                "PersistentVolume" => objects.volumes.push(read(of)),
                "ResourceQuota" => objects.quotas.push(read(of)),
                "Namespace" => objects.namespaces.push(read(of)),
                other => panic!("{other} is not read"),
            }
        }
        objects
    }
}

fn read<T: Keep>(manifest: Value) -> Arc<T> {
    Arc::new(T::keep(serde_json::from_value(manifest).expect("the manifest can be read")))
}

pub(super) fn node(name: &str, zone: &str) -> Value {
    json!({
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone, "disk": "ssd"}
        },
        "spec": {},
        "status": {
            "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "10Gi"},
            "conditions": [
                {"type": "MemoryPressure", "status": "False"},
                {"type": "Ready", "status": "True", "reason": "KubeletReady"}
            ]
        }
    })
}

pub(super) fn pod(name: &str, of: &str, on: &str) -> Value {
    json!({
        "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "shop", "labels": {"app": of, "pod-template-hash": "abc"},
            "ownerReferences": [owner("ReplicaSet", &format!("rs-{of}"))]
        },
        "spec": {
            "nodeName": on, "schedulerName": "default-scheduler",
            "containers": [{"name": "main", "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}}}]
        },
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    })
}

/// A pod of nobody.
pub(super) fn stray(name: &str, namespace: &str, labels: &Value, on: &str) -> Value {
    json!({
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "nodeName": on,
            "containers": [{"resources": {"requests": {"cpu": "100m"}}, "ports": [{"hostPort": 9100}]}]
        },
        "status": {"phase": "Running"}
    })
}

pub(super) fn owner(kind: &str, uid: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": kind, "name": uid, "uid": uid, "controller": true})
}

fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                if value.is_null() {
                    into.remove(&key);
                } else {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (into, change) => *into = change,
    }
}
