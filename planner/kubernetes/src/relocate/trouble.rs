//! What keeps a pod from running or being ready, by what it says of itself.
use serde_json::Value;

/// Reasons to wait that are on the way of every start.
const STARTING: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// The first trouble of a pod, in the order in which it starts.
pub(super) fn of_pod(pod: &Value) -> Option<String> {
    let status = &pod["status"];
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let conditions = list(&status["conditions"]);
    let condition =
        |of: &str| conditions.iter().find(|about| about["type"] == of && about["status"] == "False");
    if let Some(scheduled) = condition("PodScheduled") {
        return Some(format!("it cannot be scheduled: {}", said(scheduled)));
    }
    let containers = [list(&status["initContainerStatuses"]), list(&status["containerStatuses"])].concat();
    if let Some(trouble) = containers.iter().find_map(of_container) {
        return Some(trouble);
    }
    condition("Ready").map(|ready| format!("it is not ready: {}", said(ready)))
}

fn of_container(container: &Value) -> Option<String> {
    let name = container["name"].as_str().unwrap_or_default();
    let ended = |terminated: &Value| {
        let reason = terminated["reason"].as_str().unwrap_or("no reason given");
        format!("it ended with exit code {} ({reason})", terminated["exitCode"])
    };
    let waiting = &container["state"]["waiting"];
    let last = &container["lastState"]["terminated"];
    if let Some(reason) = waiting["reason"].as_str().filter(|reason| !STARTING.contains(reason)) {
        let before = if last.is_object() { format!(", {}", ended(last)) } else { String::new() };
        let message = waiting["message"].as_str().map(|message| format!(": {message}")).unwrap_or_default();
        return Some(format!("container {name} waits with {reason}{message}{before}"));
    }
    let terminated = &container["state"]["terminated"];
    if terminated.is_object() && terminated["exitCode"] != 0 {
        return Some(format!("container {name}: {}", ended(terminated)));
    }
    (last.is_object() && container["ready"] == false).then(|| {
        format!("container {name} was restarted {} times: {}", container["restartCount"], ended(last))
    })
}

fn said(condition: &Value) -> String {
    let words = [&condition["reason"], &condition["message"]];
    let words: Vec<&str> =
        words.into_iter().filter_map(Value::as_str).filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "it does not say why".to_owned() } else { words.join(", ") }
}
