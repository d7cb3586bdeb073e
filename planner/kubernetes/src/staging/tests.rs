//! What copies are made of, and where they may be made.
use super::*;
use serde_json::json;

mod played;

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
        space: space("foremesh-staging", None).remove(0),
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
    assert_eq!(kinds, ["ConfigMap", "ServiceAccount", "Pod", "Pod"]);
    let ours = json!({"foremesh.dev/trial": "plan-1a2b.0", "app.kubernetes.io/managed-by": "foremesh"});
    assert_eq!(
        of(&made, "ConfigMap")[0],
        &json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"A": "b"},
            "metadata": {"name": "cart", "namespace": "foremesh-staging", "labels": ours}
        })
    );
    let target = of(&made, "Pod")[1];
    assert_eq!(
        target,
        &json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "cart-target", "namespace": "foremesh-staging",
                "annotations": {"proxy.istio.io/config": "{}"},
                "labels": {
                    "app": "cart-foremesh-trial", "team": "orders", "foremesh.dev/trial": "plan-1a2b.0",
                    "app.kubernetes.io/managed-by": "foremesh", "foremesh.dev/trial-end": "target",
                    "foremesh.dev/trial-callees": "none", "sidecar.istio.io/inject": "true"
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
    for pod in of(&made, "Pod") {
        assert!(pod["metadata"]["labels"][space::KEPT_IN.0].is_null(), "nothing keeps them in: {pod}");
    }
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

#[test]
fn sidecars_are_where_production_has_them_and_of_the_same_revision() {
    let plain = Seen { labels: json!({}), ..seen() };
    let made = copies(&plain, &Wanted { calls_production: true, ..wanted() }, "cluster.local").unwrap();
    let inject = |pod: &Value| pod["metadata"]["labels"]["sidecar.istio.io/inject"].clone();
    assert_eq!(inject(of(&made, "Pod")[0]), "false");

    let revision = |of: &str| json!({"istio.io/rev": of});
    for (production, staging, same) in [
        (json!({"istio-injection": "enabled"}), None, true),
        (revision("default"), None, true),
        (revision("canary"), None, false),
        (revision("canary"), Some("canary"), true),
        (json!({"istio-injection": "enabled"}), Some("canary"), false),
    ] {
        let space = space("foremesh-staging", staging).remove(0);
        let made = copies(&Seen { labels: production.clone(), space, ..seen() }, &wanted(), "cluster.local");
        match made {
            Ok(_) => assert!(same, "{production} in {staging:?}"),
            Err(why) => assert!(!same && why.contains("canary"), "{production}, {staging:?}: {why}"),
        }
    }
}

#[test]
fn a_namespace_that_is_not_as_it_was_installed_is_refused() {
    let [namespace, tls, sidecar, _] = space("foremesh-staging", None).try_into().unwrap();
    assert_eq!(is_prepared(&namespace, &tls, &sidecar), Ok(()));
    let without = |object: &Value, path: &str| {
        let mut object = object.clone();
        *object.pointer_mut(path).unwrap() = Value::Null;
        object
    };
    let theirs = without(&namespace, "/metadata/labels/foremesh.dev~1staging");
    let mut ending = namespace.clone();
    ending["metadata"]["deletionTimestamp"] = json!("2023-11-14T22:13:20Z");
    let open = without(&sidecar, "/spec/outboundTrafficPolicy");
    let of_others = without(&sidecar, "/spec/workloadSelector");
    for (objects, says) in [
        ((&theirs, &tls, &sidecar), "somebody else's"),
        ((&ending, &tls, &sidecar), "being deleted"),
        ((&namespace, &Value::Null, &sidecar), "does not let the load in"),
        ((&namespace, &tls, &Value::Null), "nothing would keep the copies in"),
        ((&namespace, &tls, &open), "`outboundTrafficPolicy`"),
        ((&namespace, &tls, &of_others), "`workloadSelector`"),
    ] {
        let why = is_prepared(objects.0, objects.1, objects.2).unwrap_err();
        assert!(why.contains(says), "{why}");
    }
}

#[test]
fn names_are_names() {
    assert_eq!(label_of("plan-1a2b.0"), "plan-1a2b.0");
    assert_eq!(label_of(&"x".repeat(80)).len(), 63);
}
