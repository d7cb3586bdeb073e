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
                assert!(seen.insert((right.group, resource, verb, right.names)), "twice: {right:?} {verb}");
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
        assert!(!writes || right.need == Need::Move, "{right:?} is no reading");
    }
    let secrets: Vec<_> = RIGHTS.iter().filter(|right| right.resources.contains(&"secrets")).collect();
    assert!(secrets.iter().all(|right| right.scope == Scope::Own && !right.names.is_empty()), "{secrets:?}");
}

#[test]
fn roles_have_what_was_asked_for() {
    let kinds = |moves: bool, only_in: &[&str]| -> Vec<String> {
        let only_in: Vec<String> = only_in.iter().map(|&at| at.to_owned()).collect();
        let objects = roles("foremesh", "istio-system", moves, &only_in);
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
    for (asked, allowed) in [
        (asked, true),
        (Asked { name: "yours", ..asked }, false),
        (Asked { namespace: "shop", ..asked }, false),
        (Asked { verb: "list", name: "", ..asked }, false),
        (Asked { group: "apps", ..asked }, false),
        (Asked { resource: "secrets/status", ..asked }, false),
    ] {
        assert_eq!(right.allows(&asked, "own", "istio-system"), allowed, "{asked:?}");
    }
}
