//! A decision with everything that it was made from, so that anyone can make it again and compare, byte by byte.
//!
//! The joint paths of all forecasts of a large mesh are tens of megabytes, and a plan depends on few of them: those of
//! the services that it is about. So what is kept leaves out what does not change the plan, and that is not assumed but
//! tried: the decision is made again from what would be kept, and more is kept when another plan comes out.
use crate::{
    decide::{Decision, decide},
    forecast::Forecast,
    history::Metric,
    ids::{PlanId, ServiceId},
    inputs::{MaybeForecast, OwnedInputs, ServiceInputs},
    plan::{DigestError, Plan, digest},
    policy::{Mode, Verdict},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The form of records that this code writes and reads.
pub const FORMAT: u32 = 1;

/// One plan with what it was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of the planner that decided.
    pub planner: String,
    /// Mode of the policies that the plan was made for.
    pub mode: Mode,
    /// The plan's canonical JSON, as it was made.
    pub plan: String,
    /// How much of the inputs is kept.
    pub kept: Kept,
    /// SHA-256 over the canonical JSON of [`Self::inputs`], in hex.
    pub kept_digest: String,
    /// What the decision was made from.
    pub inputs: OwnedInputs,
}

/// How much of the inputs a record keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// Whole forecasts of the services that are to be placed anew; of the others and of nodes the bands as far as rules
    /// look, without joint paths, and of the others nothing of what depends on the place.
    Involved,
    /// The same, with the whole bands of everything.
    Bands,
    /// Everything.
    All,
}

impl DecisionRecord {
    /// The record of a plan that `decision` holds in this mode, keeping as little as gives the same plan.
    ///
    /// # Errors
    /// [`DigestError`] when something has no JSON form.
    pub fn new(
        inputs: &OwnedInputs,
        decision: &Decision,
        plan: &Plan,
        mode: Mode,
        planner: &str,
    ) -> Result<Self, DigestError> {
        let involved = involved(decision);
        let text = plan.canonical()?;
        let record = |kept, inputs: OwnedInputs| {
            let kept_digest = digest(&inputs.borrow())?;
            let (planner, plan) = (planner.to_owned(), text.clone());
            Ok::<_, DigestError>(Self { format: FORMAT, planner, mode, plan, kept, kept_digest, inputs })
        };
        for kept in [Kept::Involved, Kept::Bands] {
            let candidate = record(kept, reduced(inputs, &involved, kept))?;
            if matches!(candidate.replay(), Ok(Replay::Same { .. })) {
                return Ok(candidate);
            }
        }
        record(Kept::All, inputs.clone())
    }

    /// Decides again with this code and compares the plan, byte by byte. The id of a plan and the digest in it follow
    /// from all of the inputs; where not all are kept, they are taken from the recorded plan, and the rest is compared.
    ///
    /// # Errors
    /// [`ReplayError`] when the record cannot be used.
    pub fn replay(&self) -> Result<Replay, ReplayError> {
        if self.format != FORMAT {
            return Err(ReplayError::Format { found: self.format });
        }
        let recorded: Plan = serde_json::from_str(&self.plan).map_err(ReplayError::NotAPlan)?;
        let inputs = self.inputs.borrow();
        let found = digest(&inputs)?;
        if found != self.kept_digest {
            return Err(ReplayError::Changed { recorded: self.kept_digest.clone(), found });
        }
        let decision = decide(&inputs)?;
        let Some(mut plan) = decision.plan_in(self.mode).cloned() else {
            return Ok(Replay::NoPlan { recorded: recorded.id });
        };
        if self.kept != Kept::All {
            plan.input_digest.clone_from(&recorded.input_digest);
            plan.id = plan.content_id()?;
        }
        Ok(compare(&self.plan, &plan.canonical()?, &plan))
    }
}

/// What came of deciding again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "replay")]
pub enum Replay {
    /// The same plan.
    Same {
        /// Length of its canonical JSON.
        bytes: usize,
        /// SHA-256 over it, in hex.
        digest: String,
    },
    /// Another plan.
    Different {
        /// First byte of the canonical JSON that differs.
        at_byte: usize,
        /// What the record says there.
        recorded: String,
        /// What came out now.
        now: String,
    },
    /// No plan at all.
    NoPlan {
        /// The recorded plan.
        recorded: PlanId,
    },
}

