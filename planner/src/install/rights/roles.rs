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

/// Who gets which rights.
#[derive(Clone, Copy, Debug)]
pub struct Granted<'a> {
    /// The planner's namespace.
    pub own: &'a str,
    /// That of istiod.
    pub istiod: &'a str,
    /// Whether it may move workloads; else it may only read.
    pub moves: bool,
    /// The namespaces in which it may; all when there is none.
    pub only_in: &'a [String],
    /// The namespace in which it may try moves.
    pub staging: Option<&'a str>,
    /// Whether it may copy secrets into that.
    pub secrets: bool,
}

impl Granted<'_> {
    const fn has(&self, need: Need) -> bool {
        match need {
            Need::Read => true,
            Need::Move => self.moves,
            Need::Try => self.moves && self.staging.is_some(),
            Need::TrySecrets => self.moves && self.staging.is_some() && self.secrets,
        }
    }

    /// Rules for a place.
    fn rules(&self, scope: Scope, needs: &[Need]) -> Vec<Value> {
        let rows = RIGHTS.iter().filter(|right| right.scope == scope && needs.contains(&right.need));
        rows.filter(|right| self.has(right.need)).map(rule).collect()
    }
}

/// Whatever goes beyond reading.
const BEYOND: [Need; 3] = [Need::Move, Need::Try, Need::TrySecrets];

/// All roles and bindings of a planner.
pub fn roles(granted: &Granted<'_>) -> Vec<Value> {
    let own = granted.own;
    let mut objects = Vec::new();
    let everywhere = |name: &str, rules: Vec<Value>| {
        let bound = bound("ClusterRoleBinding", name, None, "ClusterRole", own);
        if rules.is_empty() { vec![] } else { vec![cluster_role(name, &rules), bound] }
    };
    objects.extend(everywhere("foremesh-read", granted.rules(Scope::Everywhere, &[Need::Read])));
    objects.extend(everywhere("foremesh-move", granted.rules(Scope::Everywhere, &BEYOND)));
    let moved = granted.rules(Scope::Moved, &BEYOND);
    if granted.only_in.is_empty() || moved.is_empty() {
        objects.extend(everywhere("foremesh-moved", moved));
    } else {
        objects.push(cluster_role("foremesh-moved", &moved));
        let bound = |at| bound("RoleBinding", "foremesh-moved", Some(at), "ClusterRole", own);
        objects.extend(granted.only_in.iter().map(|at| bound(at)));
    }
    let places =
        [(Scope::Own, Some(own)), (Scope::Istiod, Some(granted.istiod)), (Scope::Staging, granted.staging)];
    for (scope, at) in places {
        let rules = [granted.rules(scope, &[Need::Read]), granted.rules(scope, &BEYOND)].concat();
        if let Some(at) = at.filter(|_| !rules.is_empty()) {
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
