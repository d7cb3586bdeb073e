//! The pure part of one pass: assess every service, place those at risk, and say why the others stay.
//!
//! [`decide`] is [`assess_services`], [`risks`], [`place`] and [`Plan::build`] in a row; each can be called alone.
use crate::twin::MeshModel;
use crate::{
    forecast::Forecast,
    history::Metric,
    ids::ServiceId,
    inputs::{Inputs, Measured},
    placement::{NothingBecause, Risk, place_in},
    plan::{DigestError, Plan},
    policy::{
        Assessment, Mode, Quantity, RelocationPolicy, Rule, Sight, Trigger, Verdict, assess, objective,
        verdict_order,
    },
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
    /// What the rule that counts compares with: an objective of latency, or a limit of something else.
    pub objective: Quantity,
    /// Model behind the verdict; `None` without a forecast.
    pub model: Option<String>,
    /// Mean absolute error of that model over replayed origins, in milliseconds; only of a rule that looks at latency.
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
    /// What policies in mode `approve` would do once a human says yes. It counts as made after `plan`, whose moves it
    /// finds under way, so that it is not out of date as soon as that one begins.
    pub awaiting_approval: Option<Plan>,
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
            Mode::Approve => self.awaiting_approval.as_ref(),
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
    let mesh = MeshModel::build(inputs);
    let assessments = assess_in(inputs, &mesh);
    let placement = place_in(inputs, &mesh, &risks(inputs, &assessments, Mode::Auto), &[]);
    let mut before = placement.moves.clone();
    let asked = place_in(inputs, &mesh, &risks(inputs, &assessments, Mode::Approve), &before);
    before.extend(asked.moves.iter().cloned());
    let advice = place_in(inputs, &mesh, &risks(inputs, &assessments, Mode::Recommend), &before);
    let plan = Plan::build(inputs, &placement)?;
    let awaiting_approval = following(Plan::build(inputs, &asked)?, plan.as_ref())?;
    let recommended = Plan::build(inputs, &advice)?;
    let mut nothing_because: Vec<(ServiceId, NothingBecause)> =
        assessments.iter().filter_map(|a| Some((a.service.clone(), quiet(a)?))).collect();
    nothing_because.extend(placement.staying);
    for (placement, mode) in [(asked, Mode::Approve), (advice, Mode::Recommend)] {
        nothing_because.extend(placement.staying);
        for planned in placement.moves {
            let policy = planned.reason.policy.to_string();
            nothing_because.push((planned.service, NothingBecause::Mode { policy, mode }));
        }
    }
    nothing_because.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Decision { assessments, plan, awaiting_approval, recommended, nothing_because })
}

/// A plan as the one that comes after another one of the same pass.
fn following(mut plan: Option<Plan>, before: Option<&Plan>) -> Result<Option<Plan>, DigestError> {
    if let (Some(plan), Some(before)) = (&mut plan, before) {
        plan.parent = Some(before.id.clone());
        plan.generation = before.generation + 1;
        plan.id = plan.content_id()?;
    }
    Ok(plan)
}

/// Assesses every service that at least one policy is about, in the order of their names.
pub fn assess_services(inputs: &Inputs<'_>) -> Vec<ServiceAssessment> {
    assess_in(inputs, &MeshModel::build(inputs))
}

/// As [`assess_services`], with a twin that was built from the same inputs.
pub(crate) fn assess_in(inputs: &Inputs<'_>, mesh: &MeshModel) -> Vec<ServiceAssessment> {
    let present = mesh.start();
    let sight = Sight::new(inputs).with_twin(&present);
    let assess_one = |service: &ServiceId| {
        let assessed = sight.policies_of(service).map(|policy| (policy, assess(policy, service, &sight)));
        let (policy, assessment) =
            assessed.reduce(|best, next| if counts_more(&next, &best) { next } else { best })?;
        let rule = policy.rules.get(assessment.deciding)?;
        let forecast = forecast_of(inputs, service, rule);
        let of_latency = forecast.filter(|_| rule.latency().is_some());
        Some(ServiceAssessment {
            service: service.clone(),
            measured: inputs.services.get(service).and_then(|known| known.measured),
            mode: policy.mode,
            objective: judged_against(rule, &assessment),
            model: forecast.map(|forecast| forecast.model.clone()),
            backtest_mae_ms: of_latency.map(|forecast| forecast.backtest_mae),
            data_age_ms: forecast.map(|forecast| forecast.data_age_ms),
            assessment,
        })
    };
    inputs.services.keys().filter_map(assess_one).collect()
}

/// What the verdict compares with, or, without one, what the rule says.
fn judged_against(rule: &Rule, assessment: &Assessment) -> Quantity {
    match assessment.decisive().map(|decisive| &decisive.verdict) {
        Some(Verdict::Breach(breach)) => breach.threshold,
        Some(Verdict::Healthy(healthy)) => healthy.threshold,
        _ => rule.when.threshold(),
    }
}

/// The service's own forecast that the rule looks at first; `None` of a rule about nodes, workloads or money alone.
fn forecast_of<'a>(inputs: &Inputs<'a>, service: &ServiceId, rule: &Rule) -> Option<&'a Forecast> {
    let known = inputs.services.get(service)?;
    let latency = rule.latency().and_then(|latency| Metric::latency(latency.quantile.get()));
    let metric = latency.or_else(|| rule.when.metrics().next())?;
    known.forecasts.get(&metric)?.as_ref().ok()
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
    verdict_order(verdict_a, verdict_b)
}

/// The services that a policy in `mode` wants to be placed anew: a breach is predicted, or money might be saved.
pub fn risks<'a>(inputs: &Inputs<'a>, assessments: &'a [ServiceAssessment], mode: Mode) -> Vec<Risk<'a>> {
    let risk = |assessed: &'a ServiceAssessment| {
        let trigger = match assessed.verdict()? {
            Verdict::Breach(breach) => Trigger::Breach(breach.clone()),
            Verdict::Opportunity(opportunity) => Trigger::Opportunity(*opportunity),
            Verdict::Healthy(_) | Verdict::Unknown { .. } => return None,
        };
        let policy = inputs.policies.iter().find(|policy| policy.id == assessed.assessment.policy)?;
        let rule = policy.rules.get(assessed.assessment.deciding)?;
        // A rule about latency is judged at its own quantile, but not against a laxer objective than another rule has.
        let strictest = objective(inputs.policies, &assessed.service);
        let objective = match rule.latency() {
            Some(own) => strictest.filter(|strictest| strictest.quantile == own.quantile).or(Some(own)),
            None => strictest,
        };
        let model = assessed.model.clone().unwrap_or_default();
        Some(Risk { service: &assessed.service, policy, rule, trigger, objective, model })
    };
    assessments.iter().filter(|assessed| assessed.mode == mode).filter_map(risk).collect()
}

/// Why a service without a breach to act on stays; `None` when it is for the placement to say.
fn quiet(assessed: &ServiceAssessment) -> Option<NothingBecause> {
    match assessed.verdict()? {
        Verdict::Healthy(healthy) => Some(NothingBecause::Healthy {
            worst: healthy.worst,
            objective: healthy.threshold,
            probability: healthy.probability.get(),
        }),
        Verdict::Unknown { why } => Some(NothingBecause::Unknown { why: why.clone() }),
        Verdict::Breach(_) | Verdict::Opportunity(_) if assessed.mode == Mode::Observe => {
            Some(NothingBecause::Mode { policy: assessed.assessment.policy.to_string(), mode: Mode::Observe })
        }
        Verdict::Breach(_) | Verdict::Opportunity(_) => None,
    }
}
