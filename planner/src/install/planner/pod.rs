//! The planner's pod, its volume, and the services by which it is found.
use super::{API_PORT, MODULE_PORT, NAME, WEBHOOK_PORT, WEBHOOK_SERVICE, own, settings};
use crate::args::InstallPlannerArgs;
use serde_json::{Value, json};

/// Label of the planner's pod.
pub(super) const LABEL: (&str, &str) = ("app.kubernetes.io/name", NAME);
/// Of nobody else on a usual machine, and not root.
const USER: u32 = 65_532;
const CLAIM: &str = "foremesh-state";
/// What the planner needs to finish what it accepted, and to spare.
const GRACE_SECONDS: u32 = 40;

/// Volume, Deployment, services. `stamp` changes with the settings, so that a change of them starts the planner anew.
pub(super) fn objects(args: &InstallPlannerArgs, stamp: &str) -> Vec<Value> {
    let mut objects = Vec::new();
    if !args.ephemeral {
        let mut spec = json!({
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": args.storage_size}}
        });
        if let Some(class) = &args.storage_class {
            spec["storageClassName"] = json!(class);
        }
        objects.push(own(args, "PersistentVolumeClaim", CLAIM, json!({"spec": spec})));
    }
    objects.push(service(
        args,
        NAME,
        &[("http", API_PORT, API_PORT), ("http-filter", MODULE_PORT, MODULE_PORT)],
    ));
    if args.moves {
        objects.push(service(args, WEBHOOK_SERVICE, &[("https", 443, WEBHOOK_PORT)]));
    }
    let mut annotations = json!({
        "foremesh.dev/settings": stamp,
        "kubectl.kubernetes.io/default-container": "planner"
    });
    if args.trials {
        // All that it asks goes past its sidecar, which would send the load of a trial to the service of that name: to
        // production.
        annotations["traffic.sidecar.istio.io/includeOutboundIPRanges"] = json!("");
    } else {
        // The API server and istiod are asked directly: the planner starts before its sidecar is ready, and goes on without.
        annotations["traffic.sidecar.istio.io/excludeOutboundPorts"] = json!("443,6443,15014");
    }
    if args.moves {
        // The API server is not in the mesh.
        annotations["traffic.sidecar.istio.io/excludeInboundPorts"] = json!(WEBHOOK_PORT.to_string());
    }
    objects.push(own(
        args,
        "Deployment",
        NAME,
        json!({"spec": {
            "replicas": 1,
            // Two planners on one state directory refuse each other.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {LABEL.0: LABEL.1}},
            "template": {"metadata": {"labels": {LABEL.0: LABEL.1}, "annotations": annotations}, "spec": pod(args)}
        }}),
    ));
    objects
}

fn service(args: &InstallPlannerArgs, name: &str, ports: &[(&str, u16, u16)]) -> Value {
    let ports: Vec<Value> = ports
        .iter()
        .map(|(name, port, target)| json!({"name": name, "port": port, "targetPort": target}))
        .collect();
    // Summaries become durable, and the webhook answers, also while the planner cannot decide.
    let spec = json!({"selector": {LABEL.0: LABEL.1}, "ports": ports, "publishNotReadyAddresses": true});
    own(args, "Service", name, json!({"spec": spec}))
}

fn pod(args: &InstallPlannerArgs) -> Value {
    let probe = |path: &str, every: u32, failures: u32| {
        json!({
            "httpGet": {"path": path, "port": API_PORT}, "periodSeconds": every, "failureThreshold": failures,
            "timeoutSeconds": 5
        })
    };
    let mut ports = vec![
        json!({"name": "http", "containerPort": API_PORT}),
        json!({"name": "http-filter", "containerPort": MODULE_PORT}),
    ];
    if args.moves {
        ports.push(json!({"name": "webhook", "containerPort": WEBHOOK_PORT}));
    }
    let state = if args.ephemeral {
        json!({"name": "state", "emptyDir": {}})
    } else {
        json!({"name": "state", "persistentVolumeClaim": {"claimName": CLAIM}})
    };
    json!({
        "serviceAccountName": NAME,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        // What others call their services must not become settings of ours.
        "enableServiceLinks": false,
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"}
        },
        "containers": [{
            "name": "planner",
            "image": args.image,
            "imagePullPolicy": "IfNotPresent",
            "args": ["serve", "--config", format!("{}/{}", settings::FOLDER, settings::FILE)],
            "ports": ports,
            // Reading its history back may take minutes.
            "startupProbe": probe("/healthz", 2, 300),
            "livenessProbe": probe("/healthz", 10, 6),
            "readinessProbe": probe("/readyz", 5, 2),
            "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "2Gi"}},
            "securityContext": {
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}
            },
            "volumeMounts": [
                {"name": "settings", "mountPath": settings::FOLDER, "readOnly": true},
                {"name": "policies", "mountPath": settings::POLICIES, "readOnly": true},
                {"name": "state", "mountPath": settings::STATE},
                {"name": "scratch", "mountPath": "/tmp"}
            ]
        }],
        "volumes": [
            {"name": "settings", "configMap": {"name": "foremesh-settings"}},
            {"name": "policies", "configMap": {"name": "foremesh-policies"}},
            state,
            {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}}
        ]
    })
}
