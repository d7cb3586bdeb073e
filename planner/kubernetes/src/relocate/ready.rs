//! Whether a replica answers: its pod says so, and so do the endpoints of every service that selects it.
use serde_json::Value;

/// Label of an endpoint slice with the name of its service.
const SERVICE: &str = "kubernetes.io/service-name";

/// A pod that is ready on a node.
///
/// # Errors
/// Why it is not.
pub(super) fn pod(pod: Option<Value>, node: &str) -> Result<Value, String> {
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
        let trouble = super::trouble::of_pod(&pod);
        return Err(trouble.unwrap_or_else(|| "its condition Ready is not true".to_owned()));
    }
    Ok(pod)
}

/// Names of the services that select a pod.
pub(super) fn of_pod(services: &[Value], pod: &Value) -> Vec<String> {
    let selecting = services.iter().filter(|service| selects(service, pod));
    selecting.filter_map(|service| service["metadata"]["name"].as_str()).map(str::to_owned).collect()
}

/// The selector of the endpoint slices of services.
pub(super) fn slices(services: &[String]) -> String {
    format!("{SERVICE} in ({})", services.join(","))
}

/// Whether a pod is a ready endpoint of each of these services.
///
/// # Errors
/// Of which it is none.
pub(super) fn reached(pod: &Value, services: &[String], slices: &[Value]) -> Result<(), String> {
    for service in services {
        let of_service = |slice: &&Value| slice["metadata"]["labels"][SERVICE] == service.as_str();
        let endpoints =
            slices.iter().filter(of_service).filter_map(|slice| slice["endpoints"].as_array()).flatten();
        let own = |endpoint: &&Value| endpoint["targetRef"]["uid"] == pod["metadata"]["uid"];
        let mut own = endpoints.filter(own).peekable();
        // A slice for each family of addresses.
        let reachable = own.peek().is_some() && own.all(|endpoint| endpoint["conditions"]["ready"] != false);
        if !reachable {
            return Err(format!("it is no ready endpoint of service {service} yet"));
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
