//! The custom resource `Relocation`: what the journal of the planner knows of one rollout, shown in the cluster.
//!
//! The journal is the truth, and the resource follows it: it is written after each change of state, made again when it is
//! missing, and nothing of a rollout waits for it. Only two things are read of it: `spec.abort`, and that it is to be
//! deleted, which both ask the rollout to turn back.
mod decide;
mod event;
mod object;
mod projection;
mod shown;
mod store;
#[cfg(test)]
mod tests;

pub use decide::{Keep, Known, Write, decide};
pub use object::{Wanted, name, wanted};
pub use projection::{Journal, JournalError, Projection, ProjectionError};
pub use store::{Found, Store, StoreError};

use super::{Column, Definition, structural::structural};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Its kind.
pub const KIND: &str = "Relocation";
/// Its plural, as the API server has it in addresses.
pub const PLURAL: &str = "relocations";
/// The object stays until the rollout is over.
pub const FINALIZER: &str = "foremesh.dev/rollout";
/// The rollout's name, which may have letters that a name in Kubernetes cannot.
pub const ROLLOUT: &str = "foremesh.dev/rollout";
/// Label with the namespace of the planner that has made it.
pub const PLANNER: &str = "foremesh.dev/planner";
/// Changes of state that an object keeps.
pub const LONGEST_HISTORY: usize = 20;

/// What is moved, from where to where, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RelocationSpec {
    /// The plan that it is of.
    pub plan: String,
    /// The plan's generation; plans of higher ones are newer.
    pub generation: i64,
    /// The service, as its callers call it.
    pub service: String,
    /// The Deployment whose replica moves.
    pub workload: String,
    /// The pod that gives its place.
    pub replica: String,
    /// The node that it leaves.
    pub from: String,
    /// The node that it goes to.
    pub to: String,
    /// Why it is moved.
    pub why: Why,
    /// Who approved the plan, when somebody had to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// Set it to have the relocation taken back: traffic returns to the source first, then the new replica is stopped.
    #[serde(default)]
    pub abort: bool,
}

/// Why something is moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// The policy whose rule fired.
    pub policy: String,
    /// That rule.
    pub rule: String,
    /// When the first breach is predicted; the time of the plan when none is.
    pub breach_at: String,
    /// Probability of that breach when nothing is done.
    pub breach_percent: i64,
    /// The objective of latency, in milliseconds.
    pub objective_ms: i64,
    /// Highest latency that is predicted without the move, in milliseconds; missing when the node would be saturated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stay_ms: Option<i64>,
    /// Highest latency that is predicted with the move, in milliseconds; missing when the node would be saturated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub move_ms: Option<i64>,
}

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RelocationStatus {
    /// The generation (`metadata.generation`) that all of this is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// `Pending`, `Trial`, `Reserving`, `Surging`, `Ramping`, `Draining`, `Settling`, `RollingBack`, `Succeeded`,
    /// `RolledBack`, `Aborted` or `Failed`.
    #[serde(default)]
    pub state: String,
    /// The state with its step, such as `Ramping(1)`.
    #[serde(default)]
    pub step: String,
    /// Why it is in this state, with the numbers.
    #[serde(default)]
    pub why: String,
    /// How much of the traffic that it is to get the target has, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_percent: Option<i64>,
    /// When the state was entered.
    #[serde(default)]
    pub since: String,
    /// When the state must have been left; then it turns back, or a human is told. Missing when it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// The new pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// How often the state has changed so far.
    #[serde(default)]
    pub transitions: i64,
    /// The newest changes of state, oldest first; the API of the planner has all of them.
    #[serde(default)]
    pub history: Vec<Transition>,
    /// `Progressing`, `Succeeded` and `RolledBack`; after a move that succeeded `Worthwhile` too, once that is known, and
    /// `TakenBack` when somebody else did that.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// Whether it was worth it, once what was predicted has passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub benefit: Option<Benefit>,
}

