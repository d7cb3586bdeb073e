//! The executor: observe, ask the state machine, store, act, again.
use super::{
    RolloutError, RolloutPorts, RolloutSettings,
    journal::{Entry, Journal},
    observe::Look,
};
use crate::{clock::Clock, durations, platform::PlatformError};
use foremesh_core::{
    ids::{ReplicaId, RolloutId},
    plan::Move,
    rollout::{
        AbortRequest, Action, Attempt, Limits, Next, Observation, Phase, Predecessor, RolloutRecord, State,
        step,
    },
    time::Timestamp,
    trial::TestedPlan,
};
use futures::future::join_all;
use std::{
    collections::BTreeMap,
    error::Error,
    future::Future,
    path::Path,
    sync::{Arc, Mutex as SyncMutex, PoisonError},
};
use tokio::{
    sync::{Mutex, Notify},
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

/// Steps of one rollout in one go. A calm rollout makes two or three between waits; the limit keeps a world that changes
/// with every look from holding the loop.
const STEPS_AT_ONCE: usize = 32;

/// All rollouts, going on and past. Clones share them.
#[derive(Clone, Debug)]
pub struct Rollouts {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    journal: Journal,
    settings: RolloutSettings,
    limits: Limits,
    ports: RolloutPorts,
    clock: Clock,
    live: SyncMutex<BTreeMap<RolloutId, Arc<Mutex<Live>>>>,
    waiting: SyncMutex<BTreeMap<RolloutId, String>>,
    /// Accepting a plan is a check and a write that belong together.
    accepting: Mutex<()>,
    woken: Notify,
}

/// A rollout that this process drives.
#[derive(Debug)]
struct Live {
    record: RolloutRecord,
    /// Changes of state that the audit has.
    reported: usize,
    /// The last try in this state; not stored, so that a restart tries again.
    attempt: Option<Attempt>,
}

impl Rollouts {
    /// Opens the journal and takes up every rollout that is not over.
    ///
    /// # Errors
    /// When the journal cannot be opened or read, or is of a newer planner.
    pub async fn open(
        journal: &Path,
        settings: RolloutSettings,
        ports: RolloutPorts,
        clock: Clock,
    ) -> Result<Self, RolloutError> {
        let journal = Journal::open(journal)?;
        let limits = settings.limits();
        let mut live = BTreeMap::new();
        for Entry { record, reported } in journal.unfinished().await? {
            let resumed = record.clone().resumed(&limits, clock.now());
            if resumed != record {
                journal.save(&resumed).await?;
            }
            if !resumed.state.is_last() {
                tracing::info!(rollout = %resumed.id, state = %resumed.state, "rollout taken up again");
            }
            live.insert(resumed.id.clone(), Live::shared(resumed, reported));
        }
        Ok(Self {
            shared: Arc::new(Shared {
                journal,
                settings,
                limits,
                ports,
                clock,
                live: SyncMutex::new(live),
                waiting: SyncMutex::default(),
                accepting: Mutex::new(()),
                woken: Notify::new(),
            }),
        })
    }

    /// Accepts the moves of a tested plan; they are rolled out one after the other, each only when the one before it
    /// succeeded. They are durable when this returns.
    ///
    /// # Errors
    /// When the plan is empty or not newer than every plan before it, when one of its workloads is being moved, when too
    /// many plans are in progress, or when the journal fails.
    pub async fn start(&self, tested: &TestedPlan) -> Result<Vec<RolloutId>, RolloutError> {
        let plan = tested.plan();
        let shared = &*self.shared;
        let _one_at_a_time = shared.accepting.lock().await;
        let newest = shared.journal.newest_generation().await?;
        if plan.moves.is_empty() {
            return Err(RolloutError::Empty(plan.id.clone()));
        }
        if plan.generation <= newest {
            let (plan, generation) = (plan.id.clone(), plan.generation);
            return Err(RolloutError::Stale { plan, generation, newest });
        }
        let active = self.active().await?;
        for relocation in &plan.moves {
            if let Some(busy) = active.iter().find(|r| r.relocation.workload == relocation.workload) {
                return Err(RolloutError::Busy {
                    workload: relocation.workload.clone(),
                    rollout: busy.id.clone(),
                    state: busy.state,
                });
            }
        }
        let mut plans: Vec<_> = active.iter().map(|record| &record.plan).collect();
        plans.dedup();
        if plans.len() >= shared.settings.max_concurrent {
            return Err(RolloutError::TooMany { active: plans.len(), limit: shared.settings.max_concurrent });
        }
        let mut records: Vec<RolloutRecord> = Vec::new();
        for (number, relocation) in plan.moves.iter().enumerate() {
            let id = RolloutId::new(format!("{}.{number}", plan.id));
            let now = shared.clock.now();
            let mut record =
                RolloutRecord::new(id, plan, relocation.clone(), tested.trial().clone(), &shared.limits, now);
            record.prediction = tested.predictions().get(number).cloned();
            record.after = records.last().map(|before| before.id.clone());
            records.push(record);
        }
        shared.journal.accept(records.clone(), plan.generation).await?;
        let ids: Vec<RolloutId> = records.iter().map(|record| record.id.clone()).collect();
        tracing::info!(plan = %plan.id, moves = records.len(), "rollout accepted");
        let live = records.into_iter().map(|record| (record.id.clone(), Live::shared(record, 0)));
        shared.live.lock().unwrap_or_else(PoisonError::into_inner).extend(live);
        shared.woken.notify_one();
        Ok(ids)
    }

    /// Drives every rollout until the future that is passed ends. Dropping it at any point is safe.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let mut ticks = interval(durations::of_ms(self.shared.settings.poll));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut driven = JoinSet::new();
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                _ = ticks.tick() => {}
                () = self.shared.woken.notified() => {}
            }
            while driven.try_join_next().is_some() {}
            for id in self.shared.live_ids() {
                let shared = Arc::clone(&self.shared);
                driven.spawn(async move { shared.drive_logged(&id).await });
            }
        }
    }

    /// Drives every rollout as far as it goes now.
    pub async fn tick(&self) {
        join_all(self.shared.live_ids().iter().map(|id| self.shared.drive_logged(id))).await;
    }

    /// Every rollout, oldest first.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn list(&self) -> Result<Vec<RolloutRecord>, RolloutError> {
        Ok(self.shared.journal.all().await?.into_iter().map(|entry| entry.record).collect())
    }

    /// One rollout.
    ///
    /// # Errors
    /// When there is none of that name, or the journal cannot be read.
    pub async fn get(&self, id: &RolloutId) -> Result<RolloutRecord, RolloutError> {
        let entry = self.shared.journal.get(id).await?;
        entry.map(|entry| entry.record).ok_or_else(|| RolloutError::Unknown(id.clone()))
    }

    /// What a rollout waits for, when it waits.
    pub fn waiting_for(&self, id: &RolloutId) -> Option<String> {
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Asks a rollout to stop and to turn back. The wish is durable when this returns; it is acted on with the next look.
    ///
    /// # Errors
    /// When there is none of that name, when it is too late or not needed, or when the journal fails.
    pub async fn abort(&self, id: &RolloutId, who: &str, why: &str) -> Result<(), RolloutError> {
        let record = self.get(id).await?;
        if record.state.is_past_return() {
            return Err(RolloutError::TooLate { rollout: id.clone(), state: record.state });
        }
        if record.state.phase() == Phase::RollingBack {
            return Err(RolloutError::TurningBack(id.clone()));
        }
        let request = AbortRequest { who: who.to_owned(), why: why.to_owned(), at: self.shared.clock.now() };
        self.shared.journal.save_abort(id, &request).await?;
        tracing::info!(rollout = %id, who, why, "abort requested");
        self.shared.woken.notify_one();
        Ok(())
    }

    /// Rollouts that are not over, oldest first.
    async fn active(&self) -> Result<Vec<RolloutRecord>, RolloutError> {
        let entries = self.shared.journal.unfinished().await?;
        Ok(entries.into_iter().map(|entry| entry.record).filter(|r| !r.state.is_last()).collect())
    }

    /// Moves that are not over: their need counts on their target as well as on their source.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn in_flight(&self) -> Result<Vec<Move>, RolloutError> {
        Ok(self.active().await?.into_iter().map(|record| record.relocation).collect())
    }

    /// Rollouts that are not over or have ended since then, oldest first: what cooldown and budgets count.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn recent(&self, since: Timestamp) -> Result<Vec<RolloutRecord>, RolloutError> {
        Ok(self.shared.journal.since(since).await?.into_iter().map(|entry| entry.record).collect())
    }

    /// The newest generation of a plan that was ever accepted; a new plan must be above it.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn newest_generation(&self) -> Result<u64, RolloutError> {
        self.shared.journal.newest_generation().await
    }
}

