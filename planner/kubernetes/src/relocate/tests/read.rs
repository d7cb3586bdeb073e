//! What is read of the API server's objects.
use crate::relocate::{
    limited::limited,
    ready,
    seen::{Phase, Seen},
    trouble,
};
use serde_json::{Value, json};

fn owner(uid: &str) -> Value {
    json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": uid, "uid": uid, "controller": true}])
}

fn deployment(managers: &Value) -> Value {
    json!({
        "metadata": {
            "name": "web", "namespace": "shop", "uid": "d", "resourceVersion": "7", "generation": 2,
            "annotations": {"deployment.kubernetes.io/revision": "2"}, "managedFields": managers
        },
        "spec": {"replicas": 2, "template": {"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "5"}}}},
        "status": {
            "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2,
            "conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]
        }
    })
}

fn set(uid: &str, of: &str, revision: &str) -> Value {
    json!({"metadata": {
        "uid": uid, "ownerReferences": owner(of), "annotations": {"deployment.kubernetes.io/revision": revision}
    }})
}

fn pod(name: &str, set: &str) -> Value {
    json!({
        "metadata": {"name": name, "uid": name, "ownerReferences": owner(set), "labels": {"app": "web"}},
        "spec": {"nodeName": "n1"},
        "status": {
            "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "app", "ready": true, "state": {"running": {}}}]
        }
    })
}

#[test]
fn pods_are_told_apart_by_who_makes_them() {
    let mut ended = pod("ended", "new");
    ended["status"]["phase"] = json!("Succeeded");
    let mut marked = pod("marked", "old");
    marked["metadata"]["labels"] = json!({"foremesh.dev/location": "target"});
    marked["metadata"]["annotations"] = json!({"controller.kubernetes.io/pod-deletion-cost": "-100"});
    marked["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let pods = [marked, pod("b", "new"), pod("stranger", "other"), ended];
    let sets = [set("new", "d", "2"), set("old", "d", "1"), set("other", "x", "1")];
    let scalers = [
        json!({
            "metadata": {"name": "web", "ownerReferences": [{"kind": "ScaledObject", "name": "web", "controller": true}]},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 2, "maxReplicas": 5},
            "status": {"currentReplicas": 2, "desiredReplicas": 3}
        }),
        json!({"metadata": {"name": "other"}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "x"}, "maxReplicas": 5}}),
    ];
    let seen = Seen::read(Some(&deployment(&json!([]))), &sets, &pods, &scalers).unwrap();
    let names: Vec<(&str, bool, bool)> =
        seen.pods.iter().map(|pod| (pod.name.as_str(), pod.current, pod.terminating)).collect();
    assert_eq!(names, [("b", true, false), ("marked", false, true)]);
    assert_eq!((seen.pods[1].cost(), seen.pods[1].location.as_deref()), (-100, Some("target")));
    assert!(seen.pods[0].ready && seen.pods[0].started && seen.pods[0].phase == Phase::Running);
    let web = seen.deployment.unwrap();
    assert_eq!((web.wanted, web.ours, web.version.as_str(), web.changing), (2, true, "7", None));
    assert_eq!((web.cost.as_deref(), web.failure.as_deref()), (Some("5"), Some("exceeded quota")));
    let [scaler] = seen.scalers.as_slice() else { panic!("{:?}", seen.scalers) };
    assert_eq!(
        (scaler.min, scaler.max, scaler.desired, scaler.owner.as_deref()),
        (2, 5, Some(3), Some("ScaledObject web"))
    );
    let mut blind = scalers[0].clone();
    blind["status"]["conditions"] = json!([{"type": "ScalingActive", "status": "False"}]);
    let seen = Seen::read(Some(&deployment(&json!([]))), &sets, &pods, &[blind]).unwrap();
    assert_eq!(seen.scalers[0].desired, None, "what it wanted when it could measure says nothing");
    assert_eq!(Seen::read(None, &sets, &pods, &scalers).unwrap(), Seen::default());
}

/// The API server says who wrote the number last.
#[test]
fn a_number_is_ours_when_nobody_else_wrote_it() {
    let wrote = |manager: &str, field: &str| json!({"manager": manager, "operation": "Update", "fieldsV1": {"f:spec": {field: {}}}});
    for (managers, ours) in [
        (json!([wrote("foremesh", "f:replicas"), wrote("kubectl", "f:template")]), true),
        (json!([wrote("foremesh", "f:replicas"), wrote("argocd", "f:replicas")]), false),
        (json!([wrote("kubectl", "f:replicas"), wrote("foremesh", "f:paused")]), false),
        // Nobody is known to have written it.
        (json!([wrote("kubectl", "f:template")]), true),
        (json!(null), true),
    ] {
        let seen = Seen::read(Some(&deployment(&managers)), &[], &[], &[]).unwrap();
        assert_eq!(seen.deployment.unwrap().ours, ours, "{managers}");
    }
}

