//! Which pod goes where, and what is done to it.
use super::*;
use crate::webhook::{
    decision::{Peer, decide, maker, of_namespace},
    review::Request,
};

/// `name` or `name=location`.
fn peers(names: &[&str]) -> Vec<Peer> {
    let peer = |text: &&str| match text.split_once('=') {
        Some((name, location)) => Peer { name: name.to_owned(), location: Some(location.to_owned()) },
        None => Peer { name: (*text).to_owned(), location: None },
    };
    names.iter().map(peer).collect()
}

fn patched(pod: &Value, patch: Vec<Value>) -> Value {
    let patch: json_patch::Patch = serde_json::from_value(Value::from(patch)).unwrap();
    let mut patched = pod.clone();
    json_patch::patch(&mut patched, &patch).unwrap();
    patched
}

#[test]
fn only_the_replica_that_is_one_too_many_is_sent() {
    use MovedPhase::{Ramping, Retiring, Surging};
    for (case, phase, beside, location) in [
        ("all of before are there", Surging, Some(vec!["web-1=source", "web-2=stay"]), "target"),
        ("nobody has labelled those of before yet", Surging, Some(vec!["web-1", "web-2"]), "target"),
        ("one of before crashed, and is made up for first", Surging, Some(vec!["web-1=source"]), "stay"),
        ("all crashed", Surging, Some(vec![]), "stay"),
        (
            "one was made up for, now the extra one",
            Surging,
            Some(vec!["web-1=source", "web-3=stay"]),
            "target",
        ),
        ("scaled up meanwhile", Surging, Some(vec!["web-1=source", "web-2=stay", "web-3=target"]), "stay"),
        ("scaled up before", Surging, Some(vec!["web-1", "web-2", "web-3"]), "target"),
        ("a label of an earlier move", Surging, Some(vec!["web-1=target", "web-2=stay"]), "target"),
        ("the one that was sent is gone", Surging, Some(vec!["web-1=source", "web-2=stay"]), "target"),
        ("first of another revision", Surging, Some(vec![]), "stay"),
        ("who is there is not known", Surging, None, "stay"),
        ("one is lost while traffic moves", Ramping, Some(vec!["web-1=source", "web-2=stay"]), "stay"),
        ("the new one stays", Retiring, Some(vec!["web-2=stay", "web-3=target"]), "stay"),
    ] {
        let moved = Moved { phase, ..moved("shop/web") };
        let beside = beside.map(|names| peers(&names));
        let pod = patched(&pod(), decide(&pod(), &moved, beside.as_deref()));
        assert_eq!(pod["metadata"]["labels"][LOCATION_LABEL], location, "{case}");
        assert_eq!(pod["spec"]["affinity"].is_object(), location == "target", "{case}");
        assert_eq!(
            pod["metadata"]["annotations"][COST_ANNOTATION].is_string(),
            location == "target",
            "{case}"
        );
    }
}

#[test]
fn the_only_replica_is_sent_and_its_replacement_is_not() {
    let moved = Moved { known: [ReplicaId::new("web-1")].into(), replicas_before: 1, ..moved("shop/web") };
    for (beside, location) in [(vec!["web-1=source"], "target"), (vec![], "stay")] {
        let pod = patched(&pod(), decide(&pod(), &moved, Some(&peers(&beside))));
        assert_eq!(pod["metadata"]["labels"][LOCATION_LABEL], location);
    }
}

fn sent(pod: &Value) -> Value {
    patched(pod, decide(pod, &moved("shop/web"), Some(&peers(&["web-1", "web-2"]))))
}

#[test]
fn what_the_pod_has_is_kept() {
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let ours = json!({"weight": 100, "preference": {
        "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node-2"]}]
    }});
    let own = |weight: i64| {
        json!({"weight": weight, "preference": {
            "matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]
        }})
    };
    for (case, affinity, expected) in [
        ("none", json!(null), json!({"nodeAffinity": {preferred: [ours]}})),
        ("empty", json!({}), json!({"nodeAffinity": {preferred: [ours]}})),
        (
            "of pods",
            json!({"podAntiAffinity": {"x": 1}}),
            json!({"podAntiAffinity": {"x": 1}, "nodeAffinity": {preferred: [ours]}}),
        ),
        (
            "required",
            json!({"nodeAffinity": {required: {"nodeSelectorTerms": []}}}),
            json!({"nodeAffinity": {required: {"nodeSelectorTerms": []}, preferred: [ours]}}),
        ),
        (
            "preferred a little",
            json!({"nodeAffinity": {preferred: [own(30)]}}),
            json!({"nodeAffinity": {preferred: [own(30), ours]}}),
        ),
        (
            "preferred as much, which is outweighed",
            json!({"nodeAffinity": {preferred: [own(60), own(40)]}}),
            json!({"nodeAffinity": {preferred: [own(60), own(40), ours, ours]}}),
        ),
    ] {
        let mut pod = pod();
        if !affinity.is_null() {
            pod["spec"]["affinity"] = affinity;
        }
        let sent = sent(&pod);
        assert_eq!(sent["spec"]["affinity"], expected, "{case}");
        assert_eq!(sent["spec"]["containers"], pod["spec"]["containers"]);
        assert_eq!(sent["metadata"]["labels"]["app"], "web");
    }
}