impl Live {
    fn shared(record: RolloutRecord, reported: usize) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { record, reported, attempt: None }))
    }
}

impl Shared {
    fn live_ids(&self) -> Vec<RolloutId> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    async fn drive_logged(&self, id: &RolloutId) {
        if let Err(error) = self.drive(id).await {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            tracing::error!(rollout = %id, %error, cause, "rollout stands still until its journal works again");
        }
    }

    /// As far as it goes now; nothing when another task drives it.
    async fn drive(&self, id: &RolloutId) -> Result<(), RolloutError> {
        let slot = self.live.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        let Some(slot) = slot else { return Ok(()) };
        let Ok(mut live) = slot.try_lock() else { return Ok(()) };
        for _ in 0..STEPS_AT_ONCE {
            self.report(&mut live).await?;
            let seen = self.observe(&live).await?;
            match step(&live.record, &seen, &self.limits, self.clock.now()) {
                Next::Do(action) => self.act(&mut live, action).await?,
                Next::Transition { to, why } => self.enter(&mut live, to, why).await?,
                Next::Wait { why, .. } => {
                    self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), why);
                    return Ok(());
                }
                Next::Finished => {
                    self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
                    if live.reported == live.record.history.len() {
                        self.live.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
                    }
                    return Ok(());
                }
            }
        }
        tracing::warn!(rollout = %id, state = %live.record.state, "rollout does not come to rest");
        Ok(())
    }

    async fn observe(&self, live: &Live) -> Result<Observation, RolloutError> {
        let look = Look {
            record: &live.record,
            ports: &self.ports,
            settings: &self.settings,
            now: self.clock.now(),
        };
        let mut seen =
            if live.record.state.is_last() { Observation::default() } else { look.observe().await };
        seen.attempt.clone_from(&live.attempt);
        seen.abort = self.journal.abort(&live.record.id).await?;
        if let Some(before) = live.record.after.as_ref().filter(|_| live.record.state == State::Pending) {
            let before = self.journal.get(before).await?.map(|entry| entry.record);
            seen.predecessor = Some(match before {
                Some(record) if !record.state.is_last() => Predecessor::Running,
                Some(record) if record.state == State::Succeeded => Predecessor::Succeeded(record.entered_at),
                _ => Predecessor::Stopped,
            });
        }
        Ok(seen)
    }

    /// Durable first; only then does memory follow.
    async fn enter(&self, live: &mut Live, to: State, why: String) -> Result<(), RolloutError> {
        let next = live.record.entered(to, why, &self.limits, self.clock.now());
        self.journal.save(&next).await?;
        let (rollout, from) = (&next.id, live.record.state);
        if to == State::Failed {
            tracing::error!(%rollout, %from, %to, why = next.why(), "rollout failed, a human must act");
        } else {
            tracing::info!(%rollout, %from, %to, why = next.why(), "rollout changed its state");
        }
        live.record = next;
        live.attempt = None;
        Ok(())
    }

    async fn report(&self, live: &mut Live) -> Result<(), RolloutError> {
        while live.reported < live.record.history.len() {
            if let Err(error) = self.ports.reporter.report(&live.record, live.reported).await {
                let cause = error.source().map(ToString::to_string).unwrap_or_default();
                tracing::warn!(rollout = %live.record.id, %error, cause, "change of state will be reported again");
                return Ok(());
            }
            live.reported += 1;
            self.journal.save_reported(&live.record.id, live.reported).await?;
        }
        Ok(())
    }

    async fn act(&self, live: &mut Live, action: Action) -> Result<(), RolloutError> {
        tracing::info!(rollout = %live.record.id, state = %live.record.state, ?action, "rollout acts");
        let limit = durations::of_ms(self.settings.action_timeout);
        let outcome = match timeout(limit, self.carry_out(&live.record, action)).await {
            Ok(Ok(target)) => Ok(target),
            Ok(Err(error)) => Err(in_full(&error)),
            Err(_) => Err(format!("it did not end within {limit:?} (`actionTimeout`)")),
        };
        let mut next = live.record.clone();
        let error = match outcome {
            Ok(target) => {
                next.target = target.or(next.target);
                None
            }
            Err(error) => {
                next.attempt += 1;
                tracing::warn!(rollout = %next.id, ?action, attempt = next.attempt, error, "rollout action failed");
                Some(error)
            }
        };
        if next != live.record {
            self.journal.save(&next).await?;
            live.record = next;
        }
        live.attempt = Some(Attempt { action, at: self.clock.now(), error });
        Ok(())
    }

    /// Does one thing; returns the name of the replica on the target when that was started.
    async fn carry_out(
        &self,
        record: &RolloutRecord,
        action: Action,
    ) -> Result<Option<ReplicaId>, PlatformError> {
        let Move { workload, service, replica, from, to, .. } = &record.relocation;
        let relocator = &self.ports.relocator;
        match action {
            Action::Prepare => relocator.prepare(workload, to).await?,
            Action::StartTarget => return relocator.place(workload, to).await.map(Some),
            Action::StartSource => {
                relocator.place(workload, from).await?;
            }
            Action::SetTraffic { target_percent } => self.set_traffic(record, target_percent).await?,
            Action::StopTarget => {
                relocator.retire(workload, to, record.target.as_ref()).await?;
                self.ports.traffic.restore(service).await?;
            }
            Action::StopSource => {
                relocator.retire(workload, from, Some(replica)).await?;
                self.ports.traffic.restore(service).await?;
            }
        }
        Ok(None)
    }

    /// Shares out one whole share between the two ends; the service's other replicas keep what they have.
    async fn set_traffic(&self, record: &RolloutRecord, target_percent: u8) -> Result<(), PlatformError> {
        let Move { service, replica, .. } = &record.relocation;
        let mut weights = self.ports.traffic.weights(service).await?;
        let target = u32::from(target_percent.min(100));
        let ends = [(Some(replica), 100 - target), (record.target.as_ref(), target)];
        for (end, weight) in ends {
            let Some(end) = end else { continue };
            weights.remove(end);
            if weight > 0 {
                weights.insert(end.clone(), weight);
            }
        }
        self.ports.traffic.set_weights(service, &weights).await
    }
}

/// An error with its causes on one line, for the journal.
fn in_full(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
