//! `foremesh install planner`: all objects of a planner in a cluster.
//!
//! What the planner writes at run time (what moves, the webhook's certificate and configuration) is here too, empty: it needs
//! no right to make anything, and who deletes these objects leaves nothing behind.
mod mesh;
mod pod;
mod settings;
#[cfg(test)]
mod tests;

use super::rights;
use crate::args::InstallPlannerArgs;
use foremesh_kubernetes::{
    lease::LEASE_NAME,
    moving::MOVING_NAME,
    resources::definitions,
    staging::space,
    webhook::{PLACEMENT_CONFIGURATION, WEBHOOK_SECRET},
};
use serde_json::{Value, json};

/// Name of the planner's objects, and what they are labelled with.
pub const NAME: &str = "foremesh";
/// Name of the Service that the API server finds the placement webhook by.
const WEBHOOK_SERVICE: &str = "foremesh-webhook";
/// Label by which the planner's objects are found again.
pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Where the planner is reached.
const API_PORT: u16 = 8700;
/// Where agents fetch the filter in plain text.
const MODULE_PORT: u16 = 8701;
const WEBHOOK_PORT: u16 = 8443;

/// All objects, in an order in which they can be made.
pub(super) fn objects(args: &InstallPlannerArgs) -> anyhow::Result<Vec<Value>> {
    let (settings, policies) = (settings::settings(args)?, settings::policies(args)?);
    // Definitions first: a user's own objects may follow in the same stream.
    let mut objects = if args.no_crds { Vec::new() } else { definitions() };
    objects.extend([namespace(args), account(&args.namespace, true)]);
    if args.trials {
        objects.extend(staging(&args.staging_namespace, args.revision.as_deref()));
    }
    if args.moves {
        // It has no rights: a token of it is what istiod wants to see.
        objects.push(account(&args.istiod_namespace, false));
    }
    objects.extend(rights::roles(&rights::Granted {
        own: &args.namespace,
        istiod: &args.istiod_namespace,
        moves: args.moves,
        only_in: &args.only_in,
        staging: args.trials.then_some(args.staging_namespace.as_str()),
        secrets: args.trials_with_secrets,
    }));
    let stamp = settings::stamp(&settings, &policies);
    objects.push(own(args, "ConfigMap", "foremesh-settings", json!({"data": {settings::FILE: settings}})));
    objects.push(own(args, "ConfigMap", "foremesh-policies", json!({"data": policies})));
    if args.moves {
        objects.push(own(args, "ConfigMap", MOVING_NAME, json!({})));
        objects.push(own(args, "Lease", LEASE_NAME, json!({})));
        objects.push(own(args, "Secret", WEBHOOK_SECRET, json!({"type": "Opaque"})));
        objects.push(labelled(json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": PLACEMENT_CONFIGURATION}
        })));
    }
    objects.extend(mesh::objects(args));
    objects.extend(pod::objects(args, &stamp));
    Ok(objects)
}

/// The namespace that moves are tried in.
pub(super) fn staging(namespace: &str, revision: Option<&str>) -> Vec<Value> {
    space(namespace, revision).into_iter().map(labelled).collect()
}

/// Adds the label by which objects of ours are found again.
pub(super) fn labelled(mut object: Value) -> Value {
    object["metadata"]["labels"][MANAGED_BY] = json!(NAME);
    object
}

/// An object of the planner's namespace.
fn own(args: &InstallPlannerArgs, kind: &str, name: &str, rest: Value) -> Value {
    let version = match kind {
        "Deployment" => "apps/v1",
        "Lease" => "coordination.k8s.io/v1",
        "PeerAuthentication" | "AuthorizationPolicy" => "security.istio.io/v1",
        _ => "v1",
    };
    let mut object = json!({
        "apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": args.namespace}
    });
    if let (Value::Object(object), Value::Object(rest)) = (&mut object, rest) {
        object.extend(rest);
    }
    labelled(object)
}

/// Pods in it get a sidecar, by which summaries arrive with the identity of who sends them.
fn namespace(args: &InstallPlannerArgs) -> Value {
    let mut namespace =
        labelled(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": args.namespace}}));
    let labels = &mut namespace["metadata"]["labels"];
    match &args.revision {
        Some(revision) => labels["istio.io/rev"] = json!(revision),
        None => labels["istio-injection"] = json!("enabled"),
    }
    namespace
}

fn account(namespace: &str, used: bool) -> Value {
    labelled(json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": namespace},
        "automountServiceAccountToken": used
    }))
}
