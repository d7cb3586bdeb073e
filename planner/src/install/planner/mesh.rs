//! Who in the mesh may talk to the planner.
use super::{API_PORT, MODULE_PORT, NAME, own, pod::LABEL};
use crate::{
    args::InstallPlannerArgs,
    filter_module::{DIGEST_PATH, MODULE_PATH},
};
use serde_json::{Value, json};

/// Mutual TLS, and what may be done by whom. The API server's port-forward ends inside the pod, so it passes; the webhook's
/// port is not in the mesh.
pub(super) fn objects(args: &InstallPlannerArgs) -> [Value; 2] {
    let selector = json!({"matchLabels": {LABEL.0: LABEL.1}});
    let plain = json!({MODULE_PORT.to_string(): {"mode": "PERMISSIVE"}});
    let tls = own(
        args,
        "PeerAuthentication",
        NAME,
        json!({"spec": {"selector": selector, "mtls": {"mode": "STRICT"}, "portLevelMtls": plain}}),
    );
    let port = [API_PORT.to_string()];
    let mut from = vec![args.namespace.clone()];
    from.extend(args.api_from.iter().cloned());
    let rules = json!([
        // Whoever is in the mesh reports what it measures.
        {
            "from": [{"source": {"principals": ["*"]}}],
            "to": [
                {"operation": {"ports": port, "methods": ["POST"], "paths": ["/v1/summaries"]}},
                {"operation": {"ports": port, "methods": ["GET"], "paths": [MODULE_PATH, DIGEST_PATH]}}
            ]
        },
        // Agents beside proxies have no identity of the mesh; the module is pinned by its digest.
        {"to": [{"operation": {
            "ports": [MODULE_PORT.to_string()], "methods": ["GET"], "paths": [MODULE_PATH, DIGEST_PATH]
        }}]},
        {"from": [{"source": {"namespaces": from}}], "to": [{"operation": {"ports": port}}]}
    ]);
    let who = own(
        args,
        "AuthorizationPolicy",
        NAME,
        json!({"spec": {"selector": selector, "action": "ALLOW", "rules": rules}}),
    );
    [tls, who]
}
