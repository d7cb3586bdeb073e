//! The loop. One pass is the flow of the architecture, one call for each arrow; nothing else is decided here.
mod aftermath;
mod gather;
mod learning;
mod moves;
mod recorded;
mod validity;
mod watch;

pub use moves::{REMEMBERED_MS, excluded, last_change, moves_of};
pub(crate) use moves::{in_flight, past_moves};
pub use validity::LatestInputs;

use recorded::{BACK_WITHIN_STEPS, News, Recorded};
use watch::SilenceWatch;

use crate::{
    approvals::SharedTurn,
    audit::{Audit, AuditError, Kind, RecordError, pack},
    calendar::Calendars,
    causes::chain,
    clock::{Clock, monotonic},
    forecasts::{Experts, ExpertsSettings, Forecasts, NetSettings, NetTraining, dear_models},
    metrics::Metrics,
    observed::SharedObserved,
    platform::{Inventory, PlatformError},
    policies::Policies,
    published::{Published, View},
    regressors::Regressors,
    rollout::{RolloutError, Rollouts},
    store::{SeriesStore, StoreError},
};
use foremesh_core::{
    decide::{Decision, decide},
    forecast::ForecastSettings,
    inputs::{OwnedInputs, Settings as Caution},
    plan::{DigestError, Plan},
    policy::{Mode, RelocationPolicy},
    record::DecisionRecord,
    report::{AuditRecord, Decided, Refusal, checked, records, refuse},
    time::Step,
    trial::{TestedPlan, TrialLimits, owe},
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// What the loop works with.
#[derive(Debug)]
pub struct Parts {
    /// Tells the time.
    pub clock: Clock,
    /// Where observations are.
    pub store: Arc<dyn SeriesStore>,
    /// What was observed, in memory.
    pub observed: SharedObserved,
    /// What runs where.
    pub inventory: Arc<dyn Inventory>,
    /// Carries plans out.
    pub rollouts: Arc<Rollouts>,
    /// Where decisions are recorded.
    pub audit: Arc<Audit>,
    /// What the API shows.
    pub published: Arc<Published>,
    /// What rollouts validate against.
    pub latest: Arc<LatestInputs>,
    /// Whose turn it is to begin a plan.
    pub turn: SharedTurn,
    /// What the operators want, asked anew at each pass.
    pub policies: Arc<Policies>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Known events.
    pub calendars: Arc<Calendars>,
    /// Series that explain ours.
    pub regressors: Arc<Regressors>,
}

/// How the loop works.
#[derive(Clone, Debug)]
pub struct ControlSettings {
    /// Time between two passes.
    pub interval: Duration,
    /// Length of a step.
    pub step: Step,
    /// Steps of a season.
    pub season_steps: usize,
    /// Steps that are forecast.
    pub horizon_steps: usize,
    /// Oldest age of data that anything is decided on, in milliseconds.
    pub stale_after_ms: i64,
    /// Longest silence of a proxy with traffic, in milliseconds.
    pub silent_after_ms: i64,
    /// Wait between a decision and the first action, in milliseconds.
    pub pending_ms: i64,
    /// How carefully to plan.
    pub caution: Caution,
    /// Steps that are over and not shown yet, because their last values may still come.
    pub settling_steps: usize,
    /// Length of the histories, in milliseconds.
    pub keep_ms: i64,
    /// How many dear models may be fitted.
    pub experts: ExpertsSettings,
    /// Names of the dear models that every series may get.
    pub usual_models: Vec<String>,
    /// How the common net of the LSTM is trained.
    pub net: NetSettings,
    /// CPU time in each pass for learning events and regressors again, in microseconds.
    pub relearn_us: f64,
    /// Shortest time of a step of a ramp, in milliseconds.
    pub hold_per_step_ms: i64,
}

impl ControlSettings {
    /// How forecasts are made, in the loop and for whoever asks.
    pub fn forecast(&self) -> ForecastSettings {
        ForecastSettings::new(self.horizon_steps, Some(self.season_steps), self.stale_after_ms)
    }

    /// How carefully to plan by these policies: a move that was never measured takes at least as long as its own waits.
    pub fn caution_of(&self, policies: &[RelocationPolicy]) -> Caution {
        let ramps = policies.iter().map(|policy| policy.ramp_percent.len().saturating_sub(1));
        let waits_ms = self.hold_per_step_ms.saturating_mul(ramps.max().unwrap_or(0) as i64);
        let waits_ms = self.pending_ms.saturating_add(waits_ms);
        let default_move_duration_ms = self.caution.default_move_duration_ms.max(waits_ms);
        Caution { default_move_duration_ms, ..self.caution }
    }
}

/// Why a pass did not come to a decision. Nothing moves then.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The platform did not answer.
    #[error("the platform could not be asked what runs where")]
    Inventory(#[from] PlatformError),
    /// The journal of rollouts did not answer.
    #[error("the rollouts could not be read")]
    Rollouts(#[from] RolloutError),
    /// The store did not answer.
    #[error("the history could not be read")]
    Store(#[from] StoreError),
    /// The decision could not be recorded, and an unrecorded decision is not acted on.
    #[error("the decision could not be recorded")]
    Audit(#[from] AuditError),
    /// The inputs have no canonical form.
    #[error("the inputs of the decision could not be digested")]
    Digest(#[from] DigestError),
    /// What the plan was made from could not be packed.
    #[error("what the plan was made from could not be recorded")]
    Record(#[from] RecordError),
    /// The decision took a panic with it.
    #[error("the decision ended in a fault of the planner")]
    Fault(#[from] tokio::task::JoinError),
}

/// The loop and what it remembers between passes.
#[derive(Debug)]
pub struct Control {
    parts: Parts,
    settings: ControlSettings,
    pass: u64,
    recorded: Recorded,
    watch: SilenceWatch,
    forecasts: Arc<Mutex<Forecasts>>,
    net: NetTraining,
    learning: learning::Learning,
}

impl Control {
    /// A loop that has made no pass yet.
    pub fn new(parts: Parts, settings: ControlSettings) -> Self {
        let watch = SilenceWatch::new(settings.silent_after_ms);
        let mut experts = Experts::new(settings.experts, dear_models(), settings.usual_models.clone());
        let (net, kept) = NetTraining::open(settings.net.clone(), parts.clock.clone());
        match kept {
            Some(model) => experts.replace(Box::new(model)),
            // One that is trained on each series alone is dear, and knows nothing of new ones.
            None => experts.stand_in(NetTraining::MODEL),
        }
        let forecasts =
            Forecasts::new(settings.forecast(), settings.settling_steps, experts, settings.relearn_us);
        let forecasts = Arc::new(Mutex::new(forecasts));
        Self {
            parts,
            settings,
            pass: 0,
            recorded: Recorded::default(),
            watch,
            forecasts,
            net,
            learning: learning::Learning::default(),
        }
    }

    /// Runs passes until `stop` says so.
    pub async fn run(mut self, mut stop: tokio::sync::watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(self.settings.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stop.changed() => return,
            }
            match self.pass().await {
                Ok(()) => self.parts.metrics.pass_succeeded(),
                Err(error) => {
                    self.parts.metrics.pass_failed();
                    let why = chain(&error);
                    tracing::warn!(error = %why, "no decision in this pass, so nothing moves");
                    self.parts.published.failed(self.parts.clock.now(), why);
                }
            }
        }
    }

    /// One pass: from what was observed to what is done about it.
    ///
    /// # Errors
    /// When a step could not be made; nothing was moved then.
    pub async fn pass(&mut self) -> Result<(), PassError> {
        self.pass += 1;
        // Until the plan of this pass has begun nobody else may begin one: it is decided on what runs now.
        let mut turn = Arc::clone(&self.parts.turn).lock_owned().await;
        let now = self.parts.clock.now();
        let asked = monotonic();
        let snapshot = self.parts.inventory.snapshot().await?;
        self.parts.metrics.snapshot_took(monotonic().saturating_sub(asked));
        self.parts.policies.saw(&snapshot);
        let newest = turn.newest.clone();
        if let Some(model) = self.net.finished() {
            self.forecasts.lock().unwrap_or_else(PoisonError::into_inner).replace_model(Box::new(model));
        }
        let salt = self.net.due(now).then(|| self.net.salt());
        let (inputs, mut forecasts, corpus) = gather::gather(
            &self.parts,
            &self.settings,
            &self.forecasts,
            &mut self.learning,
            snapshot,
            newest,
            (now, salt),
        )
        .await?;
        self.net.begin(corpus);
        forecasts.net = self.net.state();
        let inputs = Arc::new(inputs);
        self.parts.latest.replace(Arc::clone(&inputs));

        let for_decision = Arc::clone(&inputs);
        let pass = self.pass;
        let (mut waiting, begun) = (turn.waiting.clone(), turn.begun_generation());
        let (decision, mut records, waiting, waits_anew) = tokio::task::spawn_blocking(move || {
            let borrowed = for_decision.borrow();
            let mut decision = decide(&borrowed)?;
            let mut waits_anew = false;
            if let Some(fresh) = decision.awaiting_approval.take() {
                let (standing, new) = waiting.hold(fresh, begun, now);
                (decision.awaiting_approval, waits_anew) = (Some(standing), new);
            }
            let records = records(&borrowed, &decision, pass);
            Ok::<_, DigestError>((decision, records, waiting, waits_anew))
        })
        .await??;

        let staging = self.parts.rollouts.staging();
        let tested =
            decision.plan.clone().map(|plan| (plan.id.clone(), tested(plan, &inputs, staging.as_ref())));
        if let Some((plan, Err(refusal))) = &tested {
            refuse(&mut records, plan, refusal);
        }
        // On record before anything is done.
        self.record(&inputs, &decision, &records, waits_anew).await?;
        // What is not on record could not be approved.
        turn.waiting = waiting;
        if let Some(plan) = &decision.plan {
            turn.made(plan);
        }
        if let Some((plan, Ok(tested))) = tested {
            match self.parts.rollouts.start(&tested).await {
                Ok(_) => turn.began(tested.plan()),
                Err(error) => {
                    let refusal = Refusal::Executor(chain(&error));
                    tracing::warn!(plan = %plan, why = %refusal, "plan refused");
                    let record = json!({"event": "plan_refused", "by": refusal});
                    self.parts.audit.append(now, Kind::Event, Some(plan.as_str()), &record)?;
                    refuse(&mut records, &plan, &refusal);
                }
            }
        }
        // The decision is made and begun, so it is shown whatever becomes of the watch.
        self.watch.look(&self.parts, &inputs.snapshot, now).await;
        let silent = self.watch.silent().to_vec();
        let forecasts = Arc::new(forecasts);
        self.parts.published.replace(View { at: now, pass, inputs, forecasts, decision, records, silent });
        Ok(())
    }

    /// One record for the pass; a service whose decision did not change is named with the pass that recorded it.
    async fn record(
        &mut self,
        inputs: &Arc<OwnedInputs>,
        decision: &Decision,
        records: &[AuditRecord],
        waits_anew: bool,
    ) -> Result<(), PassError> {
        let mut changed = Vec::new();
        let (mut unchanged, mut back) = (BTreeMap::new(), BTreeMap::new());
        let at = (self.pass, inputs.now, self.settings.step.times(BACK_WITHIN_STEPS));
        for record in records {
            let name = record.service.to_string();
            let shown = matches!(record.decided, Decided::AwaitingApproval(_) | Decided::Recommend(_));
            match self.recorded.news(&name, kind_of(&record.decided), shown, at) {
                News::New => changed.push(record),
                News::Unchanged(since) => {
                    unchanged.insert(name, since);
                }
                News::Back(pass) => {
                    back.insert(name, pass);
                }
            }
        }
        let services: Vec<_> =
            changed.iter().map(|record| json!({"record": record, "explanation": record.explain()})).collect();
        let mut pass = json!({"pass": self.pass, "services": services, "unchanged_since_pass": unchanged});
        if !back.is_empty() {
            pass["again_as_in_pass"] = json!(back);
        }
        let plan_id = decision.plan.as_ref().map(|plan| plan.id.as_str());
        self.parts.audit.append(inputs.now, Kind::Decision, plan_id, &pass)?;
        if let Some(plan) = &decision.plan {
            self.record_plan(inputs, decision, plan, Mode::Auto, records).await?;
        }
        // A plan that waits is recorded when it takes the place of another one, and what is only shown when it is new.
        if let Some(plan) = decision.awaiting_approval.as_ref().filter(|_| waits_anew) {
            self.record_plan(inputs, decision, plan, Mode::Approve, records).await?;
            tracing::info!(plan = %plan.id, "plan waits for a human; `foremesh approve` lists and approves");
        }
        if let Some(plan) = &decision.recommended {
            let of_plan = |record: &&AuditRecord| matches!(&record.decided, Decided::Recommend(planned) if planned.plan == plan.id);
            if changed.iter().any(of_plan) {
                self.record_plan(inputs, decision, plan, Mode::Recommend, records).await?;
            }
        }
        Ok(())
    }

    /// The plan, and before it what it was made from.
    async fn record_plan(
        &mut self,
        inputs: &Arc<OwnedInputs>,
        decision: &Decision,
        plan: &Plan,
        mode: Mode,
        records: &[AuditRecord],
    ) -> Result<(), PassError> {
        let (of, made, planned) = (Arc::clone(inputs), decision.clone(), plan.clone());
        let packed = tokio::task::spawn_blocking(move || {
            let record = DecisionRecord::new(&of, &made, &planned, mode, env!("CARGO_PKG_VERSION"))?;
            Ok::<_, PassError>(pack(&record)?)
        })
        .await??;
        let audit = &self.parts.audit;
        audit.keep_record(inputs.now, plan.id.as_str(), &packed)?;
        let kind = if mode == Mode::Auto { Kind::Plan } else { Kind::Recommendation };
        audit.append(inputs.now, kind, Some(plan.id.as_str()), &plan_record(plan, mode.name(), records))?;
        Ok(())
    }
}

/// Verify, simulate, try. Each step takes the type that the step before gave, so none can be left out. A trial takes minutes,
/// so the rollout makes it, before anything of production is touched.
fn tested(plan: Plan, inputs: &OwnedInputs, staging: Option<&TrialLimits>) -> Result<TestedPlan, Refusal> {
    let borrowed = inputs.borrow();
    let simulated = checked(plan, &borrowed)?;
    owe(simulated, &borrowed, staging).map_err(|why| Refusal::Executor(why.to_string()))
}

fn plan_record(plan: &Plan, mode: &str, records: &[AuditRecord]) -> serde_json::Value {
    let of_plan = |record: &&AuditRecord| plan.moves.iter().any(|planned| planned.service == record.service);
    let explanation: Vec<String> = records.iter().filter(of_plan).map(AuditRecord::explain).collect();
    json!({"plan": plan, "generation": plan.generation, "mode": mode, "explanation": explanation.join("\n")})
}

/// What makes a decision another one: its kind and reason, without the numbers that change with every pass.
fn kind_of(decided: &Decided) -> String {
    match decided {
        Decided::Move(planned) => format!("move {}", planned.plan),
        Decided::AwaitingApproval(planned) => {
            format!("awaiting approval {}", planned.planned.in_words())
        }
        Decided::Recommend(planned) => format!("recommend {}", planned.planned.in_words()),
        Decided::Refused { planned, .. } => format!("refused {}", planned.plan),
        Decided::Nothing { because } => {
            let tagged = serde_json::to_value(because).unwrap_or_default();
            let kind = tagged.get("kind").and_then(serde_json::Value::as_str).unwrap_or("unknown");
            format!("nothing {kind}")
        }
    }
}
