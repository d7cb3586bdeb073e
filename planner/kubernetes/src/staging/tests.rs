//! What copies are made of, and that nothing is left of them.
use super::*;
use crate::moving::played::Stored;
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};

fn wanted() -> Wanted {
    Wanted {
        id: "plan-1a2b.0".to_owned(),
        workload: WorkloadId::new("shop/cart"),
        service: ServiceId::new("cart.shop.svc.cluster.local"),
        source: NodeId::new("node-1"),
        target: NodeId::new("node-2"),
        port: None,
        calls_production: false,
        copy_secrets: false,
        paths: vec!["/cart".to_owned()],
        start_within: Duration::from_secs(5),
        lives: Duration::from_secs(600),
    }
}

fn deployment() -> Value {
    json!({
        "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "cart"}},
            "template": {
                "metadata": {
                    "labels": {"app": "cart", "team": "orders"},
                    "annotations": {"proxy.istio.io/config": "{}"}
                },
                "spec": {
                    "serviceAccountName": "cart",
                    "priorityClassName": "business",
                    "terminationGracePeriodSeconds": 30,
                    "containers": [{
                        "name": "cart", "image": "cart:1", "unknownField": {"kept": true},
                        "ports": [{"name": "http", "containerPort": 8080}],
                        "envFrom": [{"configMapRef": {"name": "cart"}}],
                        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8081}}
                    }],
                    "volumes": [{"name": "tmp", "emptyDir": {}}],
                    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "Exists"}]}]
                    }}}
                }
            }
        }
    })
}

fn services() -> Vec<Value> {
    let service = |name: &str, selector: Value| {
        json!({
            "metadata": {"name": name},
            "spec": {"selector": selector, "ports": [{"name": "http", "port": 80, "targetPort": "http", "nodePort": 30000}]}
        })
    };
    vec![service("cart", json!({"app": "cart"})), service("stock", json!({"app": "stock"}))]
}

fn seen() -> Seen {
    Seen {
        deployment: deployment(),
        labels: json!({"istio-injection": "enabled", "foremesh.dev/managed": "true", "team": "orders"}),
        services: services(),
        config_maps: vec![json!({
            "metadata": {"name": "cart", "namespace": "shop", "uid": "1", "resourceVersion": "5"},
            "data": {"A": "b"}
        })],
        secrets: Vec::new(),
    }
}

fn of<'a>(made: &'a [(String, Value)], kind: &str) -> Vec<&'a Value> {
    made.iter().map(|(_, object)| object).filter(|object| object["kind"] == kind).collect()
}

#[test]
fn a_copy_is_the_template_pinned_and_apart() {
    let made = copies(&seen(), &wanted(), "cluster.local").unwrap();
    let kinds: Vec<&str> = made.iter().map(|(_, object)| object["kind"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        ["Namespace", "PeerAuthentication", "Sidecar", "ConfigMap", "ServiceAccount", "Pod", "Pod"]
    );
    let ours = json!({"foremesh.dev/trial": "plan-1a2b.0", "app.kubernetes.io/managed-by": "foremesh"});
    // No opt-in: no planner looks at what is tried.
    let mut labels = ours.clone();
    labels["istio-injection"] = json!("enabled");
    assert_eq!(made[0].1["metadata"], json!({"name": "foremesh-trial-plan-1a2b-0", "labels": labels}));
    assert_eq!(
        of(&made, "ConfigMap")[0],
        &json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"A": "b"},
            "metadata": {"name": "cart", "namespace": "foremesh-trial-plan-1a2b-0", "labels": ours}
        })
    );
    let target = of(&made, "Pod")[1];
    assert_eq!(
        target,
        &json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "cart-target", "namespace": "foremesh-trial-plan-1a2b-0",
                "annotations": {"proxy.istio.io/config": "{}"},
                "labels": {
                    "app": "cart-foremesh-trial", "team": "orders", "foremesh.dev/trial": "plan-1a2b.0",
                    "app.kubernetes.io/managed-by": "foremesh", "foremesh.dev/trial-end": "target"
                }
            },
            "spec": {
                "serviceAccountName": "cart",
                "activeDeadlineSeconds": 600,
                "terminationGracePeriodSeconds": 1,
                "containers": deployment()["spec"]["template"]["spec"]["containers"],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
                "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{
                        "matchExpressions": [{"key": "disk", "operator": "Exists"}],
                        "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-2"]}]
                    }]
                }}}
            }
        })
    );
    for pod in of(&made, "Pod") {
        let alone = json!({"metadata": pod["metadata"]});
        assert!(!services().iter().any(|service| copies::selects(service, &alone)), "production takes {pod}");
    }
}

#[test]
fn production_is_called_by_its_short_names_where_the_policy_says_so() {
    let made = copies(&seen(), &Wanted { calls_production: true, ..wanted() }, "cluster.local").unwrap();
    assert!(of(&made, "Sidecar").is_empty(), "nothing keeps them in");
    let aliases = of(&made, "Service");
    assert_eq!(aliases.len(), 1, "{aliases:?}");
    assert_eq!(
        aliases[0]["spec"],
        json!({
            "type": "ExternalName", "externalName": "stock.shop.svc.cluster.local",
            "ports": [{"name": "http", "port": 80}]
        })
    );
}

