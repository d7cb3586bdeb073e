//! Whether a replica answers: its pod says so, and so do the endpoints of every service that selects it.
use serde_json::Value;

/// Label of an endpoint slice with the name of its service.
const SERVICE: &str = "kubernetes.io/service-name";

/// Whether a pod on a node is ready and reachable through its services.
///
/// # Errors
/// Why not.
pub(super) fn ready(
    pod: Option<&Value>,
    node: &str,
    services: &[Value],
    slices: &[Value],
) -> Result<(), String> {
    let pod = pod.ok_or("there is no such pod")?;
    if pod["metadata"]["deletionTimestamp"].is_string() {
        return Err("it is ending".to_owned());
    }
    let on = pod["spec"]["nodeName"].as_str().unwrap_or("no node");
    if on != node {
        return Err(format!("it is on {on}"));
    }
    let conditions = pod["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !conditions.iter().any(|about| about["type"] == "Ready" && about["status"] == "True") {
        let trouble = super::trouble::of_pod(pod);
        return Err(trouble.unwrap_or_else(|| "its condition Ready is not true".to_owned()));
    }
    for service in services.iter().filter(|service| selects(service, pod)) {
        let name = &service["metadata"]["name"];
        let of_service = |slice: &&Value| slice["metadata"]["labels"][SERVICE] == *name;
        let endpoints =
            slices.iter().filter(of_service).filter_map(|slice| slice["endpoints"].as_array()).flatten();
        let own = |endpoint: &&Value| endpoint["targetRef"]["uid"] == pod["metadata"]["uid"];
        let mut own = endpoints.filter(own).peekable();
        // A slice for each family of addresses.
        let reachable = own.peek().is_some() && own.all(|endpoint| endpoint["conditions"]["ready"] != false);
        if !reachable {
            return Err(format!(
                "it is no ready endpoint of service {} yet",
                name.as_str().unwrap_or_default()
            ));
        }
    }
    Ok(())
}

fn selects(service: &Value, pod: &Value) -> bool {
    let selector = service["spec"]["selector"].as_object();
    selector.is_some_and(|selector| {
        let has = |(key, value): (&String, &Value)| pod["metadata"]["labels"][key] == *value;
        !selector.is_empty() && selector.iter().all(has)
    })
}
