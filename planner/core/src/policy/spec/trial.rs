//! `trial: {requests: [...]}`, or `trial: {waivedBy: ..., reason: ...}`.
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, value::MapAccessDeserializer},
};
use std::{collections::BTreeMap, fmt};

/// Methods that a request of a trial may have.
pub const TRIAL_METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// Kinds of requests of a trial, at most.
pub const MOST_REQUESTS: usize = 32;
/// Longest body of a request, in bytes.
pub const LONGEST_TRIAL_BODY: usize = 64 * 1024;
/// Shortest load that may be allowed, in milliseconds.
pub const SHORTEST_TRIAL_MS: i64 = 10_000;
/// Longest one.
pub const LONGEST_TRIAL_MS: i64 = 3_600_000;

/// What a policy says about the trial in a staging mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum TrialSpec {
    /// A single word; none is enough.
    Word(String),
    /// How it is tried, or that it is not.
    Terms(Box<TrialTermsSpec>),
}

/// A trial has `requests`; a waiver has `waivedBy` and `reason` and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct TrialTermsSpec {
    /// Who takes the responsibility for moving without a trial. Example: `ops@example.com`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waived_by: Option<String>,
    /// Why there is no trial, for the audit trail. Example: `no staging mesh yet`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Requests that are sent to the copies, 32 kinds at most. Example: `[{path: /cart}, {path: /checkout, weight: 3}]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<TrialRequestSpec>,
    /// Port of the pods that takes them, from 1 to 65535; that of the service when left out. Example: `8080`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i64>,
    /// What the copies may call of what the workload calls: `none`, or `production`; `none` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callees: Option<String>,
    /// Whether secrets that the pods need may be copied into the staging mesh; not when left out.
    #[serde(skip_serializing_if = "is_false")]
    pub copy_secrets: bool,
    /// Longest load, from `10s` to `1h`; that of the planner's settings when left out. Example: `5m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
}

/// One kind of request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TrialRequestSpec {
    /// Path with its query; it begins with `/` and has no blanks. Example: `/cart?id=7`.
    pub path: String,
    /// Method of HTTP, in capitals.
    #[serde(default = "get")]
    pub method: String,
    /// Headers by their names. Example: `{accept: application/json}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Body, as text of at most 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// How often it comes, against the others: 3 comes three times as often as 1.
    #[serde(default = "one")]
    pub weight: u32,
}

fn get() -> String {
    "GET".to_owned()
}

const fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

// By hand, because an untagged enum answers a mistyped field with "did not match any variant" and hides its name.
impl<'de> Deserialize<'de> for TrialSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TrialVisitor)
    }
}

struct TrialVisitor;

impl<'de> de::Visitor<'de> for TrialVisitor {
    type Value = TrialSpec;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("`requests` of a trial, or a waiver with `waivedBy` and `reason`")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<TrialSpec, E> {
        Ok(TrialSpec::Word(word.to_owned()))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<TrialSpec, A::Error> {
        let terms = TrialTermsSpec::deserialize(MapAccessDeserializer::new(map))?;
        Ok(TrialSpec::Terms(Box::new(terms)))
    }
}