#[test]
fn what_cannot_be_copied_is_refused() {
    let volume = |kind: Value| json!([{"name": "tmp", "emptyDir": {}}, kind]);
    let claim = json!({"name": "data", "persistentVolumeClaim": {"claimName": "cart"}});
    let cases = [
        ("/volumes", volume(claim), "volume data of its pods is a persistentVolumeClaim"),
        ("/volumes", volume(json!({"name": "host", "hostPath": {"path": "/"}})), "is a hostPath"),
        ("/volumes", volume(json!({"name": "x", "csi": {}})), "is a csi"),
        ("/volumes", volume(json!({"name": "x", "ofTheFuture": {}})), "is a ofTheFuture"),
        ("/containers/0/ports", json!([{"containerPort": 80, "hostPort": 80}]), "hold port 80"),
        ("/hostNetwork", json!(true), "the network of their node"),
    ];
    for (path, value, why) in cases {
        let mut template = deployment()["spec"]["template"].clone();
        template["spec"]["hostNetwork"] = json!(false);
        assert!(needs(&template).is_ok(), "without the change it can be copied");
        *template["spec"].pointer_mut(path).unwrap() = value.clone();
        let got = needs(&template).unwrap_err();
        assert!(got.contains(why), "case: {path} = {value}: {got}");
    }
}

#[test]
fn what_pods_read_is_found() {
    let template = json!({"spec": {
        "imagePullSecrets": [{"name": "registry"}],
        "initContainers": [{"envFrom": [{"secretRef": {"name": "first", "optional": true}}]}],
        "containers": [{"env": [
            {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "one", "key": "a", "optional": true}}},
            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "first", "key": "b"}}}
        ]}],
        "volumes": [
            {"name": "a", "secret": {"secretName": "certificate", "optional": true}},
            {"name": "b", "projected": {"sources": [{"configMap": {"name": "two"}}, {"secret": {"name": "three"}}, {"serviceAccountToken": {}}]}},
            {"name": "c", "configMap": {"name": "kube-root-ca.crt"}}
        ]
    }});
    let needs = needs(&template).unwrap();
    assert_eq!(needs.config_maps, [("one".to_owned(), true), ("two".to_owned(), false)].into());
    let secrets = [("certificate", true), ("first", false), ("registry", false), ("three", false)];
    assert_eq!(needs.secrets, secrets.map(|(name, optional)| (name.to_owned(), optional)).into());
}

#[test]
fn a_trial_that_says_nothing_is_refused() {
    let probes = Wanted { paths: vec!["/ready".to_owned(), "/ready?x=1".to_owned()], ..wanted() };
    let why = copies(&seen(), &probes, "cluster.local").unwrap_err();
    assert!(why.contains("a ready check says nothing"), "{why}");
    let bare = Seen { labels: json!({}), ..seen() };
    let why = copies(&bare, &wanted(), "cluster.local").unwrap_err();
    assert!(why.contains("nothing keeps the copies from calling production"), "{why}");
}