#[test]
fn trouble_is_told_in_the_words_of_the_pod() {
    let status = |status: Value| json!({"status": status});
    let waiting = |reason: &str| {
        json!({"containerStatuses": [
            {"name": "app", "ready": false, "restartCount": 3, "state": {"waiting": {"reason": reason, "message": "so"}},
             "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}}
        ]})
    };
    let condition = |of: &str| json!({"conditions": [{"type": of, "status": "False", "reason": "R", "message": "0/3 nodes: Insufficient cpu"}]});
    let starting = json!({"containerStatuses": [{"name": "app", "state": {"waiting": {"reason": "ContainerCreating"}}}]});
    let crashed = json!({"containerStatuses": [{
        "name": "app", "ready": false, "restartCount": 2, "state": {"running": {}},
        "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    }]});
    for (pod, want) in [
        (status(condition("PodScheduled")), Some("it cannot be scheduled: R, 0/3 nodes: Insufficient cpu")),
        (
            status(waiting("CrashLoopBackOff")),
            Some("container app waits with CrashLoopBackOff: so, it ended with exit code 1 (Error)"),
        ),
        (
            status(waiting("ImagePullBackOff")),
            Some("container app waits with ImagePullBackOff: so, it ended with exit code 1 (Error)"),
        ),
        (
            status(crashed),
            Some("container app was restarted 2 times: it ended with exit code 137 (OOMKilled)"),
        ),
        (status(condition("Ready")), Some("it is not ready: R, 0/3 nodes: Insufficient cpu")),
        (status(starting), None),
        (json!({}), None),
    ] {
        assert_eq!(trouble::of_pod(&pod).as_deref(), want, "{pod}");
    }
}

#[test]
fn ready_is_what_pod_and_endpoints_say() {
    let service =
        |name: &str, app: &str| json!({"metadata": {"name": name}, "spec": {"selector": {"app": app}}});
    let slice = |service: &str, uid: &str, ready: bool| {
        json!({
            "metadata": {"labels": {"kubernetes.io/service-name": service}},
            "endpoints": [{"targetRef": {"uid": uid}, "conditions": {"ready": ready}}]
        })
    };
    let services = [service("web", "web"), service("web-headless", "web"), service("pay", "pay")];
    let both = [slice("web", "p", true), slice("web-headless", "p", true)];
    let mut ending = pod("p", "new");
    ending["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let mut unready = pod("p", "new");
    unready["status"]["conditions"] =
        json!([{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}]);
    let p = pod("p", "new");
    for (pod, node, slices, want) in [
        (Some(&p), "n1", &both[..], Ok(())),
        (None, "n1", &both[..], Err("there is no such pod")),
        (Some(&p), "n2", &both[..], Err("it is on n1")),
        (Some(&ending), "n1", &both[..], Err("it is ending")),
        (Some(&unready), "n1", &both[..], Err("it is not ready: ContainersNotReady")),
        (Some(&p), "n1", &both[..1], Err("it is no ready endpoint of service web-headless yet")),
        (Some(&p), "n1", &[slice("web", "p", false)], Err("it is no ready endpoint of service web yet")),
        (Some(&p), "n1", &[slice("web", "q", true)], Err("it is no ready endpoint of service web yet")),
    ] {
        let seen = ready::pod(pod.cloned(), node)
            .and_then(|pod| ready::reached(&pod, &ready::of_pod(&services, &pod), slices));
        assert_eq!(seen, want.map_err(str::to_owned), "{node} {slices:?}");
    }
}

#[test]
fn a_limit_range_that_is_newer_than_the_pods_is_found() {
    let with = |limits: Value, requests: Value| json!({"spec": {"containers": [{"resources": {"limits": limits, "requests": requests}}]}});
    let range = |limit: Value| json!({"metadata": {"name": "small"}, "spec": {"limits": [limit]}});
    let max = |of: &str| range(json!({"type": of, "max": {"cpu": "500m"}}));
    let min = range(json!({"type": "Container", "min": {"memory": "32Mi"}}));
    let (none, small) = (with(json!({}), json!({})), with(json!({"cpu": "100m"}), json!({"memory": "64Mi"})));
    let large = with(json!({"cpu": "2"}), json!({"memory": "16Mi"}));
    let default = range(json!({"type": "Container", "max": {"cpu": "500m"}, "default": {"cpu": "200m"}}));
    for (pod, range, want) in [
        (&small, max("Container"), None),
        (&small, max("Pod"), None),
        (&small, min.clone(), None),
        (&none, default, None),
        (
            &large,
            max("Container"),
            Some("limit range `small` allows a container at most \"500m\" of cpu, and one has \"2\""),
        ),
        (
            &large,
            max("Pod"),
            Some(
                "limit range `small` allows a pod at most \"500m\" of cpu, and its containers may use more together",
            ),
        ),
        (
            &none,
            max("Container"),
            Some("limit range `small` wants a limit of cpu for every container, and one has none"),
        ),
        (
            &large,
            min,
            Some(
                "limit range `small` wants every container to request at least \"32Mi\" of memory, and one has \"16Mi\"",
            ),
        ),
        (&large, range(json!({"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}})), None),
    ] {
        assert_eq!(limited(pod, std::slice::from_ref(&range)).as_deref(), want, "{pod} {range}");
    }
}
