//! A namespace of a real cluster, a Deployment in it, and something that sends its new pods to a node.
use foremesh_core::ids::{NodeId, ReplicaId, WorkloadId};
use foremesh_core::time::Timestamp;
use foremesh_kubernetes::{
    moving::MovingList,
    relocate::{Relocate, RelocateSettings},
    webhook::{Placement, WebhookAddress, WebhookSettings},
};
use kube::{Client, Config};
use serde_json::{Value, json};
use std::{process::Stdio, sync::Arc, time::Duration};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    process::Command,
    time::Instant,
};

/// Pods that have to be scheduled, to start and to be ready, on a small machine that has other work.
const PODS_WITHIN: Duration = Duration::from_secs(90);

#[expect(clippy::disallowed_methods, reason = "a real server is asked in real time")]
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap())
}

/// Runs kubectl; what it wrote to stdout.
pub(crate) async fn kubectl(argv: &[&str], input: Option<&Value>) -> Result<String, String> {
    let mut command = Command::new("kubectl");
    command.args(argv).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("kubectl: {error}"))?;
    let mut stdin = child.stdin.take().unwrap();
    if let Some(input) = input {
        stdin.write_all(input.to_string().as_bytes()).await.unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Waits for something that is to be.
pub(crate) async fn until<T>(
    what: &str,
    within: Duration,
    mut is_so: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let began = Instant::now();
    loop {
        match is_so().await {
            Ok(value) => return value,
            Err(why) => assert!(began.elapsed() < within, "{what}, within {within:?}: {why}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A namespace that goes with [`Space::close`].
pub(crate) struct Space {
    pub(crate) name: String,
}

impl Space {
    /// A namespace with the Deployment `web` and its Service, with its pods on a node.
    pub(crate) async fn open(name: &str, replicas: u32, node: &str, env: Value) -> Self {
        let space = Self { name: name.to_owned() };
        drop(kubectl(&["delete", "namespace", name, "--ignore-not-found"], None).await);
        space.apply(&json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"foremesh.dev/managed": "true", "foremesh-test/steered": name}}
        })).await;
        space.steer(node).await;
        space.policy().await;
        let labels = json!({"app": "web"});
        space.apply(&json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 15, "enableServiceLinks": false,
                    "containers": [{
                        "name": "app", "image": "localhost/workload:1", "imagePullPolicy": "Never", "args": ["serve"],
                        "env": env, "ports": [{"containerPort": 8080}],
                        "resources": {"requests": {"cpu": "20m", "memory": "16Mi"}},
                        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1}
                    }]
                }
            }}
        })).await;
        space
            .apply(&json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": name},
                "spec": {"selector": labels, "ports": [{"name": "http", "port": 8080}]}
            }))
            .await;
        space.settled(replicas).await;
        space
    }

    /// The Deployment is as large as it is to be, and ready.
    pub(crate) async fn settled(&self, replicas: u32) {
        until("all replicas", PODS_WITHIN, async || {
            let web = self.get(&["deployment", "web"]).await;
            let status = &web["status"];
            let all =
                ["replicas", "readyReplicas", "updatedReplicas"].iter().all(|of| status[of] == replicas);
            let seen = status["observedGeneration"] == web["metadata"]["generation"];
            if all && seen && self.pods().await.len() == replicas as usize {
                Ok(())
            } else {
                Err(status.to_string())
            }
        })
        .await;
    }

    pub(crate) async fn apply(&self, object: &Value) {
        until("an object to be taken", Duration::from_secs(30), async || {
            kubectl(&["apply", "-f", "-"], Some(object)).await
        })
        .await;
    }

    pub(crate) async fn kubectl(&self, argv: &[&str]) -> String {
        kubectl(&[&["--namespace", &self.name], argv].concat(), None).await.unwrap()
    }

    pub(crate) async fn get(&self, what: &[&str]) -> Value {
        let text = self.kubectl(&[&["get", "-o", "json"], what].concat()).await;
        serde_json::from_str(&text).unwrap()
    }

    /// Names and nodes of the pods, those that are ending apart.
    pub(crate) async fn pods(&self) -> Vec<(ReplicaId, NodeId)> {
        let list = self.get(&["pods", "-l", "app=web"]).await;
        let pods = list["items"].as_array().unwrap().iter();
        let live = pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        live.map(|pod| {
            (ReplicaId::new(text(&pod["metadata"]["name"])), NodeId::new(text(&pod["spec"]["nodeName"])))
        })
        .collect()
    }

    /// New pods go to this node from now on.
    pub(crate) async fn steer(&self, node: &str) {
        let label = format!("foremesh-test/node={node}");
        self.kubectl(&["label", "--overwrite", "namespace", &self.name, &label]).await;
    }

    /// Where no webhook is: the API server itself sends new pods to the node that the namespace says.
    async fn policy(&self) {
        let name = format!("foremesh-test-{}", self.name);
        self.apply(&json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail", "reinvocationPolicy": "Never",
                "matchConstraints": {
                    "namespaceSelector": {"matchLabels": {"foremesh-test/steered": self.name}},
                    "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
                },
                "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression":
                    "[JSONPatch{op: 'add', path: '/spec/nodeSelector', value: {'kubernetes.io/hostname': \
                     namespaceObject.metadata.labels['foremesh-test/node']}}]"}}]
            }
        })).await;
        self.apply(&json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": name}, "spec": {"policyName": name}
        }))
        .await;
        self.steered(true).await;
    }

    /// Policies are in force, or not any more, a moment after they were stored.
    async fn steered(&self, wanted: bool) {
        until("pods to be steered, or not any more", Duration::from_secs(30), async || {
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "steered", "namespace": self.name},
                "spec": {"containers": [{"name": "c", "image": "none"}]}
            });
            let text = kubectl(&["create", "--dry-run=server", "-o", "json", "-f", "-"], Some(&pod)).await?;
            let made: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            let steered = made["spec"]["nodeSelector"].is_object();
            if steered == wanted { Ok(()) } else { Err(format!("they are: {steered}")) }
        })
        .await;
    }

    pub(crate) fn workload(&self) -> WorkloadId {
        WorkloadId::new(format!("{}/web", self.name))
    }

    pub(crate) fn list(&self, client: &Client) -> MovingList {
        MovingList::new(client.clone(), &self.name)
    }

    pub(crate) fn relocate(&self, client: &Client) -> Relocate {
        let settings = RelocateSettings {
            place_within: Duration::from_secs(30),
            retire_within: Duration::from_secs(40),
            ..RelocateSettings::default()
        };
        Relocate::new(client.clone(), self.list(client), settings)
    }

    /// Hashes of the templates that there ever were.
    pub(crate) async fn hashes(&self) -> Vec<String> {
        let sets = self.get(&["replicasets", "-l", "app=web"]).await;
        let hash = |set: &Value| set["metadata"]["labels"]["pod-template-hash"].as_str().unwrap().to_owned();
        sets["items"].as_array().unwrap().iter().map(hash).collect()
    }

    /// Nothing of a move is left: no label, no cost, no entry.
    pub(crate) async fn nothing_left(&self, client: &Client) {
        assert_eq!(self.list(client).all().await.unwrap().len(), 0, "the list is empty");
        for pod in self.get(&["pods", "-l", "app=web"]).await["items"].as_array().unwrap() {
            let meta = &pod["metadata"];
            // One that has ended stays for a moment until its node takes it away.
            if meta["deletionTimestamp"].is_string() {
                continue;
            }
            assert_eq!(meta["labels"]["foremesh.dev/location"], Value::Null, "{meta}");
            assert_eq!(
                meta["annotations"]["controller.kubernetes.io/pod-deletion-cost"],
                Value::Null,
                "{meta}"
            );
        }
    }

    /// Nothing sends new pods anywhere from now on.
    pub(crate) async fn unsteered(&self) {
        self.remove_policy().await;
        self.steered(false).await;
    }

    async fn remove_policy(&self) {
        let name = format!("foremesh-test-{}", self.name);
        for kind in ["mutatingadmissionpolicybinding", "mutatingadmissionpolicy"] {
            drop(kubectl(&["delete", kind, &name, "--ignore-not-found"], None).await);
        }
    }

    /// The placement webhook, in this process.
    pub(crate) async fn webhook(&self, client: &Client) -> Arc<Placement> {
        let url = Config::infer().await.unwrap().cluster_url;
        let server = (url.host().unwrap(), url.port_u16().unwrap_or(443));
        let host = TcpStream::connect(server).await.unwrap().local_addr().unwrap().ip();
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let address =
            WebhookAddress::Url { host: host.to_string(), port: listener.local_addr().unwrap().port() };
        let settings = WebhookSettings {
            configuration: format!("foremesh-test-{}", self.name),
            ..WebhookSettings::new(&self.name, address)
        };
        Arc::new(Placement::start(client, settings, listener, Arc::new(now)).unwrap())
    }

    pub(crate) async fn close(self) {
        self.remove_policy().await;
        let name = format!("foremesh-test-{}", self.name);
        let kind = "mutatingwebhookconfiguration";
        drop(kubectl(&["delete", kind, &name, "--ignore-not-found"], None).await);
        drop(kubectl(&["delete", "namespace", &self.name, "--wait=false"], None).await);
    }
}
