//! `trial: required` or `trial: {waivedBy: ..., reason: ...}`.
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, value::MapAccessDeserializer},
};
use std::fmt;

/// What a policy says about the trial in a staging mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum TrialSpec {
    /// A single word; `required` is the only one with a meaning.
    Word(String),
    /// The trial is waived.
    Waived(WaiverSpec),
}

/// Who waives the trial, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct WaiverSpec {
    /// Who takes the responsibility. Example: `ops@example.com`.
    pub waived_by: String,
    /// Why, for the audit trail. Example: `no staging mesh yet`.
    pub reason: String,
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
        formatter.write_str("`required`, or a waiver with `waivedBy` and `reason`")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<TrialSpec, E> {
        Ok(TrialSpec::Word(word.to_owned()))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<TrialSpec, A::Error> {
        WaiverSpec::deserialize(MapAccessDeserializer::new(map)).map(TrialSpec::Waived)
    }
}
