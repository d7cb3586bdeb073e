//! A Deployment in a namespace of a real cluster, and a planner's account beside it.
use foremesh_core::time::Timestamp;
use kube::{
    Api, Client, Config,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
use tokio::time::Instant;

const DEADLINE: Duration = Duration::from_secs(90);

#[expect(clippy::disallowed_methods, reason = "certificates are checked in real time")]
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap())
}

/// Two namespaces of a test: the planner's, and one with the Deployment `web`.
pub(crate) struct Shop {
    client: Client,
    pub(crate) namespace: String,
    pub(crate) planner: String,
    pub(crate) configuration: String,
}

fn kind(group: &str, version: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

impl Shop {
    pub(crate) async fn open(name: &str, meshed: bool) -> Self {
        let client = Client::try_default().await.unwrap();
        let shop = Self {
            client,
            namespace: format!("webhook-test-{name}"),
            planner: format!("webhook-test-{name}-planner"),
            configuration: format!("webhook-test-{name}"),
        };
        shop.remove().await;
        let mut labels = json!({"foremesh.dev/managed": "true"});
        if meshed {
            labels["istio-injection"] = json!("enabled");
        }
        shop.create(None, namespace(), json!({"metadata": {"name": shop.namespace, "labels": labels}})).await;
        shop.create(None, namespace(), json!({"metadata": {"name": shop.planner}})).await;
        shop.allow().await;
        if meshed {
            let maps = shop.api(Some(&shop.namespace), &kind("", "v1", "ConfigMap"));
            until("the mesh's root", || async { maps.get_opt("istio-ca-root-cert").await.unwrap() }).await;
        }
        shop.create(
            Some(&shop.namespace),
            kind("apps", "v1", "Deployment"),
            json!({"metadata": {"name": "web"}, "spec": {
                "replicas": 0, "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{
                        "name": "web", "image": "localhost/workload:1", "imagePullPolicy": "Never", "args": ["serve"],
                        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}
                    }]
                }}
            }}),
        )
        .await;
        shop
    }

    /// The rights that the webhook says it needs.
    async fn allow(&self) {
        let rbac = |of| kind("rbac.authorization.k8s.io", "v1", of);
        let all = ["get", "create", "patch"];
        self.create(
            Some(&self.planner),
            rbac("Role"),
            json!({"metadata": {"name": "planner"}, "rules": [
                {"apiGroups": [""], "resources": ["secrets", "configmaps"], "verbs": all}
            ]}),
        )
        .await;
        self.create(
            None,
            rbac("ClusterRole"),
            json!({"metadata": {"name": self.configuration}, "rules": [
                {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["get"]},
                {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
                {"apiGroups": ["admissionregistration.k8s.io"], "resources": ["mutatingwebhookconfigurations"],
                 "resourceNames": [self.configuration], "verbs": ["get", "patch"]}
            ]}),
        )
        .await;
        // Made by whoever installs the planner.
        let configuration = kind("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration");
        self.create(None, configuration, json!({"metadata": {"name": self.configuration}, "webhooks": []}))
            .await;
        let subjects = json!([{"kind": "ServiceAccount", "name": "planner", "namespace": self.planner}]);
        for (place, of, role) in
            [(Some(&*self.planner), "RoleBinding", "Role"), (None, "ClusterRoleBinding", "ClusterRole")]
        {
            let name = if place.is_some() { "planner" } else { &self.configuration };
            let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": name});
            let binding = json!({"metadata": {"name": name}, "subjects": subjects, "roleRef": role});
            self.create(place, rbac(of), binding).await;
        }
    }

    /// A client with the planner's rights.
    pub(crate) async fn as_planner(&self) -> Client {
        let mut config = Config::infer().await.unwrap();
        config.auth_info.impersonate = Some(format!("system:serviceaccount:{}:planner", self.planner));
        Client::try_from(config).unwrap()
    }

    /// An address of this machine that the API server can connect to.
    pub(crate) async fn reachable_at(&self) -> IpAddr {
        let url = Config::infer().await.unwrap().cluster_url;
        let server = (url.host().unwrap(), url.port_u16().unwrap_or(443));
        tokio::net::TcpStream::connect(server).await.unwrap().local_addr().unwrap().ip()
    }

    fn api(&self, namespace: Option<&str>, kind: &ApiResource) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, kind),
            None => Api::all_with(self.client.clone(), kind),
        }
    }

    async fn create(&self, namespace: Option<&str>, kind: ApiResource, mut object: Value) {
        object["apiVersion"] = json!(kind.api_version);
        object["kind"] = json!(kind.kind);
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        self.api(namespace, &kind).create(&PostParams::default(), &object).await.unwrap();
    }

    /// Puts a Service of the planner in front of an address.
    pub(crate) async fn serve(&self, name: &str, address: SocketAddr) {
        let port = json!([{"name": "https", "port": 443, "targetPort": address.port()}]);
        let service = json!({"metadata": {"name": name}, "spec": {"ports": port}});
        self.create(Some(&self.planner), kind("", "v1", "Service"), service).await;
        let slice = json!({
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}}, "addressType": "IPv4",
            "ports": [{"name": "https", "port": address.port(), "protocol": "TCP"}],
            "endpoints": [{"addresses": [address.ip().to_string()]}]
        });
        self.create(Some(&self.planner), kind("discovery.k8s.io", "v1", "EndpointSlice"), slice).await;
    }

    pub(crate) async fn workers(&self) -> Vec<String> {
        let nodes = self.api(None, &kind("", "v1", "Node")).list(&ListParams::default()).await.unwrap();
        let open = |node: &DynamicObject| node.data["spec"]["taints"].is_null();
        nodes.items.into_iter().filter(open).map(|node| node.metadata.name.unwrap()).collect()
    }

    /// Scales, and gives the pods when so many are ready and no other is left.
    pub(crate) async fn scaled(&self, replicas: u32) -> Vec<Value> {
        let deployments = self.api(Some(&self.namespace), &kind("apps", "v1", "Deployment"));
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        deployments.patch("web", &PatchParams::default(), &patch).await.unwrap();
        until(&format!("{replicas} pods that are ready"), || async {
            let pods = self.pods().await;
            let ready = |pod: &Value| {
                let conditions = pod["status"]["conditions"].as_array();
                conditions.into_iter().flatten().any(|of| of["type"] == "Ready" && of["status"] == "True")
                    && pod["metadata"]["deletionTimestamp"].is_null()
            };
            (pods.len() == replicas as usize && pods.iter().all(ready)).then_some(pods)
        })
        .await
    }

    async fn pods(&self) -> Vec<Value> {
        let pods = self.api(Some(&self.namespace), &kind("", "v1", "Pod"));
        let pods = pods.list(&ListParams::default()).await.unwrap().items;
        pods.into_iter().map(|pod| serde_json::to_value(pod).unwrap()).collect()
    }

    pub(crate) async fn delete_pod(&self, name: &str) {
        self.api(Some(&self.namespace), &kind("", "v1", "Pod"))
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }

    pub(crate) async fn deployment(&self) -> Value {
        let deployments = self.api(Some(&self.namespace), &kind("apps", "v1", "Deployment"));
        serde_json::to_value(deployments.get("web").await.unwrap()).unwrap()
    }

    /// What the API server is told.
    pub(crate) async fn webhooks(&self) -> Value {
        let configurations =
            self.api(None, &kind("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration"));
        let stored = configurations.get(&self.configuration).await.unwrap();
        stored.data.get("webhooks").cloned().unwrap_or(json!([]))
    }

    /// What would become of a pod.
    pub(crate) async fn dry_run(&self, pod: &Value) -> Value {
        let pod: DynamicObject = serde_json::from_value(pod.clone()).unwrap();
        let params = PostParams { dry_run: true, ..PostParams::default() };
        let made = self.api(Some(&self.namespace), &kind("", "v1", "Pod")).create(&params, &pod).await;
        serde_json::to_value(made.unwrap()).unwrap()
    }

    /// How long admission takes, one after the other.
    pub(crate) async fn dry_runs(&self, times: usize, pod: &Value) -> Took {
        let mut took = Vec::new();
        for _ in 0..times {
            let began = Instant::now();
            self.dry_run(pod).await;
            took.push(began.elapsed());
        }
        took.sort();
        Took(took)
    }

    pub(crate) async fn close(&self) {
        self.remove().await;
    }

    async fn remove(&self) {
        let rbac = |of| kind("rbac.authorization.k8s.io", "v1", of);
        let configuration = kind("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration");
        for (kind, name) in [
            (configuration, &self.configuration),
            (rbac("ClusterRoleBinding"), &self.configuration),
            (rbac("ClusterRole"), &self.configuration),
            (namespace(), &self.namespace),
            (namespace(), &self.planner),
        ] {
            let api = self.api(None, &kind);
            if api.get_opt(name).await.unwrap().is_some() {
                api.delete(name, &DeleteParams::default()).await.unwrap();
            }
            until("the end of what was before", || async {
                api.get_opt(name).await.unwrap().is_none().then_some(())
            })
            .await;
        }
    }
}

/// A pod such as the replica set of this one would ask for.
pub(crate) fn another(pod: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "generateName": pod["metadata"]["generateName"], "labels": pod["metadata"]["labels"],
            "ownerReferences": pod["metadata"]["ownerReferences"]
        },
        "spec": {"containers": [{"name": "web", "image": "localhost/workload:1"}]}
    })
}

fn namespace() -> ApiResource {
    kind("", "v1", "Namespace")
}

/// Durations, in order.
pub(crate) struct Took(Vec<Duration>);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |share: f64| self.0[((self.0.len() as f64 * share) as usize).min(self.0.len() - 1)];
        write!(f, "median {:.1?}, p99 {:.1?}, n {}", at(0.5), at(0.99), self.0.len())
    }
}

async fn until<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    let deadline = Instant::now() + DEADLINE;
    while Instant::now() < deadline {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("waited {DEADLINE:?} for {what}");
}
