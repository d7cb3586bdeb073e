//! What the planner says in the status of a custom resource.
use crate::api::rfc3339;
use foremesh_core::{document::SpecProblem, time::Timestamp};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// Letters of a message at most, as Kubernetes wants it.
const MOST_LETTERS: usize = 32_000;

/// Whether a document is accepted, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// It is.
    pub accepted: bool,
    /// Why, in a word.
    pub reason: &'static str,
    /// Why, in words.
    pub message: String,
}

impl Acceptance {
    /// It is in force.
    pub fn yes(message: impl Into<String>) -> Self {
        Self { accepted: true, reason: "InForce", message: message.into() }
    }

    /// It is not.
    pub fn no(reason: &'static str, message: impl Into<String>) -> Self {
        Self { accepted: false, reason, message: message.into() }
    }

    /// It has these problems.
    pub fn problems(problems: &[SpecProblem]) -> Self {
        let mut message = String::new();
        for (at, problem) in problems.iter().enumerate() {
            let _ = write!(message, "{}{problem}", if at == 0 { "" } else { "\n" });
            if message.len() > MOST_LETTERS {
                let end = message.floor_char_boundary(MOST_LETTERS);
                message.truncate(end);
                break;
            }
        }
        Self::no("Invalid", message)
    }
}

/// The status to write, `None` when `before` says the same; `own` are fields of the kind.
pub fn status(
    before: &Value,
    generation: i64,
    own: Map<String, Value>,
    acceptance: &Acceptance,
    now: Timestamp,
) -> Option<Value> {
    let word = if acceptance.accepted { "True" } else { "False" };
    let said = before.pointer("/conditions/0");
    let since = said
        .filter(|said| said["status"] == word)
        .and_then(|said| said["lastTransitionTime"].as_str())
        .map_or_else(|| rfc3339(now), str::to_owned);
    let mut status = own;
    status.insert("observedGeneration".to_owned(), json!(generation));
    let condition = json!({
        "type": "Accepted",
        "status": word,
        "reason": acceptance.reason,
        "message": acceptance.message,
        "observedGeneration": generation,
        "lastTransitionTime": since,
    });
    status.insert("conditions".to_owned(), json!([condition]));
    let status = Value::Object(status);
    (status != *before).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_written_when_it_says_something_new() {
        let at = Timestamp::from_unix_ms;
        let own = |services: i64| Map::from_iter([("services".to_owned(), json!(services))]);
        let (yes, no) = (Acceptance::yes("mode auto"), Acceptance::no("Invalid", "no"));
        let first = status(&Value::Null, 1, own(2), &yes, at(0)).unwrap();
        assert_eq!(
            first,
            json!({
                "observedGeneration": 1, "services": 2,
                "conditions": [{
                    "type": "Accepted", "status": "True", "reason": "InForce", "message": "mode auto",
                    "observedGeneration": 1, "lastTransitionTime": "1970-01-01T00:00:00Z",
                }],
            })
        );
        assert_eq!(status(&first, 1, own(2), &yes, at(5_000)), None);
        let since = |status: &Value| status["conditions"][0]["lastTransitionTime"].clone();
        let more = status(&first, 1, own(3), &yes, at(5_000)).unwrap();
        assert_eq!((&more["services"], since(&more)), (&json!(3), json!("1970-01-01T00:00:00Z")));
        let worse = status(&more, 2, own(3), &no, at(5_000)).unwrap();
        assert_eq!(since(&worse), json!("1970-01-01T00:00:05Z"));
    }
}