#[test]
fn a_copy_is_ready_on_its_node_only() {
    let pod = |node: &str, status: Value| json!([{"metadata": {"labels": {"foremesh.dev/trial-end": "target"}}, "spec": {"nodeName": node}, "status": status}]);
    let ready = json!({"podIP": "10.0.0.7", "conditions": [{"type": "Ready", "status": "True"}]});
    let look = |pods: &Value| progress(pods.as_array().unwrap(), "target", "node-2");
    assert_eq!(look(&pod("node-2", ready.clone())), Progress::Ready("10.0.0.7".parse().unwrap()));
    assert!(matches!(look(&pod("node-1", ready)), Progress::Failed(_)));
    assert!(matches!(look(&json!([])), Progress::Waits(_)));
    let full = json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient cpu"}]});
    let why = "the copy has no place on node-2: Insufficient cpu".to_owned();
    let mut nowhere = pod("node-2", full);
    nowhere[0]["spec"] = json!({});
    assert_eq!(look(&nowhere), Progress::NoRoom(why));
    let looping = json!({"containerStatuses": [{"name": "cart", "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}}]});
    assert!(matches!(look(&pod("node-2", looping)), Progress::Failed(_)));
    let over = json!({"phase": "Failed", "reason": "DeadlineExceeded"});
    assert!(matches!(look(&pod("node-2", over)), Progress::Failed(_)));
}

#[test]
fn the_port_is_the_services() {
    let template = &deployment()["spec"]["template"];
    let service = ServiceId::new("cart.shop.svc.cluster.local");
    assert_eq!(ready::port(template, &services(), &service), Ok(8080));
    let number =
        json!([{"metadata": {"name": "cart"}, "spec": {"ports": [{"port": 80, "targetPort": 9000}]}}]);
    assert_eq!(ready::port(template, number.as_array().unwrap(), &service), Ok(9000));
    let none = ready::port(template, &[], &service).unwrap_err();
    assert!(none.contains("say `port`"), "{none}");
}

/// A played API server with production in it. Deleting a namespace deletes what is in it.
fn played() -> Stored {
    let server = Stored::default();
    server.store("/apis/apps/v1/namespaces/shop/deployments/cart", deployment());
    server.store("/api/v1/namespaces/shop", json!({"metadata": {"name": "shop", "labels": seen().labels}}));
    server.store("/api/v1/namespaces/shop/configmaps/cart", seen().config_maps[0].clone());
    for service in services() {
        let name = service["metadata"]["name"].as_str().unwrap();
        server.store(&format!("/api/v1/namespaces/shop/services/{name}"), service.clone());
    }
    server
}

const PODS: &str = "/api/v1/namespaces/foremesh-trial-plan-1a2b-0/pods";

/// Plays the kubelets until it is told to stop.
async fn kubelets(server: Stored, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        for (end, node, ip) in [("source", "node-1", "10.0.0.1"), ("target", "node-2", "10.0.0.2")] {
            let path = format!("{PODS}/cart-{end}");
            if let Some(mut pod) = server.object(&path).filter(|pod| pod["status"].is_null()) {
                pod["spec"]["nodeName"] = json!(node);
                pod["status"] = json!({"podIP": ip, "conditions": [{"type": "Ready", "status": "True"}]});
                server.store(&path, pod);
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn copies_come_and_go_and_nothing_else_is_written() {
    let server = played();
    let staging = Staging::new(server.client(), server.client(), "cluster.local");
    let stop = AtomicBool::new(false);
    let tried = async {
        let copies = staging.start(&wanted()).await;
        stop.store(true, Ordering::Relaxed);
        copies.unwrap()
    };
    let (copies, ()) = tokio::join!(tried, kubelets(server.clone(), &stop));
    let at = |text: &str| text.parse().unwrap();
    assert_eq!(copies, Copies { source: at("10.0.0.1:8080"), target: at("10.0.0.2:8080") });
    staging.clear("plan-1a2b.0").await.unwrap();
    assert!(server.object("/api/v1/namespaces/foremesh-trial-plan-1a2b-0").is_none());
    let writes: Vec<String> = server.asked().into_iter().filter(|asked| !asked.starts_with("GET")).collect();
    let of_trial =
        |asked: &String| asked.contains("foremesh-trial-plan-1a2b-0") || asked == "POST /api/v1/namespaces";
    assert!(writes.len() > 5 && writes.iter().all(of_trial), "{writes:?}");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_become_ready_is_an_error() {
    let server = played();
    let staging = Staging::new(server.client(), server.client(), "cluster.local");
    let error = staging.start(&wanted()).await.unwrap_err().to_string();
    assert!(error.contains("the copy on node-1 is not ready") && error.contains("after 5 s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn secrets_are_copied_only_where_the_policy_says_so() {
    let server = played();
    let mut secret = deployment();
    secret["spec"]["template"]["spec"]["imagePullSecrets"] = json!([{"name": "registry"}]);
    server.store("/apis/apps/v1/namespaces/shop/deployments/cart", secret);
    let staging = Staging::new(server.client(), server.client(), "cluster.local");
    let error = staging.start(&wanted()).await.unwrap_err().to_string();
    assert!(error.contains("need the secret registry"), "{error}");
    let allowed = Wanted { copy_secrets: true, ..wanted() };
    let error = staging.start(&allowed).await.unwrap_err().to_string();
    assert!(error.contains("registry of its namespace's secrets, which is not there"), "{error}");
    let asked = server.asked();
    assert!(asked.iter().all(|asked| asked.starts_with("GET")), "nothing was made: {asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sweep_takes_trials_and_nothing_else() {
    let server = played();
    let left = json!({"metadata": {"name": "foremesh-trial-old", "labels": {"foremesh.dev/trial": "old"}}});
    server.store("/api/v1/namespaces/foremesh-trial-old", left);
    let staging = Staging::new(server.client(), server.client(), "cluster.local");
    // A namespace of that name which is somebody else's.
    server.store(
        "/api/v1/namespaces/foremesh-trial-theirs",
        json!({"metadata": {"name": "foremesh-trial-theirs"}}),
    );
    let error = staging.clear("theirs").await.unwrap_err().to_string();
    assert!(error.contains("somebody else's"), "{error}");
    assert_eq!(staging.sweep().await.unwrap(), ["foremesh-trial-old"]);
    assert!(server.object("/api/v1/namespaces/foremesh-trial-theirs").is_some());
    assert!(server.object("/api/v1/namespaces/shop").is_some());
    assert!(staging.sweep().await.unwrap().is_empty());
}

#[test]
fn names_are_names() {
    assert_eq!(namespace_of("plan-1A2b.0"), "foremesh-trial-plan-1a2b-0");
    assert_eq!(namespace_of(&"x".repeat(80)).len(), 63);
    assert_eq!(label_of("plan-1a2b.0"), "plan-1a2b.0");
}
