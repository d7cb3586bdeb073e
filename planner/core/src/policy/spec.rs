//! A policy as it is written, and the check that makes it one that can be acted on.
//!
//! ```yaml
//! apiVersion: foremesh.dev/v1alpha1
//! kind: RelocationPolicy
//! metadata: {name: shop}
//! spec:
//!   selector: {services: ["cart*", "checkout"]}
//!   mode: auto                      # observe | recommend | auto; observe when left out
//!   rules:
//!     - name: slow
//!       predictedLatency: {quantile: 0.99, above: 250ms, for: {steps: 3, of: 5}, within: 30m, probability: 0.5}
//!   cooldown: 15m
//!   margin: {target: 0.1, gain: 0.2}
//!   ramp: [10, 25, 50, 100]
//!   trial: {waivedBy: "ops@example.com", reason: "no staging mesh yet"}
//! ```
#[cfg(test)]
mod tests;
mod trial;

pub use trial::{TrialSpec, WaiverSpec};

use super::{Condition, Margin, Mode, PredictedLatency, RelocationPolicy, Rule, ServiceGlob, Waiver};
use crate::{
    duration::{format_ms, parse_ms},
    history::KEPT_QUANTILES,
    ids::PolicyId,
    units::{Probability, Quantile},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// The only version that is understood.
pub const API_VERSION: &str = "foremesh.dev/v1alpha1";
/// The only kind that is understood.
pub const KIND: &str = "RelocationPolicy";
/// Steps of a `for` at most: more is a mistyped number, not a policy.
const MOST_STEPS: i64 = 1_000;
/// Look-ahead and cooldown at most, a week: no forecast says anything about a single step beyond it.
const LONGEST_MS: i64 = 7 * 24 * 3_600_000;

/// A whole policy document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PolicyDocument {
    /// Must be [`API_VERSION`].
    pub api_version: String,
    /// Must be [`KIND`].
    pub kind: String,
    /// Name and labels.
    pub metadata: Metadata,
    /// The policy.
    pub spec: PolicySpec,
}

/// Name of a policy, and what other tools write beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Its name, unique among the policies.
    pub name: String,
    /// For other tools; not read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// For other tools; not read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What the policy says, before it is checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PolicySpec {
    /// Services that it is about.
    pub selector: Selector,
    /// `observe`, `recommend` or `auto`.
    #[serde(default = "default_mode")]
    pub mode: String,
    /// Reasons to move; any one is enough.
    pub rules: Vec<RuleSpec>,
    /// Shortest time between two moves of one workload.
    #[serde(default = "default_cooldown")]
    pub cooldown: String,
    /// How much better a target must be.
    #[serde(default)]
    pub margin: MarginSpec,
    /// Traffic shares of the target in percent.
    #[serde(default = "default_ramp")]
    pub ramp: Vec<i64>,
    /// The trial in a staging mesh, or who waived it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialSpec>,
}

/// Chooses services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// Names; `*` stands for any run of characters.
    pub services: Vec<String>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RuleSpec {
    /// Its name, unique in the policy.
    pub name: String,
    /// Predicted latency above an objective.
    pub predicted_latency: PredictedLatencySpec,
}

/// Predicted latency above an objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictedLatencySpec {
    /// Quantile of latency.
    pub quantile: f64,
    /// The objective, such as `250ms`.
    pub above: String,
    /// How long it must last.
    #[serde(rename = "for", default)]
    pub sustained: SustainedSpec,
    /// How far to look ahead.
    #[serde(default = "default_within")]
    pub within: String,
    /// How probable it must be in each step.
    #[serde(default = "default_probability")]
    pub probability: f64,
}

/// `steps` of `of` steps in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SustainedSpec {
    /// Steps above the objective.
    pub steps: i64,
    /// Among so many in a row.
    pub of: i64,
}

impl Default for SustainedSpec {
    /// 3 of 5: one slow step, or two, are noise.
    fn default() -> Self {
        Self { steps: 3, of: 5 }
    }
}

/// By how much a target must be better, as shares.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MarginSpec {
    /// Below the objective.
    pub target: f64,
    /// Below staying.
    pub gain: f64,
}

impl Default for MarginSpec {
    /// A tenth below the objective and a fifth better than staying: more than the usual error of the forecast.
    fn default() -> Self {
        Self { target: 0.1, gain: 0.2 }
    }
}

fn default_mode() -> String {
    Mode::Observe.name().to_owned()
}

fn default_cooldown() -> String {
    "15m".to_owned()
}

fn default_within() -> String {
    "30m".to_owned()
}

const fn default_probability() -> f64 {
    0.5
}

fn default_ramp() -> Vec<i64> {
    vec![10, 25, 50, 100]
}