/// Whether a move was worth it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Benefit {
    /// `WorthIt`, `NotWorthIt` or `CannotBeKnown`.
    pub verdict: String,
    /// Why, with the numbers.
    pub why: String,
    /// Mean latency that was measured after it, in milliseconds; missing where nothing can be compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_ms: Option<i64>,
    /// What was predicted for moving, over the same steps; missing when the node would be saturated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub move_ms: Option<i64>,
    /// What was predicted for staying; missing when the node would be saturated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stay_ms: Option<i64>,
    /// Share of the steps over the objective as measured, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_over_percent: Option<i64>,
    /// The same as it was predicted for staying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stay_over_percent: Option<i64>,
}

/// One change of state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Transition {
    /// When.
    pub at: String,
    /// The state that was left.
    pub from: String,
    /// The state that was entered.
    pub to: String,
    /// Why, with the numbers.
    pub why: String,
}

/// A condition as Kubernetes has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Progressing`, `Succeeded`, `RolledBack`, `Worthwhile` or `TakenBack`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// The state, or the verdict.
    pub reason: String,
    /// Why, in words.
    pub message: String,
    /// When `status` changed last.
    pub last_transition_time: String,
}

/// Its definition.
pub fn definition() -> Definition {
    Definition {
        kind: KIND,
        plural: PLURAL,
        short_name: "reloc",
        description: "A replica on its way from one node to another, or one that went it. Made and kept by the planner; set \
                      `spec.abort`, or delete it, to have it taken back.",
        columns: columns(),
        spec: spec(),
        status: status(),
    }
}

fn columns() -> Vec<Column> {
    let column = |name, path, description, wide| Column { name, kind: "string", path, description, wide };
    vec![
        column("Workload", ".spec.workload", "The Deployment whose replica moves.", false),
        column("From", ".spec.from", "The node that it leaves.", false),
        column("To", ".spec.to", "The node that it goes to.", false),
        column("State", ".status.step", "How far it is.", false),
        Column {
            name: "Traffic",
            kind: "integer",
            path: ".status.trafficPercent",
            description: "How much of the traffic that it is to get the target has, in percent.",
            wide: false,
        },
        column("Why", ".spec.why.rule", "The rule that fired.", false),
        column("Breach", ".spec.why.breachAt", "When the breach is predicted.", true),
        column("Pod", ".status.target", "The new pod.", true),
        column("Benefit", ".status.benefit.verdict", "Whether it was worth it.", true),
        column("Because", ".status.why", "Why it is in its state.", true),
    ]
}

/// Nothing but `abort` can be changed, and that only to `true`.
fn spec() -> Value {
    let mut schema = structural::<RelocationSpec>();
    let rules = json!([
        {
            "rule": "self.plan == oldSelf.plan && self.generation == oldSelf.generation && \
                     self.service == oldSelf.service && self.workload == oldSelf.workload && \
                     self.replica == oldSelf.replica && self.from == oldSelf.from && self.to == oldSelf.to && \
                     self.why == oldSelf.why && has(self.approvedBy) == has(oldSelf.approvedBy) && \
                     (!has(self.approvedBy) || self.approvedBy == oldSelf.approvedBy)",
            "message": "only `abort` can be changed; the rest tells what the planner does, and does not make it do anything",
        },
        {
            "rule": "!has(oldSelf.abort) || !oldSelf.abort || (has(self.abort) && self.abort)",
            "message": "an abort cannot be taken back; the planner decides anew",
        },
    ]);
    schema["x-kubernetes-validations"] = rules;
    schema["properties"]["abort"]["default"] = json!(false);
    // Without a limit to their lengths the rules above cost more than the API server allows.
    for (field, most) in [
        ("plan", 253),
        ("service", 253),
        ("workload", 316),
        ("replica", 253),
        ("from", 253),
        ("to", 253),
        ("approvedBy", 1024),
    ] {
        schema["properties"][field]["maxLength"] = json!(most);
    }
    for (field, most) in [("policy", 253), ("rule", 253), ("breachAt", 64)] {
        schema["properties"]["why"]["properties"][field]["maxLength"] = json!(most);
    }
    schema
}

fn status() -> Value {
    let mut schema = structural::<RelocationStatus>();
    let fields = &mut schema["properties"];
    fields["history"]["maxItems"] = json!(LONGEST_HISTORY);
    fields["conditions"]["x-kubernetes-list-type"] = json!("map");
    fields["conditions"]["x-kubernetes-list-map-keys"] = json!(["type"]);
    schema
}
