use super::*;
use std::collections::BTreeSet;

#[test]
fn the_document_says_what_the_table_says() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/rights.md");
    let written = std::fs::read_to_string(file).unwrap_or_default();
    assert!(written == markdown(), "write it anew: foremesh install rights > docs/rights.md");
}

#[test]
fn every_right_is_one_of_a_kind_and_says_why() {
    let mut seen = BTreeSet::new();
    for right in RIGHTS {
        assert!(!right.why.is_empty() && !right.verbs.is_empty() && !right.resources.is_empty(), "{right:?}");
        for verb in right.verbs {
            assert!(!["*", "escalate", "bind", "impersonate"].contains(verb), "{right:?}");
            for resource in right.resources {
                assert!(*resource != "*" && right.group != "*", "{right:?}");
                assert!(
                    seen.insert((right.group, resource, verb, right.names, right.scope)),
                    "twice: {right:?} {verb}"
                );
            }
        }
    }
}

#[test]
fn what_changes_something_is_bound_to_names_or_to_where_things_move() {
    for right in RIGHTS.iter().filter(|right| right.group != "foremesh.dev") {
        let writes = right.verbs.iter().any(|verb| !["get", "list", "watch"].contains(verb));
        let bound = !right.names.is_empty() || right.scope != Scope::Everywhere;
        assert!(!writes || bound, "{right:?} writes everywhere");
        assert!(!writes || right.need != Need::Read, "{right:?} is no reading");
    }
    for right in RIGHTS.iter().filter(|right| right.resources.contains(&"secrets")) {
        let own = right.scope == Scope::Own && !right.names.is_empty();
        assert!(own || right.need == Need::TrySecrets, "{right:?}");
    }
}

#[test]
fn roles_have_what_was_asked_for() {
    let (own, istiod) = ("foremesh", "istio-system");
    let objects = |moves: bool, only_in: &[&str], staging: Option<&str>, secrets: bool| {
        let only_in: Vec<String> = only_in.iter().map(|&at| at.to_owned()).collect();
        roles(&Granted { own, istiod, moves, only_in: &only_in, staging, secrets })
    };
    let kinds = |moves: bool, only_in: &[&str]| -> Vec<String> {
        let objects = objects(moves, only_in, None, false);
        let text = |object: &serde_json::Value, at: &str| {
            object.pointer(at).and_then(serde_json::Value::as_str).unwrap_or("-").to_owned()
        };
        let of = |object| {
            let (kind, at) = (text(object, "/kind"), text(object, "/metadata/namespace"));
            format!("{kind} {at}/{}", text(object, "/metadata/name"))
        };
        objects.iter().map(of).collect()
    };
    let reading = [
        "ClusterRole -/foremesh-read",
        "ClusterRoleBinding -/foremesh-read",
        "ClusterRole -/foremesh-view",
        "ClusterRole -/foremesh-edit",
    ];
    assert_eq!(kinds(false, &[]), reading);
    assert_eq!(kinds(false, &["shop"]), reading);
    let everywhere = "ClusterRoleBinding -/foremesh-moved".to_owned();
    let moving = kinds(true, &["shop", "pay"]);
    for at in ["shop", "pay"] {
        assert!(moving.contains(&format!("RoleBinding {at}/foremesh-moved")), "{moving:?}");
    }
    assert!(!moving.contains(&everywhere), "{moving:?}");
    assert!(kinds(true, &[]).contains(&everywhere));

    // Secrets of others are in no role, unless that is asked for; pods are made in the staging namespace alone.
    let (trying, secretly) = (objects(true, &[], Some("try"), false), objects(true, &[], Some("try"), true));
    let of = |objects: &[serde_json::Value], resource: &str, verb: &str| -> Vec<String> {
        let has = |list: &serde_json::Value, one: &str| {
            list.as_array().is_some_and(|list| list.iter().any(|is| is == one))
        };
        let all = objects.iter().filter(|object| {
            let rules = object["rules"].as_array();
            rules.is_some_and(|rules| {
                rules.iter().any(|rule| has(&rule["resources"], resource) && has(&rule["verbs"], verb))
            })
        });
        let named =
            |of: &serde_json::Value| format!("{}/{}", of["metadata"]["namespace"], of["metadata"]["name"]);
        all.map(|object| named(object).replace('"', "")).collect()
    };
    assert_eq!(of(&trying, "pods", "create"), ["try/foremesh"]);
    assert_eq!(of(&trying, "pods", "delete"), ["try/foremesh"]);
    assert!(of(&objects(true, &[], None, false), "pods", "create").is_empty());
    assert!(of(&trying, "namespaces", "create").is_empty() && of(&trying, "namespaces", "delete").is_empty());
    assert_eq!(of(&trying, "secrets", "get"), ["foremesh/foremesh"]);
    assert_eq!(of(&secretly, "secrets", "get"), ["null/foremesh-moved", "foremesh/foremesh"]);
    assert_eq!(of(&secretly, "secrets", "create"), ["try/foremesh"]);
}

#[test]
fn a_request_is_allowed_by_group_verb_name_and_place() {
    let right = Right {
        group: "",
        resources: &["secrets"],
        names: &["mine"],
        verbs: &["get"],
        scope: Scope::Own,
        need: Need::Move,
        used: Used::Usually,
        why: "a test",
    };
    let asked = Asked { group: "", resource: "secrets", verb: "get", namespace: "own", name: "mine" };
    let places = Places { own: "own", istiod: "istio-system", staging: "try" };
    for (asked, allowed) in [
        (asked, true),
        (Asked { name: "yours", ..asked }, false),
        (Asked { namespace: "shop", ..asked }, false),
        (Asked { verb: "list", name: "", ..asked }, false),
        (Asked { group: "apps", ..asked }, false),
        (Asked { resource: "secrets/status", ..asked }, false),
    ] {
        assert_eq!(right.allows(&asked, &places), allowed, "{asked:?}");
    }
}