/// Something in a policy that cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{path} is {value}, but {limit}; {remedy}")]
pub struct SpecProblem {
    /// The field, such as `spec.rules[0].predictedLatency.above`.
    pub path: String,
    /// What was given.
    pub value: String,
    /// What is allowed.
    pub limit: String,
    /// What to do.
    pub remedy: String,
}

/// Checks a policy as written.
///
/// # Errors
/// All problems at once, in the order of the document.
pub fn validate(document: &PolicyDocument) -> Result<RelocationPolicy, Vec<SpecProblem>> {
    let mut check = Check(Vec::new());
    let spec = &document.spec;
    check.head(document);
    check.selector(&spec.selector);
    let mode = check.mode(&spec.mode);
    let rules = check.rules(&spec.rules);
    let cooldown_ms = check.duration("spec.cooldown", &spec.cooldown, 0, LONGEST_MS);
    check.share("spec.margin.target", spec.margin.target);
    check.share("spec.margin.gain", spec.margin.gain);
    let ramp_percent = check.ramp(&spec.ramp);
    let waiver = check.trial(mode, spec.trial.as_ref());
    if !check.0.is_empty() {
        return Err(check.0);
    }
    Ok(RelocationPolicy {
        id: PolicyId::new(&document.metadata.name),
        services: spec.selector.services.iter().map(ServiceGlob::new).collect(),
        mode: mode.unwrap_or(Mode::Observe),
        rules,
        cooldown_ms: cooldown_ms.unwrap_or(LONGEST_MS),
        margin: Margin { target: spec.margin.target, gain: spec.margin.gain },
        ramp_percent,
        waiver,
    })
}

/// Problems found so far. Values that had a problem are left out of what the methods return.
struct Check(Vec<SpecProblem>);

impl Check {
    fn problem(&mut self, path: &str, value: impl fmt::Display, limit: &str, remedy: &str) {
        self.0.push(SpecProblem {
            path: path.to_owned(),
            value: value.to_string(),
            limit: limit.to_owned(),
            remedy: remedy.to_owned(),
        });
    }

    fn head(&mut self, document: &PolicyDocument) {
        if document.api_version != API_VERSION {
            let remedy = format!("write `apiVersion: {API_VERSION}`");
            self.problem("apiVersion", quoted(&document.api_version), "no other version is known", &remedy);
        }
        if document.kind != KIND {
            let remedy = format!("write `kind: {KIND}`");
            self.problem("kind", quoted(&document.kind), "no other kind is known", &remedy);
        }
        if document.metadata.name.trim().is_empty() {
            self.problem("metadata.name", "empty", "a policy needs a name", "name it after what it protects");
        }
    }

    fn selector(&mut self, selector: &Selector) {
        if selector.services.is_empty() {
            let limit = "a policy must select at least one service";
            self.problem("spec.selector.services", "empty", limit, "list names, or `\"*\"` for all");
        }
        for (index, pattern) in selector.services.iter().enumerate() {
            if pattern.trim() != pattern || pattern.is_empty() {
                let path = format!("spec.selector.services[{index}]");
                let limit = "a name is not empty and has no space around it";
                self.problem(
                    &path,
                    quoted(pattern),
                    limit,
                    "write the service's name, with `*` for any part of it",
                );
            }
        }
    }

    fn mode(&mut self, word: &str) -> Option<Mode> {
        match word {
            "observe" => return Some(Mode::Observe),
            "recommend" => return Some(Mode::Recommend),
            "auto" => return Some(Mode::Auto),
            "approve" => self.problem(
                "spec.mode",
                "`approve`",
                "approval of single moves is not supported yet",
                "use `recommend` and move by hand, or `auto`",
            ),
            _ => {
                let limit = "a mode is one of observe, recommend, auto";
                self.problem("spec.mode", quoted(word), limit, "choose one of them");
            }
        }
        None
    }

    fn rules(&mut self, specs: &[RuleSpec]) -> Vec<Rule> {
        if specs.is_empty() {
            self.problem("spec.rules", "empty", "a policy without a rule never does anything", "add a rule");
        }
        let mut names = BTreeSet::new();
        let mut rules = Vec::new();
        for (index, spec) in specs.iter().enumerate() {
            let path = format!("spec.rules[{index}]");
            if spec.name.trim().is_empty() || !names.insert(&spec.name) {
                let limit = "each rule has a name of its own, which decisions are explained by";
                self.problem(&format!("{path}.name"), quoted(&spec.name), limit, "give it another name");
            }
            if let Some(latency) = self.latency(&format!("{path}.predictedLatency"), &spec.predicted_latency)
            {
                rules.push(Rule { name: spec.name.clone(), when: Condition::PredictedLatency(latency) });
            }
        }
        rules
    }