/// Why a record cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// Written in another form.
    #[error(
        "the record has form {found}, but this planner reads form {FORMAT}; use the planner that wrote it"
    )]
    Format {
        /// Its form.
        found: u32,
    },
    /// The inputs are not those that were written.
    #[error("the inputs have the digest {found}, but were recorded with {recorded}: the record was changed")]
    Changed {
        /// Digest in the record.
        recorded: String,
        /// Digest of what is in it.
        found: String,
    },
    /// The plan in it is none.
    #[error("the record holds no plan that can be read")]
    NotAPlan(#[source] serde_json::Error),
    /// Something has no JSON form.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

/// Steps that are kept beyond the longest look-ahead of a rule.
const REACHED: usize = 3;

/// Characters of the canonical JSON that are shown around a difference.
const SHOWN: usize = 80;

fn compare(recorded: &str, now: &str, plan: &Plan) -> Replay {
    let mut pairs = recorded.bytes().zip(now.bytes());
    let differs = pairs.position(|(a, b)| a != b);
    let shorter = recorded.len().min(now.len());
    match differs.or((recorded.len() != now.len()).then_some(shorter)) {
        None => Replay::Same { bytes: now.len(), digest: digest(plan).unwrap_or_default() },
        Some(at_byte) => {
            let around = |text: &str| {
                let shown = at_byte.saturating_sub(SHOWN / 2)..at_byte.saturating_add(SHOWN / 2);
                text.char_indices().filter(|(at, _)| shown.contains(at)).map(|(_, letter)| letter).collect()
            };
            Replay::Different { at_byte, recorded: around(recorded), now: around(now) }
        }
    }
}

/// The services that a policy would place anew.
fn involved(decision: &Decision) -> BTreeSet<&ServiceId> {
    let quiet = |verdict: &Verdict| matches!(verdict, Verdict::Healthy(_) | Verdict::Unknown { .. });
    let loud = decision.assessments.iter().filter(|assessed| !assessed.verdict().is_none_or(quiet));
    loud.map(|assessed| &assessed.service).collect()
}

fn reduced(inputs: &OwnedInputs, involved: &BTreeSet<&ServiceId>, kept: Kept) -> OwnedInputs {
    // As far as any rule looks, and what the last steps of a look-ahead reach into.
    let rules = inputs.policies.iter().flat_map(|policy| &policy.rules);
    let ahead_ms = rules.map(|rule| rule.when.within_ms()).max().unwrap_or(0);
    let cut = |made: &Forecast| match kept {
        Kept::Involved => made.bands_only(usize::try_from(ahead_ms / made.step.ms()).unwrap_or(0) + REACHED),
        Kept::Bands | Kept::All => made.bands_only(made.steps.len()),
    };
    let bands = |forecast: &MaybeForecast| forecast.as_ref().map(cut).map_err(Clone::clone);
    let service = |(id, known): (&ServiceId, &ServiceInputs)| {
        if involved.contains(id) {
            return (id.clone(), known.clone());
        }
        let wanted = |metric: &Metric| kept == Kept::Bands || !metric.depends_on_place();
        let forecasts = known.forecasts.iter().filter(|(metric, _)| wanted(metric));
        let forecasts = forecasts.map(|(metric, forecast)| (*metric, bands(forecast))).collect();
        (id.clone(), ServiceInputs { measured: known.measured, forecasts })
    };
    let mut resources = inputs.resources.clone();
    let of_nodes = resources.nodes.values_mut().flat_map(|of| of.values_mut());
    for forecast in of_nodes.chain(resources.workloads.values_mut().flat_map(|of| of.values_mut())) {
        *forecast = bands(forecast);
    }
    OwnedInputs {
        now: inputs.now,
        snapshot: inputs.snapshot.clone(),
        services: inputs.services.iter().map(service).collect(),
        nodes: inputs.nodes.iter().map(|(id, forecast)| (id.clone(), bands(forecast))).collect(),
        background: inputs.background.iter().map(|(id, forecast)| (id.clone(), bands(forecast))).collect(),
        resources,
        learned: inputs.learned.clone(),
        policies: inputs.policies.clone(),
        freezes: inputs.freezes.clone(),
        past_moves: inputs.past_moves.clone(),
        in_flight: inputs.in_flight.clone(),
        move_duration_ms: inputs.move_duration_ms.clone(),
        settings: inputs.settings,
        newest: inputs.newest.clone(),
    }
}
