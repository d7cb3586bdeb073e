//! The pure part of one pass: assess every service, place those at risk, and say why the others stay.
//!
//! [`decide`] is [`assess_services`], [`risks`], [`place`] and [`Plan::build`] in a row; each can be called alone.
use crate::{
    forecast::Forecast,
    history::Metric,
    ids::ServiceId,
    inputs::{Inputs, Measured},
    placement::{NothingBecause, Risk, place},
    plan::{DigestError, Plan},
    policy::{self, Assessment, Mode, RelocationPolicy, Rule, Verdict, breach_order},
};
use serde::{Deserialize, Serialize};

/// What the policies say about one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceAssessment {
    /// The service.
    pub service: ServiceId,
    /// What it does now.
    pub measured: Option<Measured>,
    /// The policy that counts: of those that fire the one that may do most; else the one closest to firing.
    pub assessment: Assessment,
    /// That policy's mode.
    pub mode: Mode,
    /// The objective of the rule that counts, in milliseconds.
    pub objective_ms: f64,
    /// Model behind the verdict; `None` without a forecast.
    pub model: Option<String>,
    /// Mean absolute error of that model over replayed origins, in milliseconds.
    pub backtest_mae_ms: Option<f64>,
    /// Age of the newest value behind the verdict when the forecast was made, in milliseconds.
    pub data_age_ms: Option<i64>,
}

impl ServiceAssessment {
    /// The verdict of the rule that counts.
    pub fn verdict(&self) -> Option<&Verdict> {
        self.assessment.decisive().map(|rule| &rule.verdict)
    }
}

/// What one pass decided.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    /// Every service that a policy is about.
    pub assessments: Vec<ServiceAssessment>,
    /// What to do now; `None` for nothing.
    pub plan: Option<Plan>,
    /// What policies in mode `recommend` would do. It is shown and never carried out.
    pub recommended: Option<Plan>,
    /// Every service that is not moved, and why.
    pub nothing_because: Vec<(ServiceId, NothingBecause)>,
}

impl Decision {
    /// The plan of the policies in one mode.
    pub const fn plan_in(&self, mode: Mode) -> Option<&Plan> {
        match mode {
            Mode::Auto => self.plan.as_ref(),
            Mode::Recommend => self.recommended.as_ref(),
            Mode::Observe => None,
        }
    }
}

/// Decides. Equal inputs give the equal decision, byte for byte.
///
/// # Errors
/// [`DigestError`] when the inputs have no JSON form.
pub fn decide(inputs: &Inputs<'_>) -> Result<Decision, DigestError> {
    let assessments = assess_services(inputs);
    let placement = place(inputs, &risks(inputs, &assessments, Mode::Auto), &[]);
    let advice = place(inputs, &risks(inputs, &assessments, Mode::Recommend), &placement.moves);
    let plan = Plan::build(inputs, &placement)?;
    let recommended = Plan::build(inputs, &advice)?;
    let mut nothing_because: Vec<(ServiceId, NothingBecause)> =
        assessments.iter().filter_map(|a| Some((a.service.clone(), quiet(a)?))).collect();
    nothing_because.extend(placement.staying);
    nothing_because.extend(advice.staying);
    for planned in advice.moves {
        let policy = planned.reason.policy.to_string();
        nothing_because.push((planned.service, NothingBecause::Mode { policy, mode: Mode::Recommend }));
    }
    nothing_because.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Decision { assessments, plan, recommended, nothing_because })
}

/// Assesses every service that at least one policy is about, in the order of their names.
pub fn assess_services(inputs: &Inputs<'_>) -> Vec<ServiceAssessment> {
    let mut policies: Vec<&RelocationPolicy> = inputs.policies.iter().collect();
    policies.sort_by(|a, b| a.id.cmp(&b.id));
    let assess_one = |service: &ServiceId| {
        let of_service = policies.iter().filter(|policy| policy.selects(service));
        let assessed = of_service.map(|policy| (*policy, assess(inputs, policy, service)));
        let (policy, assessment) =
            assessed.reduce(|best, next| if counts_more(&next, &best) { next } else { best })?;
        let rule = policy.rules.get(assessment.deciding)?;
        let forecast = forecast_of(inputs, service, rule);
        let latency = rule.latency()?;
        Some(ServiceAssessment {
            service: service.clone(),
            measured: inputs.services.get(service).and_then(|known| known.measured),
            mode: policy.mode,
            objective_ms: latency.above_ms,
            model: forecast.map(|forecast| forecast.model.clone()),
            backtest_mae_ms: forecast.map(|forecast| forecast.backtest_mae),
            data_age_ms: forecast.map(|forecast| forecast.data_age_ms),
            assessment,
        })
    };
    inputs.services.keys().filter_map(assess_one).collect()
}

fn assess(inputs: &Inputs<'_>, policy: &RelocationPolicy, service: &ServiceId) -> Assessment {
    let forecast_of = |metric| inputs.forecast(service, metric);
    policy::assess(policy, forecast_of, inputs.now, inputs.settings.forecast_limit_ms)
}

fn forecast_of<'a>(inputs: &Inputs<'a>, service: &ServiceId, rule: &Rule) -> Option<&'a Forecast> {
    let latency = rule.latency()?;
    let known = inputs.services.get(service)?;
    known.forecasts.get(&Metric::latency(latency.quantile.get())?)?.as_ref().ok()
}

/// Whether policy `a` counts before policy `b`: a policy that fires and may do more comes first.
fn counts_more(a: &(&RelocationPolicy, Assessment), b: &(&RelocationPolicy, Assessment)) -> bool {
    let (Some(verdict_a), Some(verdict_b)) = (a.1.decisive(), b.1.decisive()) else { return false };
    let (verdict_a, verdict_b) = (&verdict_a.verdict, &verdict_b.verdict);
    if let (Verdict::Breach(_), Verdict::Breach(_)) = (verdict_a, verdict_b)
        && a.0.mode != b.0.mode
    {
        return a.0.mode > b.0.mode;
    }
    breach_order(verdict_a, verdict_b)
}

/// The services for which a policy in `mode` predicts a breach.
pub fn risks<'a>(inputs: &Inputs<'a>, assessments: &'a [ServiceAssessment], mode: Mode) -> Vec<Risk<'a>> {
    let risk = |assessed: &'a ServiceAssessment| {
        let Some(Verdict::Breach(breach)) = assessed.verdict() else { return None };
        let policy = inputs.policies.iter().find(|policy| policy.id == assessed.assessment.policy)?;
        let rule = policy.rules.get(assessed.assessment.deciding)?;
        let model = assessed.model.clone().unwrap_or_default();
        Some(Risk { service: &assessed.service, policy, rule, breach: *breach, model })
    };
    assessments.iter().filter(|assessed| assessed.mode == mode).filter_map(risk).collect()
}

/// Why a service without a breach to act on stays; `None` when it is for the placement to say.
fn quiet(assessed: &ServiceAssessment) -> Option<NothingBecause> {
    match assessed.verdict()? {
        Verdict::Healthy(healthy) => Some(NothingBecause::Healthy {
            worst_ms: healthy.worst_ms,
            objective_ms: assessed.objective_ms,
            probability: healthy.probability.get(),
        }),
        Verdict::Unknown { why } => Some(NothingBecause::Unknown { why: why.clone() }),
        Verdict::Breach(_) if assessed.mode == Mode::Observe => {
            Some(NothingBecause::Mode { policy: assessed.assessment.policy.to_string(), mode: Mode::Observe })
        }
        Verdict::Breach(_) => None,
    }
}