    fn latency(&mut self, path: &str, spec: &PredictedLatencySpec) -> Option<PredictedLatency> {
        let kept = KEPT_QUANTILES.iter().find(|kept| (*kept - spec.quantile).abs() < 1e-9);
        if kept.is_none() {
            let list = KEPT_QUANTILES.map(|quantile| quantile.to_string()).join(", ");
            let limit = format!("latency is kept at {list}");
            self.problem(&format!("{path}.quantile"), spec.quantile, &limit, "use one of these");
        }
        let above = self.duration(&format!("{path}.above"), &spec.above, 1, 3_600_000);
        let SustainedSpec { steps, of } = spec.sustained;
        let sustained = (1..=MOST_STEPS).contains(&of) && (1..=of).contains(&steps);
        if !sustained {
            let limit = format!("it must be 1 <= steps <= of <= {MOST_STEPS}");
            let remedy = "write `for: {steps: 3, of: 5}` for 3 of 5 steps";
            self.problem(&format!("{path}.for"), format!("{steps} of {of}"), &limit, remedy);
        }
        let within = self.duration(&format!("{path}.within"), &spec.within, 1_000, LONGEST_MS);
        let probable = spec.probability > 0.0 && spec.probability < 1.0;
        if !probable {
            let limit = "it must be above 0 and below 1, as no forecast is certain";
            let remedy = "use 0.5 for more likely than not";
            self.problem(&format!("{path}.probability"), spec.probability, limit, remedy);
        }
        if !sustained || !probable {
            return None;
        }
        Some(PredictedLatency {
            quantile: Quantile::new(*kept?).ok()?,
            above_ms: above? as f64,
            steps: usize::try_from(steps).ok()?,
            of: usize::try_from(of).ok()?,
            within_ms: within?,
            probability: Probability::new(spec.probability).ok()?,
        })
    }

    fn duration(&mut self, path: &str, text: &str, least_ms: i64, most_ms: i64) -> Option<i64> {
        let range = format!("it must be from {} to {}", format_ms(least_ms), format_ms(most_ms));
        match parse_ms(text) {
            Ok(ms) if (least_ms..=most_ms).contains(&ms) => return Some(ms),
            Ok(_) => self.problem(path, quoted(text), &range, "choose a length in this range"),
            Err(_) => {
                let remedy = "write a whole number and a unit, such as 250ms, 30s, 15m, 2h or 1d";
                self.problem(path, quoted(text), "it must be a duration", remedy);
            }
        }
        None
    }

    fn share(&mut self, path: &str, share: f64) {
        if !(0.0..1.0).contains(&share) {
            let limit = "it must be at least 0 and below 1: a share, 0.2 for 20 %";
            self.problem(path, share, limit, "write it as a share");
        }
    }

    fn ramp(&mut self, ramp: &[i64]) -> Vec<u8> {
        let rising = ramp.windows(2).all(|pair| pair[0] < pair[1]);
        let starts = ramp.first().is_some_and(|first| *first >= 1);
        if !(rising && starts && ramp.last() == Some(&100)) {
            let value = format!("{ramp:?}");
            let limit = "it must rise from at least 1 and end with 100";
            self.problem("spec.ramp", value, limit, "write for example `ramp: [10, 25, 50, 100]`");
        }
        ramp.iter().filter_map(|percent| u8::try_from(*percent).ok()).collect()
    }

    fn trial(&mut self, mode: Option<Mode>, trial: Option<&TrialSpec>) -> Option<Waiver> {
        let remedy = "waive it: `trial: {waivedBy: your name, reason: why}`";
        match trial {
            None if mode == Some(Mode::Auto) => {
                let limit = "mode auto needs a trial in a staging mesh, which is not supported yet";
                self.problem("spec.trial", "missing", limit, remedy);
            }
            None => {}
            Some(TrialSpec::Word(word)) if word == "required" => {
                self.problem("spec.trial", "`required`", "trials are not supported yet", remedy);
            }
            Some(TrialSpec::Word(word)) => {
                self.problem("spec.trial", quoted(word), "it must be `required` or a waiver", remedy);
            }
            Some(TrialSpec::Waived(WaiverSpec { waived_by, reason })) => {
                for (path, text) in [("spec.trial.waivedBy", waived_by), ("spec.trial.reason", reason)] {
                    if text.trim().is_empty() {
                        let limit = "a waiver names who takes the responsibility, and why";
                        self.problem(path, "empty", limit, "fill it in");
                    }
                }
                return Some(Waiver { by: waived_by.clone(), reason: reason.clone() });
            }
        }
        None
    }
}

fn quoted(text: &str) -> String {
    format!("`{text}`")
}
