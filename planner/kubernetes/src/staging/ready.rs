//! How far a copy is, and at which port it is asked.
use super::needs::list;
use foremesh_core::ids::ServiceId;
use serde_json::Value;
use std::net::IpAddr;

/// Reasons for which a container waits and that no patience cures.
const HOPELESS: [&str; 7] = [
    "CrashLoopBackOff",
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
];

/// How far a copy is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It answers its ready check, on its node.
    Ready(IpAddr),
    /// Not yet, and what it waits for.
    Waits(String),
    /// The scheduler finds no room.
    NoRoom(String),
    /// It never will, and why.
    Failed(String),
}

/// How far the copy for an end is.
pub(super) fn progress(pods: &[Value], end: &str, node: &str) -> Progress {
    let Some(pod) = pods.iter().find(|pod| pod["metadata"]["labels"]["foremesh.dev/trial-end"] == end) else {
        return Progress::Waits(format!("the copy for {node} is not there"));
    };
    let status = &pod["status"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if matches!(status["phase"].as_str(), Some("Failed" | "Succeeded")) {
        let said = format!("{} {}", text(&status["reason"]), text(&status["message"]));
        return Progress::Failed(format!("the copy on {node} ended: {}", said.trim()));
    }
    let condition =
        |kind: &str| list(&status["conditions"]).iter().find(|condition| condition["type"] == kind);
    if let Some(condition) = condition("PodScheduled").filter(|c| c["reason"] == "Unschedulable") {
        return Progress::NoRoom(format!("the copy has no place on {node}: {}", text(&condition["message"])));
    }
    let containers = list(&status["initContainerStatuses"]).iter().chain(list(&status["containerStatuses"]));
    for container in containers {
        let waiting = &container["state"]["waiting"];
        if HOPELESS.iter().any(|reason| waiting["reason"] == *reason) {
            let name = text(&container["name"]);
            let (reason, message) = (text(&waiting["reason"]), text(&waiting["message"]));
            return Progress::Failed(format!(
                "container {name} of the copy on {node} does not start: {reason} {message}"
            ));
        }
    }
    let there = pod["spec"]["nodeName"].as_str();
    let is_ready = condition("Ready").is_some_and(|condition| condition["status"] == "True");
    match (status["podIP"].as_str().map(str::parse), there) {
        (Some(Ok(ip)), Some(there)) if is_ready && there == node => Progress::Ready(ip),
        (_, Some(there)) if there != node => Progress::Failed(format!("the copy for {node} runs on {there}")),
        _ => Progress::Waits(format!("the copy on {node} is not ready")),
    }
}

/// The port of the pods that the service's first port leads to.
pub(super) fn port(template: &Value, services: &[Value], service: &ServiceId) -> Result<u16, String> {
    let name = service.as_str().split('.').next().unwrap_or_default();
    let remedy = "say `port` in the policy's trial";
    let found = services.iter().find(|service| service["metadata"]["name"] == name);
    let port = found.map(|service| &service["spec"]["ports"][0]);
    let port = port.ok_or_else(|| format!("there is no service {name} in its namespace; {remedy}"))?;
    let target = if port["targetPort"].is_null() { &port["port"] } else { &port["targetPort"] };
    let number = target.as_u64().or_else(|| {
        let containers = list(&template["spec"]["containers"]).iter();
        let mut ports = containers.flat_map(|container| list(&container["ports"]));
        ports.find(|port| port["name"] == *target)?["containerPort"].as_u64()
    });
    let number = number.and_then(|number| u16::try_from(number).ok());
    number
        .ok_or_else(|| format!("service {name} leads to port {target}, which its pods do not name; {remedy}"))
}
