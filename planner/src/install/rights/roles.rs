//! Roles and their bindings, made of the table.
use super::{Need, RIGHTS, Right, Scope};
use crate::install::planner::{NAME, labelled};
use serde_json::{Value, json};

const GROUP: &str = "rbac.authorization.k8s.io";

type Aggregated = (&'static str, &'static [&'static str], &'static [&'static str], &'static [&'static str]);

/// What is added to the roles that users of a cluster have: name, what it is added to, kinds, verbs. Only the planner
/// writes relocations.
const AGGREGATED: [Aggregated; 2] = [
    (
        "foremesh-view",
        &["view", "edit", "admin"],
        &["relocationpolicies", "eventcalendars", "relocations"],
        &["get", "list", "watch"],
    ),
    (
        "foremesh-edit",
        &["edit", "admin"],
        &["relocationpolicies", "eventcalendars"],
        &["create", "update", "patch", "delete", "deletecollection"],
    ),
];

/// All roles and bindings of a planner in namespace `own`. Without `moves` it may only read. `only_in`: the namespaces in
/// which it may move workloads; all when there is none.
pub fn roles(own: &str, istiod: &str, moves: bool, only_in: &[String]) -> Vec<Value> {
    let of = |scope: Scope, need: Need| -> Vec<Value> {
        let rows = RIGHTS.iter().filter(|right| right.scope == scope && right.need == need);
        rows.filter(|_| moves || need == Need::Read).map(rule).collect()
    };
    let mut objects = Vec::new();
    let everywhere = |name: &str, rules: Vec<Value>| {
        let bound = bound("ClusterRoleBinding", name, None, "ClusterRole", own);
        if rules.is_empty() { vec![] } else { vec![cluster_role(name, &rules), bound] }
    };
    objects.extend(everywhere("foremesh-read", of(Scope::Everywhere, Need::Read)));
    objects.extend(everywhere("foremesh-move", of(Scope::Everywhere, Need::Move)));
    let moved = of(Scope::Moved, Need::Move);
    if only_in.is_empty() || moved.is_empty() {
        objects.extend(everywhere("foremesh-moved", moved));
    } else {
        objects.push(cluster_role("foremesh-moved", &moved));
        objects.extend(
            only_in.iter().map(|at| bound("RoleBinding", "foremesh-moved", Some(at), "ClusterRole", own)),
        );
    }
    for (scope, at) in [(Scope::Own, own), (Scope::Istiod, istiod)] {
        let rules = [of(scope, Need::Read), of(scope, Need::Move)].concat();
        if !rules.is_empty() {
            objects.push(labelled(json!({
                "apiVersion": format!("{GROUP}/v1"), "kind": "Role",
                "metadata": {"name": NAME, "namespace": at}, "rules": rules
            })));
            objects.push(bound("RoleBinding", NAME, Some(at), "Role", own));
        }
    }
    objects.extend(AGGREGATED.iter().map(aggregated));
    objects
}

fn rule(right: &Right) -> Value {
    let mut rule = json!({"apiGroups": [right.group], "resources": right.resources, "verbs": right.verbs});
    if !right.names.is_empty() {
        rule["resourceNames"] = json!(right.names);
    }
    rule
}

fn cluster_role(name: &str, rules: &[Value]) -> Value {
    labelled(json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules
    }))
}

/// A role given to the planner's account.
fn bound(kind: &str, name: &str, at: Option<&str>, role: &str, own: &str) -> Value {
    let mut binding = labelled(json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": kind, "metadata": {"name": name},
        "roleRef": {"apiGroup": GROUP, "kind": role, "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": own}]
    }));
    if let Some(at) = at {
        binding["metadata"]["namespace"] = json!(at);
    }
    binding
}

fn aggregated((name, to, kinds, verbs): &Aggregated) -> Value {
    let rule = json!({"apiGroups": ["foremesh.dev"], "resources": kinds, "verbs": verbs});
    let mut role = cluster_role(name, &[rule]);
    for to in *to {
        role["metadata"]["labels"][format!("{GROUP}/aggregate-to-{to}")] = json!("true");
    }
    role
}
