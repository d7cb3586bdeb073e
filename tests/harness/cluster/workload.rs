//! Deployments of the demo application.
use serde_json::{Value, json};

/// A Deployment of `localhost/workload:1`, and a Service of the same name unless it is idle.
#[derive(Debug, Clone)]
pub struct WorkloadSpec {
    /// Name of the service, and of its `app` label.
    pub name: &'static str,
    /// Value of the `version` label; a name of its own for the Deployment.
    pub version: Option<&'static str>,
    /// Replicas.
    pub replicas: u32,
    /// Nodes on which its pods may run; any when it is empty.
    pub nodes: Vec<&'static str>,
    /// CPU limit, in millicores.
    pub limit: Option<u32>,
    /// Settings of the application, by the names of its environment variables.
    pub settings: Vec<(&'static str, String)>,
    /// Only waits, for commands that are run in it.
    pub idle: bool,
}

impl WorkloadSpec {
    /// One replica that answers at once.
    pub fn service(name: &'static str) -> Self {
        Self {
            name,
            version: None,
            replicas: 1,
            nodes: Vec::new(),
            limit: None,
            settings: Vec::new(),
            idle: false,
        }
    }

    /// One replica to run commands in.
    pub fn idle(name: &'static str) -> Self {
        Self { idle: true, ..Self::service(name) }
    }

    /// Name of the Deployment.
    pub fn deployment(&self) -> String {
        self.version.map_or_else(|| self.name.to_owned(), |version| format!("{}-{version}", self.name))
    }

    /// Service account, Deployment and Service.
    pub fn manifest(&self) -> String {
        let mut objects = vec![
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": self.name}}),
            self.deployment_object(),
        ];
        if !self.idle {
            objects.push(json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": self.name},
                "spec": {"selector": {"app": self.name}, "ports": [{"name": "http", "port": 8080}]},
            }));
        }
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        format!("{list}\n")
    }

    fn deployment_object(&self) -> Value {
        let field = |path: &str| json!({"fieldRef": {"fieldPath": path}});
        let mut env = vec![
            json!({"name": "SERVICE", "value": self.name}),
            json!({"name": "VERSION", "value": self.version.unwrap_or_default()}),
            json!({"name": "NODE", "valueFrom": field("spec.nodeName")}),
            json!({"name": "ZONE", "valueFrom": field("metadata.labels['topology.kubernetes.io/zone']")}),
        ];
        env.extend(self.settings.iter().map(|(name, value)| json!({"name": name, "value": value})));
        let limits = self.limit.map_or_else(|| json!({}), |limit| json!({"cpu": format!("{limit}m")}));
        let mut container = json!({
            "name": "app", "image": "localhost/workload:1", "imagePullPolicy": "Never",
            "args": [if self.idle { "idle" } else { "serve" }], "env": env,
            "resources": {"requests": {"cpu": "20m", "memory": "16Mi"}, "limits": limits},
        });
        if !self.idle {
            container["readinessProbe"] =
                json!({"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1});
        }
        let mut spec = json!({
            "serviceAccountName": self.name, "enableServiceLinks": false, "terminationGracePeriodSeconds": 10, "containers": [container],
        });
        if !self.nodes.is_empty() {
            let among = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": self.nodes});
            spec["affinity"] = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [among]}],
            }}});
        }
        let mut labels = json!({"app": self.name});
        if let Some(version) = self.version {
            labels["version"] = json!(version);
        }
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": self.deployment()},
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {
                        "labels": labels,
                        // The admin port is asked from outside the mesh.
                        "annotations": {"traffic.sidecar.istio.io/excludeInboundPorts": "8081"},
                    },
                    "spec": spec,
                },
            },
        })
    }
}

/// A pod as it was when it was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its address; empty before it has one.
    pub address: String,
    /// Its node; empty before it is scheduled.
    pub node: String,
    /// Whether it is ready.
    pub ready: bool,
}

impl Pod {
    pub(super) fn of(object: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        Self {
            name: text(&object["metadata"]["name"]),
            address: text(&object["status"]["podIP"]),
            node: text(&object["spec"]["nodeName"]),
            ready: conditions
                .iter()
                .any(|condition| condition["type"] == "Ready" && condition["status"] == "True"),
        }
    }

    /// A URL of its admin port.
    pub fn admin(&self, path: &str) -> String {
        format!("http://{}:8081{path}", self.address)
    }
}