#[test]
fn a_pod_that_is_sent_is_cheaper_to_lose_than_those_beside_it() {
    for (own, cost) in [
        (None, "-100"),
        (Some("50"), "-100"),
        (Some("-30"), "-130"),
        (Some("-2147483600"), "-2147483648"),
        (Some("dear"), "-100"),
    ] {
        let mut pod = pod();
        if let Some(own) = own {
            pod["metadata"]["annotations"] = json!({COST_ANNOTATION: own, "other/kept~by": "x"});
        }
        let annotations = &sent(&pod)["metadata"]["annotations"];
        assert_eq!(annotations[COST_ANNOTATION], cost, "{own:?}");
        assert_eq!(annotations["other/kept~by"].is_string(), own.is_some());
    }
}

#[test]
fn a_pod_that_has_a_location_is_left_alone() {
    let mut pod = pod();
    pod["metadata"]["labels"][LOCATION_LABEL] = json!("stay");
    assert_eq!(sent(&pod), pod);
}

#[test]
fn the_maker_is_a_replica_set_that_controls_the_pod() {
    let found = maker(&pod()).unwrap();
    assert_eq!((found.name.as_str(), found.uid.as_str(), found.revision.as_str()), ("web-7d4", "rs", "7d4"));
    let with = |change: fn(&mut Value)| {
        let mut pod = pod();
        change(&mut pod["metadata"]);
        maker(&pod)
    };
    assert_eq!(with(|meta| meta["ownerReferences"] = json!(null)), None);
    assert_eq!(with(|meta| meta["ownerReferences"][0]["controller"] = json!(false)), None);
    assert_eq!(with(|meta| meta["ownerReferences"][0]["kind"] = json!("StatefulSet")), None);
    assert_eq!(with(|meta| meta["ownerReferences"][0]["apiVersion"] = json!("example.com/v1")), None);
    assert_eq!(with(|meta| meta["ownerReferences"][0]["uid"] = json!("")), None);
    assert_eq!(with(|meta| meta["labels"] = json!({"app": "web"})), None);
}

#[test]
fn what_moves_is_found_by_namespace_and_name() {
    let moving = || [moved("shop/web"), moved("shop/cart"), moved("shopping/web")];
    let names = |namespace| of_namespace(moving(), namespace).into_keys().collect::<Vec<_>>();
    assert_eq!(names("shop"), ["cart", "web"]);
    assert_eq!(names("other"), Vec::<String>::new());
}

fn review(change: impl Fn(&mut Value)) -> Result<Request, String> {
    let mut review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "resource": {"group": "", "version": "v1", "resource": "pods"}, "operation": "CREATE",
            "namespace": "shop", "object": pod(), "oldObject": null, "dryRun": true
        }
    });
    change(&mut review);
    Request::read(review.to_string().as_bytes())
}

#[test]
fn only_new_pods_are_decided_about() {
    assert!(review(|_| ()).unwrap().makes_pod());
    for change in [
        (|review| review["request"]["operation"] = json!("UPDATE")) as fn(&mut Value),
        |review| review["request"]["resource"]["resource"] = json!("configmaps"),
        |review| review["request"]["resource"]["group"] = json!("metrics.k8s.io"),
        |review| review["request"]["subResource"] = json!("binding"),
        |review| review["request"]["object"] = json!(null),
    ] {
        assert!(!review(change).unwrap().makes_pod());
    }
    assert!(review(|review| review["apiVersion"] = json!("admission.k8s.io/v1beta1")).is_err());
    assert!(review(|review| review["request"] = json!(null)).is_err());
    assert!(Request::read(b"{").is_err());
}

#[test]
fn an_answer_is_always_that_it_is_allowed() {
    let request = review(|_| ()).unwrap();
    assert_eq!(request.allowed(&[])["response"], json!({"uid": "u", "allowed": true}));
    let answer = request.allowed(&[json!({"op": "add"})]);
    assert_eq!(
        answer["response"],
        json!({"uid": "u", "allowed": true, "patchType": "JSONPatch", "patch": "W3sib3AiOiJhZGQifV0="})
    );
}
